// SPDX-License-Identifier: MIT
/*
 * No wake-up is lost. Threads bound to one CPU each pass a token round, while others that may run anywhere come and go on
 * the same CPUs and are stolen: a CPU that halts although its bound thread is ready would never run it.
 */
#include "guest.h"
#include "pinned.h"

#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/thread.h>

#define WANDERERS_A_CPU 3u

static struct semaphore token[CPUS_MAX], gone;
static uint64_t rounds, passed;
static volatile bool stop;

static void pass_on(struct pinned *self)
{
    uint32_t next = (self->cpu + 1) % cpu_count;
    for (uint64_t i = 0; i < rounds; i++) {
        CHECK(semaphore_down(&token[self->cpu], WAIT_FOREVER));
        __atomic_fetch_add(&passed, 1, __ATOMIC_RELAXED);
        semaphore_up(&token[next]);
    }
}

/* Yields, so that it is in a ready list for others to steal, and sleeps for as short as can be. */
static void wander_run(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    while (!stop) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        for (uint64_t i = random >> 60; i; i--)
            thread_yield();
        thread_sleep_ns((random >> 40 & 63) * NS_PER_US);
    }
    semaphore_up(&gone);
}

static void wakes_are_not_lost(void)
{
    static const struct pinned_ops ops = {.pinned_work = pass_on};
    static const struct thread_def wander = {.name = "wanders", .run = wander_run};
    struct pinned *pinned[CPUS_MAX];
    rounds = guest_number(1000);
    passed = 0;
    stop = false;
    semaphore_init(&gone, 0);
    for (uint32_t i = 0; i < cpu_count; i++)
        semaphore_init(&token[i], 0);
    for (uintptr_t i = 0; i < WANDERERS_A_CPU * cpu_count; i++)
        CHECK(thread_create(&wander, (void *)(i * 7919 + 1), NULL) == 0);
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned[i] = pinned_start(i, &ops);
    semaphore_up(&token[0]);
    /* Not how fast, but that it goes on at all. */
    for (uint64_t before = 0, still = 0; passed < rounds * cpu_count && still < 300;) {
        thread_sleep_ns(100 * NS_PER_MS);
        still = passed == before ? still + 1 : 0;
        before = passed;
    }
    CHECK(passed == rounds * cpu_count);
    stop = true;
    if (passed != rounds * cpu_count)
        return;                       /* somebody sleeps for ever */
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned_wait(pinned[i]);
    for (uint32_t i = 0; i < WANDERERS_A_CPU * cpu_count; i++)
        CHECK(semaphore_down(&gone, arch_now_ns() + 120 * NS_PER_S));
    guest_wait_gone(&wander);
}

const struct guest_case guest_wake_checks[] = {
    {"wakes-are-not-lost", wakes_are_not_lost},
    {NULL, NULL},
};
