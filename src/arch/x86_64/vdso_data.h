// SPDX-License-Identifier: MIT
/*
 * What the kernel tells the code in vdso/vdso.c: one page, mapped read-only right before it. It is
 * written once, before the program starts; the sequence is odd while it is written, as readers of a
 * clock that is set some day will want.
 */
#pragma once

#include <stdint.h>

struct vdso_data {
    uint32_t sequence;
    uint32_t pad;
    uint64_t tsc_start;               /* ticks at which the monotonic clock was 0 */
    uint64_t ns_per_tick_32;          /* nanoseconds a tick, times 2^32 */
    uint64_t wall_start_ns;           /* since 1970, at that moment */
};
