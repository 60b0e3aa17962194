// SPDX-License-Identifier: MIT
/* Futex operations by their system call, robust mutexes, and addresses that are none. */
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

static _Atomic uint32_t word, other;
static _Atomic int woken, started;

static long futex(void *address, int op, uint32_t value, void *timeout, void *target, uint32_t value3)
{
    return syscall(SYS_futex, address, op, value, timeout, target, value3);
}

static void *wait_any(void *address)
{
    started++;
    EQUAL(futex(address, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
    woken++;
    return NULL;
}

static void *wait_bit(void *bit)
{
    started++;
    EQUAL(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, (uint32_t)(uintptr_t)bit), 0);
    woken++;
    return NULL;
}

static void until(_Atomic int *number, int value)
{
    for (int i = 0; i < 5000 && *number < value; i++)
        usleep(1000);
    EQUAL(*number, value);
}

static void test_wait_values(void)
{
    struct timespec t = {0, 20000000}, bad = {0, 1000000000}, past = {1, 0};

    word = 1;
    FAILS(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
    FAILS(futex(&word, FUTEX_WAIT, 1, &t, NULL, 0), ETIMEDOUT);
    FAILS(futex(&word, FUTEX_WAIT, 1, &bad, NULL, 0), EINVAL);
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 1, &past, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    FAILS(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 1, &past, NULL, ~0u), ETIMEDOUT);
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0), EINVAL);
    FAILS(futex((char *)&word + 1, FUTEX_WAIT, 1, NULL, NULL, 0), EINVAL);
    FAILS(futex((void *)0x1000, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT);
    FAILS(futex((void *)0xffff800000000000ul, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT);
    FAILS(futex(&word, 77, 1, NULL, NULL, 0), ENOSYS);
    EQUAL(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
    uint32_t *fresh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(futex(fresh, FUTEX_WAIT, 1, NULL, NULL, 0), EAGAIN); /* a page that was never touched */
    OK(munmap(fresh, 4096));
}

static void start(pthread_t *threads, int count, void *(*run)(void *), void *argument)
{
    started = woken = 0;
    for (int i = 0; i < count; i++)
        EQUAL(pthread_create(&threads[i], NULL, run, argument ? argument : (void *)(1ul << i)), 0);
    until(&started, count);
    usleep(50000);
}

static void join(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

static void test_bitset(void)
{
    pthread_t threads[4];

    word = 0;
    start(threads, 4, wait_bit, NULL);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 16), 0);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET, 10, NULL, NULL, 4 | 1), 2);
    until(&woken, 2);
    EQUAL(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
    join(threads, 4);
}

static void test_requeue(void)
{
    pthread_t threads[6];

    word = other = 0;
    start(threads, 6, wait_any, &word);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)2, &other, 5), EAGAIN);
    EQUAL(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)2, &other, 0), 3);
    until(&woken, 1);
    EQUAL(futex(&other, FUTEX_WAKE, 10, NULL, NULL, 0), 2);
    until(&woken, 3);
    EQUAL(futex(&word, FUTEX_REQUEUE, 0, (void *)100, &other, 0), 3);
    EQUAL(futex(&word, FUTEX_WAKE, 10, NULL, NULL, 0), 0);
    EQUAL(futex(&other, FUTEX_WAKE, 10, NULL, NULL, 0), 3);
    join(threads, 6);
}

static void test_wake_op(void)
{
    pthread_t threads[4];

    word = other = 0;
    start(threads, 2, wait_any, &word);
    EQUAL(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_GT, 0)), 1);
    EQUAL(other, 5);
    EQUAL(futex(&other, FUTEX_WAKE_OP, 1, (void *)1, &word, FUTEX_OP(FUTEX_OP_OR, 8, FUTEX_OP_CMP_EQ, 0)), 1);
    EQUAL(word, 8);
    join(threads, 2);
    EQUAL(futex(&other, FUTEX_WAKE_OP, 1, (void *)1, &word, FUTEX_OP(FUTEX_OP_SET, 3, FUTEX_OP_CMP_NE, 8)), 0);
    EQUAL(word, 3);
    EQUAL(futex(&other, FUTEX_WAKE_OP, 1, NULL, &word,
                FUTEX_OP((FUTEX_OP_XOR | FUTEX_OP_OPARG_SHIFT), 4, FUTEX_OP_CMP_LT, 0)), 0);
    EQUAL(word, 3 ^ 16);
    FAILS(futex(&other, FUTEX_WAKE_OP, 1, NULL, (void *)0x1000, 0), EFAULT);
}

static pthread_mutex_t robust;

static void *die_with_lock(void *unused)
{
    EQUAL(pthread_mutex_lock(&robust), 0);
    usleep(100000);
    return unused;
}

static void test_robust(void)
{
    pthread_mutexattr_t attributes;
    pthread_t t;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    EQUAL(pthread_create(&t, NULL, die_with_lock, NULL), 0);
    usleep(30000);
    EQUAL(pthread_mutex_lock(&robust), EOWNERDEAD); /* waits, and its waiting is ended by the death */
    EQUAL(pthread_mutex_consistent(&robust), 0);
    EQUAL(pthread_mutex_unlock(&robust), 0);
    EQUAL(pthread_join(t, NULL), 0);
    EQUAL(pthread_create(&t, NULL, die_with_lock, NULL), 0);
    EQUAL(pthread_join(t, NULL), 0);
    EQUAL(pthread_mutex_trylock(&robust), EOWNERDEAD);
    EQUAL(pthread_mutex_unlock(&robust), 0);
    EQUAL(pthread_mutex_lock(&robust), ENOTRECOVERABLE);
}

/* Timeouts that race with wake-ups and requeues: no waiter is lost or woken twice. */
static void *race(void *argument)
{
    for (int i = 0; i < 3000; i++) {
        struct timespec t = {0, (i % 7) * 10000};
        if ((uintptr_t)argument % 2)
            futex(&word, FUTEX_WAIT, 0, &t, NULL, 0);
        else if (i % 3)
            futex(&word, FUTEX_REQUEUE, 1, (void *)1, &other, 0);
        else
            futex(i % 2 ? &word : &other, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void test_race(void)
{
    pthread_t threads[8];

    word = other = 0;
    for (uintptr_t i = 0; i < 8; i++)
        EQUAL(pthread_create(&threads[i], NULL, race, (void *)i), 0);
    for (int i = 0; i < 8; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
    EQUAL(futex(&other, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_wait_values();
    test_bitset();
    test_requeue();
    test_wake_op();
    test_robust();
    test_race();
    return check_end("futex");
}
