// SPDX-License-Identifier: MIT
/*
 * Extra stacks on the machine: whose are taken first, that a refusal is exact with all CPUs at it, and that a thread
 * that holds many of them may sleep, change CPUs and die. With one CPU the same cases run and show less.
 */
#include "guest.h"
#include "pinned.h"

#include <block/bdev.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/xstack.h>
#include <rt/xstack_pool.h>

#define STACKS_MAX 4096u
#define WAIT_NS (60 * NS_PER_S)

static struct xstack_totals totals(void)
{
    struct xstack_totals t;
    xstack_totals(&t);
    CHECK(t.in_use + t.parked + t.free == t.total);
    return t;
}

static uint32_t cpu_of(const struct stack *stack) { return stack->pool_index / XSTACK_WORD_BITS % cpu_count; }

static void count_stacks(uint32_t *by_cpu)
{
    memset(by_cpu, 0, CPUS_MAX * sizeof(*by_cpu));
    for (uint32_t i = 0; i < xstack_pool.capacity; i++)
        if (xstack_pool.stacks[i])
            by_cpu[cpu_of(xstack_pool.stacks[i])]++;
}

/* ---- own words first, then everybody's, to the last one ---- */

static void take_all(struct pinned *self)
{
    static struct stack *taken[STACKS_MAX];
    uint32_t by_cpu[CPUS_MAX], own = 0, count = 0;
    bool stole = false, own_first = true;
    struct stack *stack;
    count_stacks(by_cpu);
    while (count < STACKS_MAX && (stack = xstack_pool_take())) {
        bool mine = cpu_of(stack) == self->cpu;
        own_first &= !(mine && stole);
        stole |= !mine;
        own += mine;
        taken[count++] = stack;
    }
    CHECK(own_first && own == by_cpu[self->cpu]);
    CHECK(count == xstack_pool.total);
    CHECK(!xstack_pool_take());
    while (count)
        xstack_pool_give(taken[--count]);
}

static void own_first_then_steal(void)
{
    static const struct pinned_ops ops = {.pinned_work = take_all};
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned_wait(pinned_start(i, &ops));
    CHECK(totals().free == totals().total);
}

/* ---- as many threads as stacks, each with one at a time: never refused ---- */

static uint64_t refused, taken_in_all;

/* Now and then they change CPUs with the stack, so that the words' contents are never where their CPUs' threads are. */
static void take_and_give(void *argument)
{
    uint64_t random = 88172645463325252u + thread_current()->id * 977;
    for (uint64_t i = 0; i < guest_number(800); i++) {
        struct stack *stack = xstack_pool_take();
        if (!stack) {
            __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
            continue;
        }
        __atomic_fetch_add(&taken_in_all, 1, __ATOMIC_RELAXED);
        random = random * 6364136223846793005u + 1442695040888963407u;
        if (random >> 60 == 0)
            thread_set_affinity(thread_current(), UINT64_C(1) << (random >> 32) % cpu_count);
        if (random >> 59 == 0)
            thread_yield();
        xstack_pool_give(stack);
    }
    semaphore_up(argument);
}

static void refused_only_when_empty(void)
{
    static const struct thread_def def = {.name = "taker", .run = take_and_give};
    struct semaphore done;
    uint32_t before = (uint32_t)totals().total, count = 3 * cpu_count;
    refused = taken_in_all = 0;
    CHECK(xstack_resize(count) == 0);
    semaphore_init(&done, 0);
    for (uint32_t i = 0; i < count; i++)
        CHECK(thread_create(&def, &done, NULL) == 0);
    for (uint32_t i = 0; i < count; i++)
        CHECK(semaphore_down(&done, arch_now_ns() + WAIT_NS));
    CHECK(refused == 0);
    CHECK(taken_in_all == count * guest_number(800));
    CHECK(xstack_resize(before) == 0);
    CHECK(totals().free == before);
}

/* ---- 32 levels of the real probe, in one thread that sleeps and changes CPUs on the way down and back ---- */

#define LEVELS 32u

struct climb {
    struct bdev bdev;
    uint32_t depth, wrong, moves;
    int result;
};

static uint32_t own_cpu(void)
{
    bool irq = arch_irq_save();
    uint32_t index = this_cpu()->arch.index;
    arch_irq_restore(irq);
    return index;
}

/* Sleeps, and wakes on @cpu. */
static void move_to(struct climb *c, uint32_t cpu)
{
    uint32_t from = own_cpu();
    CHECK(thread_set_affinity(thread_current(), UINT64_C(1) << cpu) == 0);
    thread_sleep_ns(50 * NS_PER_US);
    c->wrong += own_cpu() != cpu;
    c->moves += own_cpu() != from;
}

static void climb_submit(struct bdev *bdev, struct bio *bio)
{
    struct climb *c = container_of(bdev, struct climb, bdev);
    struct thread *self = thread_current();
    struct stack *stack = self->stack, *previous = stack->previous;
    const uint32_t depth = ++c->depth;
    c->wrong += self->held != depth || stack->owner != self || !previous;
    c->wrong += stack_find(arch_stack_pointer(), NULL) != stack;
    move_to(c, depth % cpu_count);
    c->wrong += thread_current() != self || self->stack != stack || stack->previous != previous;
    c->wrong += arch_probe_base() != xstack_probe_base(stack);
    if (depth < LEVELS) {
        arch_set_probe_base(UINT64_MAX);
        c->result |= bdev_submit_stacked(bdev, bio);
    } else {
        c->wrong += totals().in_use != LEVELS;
    }
    move_to(c, (depth + 1) % cpu_count);
    c->wrong += self->stack != stack || self->held != depth || arch_probe_base() != xstack_probe_base(stack);
}

