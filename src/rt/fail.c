// SPDX-License-Identifier: MIT
/* Counting, and refusing one. Nothing here locks, waits or prints: it runs below probes and in page_alloc(). */
#include <rt/fail.h>

#ifdef SPILLWAY_FAIL

static struct fail_point {
    uint64_t seen, nth;               /* atomic; nth 0: none is refused */
} points[FAIL_KINDS];

bool fail_now(enum fail_kind kind)
{
    struct fail_point *point = &points[kind];
    uint64_t number = __atomic_add_fetch(&point->seen, 1, __ATOMIC_RELAXED);
    return number == __atomic_load_n(&point->nth, __ATOMIC_RELAXED);
}

void fail_arm(enum fail_kind kind, uint64_t nth)
{
    __atomic_store_n(&points[kind].nth, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&points[kind].seen, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&points[kind].nth, nth, __ATOMIC_RELAXED);
}

uint64_t fail_seen(enum fail_kind kind) { return __atomic_load_n(&points[kind].seen, __ATOMIC_RELAXED); }

#endif
