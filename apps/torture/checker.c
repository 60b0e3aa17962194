// SPDX-License-Identifier: MIT
/*
 * The invariants of /sys/stack, checked all along. The values stand in separate files, so a set is
 * taken as one only when those that move are the same before and after the others were read. Even
 * then two changes may have cancelled out in between: a sum that is not right must be seen many
 * times in a row to count.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "notes.h"
#include "pool.h"
#include "torture.h"

enum value {
    TOTAL,
    FREE,
    IN_USE,
    PARKED,
    RESERVED,
    LOW_WATER,
    REQUESTS,
    SWITCHES,
    REFUSALS,
    WAITS,
    MOST_HELD,
    DEEPEST,
    VALUES
};
enum { TRIES = 400, PAUSE_US = 3000, CHECKER_STACK_BYTES = 32768 };

static const char *const names[VALUES] = { "total",    "free",      "in_use",    "parked",
                                           "reserved", "low_water", "requests",  "switches",
                                           "refusals", "waits",     "most_held", "deepest" };
static int fds[VALUES];
static uint64_t start_values[VALUES], last_values[VALUES], largest_stack;
static uint64_t extra_max, most_reserved;
static pthread_t checker_thread;
static _Atomic bool checker_running;

/* false: refused, or nothing there. */
static bool read_value(enum value which, uint64_t *value)
{
    char text[24], path[40];
    ssize_t got;

    if (fds[which] < 0) {
        snprintf(path, sizeof(path), "/sys/stack/%s", names[which]);
        fds[which] = open(path, O_RDONLY | O_CLOEXEC);
    }
    got = fds[which] < 0 ? -1 : pread(fds[which], text, sizeof(text) - 1, 0);
    if (got <= 0)
        return false;
    text[got] = '\0';
    *value = strtoull(text, NULL, 10);
    return true;
}

static bool read_set(uint64_t *v, bool *moved)
{
    uint64_t in_use, parked, total;

    for (int i = 0; i < PARKED + 1; i++) {
        if (!read_value(i, &v[i]))
            return false;
    }
    if (!read_value(FREE, &v[FREE]) || !read_value(PARKED, &parked) ||
        !read_value(IN_USE, &in_use) || !read_value(TOTAL, &total))
        return false;
    *moved = in_use != v[IN_USE] || parked != v[PARKED] || total != v[TOTAL];
    return true;
}

/* in_use + parked + free = total. Returns false when no set could be read. */
static bool check_sum(uint64_t *v)
{
    int wrong = 0;

    for (int attempt = 0; attempt < TRIES; attempt++) {
        bool moved;

        if (!read_set(v, &moved)) {
            sleep_us(500);
            continue;
        }
        if (!moved && v[IN_USE] + v[PARKED] + v[FREE] == v[TOTAL])
            return true;
        wrong += !moved;
        if (attempt % 8 == 7)
            sleep_us(200 * (unsigned)(attempt % 7));
    }
    if (wrong > TRIES / 2)
        note_wrong("in_use + parked + free", "is not total", -1, (long)v[FREE],
                   (long)(v[IN_USE] + v[PARKED] + v[FREE]), (long)v[TOTAL]);
    return false;
}

static void must(bool holds, const char *what, const char *why, uint64_t got, uint64_t wanted)
{
    if (!holds)
        note_wrong(what, why, -1, -1, (long)got, (long)wanted);
}

/* Counters never fall; with one resize per turn, total is what was asked for. */
static void check_counters(uint64_t *v)
{
    static const enum value rising[] = { REQUESTS, SWITCHES, REFUSALS, WAITS, MOST_HELD, DEEPEST };

    read_value(RESERVED, &v[RESERVED]);
    for (unsigned i = 0; i < sizeof(rising) / sizeof(rising[0]); i++) {
        enum value k = rising[i];

        if (!read_value(k, &v[k]))
            continue;
        must(v[k] >= last_values[k], names[k], "has fallen", v[k], last_values[k]);
        last_values[k] = v[k];
    }
    must(v[DEEPEST] <= largest_stack, "deepest", "is more than a stack has", v[DEEPEST],
         largest_stack);
    if (v[RESERVED] > most_reserved)
        most_reserved = v[RESERVED];
    must(v[MOST_HELD] <= extra_max + most_reserved, "most_held", "is more than there can be",
         v[MOST_HELD], extra_max + most_reserved);
}

static void check_total(void)
{
    uint64_t wanted, found, again;
    uint32_t before, after;

    if (pool_expected(&wanted, &before) && read_value(TOTAL, &found) &&
        pool_expected(&again, &after) && before == after)
        must(found == wanted, "total", "changed by itself", found, wanted);
}