static void holder_sleeps_and_moves(void)
{
    static const struct bdev_ops ops = {.submit_stacked = climb_submit};
    static struct climb c;
    struct thread *self = thread_current();
    struct xstack_totals before = totals();
    c = (struct climb){.bdev = {.ops = &ops, .level = 1}};
    arch_set_probe_base(UINT64_MAX);
    c.result |= bdev_submit_stacked(&c.bdev, NULL);
    CHECK(thread_set_affinity(self, UINT64_MAX) == 0);
    CHECK(c.depth == LEVELS && c.result == 0 && c.wrong == 0);
    CHECK(cpu_count == 1 || c.moves >= LEVELS);
    CHECK(self->held == 0 && self->held_max >= LEVELS && self->stack == self->home);
    CHECK(arch_probe_base() == xstack_probe_base(self->home));
    struct xstack_totals after = totals();
    CHECK(after.free == before.free && after.switches - before.switches == LEVELS);
    CHECK(after.refusals == before.refusals);
}

/* ---- the choice at submit: a direct device stays on the stack, a stacked one may switch ---- */

static uint32_t held_at_submit;

static void note_submit(struct bdev *bdev, struct bio *bio)
{
    (void)bdev;
    held_at_submit = thread_current()->held;
    bio_complete(bio, 0);
}

static uint64_t submit_on_short_stack(struct bdev *bdev)
{
    uint64_t before = totals().requests;
    struct bio *bio = bio_alloc(bdev, BIO_FLUSH, 0);
    CHECK(bio);
    arch_set_probe_base(UINT64_MAX);
    CHECK(bio_submit_wait(bio) == 0);
    arch_set_probe_base(xstack_probe_base(thread_current()->stack));
    return totals().requests - before;
}

static void direct_stays_stacked_switches(void)
{
    static const struct bdev_ops direct_ops = {.submit = note_submit}, stacked_ops = {.submit_stacked = note_submit};
    static struct bdev direct = {.ops = &direct_ops, .name = "direct"};
    static struct bdev stacked = {.ops = &stacked_ops, .name = "stacked", .level = 1};
    CHECK(submit_on_short_stack(&direct) == 0 && held_at_submit == 0);
    CHECK(submit_on_short_stack(&stacked) == 1 && held_at_submit == 1);
    CHECK(thread_current()->held == 0);
}

/* ---- growing the pool goes round the CPUs ---- */

static void resize_goes_round(void)
{
    uint32_t after[CPUS_MAX];
    uint32_t total = (uint32_t)totals().total, low = total - total % cpu_count;
    CHECK(xstack_resize(low) == 0);
    CHECK(xstack_resize(low + 2 * cpu_count) == 0);
    count_stacks(after);
    for (uint32_t i = 0; i < cpu_count; i++)
        CHECK(after[i] == low / cpu_count + 2);
    CHECK(xstack_resize(total) == 0);
    CHECK(totals().free == total);
}

/* ---- threads die holding stacks, on all CPUs at once ---- */

#define DYING 20u

static void die_holding(void *argument)
{
    CHECK(xstack_take(PROBE_vfs_read) && xstack_take(PROBE_vfs_sync));
    semaphore_up(argument);
    thread_exit();
}

static void death_gives_back(void)
{
    static const struct thread_def def = {.name = "dies-holding", .run = die_holding};
    static struct semaphore done;
    uint64_t total = totals().total;
    semaphore_init(&done, 0);
    for (uint32_t i = 0; i < DYING; i++)
        CHECK(thread_create(&def, &done, NULL) == 0);
    for (uint32_t i = 0; i < DYING; i++)
        CHECK(semaphore_down(&done, arch_now_ns() + WAIT_NS));
    for (uint64_t end = arch_now_ns() + WAIT_NS; totals().free != total && arch_now_ns() < end;)
        thread_sleep_ns(NS_PER_MS);
    CHECK(totals().free == total && totals().in_use == 0);
}

/* ---- parked stacks are nobody else's ---- */

static void parked_is_not_free(void)
{
    struct thread *self = thread_current();
    struct xstack_totals before = totals();
    CHECK(xstack_reserve_private(self, 2) == 0);
    CHECK(totals().reserved == before.reserved + 2);
    CHECK(totals().free == before.free && totals().total == before.total);
    CHECK(xstack_take(PROBE_vfs_read) != 0);
    CHECK(self->stack->kind == STACK_PRIVATE && totals().in_use == before.in_use);
    xstack_give();
    static struct stack *taken[STACKS_MAX];
    uint32_t count = 0;
    while (count < STACKS_MAX && (taken[count] = xstack_pool_take()))
        CHECK(taken[count++]->kind == STACK_EXTRA);
    CHECK(count == before.free);                        /* none of the parked ones */
    CHECK(xstack_take(PROBE_vfs_read) != 0);            /* whose they are gets one all the same */
    CHECK(self->stack->kind == STACK_PRIVATE);
    xstack_give();
    while (count)
        xstack_pool_give(taken[--count]);
    xstack_release_private(self);
    CHECK(totals().reserved == before.reserved && totals().free == before.free);
}

const struct guest_case guest_extra_checks[] = {
    {"extra-own-first-then-steal", own_first_then_steal},
    {"extra-refused-only-when-empty", refused_only_when_empty},
    {"extra-holder-sleeps-and-moves", holder_sleeps_and_moves},
    {"extra-direct-stays-stacked-switches", direct_stays_stacked_switches},
    {"extra-resize-goes-round", resize_goes_round},
    {"extra-death-gives-back", death_gives_back},
    {"extra-parked-is-not-free", parked_is_not_free},
    {NULL, NULL},
};
