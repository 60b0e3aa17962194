// SPDX-License-Identifier: MIT
/*
 * Giving kept pages back for good, many stacks at a time. For a batch:
 *
 *   1. note `turns` of each stack; one whose thread runs now is left out (it comes back when it leaves)
 *   2. flush all CPUs. Where `turns` is still the same, the thread has not run in between: no CPU has an old
 *      translation of a kept page, and from here on any use of one faults
 *   3. claim the kept entries: a fault that finds one claimed takes a page of the pool instead
 *   4. flush all CPUs again: every fault handler that read an entry before it was claimed has ended
 *   5. an entry that is still claimed becomes empty, and its frame is free. If a fault has put the frame back in
 *      time it stays; if a fault has put another page there, the frame is free
 *
 * The thread may start to run at any point. Only one batch is under way at a time.
 */
#include <rt/stack_grow_cpu.h>

#include <arch/arch.h>
#include <arch/stack_pages.h>
#include <rt/cpu.h>
#include <rt/page.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/sync.h>

#define CLAIMS_MAX (GROW_BATCH * STACK_GROW_PAGES_MAX)

struct claim {
    uint64_t *entry;
    uint64_t value;                   /* as claimed */
};

static struct mutex reclaim_lock = MUTEX_INIT(reclaim_lock);
static struct stack *batch[GROW_BATCH];               /* reclaim_lock, as what follows */
static uint64_t batch_turns[GROW_BATCH];
static struct claim claims[CLAIMS_MAX];

void grow_note_kept(struct grow_cpu *g, uint32_t cpu_index, struct stack *stack)
{
    bool irq = spin_lock(&g->lock);
    /* Set by whoever runs the thread, cleared by the reclaimer: one of them at a time has the stack. */
    if (!__atomic_exchange_n(&stack->growth->queued, true, __ATOMIC_ACQ_REL)) {
        stack->growth->queued_cpu = (uint16_t)cpu_index;
        list_push_back(&g->kept, &stack->growth->queue_link);
        g->kept_count++;
    }
    bool many = g->kept_count >= GROW_BATCH;
    spin_unlock(&g->lock, irq);
    if (many)
        work_queue(&g->reclaim_work);
}

/* Fills batch[]; 0 when the list is empty. */
static unsigned take_batch(struct grow_cpu *g)
{
    unsigned count = 0;
    bool irq = spin_lock(&g->lock);
    while (g->ready && count < GROW_BATCH) {
        struct list *link = list_pop_front(&g->kept);
        if (!link)
            break;
        struct stack *stack = list_entry(link, struct stack_growth_state, queue_link)->stack;
        g->kept_count--;
        __atomic_store_n(&stack->growth->queued, false, __ATOMIC_RELEASE);
        batch[count] = stack;
        batch_turns[count++] = __atomic_load_n(&stack->growth->turns, __ATOMIC_SEQ_CST);
    }
    spin_unlock(&g->lock, irq);
    return count;
}

static unsigned claim_entries(unsigned stacks)
{
    unsigned count = 0;
    for (unsigned s = 0; s < stacks; s++) {
        struct stack *stack = batch[s];
        if (batch_turns[s] % 2 || __atomic_load_n(&stack->growth->turns, __ATOMIC_SEQ_CST) != batch_turns[s])
            continue;
        for (size_t i = 0; i < (stack->top - stack->base) / PAGE_BYTES; i++) {
            uint64_t value = __atomic_load_n(&stack->growth->entries[i], __ATOMIC_ACQUIRE);
            if ((value & (ARCH_ENTRY_PRESENT | ARCH_ENTRY_KEPT)) != ARCH_ENTRY_KEPT)
                continue;
            uint64_t claimed = value | ARCH_ENTRY_CLAIMED;
            if (__atomic_compare_exchange_n(&stack->growth->entries[i], &value, claimed, false,
                                            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
                claims[count++] = (struct claim){&stack->growth->entries[i], claimed};
        }
    }
    return count;
}

static void settle(struct claim *claim, struct grow_cpu *g)
{
    uint64_t now = claim->value, frame = claim->value & ARCH_ENTRY_FRAME;
    bool emptied = __atomic_compare_exchange_n(claim->entry, &now, 0, false, __ATOMIC_ACQ_REL,
                                               __ATOMIC_ACQUIRE);
    if (!emptied && (now & ARCH_ENTRY_FRAME) == frame) {
        __atomic_fetch_add(&g->counts.kept_used, 1, __ATOMIC_RELAXED);
        return;
    }
    page_free(arch_phys_to_virt(frame), 0);
    __atomic_fetch_add(&g->counts.freed, 1, __ATOMIC_RELAXED);
}

static void reclaim_from(struct grow_cpu *g)
{
    unsigned stacks;
    mutex_lock(&reclaim_lock);
    while ((stacks = take_batch(g))) {
        arch_flush_all();
        unsigned count = claim_entries(stacks);
        if (count)
            arch_flush_all();
        for (unsigned i = 0; i < count; i++)
            settle(&claims[i], g);
        __atomic_fetch_add(&g->counts.batches, 1, __ATOMIC_RELAXED);
    }
    mutex_unlock(&reclaim_lock);
}

static void reclaim_all(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        reclaim_from(&grow_cpus[i]);
}

struct request {
    struct work work;
    struct completion done;
};

static void request_run(struct work *work)
{
    reclaim_all();
    completion_signal(&container_of(work, struct request, work)->done);
}
static const struct work_ops request_ops = {.execute = request_run};

/* A worker does it: whoever holds the lock must be able to run when there are no pages for stacks. */
void stack_grow_reclaim(void)
{
    struct request request;
    work_init(&request.work, &request_ops);
    completion_init(&request.done);
    work_queue(&request.work);
    completion_wait(&request.done, UINT64_MAX);
}

void stack_grow_forget(struct stack *stack)
{
    mutex_lock(&reclaim_lock);        /* no batch with it is under way */
    if (stack->growth->queued) {
        struct grow_cpu *g = &grow_cpus[stack->growth->queued_cpu];
        bool irq = spin_lock(&g->lock);
        list_remove(&stack->growth->queue_link);
        g->kept_count--;
        stack->growth->queued = false;
        spin_unlock(&g->lock, irq);
    }
    mutex_unlock(&reclaim_lock);
}

/* ---- per CPU ---- */

static void reclaim_run(struct work *work)
{
    reclaim_from(container_of(work, struct grow_cpu, reclaim_work));
}
static const struct work_ops reclaim_ops = {.execute = reclaim_run};

/* A CPU has no pages for its pool: what is kept and cached goes back, and other caches are asked. */
static void refill_run(struct work *work)
{
    (void)work;
    reclaim_all();
    stack_cache_drain();
    void *page = page_alloc(0);
    if (page)
        page_free(page, 0);
}
static const struct work_ops refill_ops = {.execute = refill_run};

static void retry_fire(struct timer *timer)
{
    work_queue(&container_of(timer, struct grow_cpu, retry)->refill_work);
}
static const struct timer_ops retry_ops = {.fire = retry_fire};

void grow_cpu_prepare(struct grow_cpu *g)
{
    list_init(&g->kept);
    work_init(&g->reclaim_work, &reclaim_ops);
    work_init(&g->refill_work, &refill_ops);
    timer_init(&g->retry, &retry_ops);
    __atomic_store_n(&g->ready, true, __ATOMIC_RELEASE);
}