/* It follows total, so only between two resizes can they be compared. */
static void check_low_water(void)
{
    uint64_t wanted, low, again;
    uint32_t before, after;

    if (pool_expected(&wanted, &before) && read_value(LOW_WATER, &low) &&
        pool_expected(&again, &after) && before == after)
        must(low <= wanted, "low_water", "is more than total", low, wanted);
}

/* The stacks of write-back come and go with the mounts, and only then. */
static void check_reserved(void)
{
    static uint64_t reserved;
    static uint32_t known = UINT32_MAX;
    uint32_t before = atomic_load(&torture.mounting);
    uint64_t found;

    if ((before & 1) || !read_value(RESERVED, &found) || atomic_load(&torture.mounting) != before)
        return;
    if (known == before)
        must(found == reserved, "reserved", "changed, and nothing was mounted or unmounted", found,
             reserved);
    known = before;
    reserved = found;
}

static void check_all(void)
{
    uint64_t v[VALUES] = { 0 };

    if (check_sum(v)) {
        must(v[FREE] <= v[TOTAL], "free", "is more than total", v[FREE], v[TOTAL]);
        atomic_fetch_add(&torture.checks, 1);
    }
    check_counters(v);
    check_total();
    check_reserved();
    check_low_water();
}

static void *check_main(void *unused)
{
    struct actor *me = actor(ACTOR_CHECKER);

    while (checker_running) {
        actor_step(me, "checking /sys/stack", -1, -1);
        check_all();
        sleep_us(PAUSE_US);
    }
    actor_step(me, NULL, -1, -1);
    return unused;
}

int checker_start(void)
{
    uint64_t home = 0, extra = 0;
    pthread_attr_t attributes;
    int error;

    if (!pool_present())
        return 0;
    for (int i = 0; i < VALUES; i++)
        fds[i] = -1;
    for (int i = 0; i < VALUES; i++) {
        for (int attempt = 0; attempt < 50 && !read_value(i, &start_values[i]); attempt++)
            sleep_us(2000);
    }
    pool_read("size", &home);
    pool_read("extra_size", &extra);
    if (pool_read("extra_max", &extra_max))
        extra_max = UINT32_MAX;
    largest_stack = home > extra ? home : extra;
    if (largest_stack == 0)
        largest_stack = UINT64_MAX;
    error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    pthread_attr_setstacksize(&attributes, CHECKER_STACK_BYTES);
    checker_running = true;
    error = pthread_create(&checker_thread, &attributes, check_main, NULL);
    checker_running = !error;
    pthread_attr_destroy(&attributes);
    return -error;
}

void checker_stop(void)
{
    if (!checker_running)
        return;
    checker_running = false;
    actor_step(actor(ACTOR_MAIN), "joining the checker", -1, -1);
    pthread_join(checker_thread, NULL);
}

/* A value must come back to what it was before anything was done. */
static void check_back(enum value which)
{
    uint64_t value = 0;

    for (int attempt = 0; attempt < 500; attempt++) {
        if (read_value(which, &value) && value == start_values[which])
            return;
        sleep_us(10000);
    }
    must(false, names[which], "did not come back to what it was at the start", value,
         start_values[which]);
}

/* Every request ended in a switch or a refusal. Reading the values may itself need some stacks. */
static void check_requests(void)
{
    uint64_t v[VALUES] = { 0 }, ended = 0;

    for (int attempt = 0; attempt < 100; attempt++) {
        if (read_value(REQUESTS, &v[REQUESTS]) && read_value(SWITCHES, &v[SWITCHES]) &&
            read_value(REFUSALS, &v[REFUSALS])) {
            ended = v[SWITCHES] + v[REFUSALS];
            if (ended >= v[REQUESTS] && ended - v[REQUESTS] <= 8)
                return;
        }
        sleep_us(10000);
    }
    must(false, "switches + refusals", "is not requests", ended, v[REQUESTS]);
}

void checker_end(void)
{
    static const enum value back[] = { TOTAL, FREE, IN_USE, PARKED, RESERVED };
    uint64_t v[VALUES] = { 0 };

    if (!pool_present())
        return;
    actor_step(actor(ACTOR_MAIN), "checking that all stacks are back", -1, -1);
    for (unsigned i = 0; i < sizeof(back) / sizeof(back[0]); i++)
        check_back(back[i]);
    check_requests();
    if (!check_sum(v))
        note_wrong("in_use + parked + free", "is not total though all is quiet", -1, -1,
                   (long)(v[IN_USE] + v[PARKED] + v[FREE]), (long)v[TOTAL]);
    else
        atomic_fetch_add(&torture.checks, 1);
}
