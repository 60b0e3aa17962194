// SPDX-License-Identifier: MIT
/*
 * The queues of futexes: see futex.h. A bucket's spin lock guards its list and the `bucket` of
 * each waiter in it. The word is read under that lock, so a wake-up that follows a change of the
 * word is not lost.
 */
#include <abi/futex.h>

#include <abi/copy.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/signals.h>
#include <lib/errno.h>

#define BUCKETS 256

struct futex_bucket {
    struct spinlock lock;
    struct list waiters;
};

struct futex_waiter {                 /* on the waiting thread's stack */
    struct list link;
    struct thread *thread;
    uint64_t address;
    uint32_t bitset;
    struct futex_bucket *bucket;      /* NULL: woken */
};

static struct futex_bucket buckets[BUCKETS] = {[0 ... BUCKETS - 1] = {.lock = SPINLOCK_NAMED("futex bucket")}};

void futex_start(void)
{
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&buckets[i].waiters);
}

static struct futex_bucket *bucket_of(uint64_t address)
{
    return &buckets[(address >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 56];
}

static int check_address(uint64_t address)
{
    if (address % 4)
        return -EINVAL;
    return address < APP_LIMIT ? 0 : -EFAULT;
}

/* Under a bucket's lock: no fault may be served here, a missing page gives -EFAULT. */
static int read_word(uint64_t address, uint32_t *out)
{
    return arch_copy(out, (const void *)address, sizeof(*out));
}

/* Queues @w if the word is as expected. 1: the page has to be made present first. */
static int enqueue(struct futex_waiter *w, uint32_t expected)
{
    struct futex_bucket *bucket = bucket_of(w->address);
    uint32_t value;
    int result = 0;

    bool irq = spin_lock(&bucket->lock);
    if (read_word(w->address, &value)) {
        result = 1;
    } else if (value != expected) {
        result = -EAGAIN;
    } else {
        thread_prepare_block();
        w->bucket = bucket;
        list_push_back(&bucket->waiters, &w->link);
    }
    spin_unlock(&bucket->lock, irq);
    return result;
}

/* The bucket that @w waits in, locked; NULL if it was woken. A requeue may move it meanwhile. */
static struct futex_bucket *lock_bucket(struct futex_waiter *w, bool *irq)
{
    for (;;) {
        struct futex_bucket *bucket = __atomic_load_n(&w->bucket, __ATOMIC_ACQUIRE);
        if (!bucket)
            return NULL;
        *irq = spin_lock(&bucket->lock);
        if (w->bucket == bucket)
            return bucket;
        spin_unlock(&bucket->lock, *irq);
    }
}

static long sleep_in_queue(struct futex_waiter *w, uint64_t deadline_ns)
{
    struct app_thread *t = app_thread_current();
    bool woken = true;

    for (;;) {
        bool irq, wait = signals_wait_begin(t);
        if (wait)
            woken = thread_block(deadline_ns);
        bool signal = signals_wait_end(t);
        struct futex_bucket *bucket = lock_bucket(w, &irq);
        if (!bucket && !wait)
            thread_cancel_block();
        if (!bucket)
            return 0;
        if (woken && !signal)
            thread_prepare_block();
        else
            list_remove(&w->link);
        spin_unlock(&bucket->lock, irq);
        if (!woken)
            return -ETIMEDOUT;
        if (signal && !wait)
            thread_cancel_block();
        if (signal)
            return -EINTR;
    }
}

static long enqueue_and_sleep(struct futex_waiter *w, uint32_t expected, uint64_t deadline_ns)
{
    for (;;) {
        int result = enqueue(w, expected);
        if (result == 0)
            return sleep_in_queue(w, deadline_ns);
        if (result < 0)
            return result;
        result = app_check_read(w->address, 4);
        if (result)
            return result;
    }
}

long futex_wait(uint64_t address, uint32_t expected, uint32_t bitset, uint64_t deadline_ns)
{
    struct futex_waiter w = {.thread = thread_current(), .address = address, .bitset = bitset};

    int error = check_address(address);
    if (error || bitset == 0)
        return error ? error : -EINVAL;
    app_idle_begin();
    long result = enqueue_and_sleep(&w, expected, deadline_ns);
    app_idle_end();
    return result;
}

/* Under the bucket's lock: until thread_wake() returns, the waiter's stack stays. */
static void wake_one(struct futex_waiter *w)
{
    struct thread *thread = w->thread;
    list_remove(&w->link);
    thread_wake(thread);
    /* Last: a waiter that sees it does not come to this lock any more, and may be gone. */
    __atomic_store_n(&w->bucket, NULL, __ATOMIC_RELEASE);
}

long futex_wake(uint64_t address, uint32_t count, uint32_t bitset)
{
    struct futex_bucket *bucket = bucket_of(address);
    struct futex_waiter *w, *next;
    uint32_t woken = 0;

    int error = check_address(address);
    if (error || bitset == 0)
        return error ? error : -EINVAL;
    bool irq = spin_lock(&bucket->lock);
    list_for_each_safe(w, next, &bucket->waiters, link) {
        if (woken >= count)
            break;
        if (w->address != address || !(w->bitset & bitset))
            continue;
        wake_one(w);
        woken++;
    }
    spin_unlock(&bucket->lock, irq);
    return woken;
}

static bool lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
    if (a > b) {
        struct futex_bucket *other = a;
        a = b;
        b = other;
    }
    bool irq = spin_lock(&a->lock);
    if (a != b)
        spin_lock_nested(&b->lock, 1);
    return irq;
}

static void unlock_two(struct futex_bucket *a, struct futex_bucket *b, bool irq)
{
    if (a != b)
        spin_unlock(&b->lock, false);
    spin_unlock(&a->lock, irq);
}

/* Both buckets are locked. */
static long requeue_locked(uint64_t address, uint32_t wake_count, uint64_t target,
                           uint32_t move_count)
{
    struct futex_bucket *from = bucket_of(address), *to = bucket_of(target);
    struct futex_waiter *w, *next;
    uint32_t woken = 0, moved = 0;

    list_for_each_safe(w, next, &from->waiters, link) {
        if (w->address != address)
            continue;
        if (woken < wake_count) {
            wake_one(w);
            woken++;
        } else if (moved < move_count) {
            w->address = target;
            if (from != to) {
                list_remove(&w->link);
                list_push_back(&to->waiters, &w->link);
                __atomic_store_n(&w->bucket, to, __ATOMIC_RELEASE);
            }
            moved++;
        } else {
            break;
        }
    }
    return (long)woken + moved;
}

long futex_requeue(uint64_t address, uint32_t wake_count, uint64_t target, uint32_t move_count,
                   const uint32_t *expected)
{
    struct futex_bucket *from = bucket_of(address), *to = bucket_of(target);
    uint32_t value;

    int error = check_address(address);
    if (!error)
        error = check_address(target);
    if (error)
        return error;
    for (;;) {
        long result = 0;
        bool irq = lock_two(from, to), absent = false;
        if (expected) {
            absent = read_word(address, &value);
            if (!absent && value != *expected)
                result = -EAGAIN;
        }
        if (!absent && !result)
            result = requeue_locked(address, wake_count, target, move_count);
        unlock_two(from, to, irq);
        if (!absent)
            return result;
        result = app_check_read(address, 4);
        if (result)
            return result;
    }
}
