// SPDX-License-Identifier: MIT
/*
 * Flushes of app memory and CPUs that need not take part: a CPU without a thread that uses app memory gets no interrupt,
 * whatever such a thread of its does later never sees what was there before, and tables are freed only after all CPUs
 * have flushed. What was sent is known exactly from the CPUs' own counters.
 */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <lib/errno.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/thread.h>

#define TEST_VA UINT64_C(0x10000000) /* nobody uses it: the tests start no app */
#define ROUNDS 50u

static uint64_t interrupts(void) { return cpu_sum_at(offsetof(struct cpu, arch.counts.flush_interrupts)); }
static uint64_t deferred(void) { return cpu_sum_at(offsetof(struct cpu, arch.counts.flushes_deferred)); }
static uint64_t late(void) { return cpu_sum_at(offsetof(struct cpu, arch.counts.flushes_late)); }

/* ---- a user of app memory on each other CPU, asleep while the mapping changes ---- */

static struct semaphore go[CPUS_MAX], looked;
static uint64_t expected, wrong; /* what is to be seen there; 0: nothing */
static bool stop;

static void use_and_sleep(struct pinned *self)
{
    for (;;) {
        uint64_t value = 0;
        CHECK(semaphore_down(&go[self->cpu], UINT64_MAX));
        if (stop)
            return;
        int err = arch_copy(&value, (void *)TEST_VA, sizeof(value));
        if (err != (expected ? 0 : -EFAULT) || value != expected)
            __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
        semaphore_up(&looked);
    }
}

static void all_look(uint64_t value)
{
    expected = value;
    for (uint32_t i = 1; i < cpu_count; i++)
        semaphore_up(&go[i]);
    for (uint32_t i = 1; i < cpu_count; i++)
        CHECK(semaphore_down(&looked, UINT64_MAX));
}

/* The users sleep again: their CPUs are idle, or run a worker. */
static void wait_until_asleep(void)
{
    uint64_t end = arch_now_ns() + 60 * NS_PER_S;
    for (uint32_t i = 1; i < cpu_count; i++)
        while (!__atomic_load_n(&x86_cpus[i]->app_tlb, __ATOMIC_SEQ_CST) && arch_now_ns() < end)
            thread_sleep_ns(100 * NS_PER_US);
    CHECK(arch_now_ns() < end);
}

static void start_users(struct pinned **users, const struct pinned_ops *ops)
{
    semaphore_init(&looked, 0);
    wrong = 0;
    stop = false;
    CHECK(thread_set_affinity(thread_current(), 1) == 0);
    for (uint32_t i = 1; i < cpu_count; i++) {
        semaphore_init(&go[i], 0);
        users[i] = pinned_start(i, ops);
    }
}

static void stop_users(struct pinned **users)
{
    stop = true;
    for (uint32_t i = 1; i < cpu_count; i++) {
        semaphore_up(&go[i]);
        pinned_wait(users[i]);
    }
    CHECK(thread_set_affinity(thread_current(), UINT64_MAX) == 0);
}

static void idle_cpus_are_spared(void)
{
    static const struct pinned_ops ops = {.pinned_work = use_and_sleep};
    uint64_t *first = page_alloc_zeroed(0), *second = page_alloc_zeroed(0);
    struct pinned *users[CPUS_MAX] = {NULL};
    first[0] = 1;
    second[0] = 2;
    start_users(users, &ops);
    uint64_t sent = 0, sent_for_tables = 0, deferred_before = deferred(), late_before = late();
    for (unsigned round = 0; round < ROUNDS; round++) {
        CHECK(arch_map(TEST_VA, arch_virt_to_phys(first), 1, ARCH_READ | ARCH_WRITE) == 0);
        all_look(1);
        wait_until_asleep();
        uint64_t before = interrupts();
        arch_unmap(TEST_VA, 1);
        CHECK(arch_map(TEST_VA, arch_virt_to_phys(second), 1, ARCH_READ) == 0);
        sent += interrupts() - before;
        all_look(2);
        wait_until_asleep();
        before = interrupts();
        arch_unmap(TEST_VA, 1);
        sent += interrupts() - before;
        all_look(0);
        before = interrupts();
        arch_trim_tables(TEST_VA, 1);
        sent_for_tables += interrupts() - before;
    }
    stop_users(users);
    console_printf("  %lu interrupts to idle CPUs, %lu flushes spared them, %lu made up for; %lu for tables\n", sent,
                   deferred() - deferred_before, late() - late_before, sent_for_tables);
    CHECK(wrong == 0);
    CHECK(sent == 0);
    CHECK(deferred() - deferred_before == 2ull * ROUNDS * (cpu_count - 1));
    uint64_t made_up = late() - late_before, owed = deferred() - deferred_before;
    CHECK(made_up >= owed && made_up - owed < cpu_count);   /* the boot left each of them stale */
    CHECK(sent_for_tables == 1ull * ROUNDS * (cpu_count - 1));
    page_free(first, 0);
    page_free(second, 0);
}

/* ---- who works and uses none is spared too; who uses some is not ---- */

static bool busy;
static uint32_t busy_count;

static void work_without(struct pinned *self)
{
    (void)self;
    __atomic_fetch_add(&busy_count, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&busy, __ATOMIC_ACQUIRE))
        arch_spin_wait();
}

static void work_with(struct pinned *self)
{
    arch_use_app_memory();
    work_without(self);
}

static uint64_t interrupts_while(const struct pinned_ops *ops)
{
    struct pinned *workers[CPUS_MAX] = {NULL};
    uint64_t *page = page_alloc_zeroed(0);
    busy = true;
    busy_count = 0;
    for (uint32_t i = 1; i < cpu_count; i++)
        workers[i] = pinned_start(i, ops);
    while (__atomic_load_n(&busy_count, __ATOMIC_SEQ_CST) < cpu_count - 1)
        thread_sleep_ns(NS_PER_MS);
    CHECK(arch_map(TEST_VA, arch_virt_to_phys(page), 1, ARCH_READ | ARCH_WRITE) == 0);
    uint64_t before = interrupts();
    arch_unmap(TEST_VA, 1);
    uint64_t sent = interrupts() - before;
    __atomic_store_n(&busy, false, __ATOMIC_RELEASE);
    for (uint32_t i = 1; i < cpu_count; i++)
        pinned_wait(workers[i]);
    arch_trim_tables(TEST_VA, 1);
    page_free(page, 0);
    return sent;
}

static void users_alone_are_interrupted(void)
{
    static const struct pinned_ops without = {.pinned_work = work_without}, with = {.pinned_work = work_with};
    CHECK(thread_set_affinity(thread_current(), 1) == 0);
    CHECK(interrupts_while(&without) == 0);
    CHECK(interrupts_while(&with) == cpu_count - 1);
    CHECK(thread_set_affinity(thread_current(), UINT64_MAX) == 0);
}

const struct guest_case guest_lazy_checks[] = {
    {"idle-cpus-are-spared", idle_cpus_are_spared},
    {"users-alone-are-interrupted", users_alone_are_interrupted},
    {NULL, NULL},
};
