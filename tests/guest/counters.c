// SPDX-License-Identifier: MIT
/*
 * What probes count on each CPU for itself: the sums are exact when all is at rest, although threads were pre-empted
 * and moved between a take and its give-back; and low_water is what it promises to be.
 */
#include "guest.h"
#include "pinned.h"

#include <block/bdev.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/thread.h>
#include <rt/xstack_counts.h>
#include <rt/xstack_pool.h>

#define TAKES 3000u      /* of each thread */
#define MOVE_EVERY 37u
#define HELD 3u          /* by each CPU's thread in hold_some() */

/* ---- a device on which a submit does what the test wants, on an extra stack ---- */

static void submit(struct bdev *bdev, struct bio *bio)
{
    uint64_t *number = (uint64_t *)bio;
    (void)bdev;
    if (number && ++*number % MOVE_EVERY == 0)
        thread_set_affinity(thread_current(), UINT64_C(1) << *number / MOVE_EVERY % cpu_count);
}
static const struct bdev_ops bdev_ops = {.submit_stacked = submit};
static struct bdev bdev = {.ops = &bdev_ops};

/* The probe finds too little stack, whatever there is. */
static void switching_call(uint64_t *number)
{
    arch_set_probe_base(UINT64_MAX);
    CHECK(bdev_submit_stacked(&bdev, (struct bio *)number) == 0);
}

static void stay_run(struct pinned *self)
{
    (void)self;
    for (unsigned i = 0; i < TAKES; i++)
        switching_call(NULL);
}

static void move_run(void *argument)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < TAKES; i++)
        switching_call(&number);
    semaphore_up(argument);
}

/* ---- the sums ---- */

static uint64_t seen_in_all(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= xstack_pool.capacity; i++)
        sum += i < XSTACK_SEEN_MAX ? xstack_sum_of(in_use_seen, i) : xstack_pool.in_use_seen[i];
    return sum;
}

static void rest_check(const struct xstack_totals *before, uint64_t takes, uint64_t seen_before)
{
    struct xstack_totals after;
    xstack_totals(&after);
    CHECK(after.switches - before->switches == takes);
    CHECK(after.requests - before->requests == takes && after.refusals == before->refusals);
    CHECK(after.in_use == 0 && after.free == after.total);
    CHECK(seen_in_all() - seen_before == takes);
    for (unsigned j = 1; j < XSTACK_HOLDERS_MAX; j++)
        CHECK(xstack_sum_of(holders, j) == 0);
}

static void counters_add_up(void)
{
    static const struct pinned_ops stay = {.pinned_work = stay_run};
    static const struct thread_def move = {.name = "moves", .run = move_run};
    struct xstack_totals before;
    struct semaphore done;
    semaphore_init(&done, 0);
    xstack_totals(&before);
    uint64_t seen = seen_in_all();
    xstack_pool.most_in_use = 0;
    for (uint32_t i = 0; i < cpu_count; i++)
        CHECK(thread_create(&move, &done, NULL) == 0);
    pinned_on_all(&stay);
    for (uint32_t i = 0; i < cpu_count; i++)
        CHECK(semaphore_down(&done, arch_now_ns() + 60 * NS_PER_S));
    rest_check(&before, 2ull * cpu_count * TAKES, seen);
    CHECK(xstack_pool.most_in_use >= 1 && xstack_pool.most_in_use <= 2 * cpu_count);
}

/* ---- low_water: each CPU's thread holds some until all do ---- */

static uint32_t holding;

static void hold_run(struct pinned *self)
{
    (void)self;
    for (unsigned i = 0; i < HELD; i++)
        CHECK(xstack_take(PROBE_vfs_read) != 0);
    __atomic_fetch_add(&holding, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&holding, __ATOMIC_SEQ_CST) < cpu_count)
        thread_sleep_ns(NS_PER_MS);
    for (unsigned i = 0; i < XSTACK_LOOK_EVERY; i++)
        switching_call(NULL);
    thread_sleep_ns(10 * NS_PER_MS);
    for (unsigned i = 0; i < HELD; i++)
        xstack_give();
}

static void low_water(void)
{
    static const struct pinned_ops ops = {.pinned_work = hold_run};
    struct xstack_totals totals;
    holding = 0;
    xstack_pool.most_in_use = 0;
    pinned_on_all(&ops);
    xstack_totals(&totals);
    console_printf("  low water %lu of %lu\n", (unsigned long)totals.low_water, (unsigned long)totals.total);
    CHECK(totals.low_water < totals.total - HELD * cpu_count);
    CHECK(totals.low_water >= totals.total - (HELD + 1) * cpu_count);
    CHECK(totals.in_use == 0);
    uint64_t most = xstack_pool.most_in_use;
    switching_call(NULL);
    CHECK(xstack_pool.most_in_use == most);
}

const struct guest_case guest_counter_checks[] = {
    {"counters-add-up", counters_add_up},
    {"low-water", low_water},
    {NULL, NULL},
};
