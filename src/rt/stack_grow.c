// SPDX-License-Identifier: MIT
/*
 * Stacks that start with one page. Two ways, by stack.grow:
 *
 *   fault     a touch of a page that is not there faults; the fault handler, on its own stack, stores an entry
 *             with a page of this CPU's pool and returns. It waits for nobody: the pool was filled before.
 *   prefill   when a thread is switched to, all its entries are filled from the pool, not accessed yet; when it
 *             leaves, those still not accessed are taken out again. No CPU caches a translation whose
 *             accessed bit is clear, so they need no flush. The fault path stays for what is left.
 *
 * The pool holds twice what one thread can need. It is filled by stack_switched() on the interrupt stack, never
 * in a fault. A CPU whose pool holds less than one thread can need runs no thread that grows.
 *
 * Taking back: when a thread has left the CPU, pages below its stack pointer hold nothing. Their entries become
 * "kept": not present, but the frame stays, and a fault puts it back. No flush is made: until the next
 * one some CPU may still use the page through its old translation, which is the same frame. Giving kept
 * frames back for good is stack_reclaim.c. `turns` of a stack is odd while its thread runs.
 *
 * So at a switch the pages at and above the stack pointer may be found kept, if they were used through an
 * old translation; they are made present again, because others may look for data of this thread in them.
 *
 * Who stores into an entry: the fault handler and the switch (plain stores, by the CPU that runs or has just
 * run the thread), the fault handler of any CPU that puts a kept frame back (the same value), and the
 * reclaimer, by compare-and-exchange.
 */
#include <rt/stack_grow_cpu.h>

#include <arch/arch.h>
#include <arch/stack_pages.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/thread.h>

struct grow_cpu grow_cpus[CPUS_MAX];

bool stack_grow_wanted(size_t bytes)
{
    return params.stack_grow != STACK_GROW_OFF && bytes == params.stack_size && bytes > PAGE_BYTES;
}

static size_t page_count(const struct stack *stack) { return (stack->top - stack->base) / PAGE_BYTES; }

uint32_t stack_grow_need(void)
{
    return stack_grow_wanted(params.stack_size) ? (uint32_t)(params.stack_size / PAGE_BYTES) - 1 : 0;
}

static uint64_t load(const uint64_t *entry) { return __atomic_load_n(entry, __ATOMIC_RELAXED); }
static void store(uint64_t *entry, uint64_t value) { __atomic_store_n(entry, value, __ATOMIC_RELEASE); }

static uint64_t present(uint64_t frame_or_entry)
{
    return (frame_or_entry & ARCH_ENTRY_FRAME) | ARCH_ENTRY_STACK | ARCH_ENTRY_ACCESSED;
}

static bool is_kept(uint64_t entry)
{
    return (entry & (ARCH_ENTRY_KEPT | ARCH_ENTRY_CLAIMED)) == ARCH_ENTRY_KEPT;
}

/* ---- the fault: tests/check/growth.sh looks at what this compiles to ---- */

bool stack_grow_fault(uintptr_t address, uint64_t error)
{
    enum stack_side side;
    if (error & (ARCH_FAULT_PRESENT | ARCH_FAULT_FETCH))
        return false;
    struct stack *stack = stack_find_any(address, &side);
    if (!stack || !stack->grows || stack->state != STACK_LIVE || side != STACK_INSIDE)
        return false;
    struct cpu *cpu = this_cpu();
    struct grow_cpu *g = &grow_cpus[cpu->arch.index];
    uint64_t *entry = &stack->growth->entries[(address - stack->base) / PAGE_BYTES];
    uint64_t value = load(entry);
    if (value & ARCH_ENTRY_PRESENT)
        return true;                  /* another CPU has put it back just now */
    if (is_kept(value)) {
        store(entry, present(value));
        g->counts.reinstated++;
        return true;
    }
    if (stack->owner != (struct thread *)cpu->arch.current || !g->count)
        return false;
    store(entry, present(g->frames[--g->count]));
    g->counts.faults++;
    return true;
}

/* ---- the switch ---- */

/* The first page that holds something of a thread that has left the CPU. */
static size_t first_used(const struct thread *thread, const struct stack *home)
{
    uintptr_t rsp = thread->arch.preempted ? thread->arch.frame.rsp : thread->arch.rsp;
    size_t top_page = page_count(home) - 1;
    if (rsp >= home->base && rsp < home->top)
        return (rsp - home->base) / PAGE_BYTES;
    /* On an extra stack, or in the app, when the home stack is empty. */
    if (thread->stack != home && home->left_at >= home->base && home->left_at < home->top)
        return (home->left_at - home->base) / PAGE_BYTES;
    return top_page;
}

