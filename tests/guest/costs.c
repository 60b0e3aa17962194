// SPDX-License-Identifier: MIT
/*
 * What the kernel's basic steps cost, in instructions. Meant for QEMU with `-icount shift=0,sleep=off`, where the
 * time-stamp counter counts executed instructions; tools/costs boots this and makes docs/costs.md of what it
 * prints, one line a row:
 *
 *     cost NAME MIN MAX AT_MIN ROUNDS       instructions: fewest, most, rounds that had the fewest, rounds
 *
 * Every number is what mark() .. since_mark() shows with the step between them less what they show with nothing
 * between them. For a probe it is less what the same call of the body costs, so what remains is the probe's.
 *
 * app=costs          every row that the settings allow (stack.need=force: only the forced probe)
 * app=costs-growth   a thread grows into a fresh page; nothing is printed where stacks do not grow
 */
#include "guest.h"

#include <arch/arch.h>
#include <block/bdev.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/xstack.h>
#include <rt/xstack_pool.h>
#include <x86.h>

#define ROUNDS 1000u
#define WARM_UP 16u /* rounds before those that count */

/* ---- the ruler ---- */

static volatile uint64_t marked;
static uint64_t ruler_ticks;              /* between a mark and the next look at it */

static noinline void mark(void) { marked = rdtsc(); }
static noinline uint64_t since_mark(void) { return rdtsc() - marked; }

struct samples {
    uint64_t min, max;
    uint32_t at_min, count, skipped;
};

static void sample(struct samples *s, uint64_t ticks)
{
    if (s->skipped < WARM_UP) {
        s->skipped++;
        return;
    }
    if (!s->count++ || ticks < s->min) {
        s->min = ticks;
        s->at_min = 0;
    }
    s->at_min += ticks == s->min;
    s->max = MAX(s->max, ticks);
}

static void print_cost(const char *name, const struct samples *s, uint64_t less)
{
    CHECK(s->count > 0);
    CHECK(s->min >= less);
    console_printf("cost %s %lu %lu %u %u\n", name, (unsigned long)(s->min - less),
                   (unsigned long)(s->max - less), s->at_min, s->count);
}

/* @before is outside of what is measured, @step inside. */
#define MEASURE(samples, before, step)                                                              \
    do {                                                                                            \
        for (uint32_t round_ = 0; round_ < ROUNDS + WARM_UP; round_++) {                            \
            before;                                                                                 \
            mark();                                                                                 \
            step;                                                                                   \
            sample(samples, since_mark());                                                          \
        }                                                                                           \
    } while (0)

static void calibrate(void)
{
    struct samples s = {0};
    MEASURE(&s, (void)0, (void)0);
    CHECK(s.min == s.max);
    ruler_ticks = s.min;
}

/* ---- probes: bdev_submit_stacked on a device that does nothing ---- */

static void submit_nothing(struct bdev *bdev, struct bio *bio) { (void)bdev, (void)bio; }
static const struct bdev_ops quiet_ops = {.submit_stacked = submit_nothing};
static struct bdev quiet = {.ops = &quiet_ops};

int bdev_submit_stacked_body(struct bdev *bdev, struct bio *bio);

static volatile int got;

static uint64_t body_ticks(void)
{
    struct samples s = {0};
    MEASURE(&s, (void)0, got = bdev_submit_stacked_body(&quiet, NULL));
    CHECK(s.min == s.max);
    return s.min;
}

static uint64_t switches(void)
{
    struct xstack_totals totals;
    xstack_totals(&totals);
    return totals.switches;
}

/* @switching: how many of the calls must have run on an extra stack. */
static void measure_probe(const char *name, uint64_t base, uint64_t switching, int result)
{
    struct samples s = {0};
    uint64_t own_base = arch_probe_base(), body = body_ticks(), before = switches();
    MEASURE(&s, arch_set_probe_base(base), got = bdev_submit_stacked(&quiet, NULL));
    arch_set_probe_base(own_base);
    CHECK(got == result);
    CHECK(switches() - before == switching);
    print_cost(name, &s, body);
}

