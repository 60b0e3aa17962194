// SPDX-License-Identifier: MIT
/*
 * Taking back against stale translations. Threads wander over all CPUs, dig deep, write a pattern of their own,
 * leave the CPU at any depth, come back on another one, and compare. Meanwhile kept pages are freed all
 * the time, and a scavenger takes free pages, fills them, and looks whether somebody writes into them still.
 */
#include "guest.h"

#include <arch/stack_pages.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_grow.h>
#include <rt/sync.h>
#include <rt/thread.h>

#define WANDERERS 24u
#define HOLD_PAGES 64u
#define WORDS 48u

struct wanderer {
    uint64_t random;
    uint64_t rounds, wrong;
    struct semaphore *done;
};

static volatile bool stop;
static uint64_t scavenged_wrong, scavenged;

static uint64_t next_random(struct wanderer *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    return w->random ^= w->random << 17;
}

static void move(struct wanderer *w)
{
    uint64_t r = next_random(w);
    if (r % 4 == 0)
        thread_set_affinity(thread_current(), UINT64_C(1) << (r >> 8) % cpu_count);
    if (r % 4 == 1)
        thread_sleep_ns((r >> 16) % (200 * NS_PER_US));
    if (r % 4 == 2)
        thread_yield();
}

struct wander_ops {
    void (*deeper)(struct wanderer *w, uint64_t depth);
};
static void wander(struct wanderer *w, uint64_t depth);
static const struct wander_ops wander_ops = {.deeper = wander};
static const struct wander_ops *volatile wandering = &wander_ops;

static noinline void wander(struct wanderer *w, uint64_t depth)
{
    volatile uint64_t words[WORDS];
    uint64_t seed = next_random(w);
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = seed + i * depth;
    if (depth % 4 == 0)
        move(w);
    if (depth) {
        wandering->deeper(w, depth - 1);
        if (depth % 8 == 3 && next_random(w) % 2)
            wandering->deeper(w, depth / 2);
    }
    for (unsigned i = 0; i < WORDS; i++)
        w->wrong += words[i] != seed + i * depth;
}

static void wander_run(void *argument)
{
    struct wanderer *w = argument;
    uint64_t levels = (params.stack_size - 3 * KIB(1)) / (WORDS * 8 + 96);
    while (!stop) {
        wander(w, next_random(w) % levels);
        move(w);
        w->rounds++;
    }
    semaphore_up(w->done);
}
static const struct thread_def wander_def = {.name = "wanderer", .run = wander_run};

/* Takes free pages, marks them, and looks at them again later. */
static void scavenge_run(void *argument)
{
    static uint64_t *held[HOLD_PAGES];
    while (!stop) {
        for (unsigned i = 0; i < HOLD_PAGES; i++) {
            held[i] = page_try_alloc();
            for (unsigned k = 0; held[i] && k < 512; k++)
                held[i][k] = UINT64_C(0xa5a5000000000000) + k;
        }
        thread_sleep_ns(NS_PER_MS);
        for (unsigned i = 0; i < HOLD_PAGES; i++) {
            for (unsigned k = 0; held[i] && k < 512; k++)
                scavenged_wrong += held[i][k] != UINT64_C(0xa5a5000000000000) + k;
            if (held[i])
                page_free(held[i], 0);
            scavenged++;
        }
    }
    semaphore_up(argument);
}
static const struct thread_def scavenge_def = {.name = "scavenger", .run = scavenge_run, .wired = true};

static void stale_translations(void)
{
    static struct wanderer wanderers[WANDERERS];
    static struct semaphore done;
    struct stack_growth_counts c;
    uint64_t rounds = 0, wrong = 0, end = arch_now_ns() + guest_number(2) * NS_PER_S;
    if (!thread_current()->home->grows)
        return;
    semaphore_init(&done, 0);
    stop = false;
    for (unsigned i = 0; i < WANDERERS; i++) {
        wanderers[i] = (struct wanderer){.random = 88172645463325252u + i * 977, .done = &done};
        CHECK(thread_create(&wander_def, &wanderers[i], NULL) == 0);
    }
    CHECK(thread_create(&scavenge_def, &done, NULL) == 0);
    while (arch_now_ns() < end) {
        stack_grow_reclaim();
        thread_sleep_ns(200 * NS_PER_US);
    }
    stop = true;
    for (unsigned i = 0; i <= WANDERERS; i++)
        CHECK(semaphore_down(&done, arch_now_ns() + 60 * NS_PER_S));
    for (unsigned i = 0; i < WANDERERS; i++) {
        rounds += wanderers[i].rounds;
        wrong += wanderers[i].wrong;
    }
    stack_grow_counts(&c);
    console_printf("  %lu rounds, %lu words wrong; %lu pages looked at, %lu words wrong; %lu faults, %lu put back, "
                   "%lu taken back, %lu freed, %lu were in use again\n", rounds, wrong, scavenged,
                   scavenged_wrong, c.faults, c.reinstated, c.taken_back, c.freed, c.kept_used);
    CHECK(wrong == 0 && scavenged_wrong == 0);
    CHECK(rounds > 0 && c.taken_back > 0 && c.freed > 0);
    CHECK(params.stack_grow == STACK_GROW_PREFILL || (c.faults > 0 && c.reinstated > 0));
}

const struct guest_case guest_stale_checks[] = {
    {"grow-stale-translations", stale_translations},
    {NULL, NULL},
};