bool grow_put_back(uint64_t *entry, uint64_t value)
{
    return is_kept(value) && __atomic_compare_exchange_n(entry, &value, present(value), false,
                                                         __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static void pool_add(struct grow_cpu *g, uint64_t frame)
{
    if (g->count < GROW_POOL_MAX && g->count < 2 * stack_grow_need())
        g->frames[g->count++] = frame;
    else
        page_free(arch_phys_to_virt(frame), 0);
}

/* A page below the stack pointer. True: its frame is kept. */
static bool take_back(struct grow_cpu *g, uint64_t *entry)
{
    uint64_t value = load(entry);
    if (!(value & ARCH_ENTRY_PRESENT))
        return is_kept(value);
    if (!(value & ARCH_ENTRY_ACCESSED)) {
        value = __atomic_exchange_n(entry, 0, __ATOMIC_ACQ_REL);
        if (!(value & ARCH_ENTRY_ACCESSED)) {
            pool_add(g, value & ARCH_ENTRY_FRAME);
            g->counts.untouched++;
            return false;
        }
    }
    store(entry, (value & ARCH_ENTRY_FRAME) | ARCH_ENTRY_KEPT);
    g->counts.taken_back++;
    return true;
}

static void left(struct grow_cpu *g, uint32_t cpu_index, struct thread *thread, struct stack *home)
{
    size_t first = first_used(thread, home), count = page_count(home);
    uint32_t frames = 0;
    bool any_kept = false;
    for (size_t i = 0; i < count; i++) {
        uint64_t *entry = &home->growth->entries[i];
        if (i < first)
            any_kept |= take_back(g, entry);
        else if (is_kept(load(entry)))
            store(entry, present(load(entry)));
        frames += load(entry) != 0;
    }
    if (frames > home->growth->pages_most)
        home->growth->pages_most = frames;
    __atomic_store_n(&home->growth->turns, home->growth->turns + 1, __ATOMIC_RELEASE);
    if (any_kept)
        grow_note_kept(g, cpu_index, home);
}

static void prefill(struct grow_cpu *g, struct stack *home)
{
    for (size_t i = page_count(home); i-- > 0 && g->count > stack_grow_need();) {
        uint64_t *entry = &home->growth->entries[i], value = load(entry);
        if (value & ARCH_ENTRY_PRESENT)
            continue;
        /* A kept one may be in some CPU's cache already: for it the accessed bit says nothing. */
        if (grow_put_back(entry, value)) {
            g->counts.reinstated++;
            continue;
        }
        if (load(entry) & ARCH_ENTRY_PRESENT)
            continue;
        store(entry, g->frames[--g->count] | ARCH_ENTRY_STACK);
        g->counts.prefilled++;
    }
}

static void entered(struct grow_cpu *g, struct stack *home)
{
    __atomic_store_n(&home->growth->turns, home->growth->turns + 1, __ATOMIC_SEQ_CST);
    if (params.stack_grow == STACK_GROW_PREFILL)
        prefill(g, home);
}

/* Interrupts off, on a stack that does not grow. Asks no cache for pages: that may not be done here. */
static void fill_pool(struct grow_cpu *g)
{
    uint32_t wanted = 2 * stack_grow_need();
    while (g->count < wanted) {
        void *page = page_try_alloc();
        if (!page)
            return;
        memset(page, 0, PAGE_BYTES);
        g->frames[g->count++] = arch_virt_to_phys(page);
    }
}

void stack_switched(struct thread *prev, struct thread *next)
{
    struct stack *from = prev->home, *to = next->home;
    if (from && !stack_canaries_hold(from))
        panic("thread %u \"%s\" wrote beyond an end of its plain stack", prev->id, prev->name);
    if (!stack_grow_need())
        return;
    uint32_t cpu_index = this_cpu()->arch.index;
    struct grow_cpu *g = &grow_cpus[cpu_index];
    if (!g->ready)
        grow_cpu_prepare(g);
    if (from && from->grows)
        left(g, cpu_index, prev, from);
    fill_pool(g);
    if (to && to->grows)
        entered(g, to);
}

bool stack_grow_may_run(const struct cpu *cpu, const struct thread *thread)
{
    return !thread->home || !thread->home->grows ||
           grow_cpus[cpu->arch.index].count >= stack_grow_need();
}

void stack_grow_idle(void)
{
    struct grow_cpu *g = &grow_cpus[this_cpu()->arch.index];
    if (!stack_grow_need())
        return;
    if (!g->ready)
        grow_cpu_prepare(g);
    fill_pool(g);
    if (g->count >= stack_grow_need())
        return;
    g->counts.pool_low++;
    if (!g->retry.armed)
        timer_start(&g->retry, arch_now_ns() + NS_PER_MS);
}

/* ---- what others see ---- */

unsigned stack_grow_pages(const struct stack *stack, unsigned *kept)
{
    unsigned mapped = 0;
    *kept = 0;
    for (size_t i = 0; stack->grows && i < page_count(stack); i++) {
        uint64_t value = load(&stack->growth->entries[i]);
        if (value & ARCH_ENTRY_PRESENT)
            mapped++;
        else if (value)
            ++*kept;
    }
    return mapped;
}

void stack_grow_ended(const struct stack *stack)
{
    if (!stack->grows)
        return;
    bool irq = arch_irq_save();
    grow_cpus[this_cpu()->arch.index].ended[MIN(stack->growth->pages_most, STACK_GROW_PAGES_MAX)]++;
    arch_irq_restore(irq);
}

uint64_t stack_grow_ended_with(unsigned pages)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < cpu_count; i++)
        sum += grow_cpus[i].ended[pages];
    return sum;
}

uint64_t stack_grow_pooled(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < cpu_count; i++)
        sum += grow_cpus[i].count;
    return sum;
}

void stack_grow_counts(struct stack_growth_counts *out)
{
    *out = (struct stack_growth_counts){0};
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct stack_growth_counts *c = &grow_cpus[i].counts;
        out->faults += c->faults;
        out->reinstated += c->reinstated;
        out->prefilled += c->prefilled;
        out->untouched += c->untouched;
        out->taken_back += c->taken_back;
        out->freed += c->freed;
        out->kept_used += c->kept_used;
        out->pool_low += c->pool_low;
        out->batches += c->batches;
    }
}
