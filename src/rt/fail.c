// SPDX-License-Identifier: MIT
/* Counting, and refusing one. Nothing here locks, waits or prints: it runs below probes and in page_alloc(). */
#include <rt/fail.h>

#ifdef SPILLWAY_FAIL

#include <lib/bits.h>

static struct fail_point {
    uint64_t seen, nth, count;        /* atomic; count 0: none is refused */
} points[FAIL_KINDS];

bool fail_now(enum fail_kind kind)
{
    struct fail_point *point = &points[kind];
    uint64_t number = __atomic_add_fetch(&point->seen, 1, __ATOMIC_RELAXED);
    return number - __atomic_load_n(&point->nth, __ATOMIC_RELAXED) < __atomic_load_n(&point->count, __ATOMIC_RELAXED);
}

void fail_arm(enum fail_kind kind, uint64_t nth, uint64_t count)
{
    struct fail_point *point = &points[kind];
    __atomic_store_n(&point->count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&point->seen, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&point->nth, nth, __ATOMIC_RELAXED);
    __atomic_store_n(&point->count, nth ? MIN(count, UINT64_MAX - nth) : 0, __ATOMIC_RELEASE);
}

void fail_heal(void)
{
    for (unsigned i = 0; i < FAIL_KINDS; i++)
        __atomic_store_n(&points[i].count, 0, __ATOMIC_RELAXED);
}

uint64_t fail_seen(enum fail_kind kind) { return __atomic_load_n(&points[kind].seen, __ATOMIC_RELAXED); }

#endif
