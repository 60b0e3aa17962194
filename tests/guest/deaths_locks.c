// SPDX-License-Identifier: MIT
/*
 * What the lock-order checker of the debug build must find; tests/qemu/lockdep.sh says what each report must name.
 * None of these deadlocks by itself: the order alone is the crime.
 */
#include "guest.h"

#include <abi/process.h>
#include <arch/arch.h>
#include <lib/string.h>
#include <rt/app_ops.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/spinlock.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/timer.h>
#include <rt/work.h>
#include <vfs/vfs.h>

static struct mutex a = MUTEX_INIT(a), b = MUTEX_INIT(b), c = MUTEX_INIT(c);
static struct spinlock spin_a = SPINLOCK_NAMED("spin_a"), spin_b = SPINLOCK_NAMED("spin_b");

static inline __attribute__((always_inline)) void lock_pair(struct mutex *outer, struct mutex *inner)
{
    mutex_lock(outer);
    mutex_lock(inner);
    mutex_unlock(inner);
    mutex_unlock(outer);
}

/* ---- order ---- */

static void ab_run(void *argument)
{
    (void)argument;
    lock_pair(&a, &b);
    lock_pair(&b, &c);
}

/* One thread takes a then b, and b then c; this one c then a. They never meet. */
static void lock_abba(void)
{
    static const struct thread_def def = {.name = "orderly", .run = ab_run};
    ASSERT(thread_create(&def, NULL, NULL) == 0, "memory for a thread");
    thread_sleep_ns(100 * NS_PER_MS);
    lock_pair(&c, &a);
}

static void lock_abba_spin(void)
{
    bool irq = spin_lock(&spin_a);
    spin_unlock(&spin_b, spin_lock(&spin_b));
    spin_unlock(&spin_a, irq);
    irq = spin_lock(&spin_b);
    spin_lock(&spin_a);
    spin_unlock(&spin_b, irq);
}

static void make_twins(struct mutex *first, struct mutex *second, unsigned first_level, unsigned second_level)
{
    for (unsigned i = 0; i < 2; i++)
        mutex_init_level(i ? second : first, "twin", i ? second_level : first_level);
}

static void lock_twins(void)
{
    static struct mutex first, second;
    make_twins(&first, &second, 4, 4);
    lock_pair(&first, &second);
}

/* Level 5 and then 4 is as it should be. */
static void lock_levels(void)
{
    static struct mutex upper, lower;
    make_twins(&upper, &lower, 5, 4);
    lock_pair(&upper, &lower);
    lock_pair(&lower, &upper);
}

static void lock_twice(void)
{
    mutex_lock(&a);
    mutex_lock(&a);
}

/* ---- context ---- */

static void lock_sleep_under_spin(void)
{
    spin_lock(&spin_a);
    mutex_lock(&a);
}

static void lock_sleep_irq_off(void)
{
    arch_irq_disable();
    mutex_lock(&a);
}

static void sleep_in_interrupt(struct timer *timer)
{
    (void)timer;
    mutex_lock(&a);
}

static void lock_sleep_in_interrupt(void)
{
    static const struct timer_ops ops = {.fire = sleep_in_interrupt};
    static struct timer timer;
    timer_init(&timer, &ops);
    timer_start(&timer, arch_now_ns() + NS_PER_MS);
    thread_sleep_ns(NS_PER_S);
}

static void spin_in_interrupt(struct timer *timer)
{
    (void)timer;
    spin_unlock(&spin_a, spin_lock(&spin_a));
}

/* spin_a is taken in an interrupt and guards spin_b; spin_b is held while interrupts can come. */
static void lock_irq_inversion(void)
{
    static const struct timer_ops ops = {.fire = spin_in_interrupt};
    static struct timer timer;
    timer_init(&timer, &ops);
    timer_start(&timer, arch_now_ns() + NS_PER_MS);
    thread_sleep_ns(100 * NS_PER_MS);
    bool irq = spin_lock(&spin_a);
    spin_unlock(&spin_b, spin_lock(&spin_b));
    spin_unlock(&spin_a, irq);
    irq = spin_lock(&spin_b);
    arch_irq_enable();
    spin_unlock(&spin_b, irq);
}

