// SPDX-License-Identifier: MIT
/*
 * What holds for every stack there is: guards, whose memory it is made of, and what does not lie on it. And for the
 * interrupt stacks: nothing stays on them.
 */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/stack_grow.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/timer.h>
#include <rt/work.h>
#include <rt/xstack.h>

#define WAIT_NS (60 * NS_PER_S)

static bool there(uintptr_t address) { return arch_lookup(address, NULL, NULL); }

/* ---- guards ---- */

static unsigned seen_kinds[STACK_BUFFER + 1], without_guards, with_holes;

static void see_guards(const struct stack_visitor *visitor, struct stack *stack)
{
    (void)visitor;
    if (there(stack->base - 1) || there(stack->top))
        without_guards++;
    seen_kinds[stack->kind]++;
    if (stack->kind == STACK_HOME)
        return;                       /* may be about to end, or grow */
    for (uintptr_t va = stack->base; va < stack->top; va += PAGE_BYTES)
        with_holes += !there(va);
}

static void all_stacks_are_guarded(void)
{
    static const struct stack_visitor visitor = {.see = see_guards};
    struct xstack_totals totals;
    struct stack *private_one;
    CHECK(stack_map(4096, STACK_PRIVATE, "private", &private_one) == 0);
    memset(seen_kinds, 0, sizeof(seen_kinds));
    without_guards = with_holes = 0;
    stack_for_each(&visitor);
    stack_unmap(private_one);
    xstack_totals(&totals);
    CHECK(without_guards == 0 && with_holes == 0);
    CHECK(seen_kinds[STACK_HOME] >= 2 && seen_kinds[STACK_PRIVATE] >= 1);
    CHECK(seen_kinds[STACK_EXTRA] == totals.total);
    CHECK(seen_kinds[STACK_IRQ] == cpu_count);
    CHECK(seen_kinds[STACK_IST] == 6 * cpu_count);
    CHECK(seen_kinds[STACK_REPORT] >= cpu_count);
    CHECK(seen_kinds[STACK_IDLE] >= cpu_count - 1);     /* the first CPU's is the boot stack, in the image */
}

/* ---- what is not on a stack ---- */

static unsigned threads_seen, on_stacks;

static void see_thread(const struct thread_visitor *visitor, struct thread *thread)
{
    (void)visitor;
    threads_seen++;
    on_stacks += stack_contains(thread) || stack_contains((char *)(thread + 1) - 1);
    on_stacks += thread->arch.fpu && stack_contains(thread->arch.fpu);
}

static void thread_structures_are_elsewhere(void)
{
    static const struct thread_visitor visitor = {.visit = see_thread};
    threads_seen = on_stacks = 0;
    thread_for_each(&visitor);
    CHECK(threads_seen >= 2 && on_stacks == 0);
    CHECK(stack_contains((void *)arch_stack_pointer()));
    /* Where an interrupt saves is in the structure too. */
    bool irq = arch_irq_save();
    uintptr_t saved_to = x86_cpu()->tss.ist[IST_IRQ - 1];
    struct thread *self = thread_current();
    arch_irq_restore(irq);
    CHECK(saved_to > (uintptr_t)self && saved_to <= (uintptr_t)(self + 1));
}

/* ---- made of frames that are no neighbours ---- */

/* Takes all of memory, gives every second frame back. */
static void fragment(struct list *taken)
{
    struct list all = LIST_INIT(all), *page;
    while ((page = page_alloc(0)))
        list_push_back(&all, page);
    while ((page = list_pop_front(&all)))
        if (arch_virt_to_phys(page) / PAGE_BYTES % 2)
            page_free(page, 0);
        else
            list_push_back(taken, page);
}

