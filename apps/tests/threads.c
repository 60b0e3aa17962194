// SPDX-License-Identifier: MIT
/*
 * POSIX threads: create and join, mutexes, condition variables with many waiters (futex requeue),
 * semaphores, barriers, thread-local data, detached threads that unmap their own stack, small and
 * own stacks, preemption, FPU state.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

enum { MANY = 32 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t threads[MANY];

static void start(int count, void *(*run)(void *))
{
    for (intptr_t i = 0; i < count; i++)
        EQUAL(pthread_create(&threads[i], NULL, run, (void *)i), 0);
}

static void join(int count)
{
    for (int i = 0; i < count; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

static struct timespec in_ms(clockid_t clock, long ms)
{
    struct timespec t;

    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void *give_back(void *argument) { return (void *)((intptr_t)argument * 3); }

static void test_join(void)
{
    void *result;

    for (intptr_t i = 0; i < 200; i++) {
        pthread_t t;

        EQUAL(pthread_create(&t, NULL, give_back, (void *)i), 0);
        EQUAL(pthread_join(t, &result), 0);
        EQUAL((intptr_t)result, i * 3);
    }
}

static long counter;

static void *count_up(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        if (i % 1000 == 0)
            sched_yield();
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void test_mutex(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t m;
    struct timespec t = in_ms(CLOCK_REALTIME, 30);

    start(8, count_up);
    join(8);
    EQUAL(counter, 8 * 20000);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m, &attributes);
    EQUAL(pthread_mutex_lock(&m), 0);
    EQUAL(pthread_mutex_lock(&m), EDEADLK);
    EQUAL(pthread_mutex_trylock(&m), EBUSY);
    EQUAL(pthread_mutex_unlock(&m), 0);
    EQUAL(pthread_mutex_unlock(&m), EPERM);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_NORMAL);
    pthread_mutex_init(&m, &attributes);
    EQUAL(pthread_mutex_lock(&m), 0);
    EQUAL(pthread_mutex_timedlock(&m, &t), ETIMEDOUT);
    EQUAL(pthread_mutex_unlock(&m), 0);
}

static int round_number, arrived, ready;

/* Each round: all wait for the broadcast, all wake, all say so. */
static void *follow_rounds(void *unused)
{
    pthread_mutex_lock(&lock);
    for (int i = 1; i <= 100; i++) {
        ready++;
        while (round_number < i)
            pthread_cond_wait(&changed, &lock);
        arrived++;
    }
    pthread_mutex_unlock(&lock);
    return unused;
}

static void test_broadcast(void)
{
    start(16, follow_rounds);
    for (int i = 1; i <= 100; i++) {
        bool all = false;

        while (!all) {
            pthread_mutex_lock(&lock);
            all = arrived == 16 * (i - 1) && ready == 16 * i;
            if (all) {
                round_number = i;
                pthread_cond_broadcast(&changed);
                sched_yield(); /* the waiters go over to the mutex, which is held */
            }
            pthread_mutex_unlock(&lock);
            sched_yield();
        }
    }
    join(16);
    EQUAL(arrived, 1600);
}

static sem_t empty, full;
static int slot;

static void *consume(void *sum)
{
    for (int i = 0; i < 5000; i++) {
        sem_wait(&full);
        *(long *)sum += slot;
        sem_post(&empty);
    }
    return NULL;
}

static void test_semaphores(void)
{
    struct timespec t = in_ms(CLOCK_REALTIME, 30);
    long sum = 0;
    pthread_t thread;

    OK(sem_init(&empty, 0, 1));
    OK(sem_init(&full, 0, 0));
    FAILS(sem_trywait(&full), EAGAIN);
    FAILS(sem_timedwait(&full, &t), ETIMEDOUT);
    EQUAL(pthread_create(&thread, NULL, consume, &sum), 0);
    for (int i = 0; i < 5000; i++) {
        sem_wait(&empty);
        slot = i;
        sem_post(&full);
    }
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(sum, 5000l * 4999 / 2);
}

static void test_timed_wait(void)
{
    pthread_condattr_t attributes;
    pthread_cond_t cond;
    struct timespec t = in_ms(CLOCK_MONOTONIC, 50), now;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cond, &attributes);
    pthread_mutex_lock(&lock);
    EQUAL(pthread_cond_timedwait(&cond, &lock, &t), ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    clock_gettime(CLOCK_MONOTONIC, &now);
    CHECK(now.tv_sec > t.tv_sec || (now.tv_sec == t.tv_sec && now.tv_nsec >= t.tv_nsec));
}

static pthread_barrier_t barrier;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static _Atomic int serial_count;
static long left, right;

static void *meet(void *argument)
{
    for (int i = 0; i < 200; i++) {
        if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
            serial_count++;
        if ((i + (intptr_t)argument) % 4 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            left++;
            sched_yield();
            right++;
            pthread_rwlock_unlock(&rwlock);
        } else {
            pthread_rwlock_rdlock(&rwlock);
            CHECK(left == right);
            pthread_rwlock_unlock(&rwlock);
        }
    }
    return NULL;
}

static void test_barrier_rwlock(void)
{
    EQUAL(pthread_barrier_init(&barrier, NULL, 8), 0);
    start(8, meet);
    join(8);
    EQUAL(serial_count, 200);
    EQUAL(left, 8 * 50);
}

static __thread long local = 41;
static __thread char local_zero[3000];
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int destroyed, once_count;

static void destroy(void *value) { destroyed += (int)(intptr_t)value; }

static void run_once(void) { once_count++; }

