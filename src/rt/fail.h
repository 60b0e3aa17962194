// SPDX-License-Identifier: MIT
/*
 * The debug switch that refuses the nth of something (and some behind it): a take from the pool of extra stacks, an
 * allocation of pages or of heap memory, a request to a direct device. It is compiled in where SPILLWAY_FAIL is defined
 * (debug builds and the library of the host tests); elsewhere fail_now() is constant and costs nothing.
 *
 *     fail_arm(FAIL_TAKE, 17, 1);     the 17th take from now on finds no stack
 *     fail_arm(FAIL_TAKE, 17, FAIL_ON);   nor does any behind it, until fail_heal()
 *     …
 *     fired = fail_seen(FAIL_TAKE) >= 17;
 *     fail_arm(FAIL_TAKE, 0, 0);      counts from 0 again, and refuses none
 *
 * Takes of a thread's private stacks are not counted: they cannot be refused.
 */
#pragma once

#include <lib/types.h>

enum fail_kind { FAIL_TAKE, FAIL_PAGE, FAIL_HEAP, FAIL_DEVICE, FAIL_KINDS };

#ifdef SPILLWAY_FAIL

/* Whether this one is to be refused; counts it. Any context. */
bool fail_now(enum fail_kind kind);
void fail_arm(enum fail_kind kind, uint64_t nth, uint64_t count);
#define FAIL_ON UINT64_MAX
/* From now on nothing is refused; counting goes on. */
void fail_heal(void);
/* How many there were since fail_arm(). */
uint64_t fail_seen(enum fail_kind kind);

#else

static inline bool fail_now(enum fail_kind kind)
{
    (void)kind;
    return false;
}
static inline void fail_heal(void) {}

#endif
