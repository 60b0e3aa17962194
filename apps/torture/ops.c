// SPDX-License-Identifier: MIT
/*
 * The kinds of operation, how often each is chosen, how they ended, and what the operations share:
 * slots' locks, the random numbers, the judgement on an error, and the way into a level.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/stackinfo.h"
#include "notes.h"
#include "torture.h"

enum { OUTCOMES = FAILED + 1 };

static const struct op_kind kinds[] = {
    { "create", 8, op_create },     { "write", 16, op_write },      { "read", 20, op_read },
    { "map", 5, op_map },           { "fsync", 4, op_fsync },       { "rename", 5, op_rename },
    { "truncate", 5, op_truncate }, { "unlink", 4, op_unlink },     { "fill", 1, op_fill },
    { "orphan", 2, op_orphan },     { "folder", 8, op_folder },     { "sync", 1, op_sync },
    { "mount", 1, op_mount },       { "resize", 3, op_resize },     { "memory", 6, op_memory },
    { "futex", 4, op_futex },       { "lock", 4, op_lock },         { "sleep", 3, op_sleep },
    { "threads", 4, op_threads },   { "affinity", 4, op_affinity },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static unsigned weights[KINDS], weight_sum;
static _Atomic uint64_t counts[KINDS][OUTCOMES];

struct torture torture;

uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sleep_us(unsigned us)
{
    nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000l }, NULL);
}

uint32_t pick(struct worker *w, uint32_t count)
{
    uint64_t x = w->random += 0x9e3779b97f4a7c15ull;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    x ^= x >> 31;
    return (uint32_t)((x >> 32) * count >> 32);
}

bool lock_alone(_Atomic int *lock)
{
    int none = 0;

    return atomic_compare_exchange_strong(lock, &none, -1);
}

bool lock_shared(_Atomic int *lock)
{
    int value = atomic_load(lock);

    while (value >= 0) {
        if (atomic_compare_exchange_weak(lock, &value, value + 1))
            return true;
    }
    return false;
}

void unlock(_Atomic int *lock)
{
    if (atomic_load(lock) == -1)
        atomic_store(lock, 0);
    else
        atomic_fetch_sub(lock, 1);
}

/* Whether a level was away at some time since the operation began. */
static bool went_away(const struct worker *w, const struct level *level)
{
    uint32_t epoch = atomic_load(&level->epoch);

    return (epoch & 1) || epoch != w->epoch;
}

enum outcome judge(struct worker *w, const char *call, const struct level *level, long detail,
                   int error, unsigned may_be)
{
    if (stackinfo_refused(w->refusals, error))
        return REFUSED;
    if (error == ENOMEM || ((may_be & MAY_BE_FULL) && error == ENOSPC) ||
        ((may_be & MAY_BE_BUSY) && error == EBUSY) || ((may_be & MAY_BE_SHORT) && error == EAGAIN))
        return LEGAL;
    if (level && error == ENOENT && went_away(w, level))
        return LEGAL;
    note_error(call, error, level ? (int)level->index : -1, detail);
    return FAILED;
}

struct level *level_enter(struct worker *w)
{
    struct level *level;

    if (torture.count == 0)
        return NULL;
    level = &torture.levels[pick(w, torture.count)];
    atomic_fetch_add(&level->users, 1);
    w->epoch = atomic_load(&level->epoch);
    if (level->usable && !(w->epoch & 1) && !atomic_load(&level->shut))
        return level;
    atomic_fetch_sub(&level->users, 1);
    return NULL;
}

void level_leave(struct level *level) { atomic_fetch_sub(&level->users, 1); }

static int find_kind(const char *name, size_t length)
{
    for (int k = 0; k < KINDS; k++) {
        if (strlen(kinds[k].name) == length && memcmp(kinds[k].name, name, length) == 0)
            return k;
    }
    return -1;
}

const char *ops_choose(const char *only, const char *without)
{
    for (int k = 0; k < KINDS; k++)
        weights[k] = only ? 0 : kinds[k].weight;
    for (int pass = 0; pass < 2; pass++) {
        for (const char *word = pass ? without : only; word && *word;) {
            size_t length = strcspn(word, ",");
            int k = find_kind(word, length);

            if (k < 0)
                return word;
            weights[k] = pass ? 0 : kinds[k].weight;
            word += length + (word[length] == ',');
        }
    }
    weight_sum = 0;
    for (int k = 0; k < KINDS; k++)
        weight_sum += weights[k];
    return weight_sum ? NULL : "nothing";
}

void run_operation(struct worker *w)
{
    uint32_t chosen = pick(w, weight_sum);
    enum outcome outcome;
    int k = 0;

    while (chosen >= weights[k])
        chosen -= weights[k++];
    atomic_store(&w->actor->operation, kinds[k].name);
    actor_step(w->actor, "begin", -1, -1);
    w->refusals = stackinfo_refusals();
    outcome = kinds[k].run(w);
    atomic_fetch_add(&counts[k][outcome], 1);
    if (outcome != SKIPPED)
        atomic_fetch_add(&torture.operations, 1);
    actor_step(w->actor, "between operations", -1, -1);
}

uint64_t ops_total(enum outcome outcome)
{
    uint64_t sum = 0;

    for (int k = 0; k < KINDS; k++)
        sum += counts[k][outcome];
    return sum;
}

void ops_print(void)
{
    printf("\noperation        done  no room, busy    refused     errors\n");
    for (int k = 0; k < KINDS; k++) {
        if (!weights[k])
            continue;
        printf("%-12s %8llu %14llu %10llu %10llu\n", kinds[k].name,
               (unsigned long long)counts[k][DONE], (unsigned long long)counts[k][LEGAL],
               (unsigned long long)counts[k][REFUSED], (unsigned long long)counts[k][FAILED]);
    }
}
