// SPDX-License-Identifier: MIT
/*
 * Clocks and sleeping: never backwards, never too short, not absurdly long.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

enum { SLEEPERS = 16 };

static int64_t ns_of(clockid_t clock)
{
    struct timespec t = { 0 };

    OK(clock_gettime(clock, &t));
    CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct timespec spec(int64_t ns)
{
    return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

static void test_monotonic(void)
{
    struct timespec t, last = { 0 };
    bool backwards = false;
    int64_t changes = 0;

    for (int i = 0; i < 100000; i++) {
        clock_gettime(CLOCK_MONOTONIC, &t);
        if (t.tv_sec < last.tv_sec || (t.tv_sec == last.tv_sec && t.tv_nsec < last.tv_nsec))
            backwards = true;
        changes += t.tv_nsec != last.tv_nsec;
        last = t;
    }
    CHECK(!backwards);
    CHECK(changes > 1000); /* finer than a tick */
    OK(clock_getres(CLOCK_MONOTONIC, &t));
    CHECK(t.tv_sec == 0 && t.tv_nsec >= 1 && t.tv_nsec <= 10000000);
    FAILS(clock_gettime(12345, &t), EINVAL);
}

static void sleeps_about(int64_t ns)
{
    struct timespec t = spec(ns);
    int64_t begin = ns_of(CLOCK_MONOTONIC), real = ns_of(CLOCK_REALTIME), took;

    OK(nanosleep(&t, NULL));
    took = ns_of(CLOCK_MONOTONIC) - begin;
    real = ns_of(CLOCK_REALTIME) - real;
    CHECK(took >= ns);
    CHECK(took < ns + 1000000000);
    CHECK(real >= ns - 50000000 && real < ns + 1500000000);
}

static void test_sleep(void)
{
    struct timespec t = { .tv_nsec = 1000000000 };
    int64_t end;

    sleeps_about(0);
    sleeps_about(1);
    sleeps_about(1000000);
    sleeps_about(10000000);
    sleeps_about(100000000);
    sleeps_about(1050000000);
    for (int i = 0; i < 20; i++)
        sleeps_about(3000000);
    FAILS(nanosleep(&t, NULL), EINVAL);
    t = (struct timespec){ .tv_sec = -1 };
    FAILS(nanosleep(&t, NULL), EINVAL);
    end = ns_of(CLOCK_MONOTONIC) + 50000000;
    t = spec(end);
    EQUAL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
    CHECK(ns_of(CLOCK_MONOTONIC) >= end);
    EQUAL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0); /* over already */
}

static void test_realtime(void)
{
    struct timeval tv;
    int64_t real = ns_of(CLOCK_REALTIME), day;

    OK(gettimeofday(&tv, NULL));
    day = (int64_t)tv.tv_sec * 1000000000 + (int64_t)tv.tv_usec * 1000;
    CHECK(day - real > -1000000000 && day - real < 1000000000);
    CHECK(time(NULL) - tv.tv_sec <= 1);
    CHECK(tv.tv_sec >= 0);
}

static void *sleeper(void *argument)
{
    int64_t begin = ns_of(CLOCK_MONOTONIC), ns = (1 + (intptr_t)argument % 4) * 50000000;
    struct timespec t = spec(ns);

    OK(nanosleep(&t, NULL));
    CHECK(ns_of(CLOCK_MONOTONIC) - begin >= ns);
    return NULL;
}

/* Many threads asleep at once: together no longer than the longest. */
static void test_sleepers(void)
{
    pthread_t threads[SLEEPERS];
    int64_t begin = ns_of(CLOCK_MONOTONIC);

    for (intptr_t i = 0; i < SLEEPERS; i++)
        EQUAL(pthread_create(&threads[i], NULL, sleeper, (void *)i), 0);
    for (int i = 0; i < SLEEPERS; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
    CHECK(ns_of(CLOCK_MONOTONIC) - begin < 1200000000);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_monotonic();
    test_sleep();
    test_realtime();
    test_sleepers();
    return check_end("clock");
}