/* A probe that is not short of stack does not get to the pool: still it is no place for a spin lock. */
static void lock_probe(void)
{
    struct file *file;
    char byte;
    ASSERT(vfs_open(NULL, "/sys/stack/total", OPEN_READ, 0, &file) == 0, "a file to read");
    spin_lock(&spin_a);
    vfs_read(file, &byte, 1, 0);
}

/* ---- giving back, and not ---- */

static void lock_not_held(void)
{
    spin_unlock(&spin_a, true);
}

static void hold_a(void *argument)
{
    (void)argument;
    mutex_lock(&a);
    thread_sleep_ns(NS_PER_S);
}

static void lock_of_another(void)
{
    static const struct thread_def def = {.name = "holder", .run = hold_a};
    ASSERT(thread_create(&def, NULL, NULL) == 0, "memory for a thread");
    thread_sleep_ns(50 * NS_PER_MS);
    mutex_unlock(&a);
}

static void ends_run(void *argument)
{
    (void)argument;
    mutex_lock(&a);
}

static void lock_thread_end(void)
{
    static const struct thread_def def = {.name = "forgetful", .run = ends_run};
    ASSERT(thread_create(&def, NULL, NULL) == 0, "memory for a thread");
    thread_sleep_ns(100 * NS_PER_MS);
}

static void keep_lock(struct work *work)
{
    (void)work;
    mutex_lock(&a);
}

static void lock_work_end(void)
{
    static const struct work_ops ops = {.execute = keep_lock};
    static struct work work;
    work_init(&work, &ops);
    work_queue(&work);
    thread_sleep_ns(100 * NS_PER_MS);
}

/* A system call of this thread, made an app's for that: getpid, which takes no lock, with one taken before. */
static void lock_system_call(void)
{
    static struct app_thread app_thread;
    static struct arch_frame frame = {.rax = 39};
    app_thread.thread = thread_current();
    thread_current()->app = &app_thread;
    app_ops.app_syscall(&frame);
    arch_irq_enable();                /* it ends with interrupts off, on the way back to the app */
    mutex_lock(&a);
    app_ops.app_syscall(&frame);
}

static void lock_freed(void)
{
    struct mutex *m = heap_alloc(sizeof(*m));
    mutex_init(m);
    mutex_lock(m);
    heap_free(m);
}

/* More locks than a thread's list has room for: the checker says so, goes off, and the order does not matter. */
static void lock_overflow(void)
{
    static struct mutex many[140];
    for (unsigned i = 0; i < ARRAY_COUNT(many); i++) {
        mutex_init_level(&many[i], "many", ARRAY_COUNT(many) - i);
        mutex_lock(&many[i]);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(many); i++)
        mutex_unlock(&many[i]);
    lock_pair(&a, &b);
    lock_pair(&b, &a);
}

const struct guest_case guest_lock_deaths[] = {
    {"lock-abba", lock_abba},
    {"lock-abba-spin", lock_abba_spin},
    {"lock-twins", lock_twins},
    {"lock-levels", lock_levels},
    {"lock-twice", lock_twice},
    {"lock-sleep-under-spin", lock_sleep_under_spin},
    {"lock-sleep-irq-off", lock_sleep_irq_off},
    {"lock-sleep-in-interrupt", lock_sleep_in_interrupt},
    {"lock-irq-inversion", lock_irq_inversion},
    {"lock-probe", lock_probe},
    {"lock-not-held", lock_not_held},
    {"lock-of-another", lock_of_another},
    {"lock-thread-end", lock_thread_end},
    {"lock-work-end", lock_work_end},
    {"lock-system-call", lock_system_call},
    {"lock-freed", lock_freed},
    {"lock-overflow", lock_overflow},
    {NULL, NULL},
};