/* Takes all free extra stacks but @kept; the caller gives them back in any order. */
static uint32_t empty_pool(struct stack **taken, uint32_t kept)
{
    uint32_t count = 0;
    struct stack *stack;
    while ((stack = xstack_pool_take()))
        taken[count++] = stack;
    for (; kept && count; kept--)
        xstack_pool_give(taken[--count]);
    return count;
}

static void refill_pool(struct stack **taken, uint32_t count)
{
    while (count)
        xstack_pool_give(taken[--count]);
}

static void probe_costs(void)
{
    const uint64_t all = ROUNDS + WARM_UP;
    static struct stack *taken[4096];
    ASSERT(xstack_pool.capacity <= ARRAY_COUNT(taken), "room for every extra stack");
    measure_probe("probe-untaken", arch_probe_base(), 0, 0);
    measure_probe("probe-taken", UINT64_MAX, all, 0);
    uint32_t count = empty_pool(taken, 1);
    measure_probe("probe-taken-last", UINT64_MAX, all, 0);
    refill_pool(taken, count);
    count = empty_pool(taken, 0);
    measure_probe("refusal", UINT64_MAX, 0, -EIO_VALUE);
    refill_pool(taken, count);
    console_printf("costs: the pool has %u words\n", xstack_pool.word_count);
}

/* ---- switches: what two threads see of each other ---- */

struct pair {
    struct samples yield, wake, block;
    struct semaphore to_first, to_second, done;
    volatile bool stop;
};

static void yield_run(void *argument)
{
    struct pair *p = argument;
    while (!p->stop) {
        mark();
        thread_yield();
        uint64_t ticks = since_mark();
        if (!p->stop)
            sample(&p->yield, ticks);
        p->stop |= p->yield.count >= ROUNDS;
    }
    semaphore_up(&p->done);
}

static void wake_first_run(void *argument)
{
    struct pair *p = argument;
    while (p->block.count < ROUNDS) {
        mark();
        semaphore_up(&p->to_second);
        sample(&p->wake, since_mark());
        mark();
        semaphore_down(&p->to_first, WAIT_FOREVER);
    }
    p->stop = true;
    semaphore_up(&p->to_second);
    semaphore_up(&p->done);
}

static void wake_second_run(void *argument)
{
    struct pair *p = argument;
    while (!p->stop) {
        semaphore_down(&p->to_second, WAIT_FOREVER);
        uint64_t ticks = since_mark();
        if (!p->stop)
            sample(&p->block, ticks);
        semaphore_up(&p->to_first);
    }
    semaphore_up(&p->done);
}

static const struct thread_def yield_def = {.name = "yields", .run = yield_run};
static const struct thread_def wake_first_def = {.name = "wakes", .run = wake_first_run};
static const struct thread_def wake_second_def = {.name = "is-woken", .run = wake_second_run};

static void start(const struct thread_def *def, struct pair *p, bool fpu)
{
    struct thread *thread;
    int err = thread_prepare(def, p, &thread);
    ASSERT(!err, "memory for a thread");
    if (fpu) {
        thread->arch.fpu = heap_zalloc(arch_fpu_bytes());
        ASSERT(thread->arch.fpu, "memory for floating point");
        arch_fpu_init(thread->arch.fpu);
    }
    thread_start(thread);
}

/* @first and @second run against each other, and this thread waits for them. */
static void run_pair(struct pair *p, const struct thread_def *first, const struct thread_def *second, bool fpu)
{
    memset(p, 0, sizeof(*p));
    semaphore_init(&p->to_first, 0);
    semaphore_init(&p->to_second, 0);
    semaphore_init(&p->done, 0);
    start(second, p, fpu);
    start(first, p, fpu);
    for (unsigned i = 0; i < 2; i++)
        CHECK(semaphore_down(&p->done, WAIT_FOREVER));
}