static void *use_local(void *argument)
{
    intptr_t me = (intptr_t)argument;

    CHECK(local == 41 && local_zero[2999] == 0);
    local += me;
    local_zero[2999] = (char)me;
    pthread_setspecific(key, (void *)(me + 1));
    pthread_once(&once, run_once);
    for (int i = 0; i < 20; i++) {
        sched_yield();
        CHECK(local == 41 + me && local_zero[2999] == (char)me);
    }
    CHECK(pthread_getspecific(key) == (void *)(me + 1));
    errno = (int)me;
    sched_yield();
    CHECK(errno == (int)me);
    return NULL;
}

static void test_local(void)
{
    EQUAL(pthread_key_create(&key, destroy), 0);
    start(16, use_local);
    join(16);
    EQUAL(local, 41);
    EQUAL(destroyed, 16 * 17 / 2);
    EQUAL(once_count, 1);
}

static _Atomic int detached_done;

static void *end_alone(void *unused)
{
    volatile char space[1000];

    space[0] = 1;
    space[999] = space[0];
    detached_done++;
    return unused;
}

static void test_detached(void)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    EQUAL(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), 0);
    EQUAL(pthread_attr_setstacksize(&attributes, 4096), 0);
    for (int i = 0; i < 500; i++) {
        pthread_t t;
        int error = pthread_create(&t, &attributes, end_alone, NULL);

        EQUAL(error, 0);
        if (i % 10 == 9) {
            for (int wait = 0; wait < 5000 && detached_done < i + 1; wait++)
                nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
            EQUAL(detached_done, i + 1);
        }
    }
}

static void *look_at_stack(void *argument)
{
    char here;

    CHECK(&here > (char *)argument && &here < (char *)argument + 16384);
    return NULL;
}

static void test_own_stack(void)
{
    pthread_attr_t attributes;
    pthread_t t;
    void *stack = NULL;

    EQUAL(posix_memalign(&stack, 4096, 16384), 0);
    pthread_attr_init(&attributes);
    EQUAL(pthread_attr_setstack(&attributes, stack, 16384), 0);
    EQUAL(pthread_create(&t, &attributes, look_at_stack, stack), 0);
    EQUAL(pthread_join(t, NULL), 0);
    free(stack);
    EQUAL(pthread_attr_setstacksize(&attributes, 1), EINVAL);
}

static _Atomic bool released;

static void *spin(void *unused)
{
    while (!released)
        ;
    return unused;
}

static void *release(void *unused)
{
    released = true;
    return unused;
}

/* Threads that never call the system must not keep the others from running. */
static void test_preemption(void)
{
    pthread_t other;

    start(4, spin);
    EQUAL(pthread_create(&other, NULL, release, NULL), 0);
    EQUAL(pthread_join(other, NULL), 0);
    join(4);
}

/* Floating point with all registers in use, across preemptions: equal in every thread. */
static void *compute(void *result)
{
    double a = 1, b = 2, c = 3, d = 4;

    for (int i = 1; i < 3000000; i++) {
        a = a * 0.999 + b * 0.001 + 1.0 / i;
        b = b * 0.998 + c * 0.002;
        c = c * 0.997 + d * 0.003 - 0.5 / i;
        d = d * 0.996 + a * 0.004;
        if (i % 100000 == 0)
            sched_yield();
    }
    *(double *)result = a + b + c + d;
    return NULL;
}

static void test_floating_point(void)
{
    static double results[5];

    compute(&results[4]);
    for (int i = 0; i < 4; i++)
        EQUAL(pthread_create(&threads[i], NULL, compute, &results[i]), 0);
    join(4);
    for (int i = 0; i < 4; i++)
        CHECK(memcmp(&results[i], &results[4], sizeof(double)) == 0);
}

static pid_t ids[MANY];

static void *tell_id(void *argument)
{
    ids[(intptr_t)argument] = (pid_t)syscall(SYS_gettid);
    CHECK(getpid() == (pid_t)syscall(SYS_getpid));
    return NULL;
}

static void test_ids(void)
{
    start(MANY, tell_id);
    join(MANY);
    for (int i = 0; i < MANY; i++)
        CHECK(ids[i] > 0 && ids[i] != getpid());
    EQUAL(syscall(SYS_gettid), getpid());
}

/* ---- CPUs: a thread runs where it was told to, and so does one that it makes ---- */

static void *where_allowed(void *set)
{
    cpu_set_t mine;

    CPU_ZERO(&mine);
    OK(sched_getaffinity(0, sizeof(mine), &mine));
    CHECK(CPU_EQUAL(&mine, (cpu_set_t *)set));
    for (int i = 0; i < 20; i++) {
        CHECK(CPU_ISSET(sched_getcpu(), &mine));
        sched_yield();
    }
    return NULL;
}

static void test_affinity(void)
{
    cpu_set_t all, one;

    CPU_ZERO(&all);
    OK(sched_getaffinity(0, sizeof(all), &all));
    for (int cpu = 0; cpu < 64; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        OK(sched_setaffinity(0, sizeof(one), &one));
        where_allowed(&one);
        EQUAL(pthread_create(&threads[0], NULL, where_allowed, &one), 0);
        join(1);
    }
    CPU_ZERO(&one);
    FAILS(sched_setaffinity(0, sizeof(one), &one), EINVAL);
    OK(sched_setaffinity(0, sizeof(all), &all));
    where_allowed(&all);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_join();
    test_mutex();
    test_broadcast();
    test_semaphores();
    test_timed_wait();
    test_barrier_rwlock();
    test_local();
    test_detached();
    test_own_stack();
    test_preemption();
    test_floating_point();
    test_ids();
    test_affinity();
    return check_end("threads");
}