static void needs_no_neighbouring_frames(void)
{
    struct list taken = LIST_INIT(taken), *page;
    struct stack *stack = NULL;
    const size_t bytes = KIB(64);
    CHECK(stack_map(bytes, STACK_OWN, "own", &stack) == 0);     /* its tables and its slot stay */
    stack_unmap(stack);
    fragment(&taken);
    void *pair = page_alloc(1);
    CHECK(!pair);
    int err = stack_map(bytes, STACK_OWN, "own", &stack);
    unsigned neighbours = 0;
    uint64_t phys = 0, last = 0;
    for (uintptr_t va = stack->base; !err && va < stack->top; va += PAGE_BYTES, last = phys) {
        CHECK(arch_lookup(va, &phys, NULL));
        neighbours += last && (phys == last + PAGE_BYTES || last == phys + PAGE_BYTES);
    }
    if (!err) {
        memset((void *)stack->base, 0x5a, bytes);
        stack_unmap(stack);
    }
    if (pair)
        page_free(pair, 1);
    while ((page = list_pop_front(&taken)))
        page_free(page, 0);
    CHECK(err == 0 && neighbours == 0);
}

/* ---- interrupt stacks ---- */

struct measured {
    struct irq irq;
    uint64_t top, count, least, most, elsewhere;
};
static struct measured measured[CPUS_MAX];

static void measure_depth(struct irq *irq)
{
    struct measured *m = container_of(irq, struct measured, irq);
    uint64_t depth = m->top - arch_stack_pointer();
    m->least = MIN(m->least, depth);
    m->most = MAX(m->most, depth);
    m->elsewhere += depth > PAGE_BYTES;
    m->count++;
}
static const struct irq_ops measure_ops = {.handle = measure_depth};

static void interrupt_self(struct pinned *self)
{
    struct measured *m = &measured[self->cpu];
    *m = (struct measured){.irq = {.ops = &measure_ops}, .least = UINT64_MAX, .top = this_cpu()->arch.irq_stack_top};
    CHECK(arch_irq_attach(&m->irq) == 0);
    for (uint64_t i = 0; i < guest_number(500); i++) {
        apic_send(x86_cpu()->apic_id, APIC_SEND_FIXED | m->irq.vector);
        if (i % 8 == 0)
            thread_yield();
    }
    thread_sleep_ns(NS_PER_MS);
    arch_irq_detach(&m->irq);
}

static bool stop_spinning;

static void spin_run(void *argument)
{
    while (!__atomic_load_n(&stop_spinning, __ATOMIC_RELAXED))
        arch_relax();
    semaphore_up(argument);
}

/* Threads are pre-empted all the while: a context left there would make the next handler start deeper. */
static void interrupt_stack_starts_empty(void)
{
    static const struct pinned_ops ops = {.pinned_work = interrupt_self};
    static const struct thread_def def = {.name = "spinner", .run = spin_run};
    static struct semaphore done;
    const uint32_t spinners = 2 * cpu_count;
    semaphore_init(&done, 0);
    stop_spinning = false;
    for (uint32_t i = 0; i < spinners; i++)
        CHECK(thread_create(&def, &done, NULL) == 0);
    pinned_on_all(&ops);
    __atomic_store_n(&stop_spinning, true, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < spinners; i++)
        CHECK(semaphore_down(&done, arch_now_ns() + WAIT_NS));
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct measured *m = &measured[i];
        CHECK(m->count > 0 && m->elsewhere == 0);
        CHECK(m->least == m->most);
    }
    console_printf("  handlers start %lu bytes into the interrupt stack\n", measured[0].least);
}

/* ---- what an interrupt leaves to a thread may sleep ---- */

struct late {
    struct timer timer;
    struct work work;
    struct semaphore done;
    bool in_interrupt, slept;
};

static void late_execute(struct work *work)
{
    struct late *l = container_of(work, struct late, work);
    uint64_t before = arch_now_ns();
    thread_sleep_ns(NS_PER_MS);
    l->slept = arch_now_ns() - before >= NS_PER_MS;
    semaphore_up(&l->done);
}

static void late_fire(struct timer *timer)
{
    struct late *l = container_of(timer, struct late, timer);
    l->in_interrupt = this_cpu()->arch.irq_depth && this_cpu()->arch.irq_stack_top - arch_stack_pointer() < PAGE_BYTES;
    work_queue(&l->work);
}