static void switch_costs(void)
{
    static struct pair p;
    run_pair(&p, &yield_def, &yield_def, false);
    print_cost("switch", &p.yield, ruler_ticks);
    run_pair(&p, &yield_def, &yield_def, true);
    print_cost("switch-fpu", &p.yield, ruler_ticks);
    run_pair(&p, &wake_first_def, &wake_second_def, false);
    print_cost("wake", &p.wake, ruler_ticks);
    print_cost("block", &p.block, ruler_ticks);
}

/* ---- an interrupt: this CPU's local APIC sends one to itself ---- */

#define APIC_COMMAND 0x300u
#define APIC_TO_SELF (1u << 18)

static struct samples entry, leave;

static void interrupt_handle(struct irq *irq)
{
    (void)irq;
    sample(&entry, since_mark());
    mark();
}
static const struct irq_ops interrupt_ops = {.handle = interrupt_handle};

static noinline void raise(const struct irq *irq)
{
    *(volatile uint32_t *)(PORT_WINDOW_BASE + APIC_COMMAND) = APIC_TO_SELF | irq->vector;
}

/* An interrupt is let in after the instruction behind `sti`. */
static inline void open_window(void) { __asm__ volatile("sti; nop" ::: "memory"); }

static void interrupt_costs(void)
{
    struct irq irq = {.ops = &interrupt_ops};
    struct samples window = {0};
    ASSERT(arch_irq_attach(&irq) == 0, "a vector is free");
    MEASURE(&window, arch_irq_disable(), open_window());
    MEASURE(&leave, (arch_irq_disable(), raise(&irq)), open_window());
    arch_irq_detach(&irq);
    CHECK(entry.count == leave.count);
    print_cost("interrupt-entry", &entry, window.min);
    print_cost("interrupt-exit", &leave, ruler_ticks);
}

/* ---- growth: a thread writes to the pages of its stack, from the top down ---- */

static void growth_run(void *argument)
{
    const struct stack *home = thread_current()->home;
    struct samples fault = {0}, plain = {0};
    fault.skipped = plain.skipped = WARM_UP;
    for (uintptr_t page = home->top - 2 * PAGE_BYTES; page >= home->base; page -= PAGE_BYTES) {
        volatile uint64_t *word = (volatile uint64_t *)(page + 1024);
        bool was_there = arch_lookup(page, NULL, NULL);
        mark();
        *word = 1;
        uint64_t ticks = since_mark();
        if (!was_there && arch_lookup(page, NULL, NULL))
            sample(&fault, ticks);
        mark();
        *word = 2;
        sample(&plain, since_mark());
    }
    if (fault.count)
        print_cost("growth-fault", &fault, plain.min);
    else
        console_printf("costs: home stacks do not grow here\n");
    semaphore_up(argument);
}

static void growth_costs(void)
{
    /* Of stack.size, which should be 64K: with a size of its own it would not grow. */
    static const struct thread_def def = {.name = "grows", .run = growth_run};
    struct semaphore done;
    semaphore_init(&done, 0);
    ASSERT(thread_create(&def, &done, NULL) == 0, "memory for a thread");
    semaphore_down(&done, WAIT_FOREVER);
}

/* ---- all ---- */

static void forced_costs(void)
{
    measure_probe("probe-taken-measured", UINT64_MAX, ROUNDS + WARM_UP, 0);
}

static void all_costs(void)
{
    calibrate();
    if (params.stack_need == PARAM_NEED_FORCE) {
        forced_costs();
        return;
    }
    probe_costs();
    switch_costs();
    interrupt_costs();
}

const struct guest_case guest_costs[] = {
    {"costs", all_costs},
    {"costs-growth", growth_costs},
    {NULL, NULL},
};