static void interrupt_work_runs_in_a_thread(void)
{
    static const struct timer_ops timer_ops = {.fire = late_fire};
    static const struct work_ops work_ops = {.execute = late_execute};
    static struct late l;
    l = (struct late){0};
    semaphore_init(&l.done, 0);
    timer_init(&l.timer, &timer_ops);
    work_init(&l.work, &work_ops);
    timer_start(&l.timer, arch_now_ns() + NS_PER_MS);
    CHECK(semaphore_down(&l.done, arch_now_ns() + WAIT_NS));
    CHECK(l.in_interrupt && l.slept);
}

/* ---- many threads on stacks of the caller's end themselves at once ---- */

#define OWN_STACKS 24u

static void own_run(void *argument)
{
    volatile char room[1000];
    room[0] = 1;
    semaphore_down(argument, WAIT_FOREVER);
    room[999] = room[0];
}

static void own_round(struct semaphore *go)
{
    static const struct thread_def def = {.name = "on-its-own", .run = own_run};
    static struct stack *stacks[OWN_STACKS];
    for (uint32_t i = 0; i < OWN_STACKS; i++) {
        struct thread *thread;
        CHECK(stack_map(KIB(8), STACK_OWN, "own", &stacks[i]) == 0);
        CHECK(thread_prepare_on(&def, go, stacks[i], &thread) == 0);
        thread_start(thread);
    }
    thread_sleep_ns(NS_PER_MS);
    for (uint32_t i = 0; i < OWN_STACKS; i++)
        semaphore_up(go);
    for (uint32_t i = 0; i < OWN_STACKS; i++) {
        uint64_t end = arch_now_ns() + WAIT_NS;
        while (__atomic_load_n(&stacks[i]->owner, __ATOMIC_ACQUIRE) && arch_now_ns() < end)
            thread_yield();
        uintptr_t base = stacks[i]->base;
        stack_unmap(stacks[i]);
        struct stack *gone = stack_find_any(base, NULL);
        CHECK(!stack_find(base, NULL) && gone && !strcmp(gone->last_owner_name, "on-its-own"));
    }
}

static void own_stacks_many_at_once(void)
{
    static struct semaphore go;
    uint64_t free_before = 0;
    semaphore_init(&go, 0);
    for (unsigned round = 0; round < 4; round++) {
        own_round(&go);
        thread_sleep_ns(10 * NS_PER_MS);
        if (round == 1)
            free_before = page_count_free();
    }
    for (uint64_t end = arch_now_ns() + WAIT_NS; page_count_free() + 16 < free_before && arch_now_ns() < end;)
        thread_sleep_ns(NS_PER_MS);   /* the last thread structures are on their way */
    CHECK(page_count_free() + 16 >= free_before);
}

/* ---- growth: what was filled in vain is taken out, and the pool is full again ---- */

static void prefill_leaves_nothing(void)
{
    struct stack_growth_counts before, after;
    if (params.stack_grow != STACK_GROW_PREFILL)
        return;
    stack_grow_counts(&before);
    for (unsigned i = 0; i < 50; i++)
        thread_sleep_ns(100 * NS_PER_US);
    stack_grow_counts(&after);
    CHECK(after.prefilled - before.prefilled >= 50 && after.untouched - before.untouched >= 50);
    CHECK(after.faults == before.faults);
    CHECK(stack_grow_pooled() >= stack_grow_need());
}

const struct guest_case guest_every_stack_checks[] = {
    {"all-stacks-are-guarded", all_stacks_are_guarded},
    {"thread-structures-are-elsewhere", thread_structures_are_elsewhere},
    {"needs-no-neighbouring-frames", needs_no_neighbouring_frames},
    {"interrupt-stack-starts-empty", interrupt_stack_starts_empty},
    {"interrupt-work-runs-in-a-thread", interrupt_work_runs_in_a_thread},
    {"own-stacks-many-at-once", own_stacks_many_at_once},
    {"grow-prefill-leaves-nothing", prefill_leaves_nothing},
    {NULL, NULL},
};
