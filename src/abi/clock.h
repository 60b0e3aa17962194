// SPDX-License-Identifier: MIT
/* Times of the app, and deadlines made of them. */
#pragma once

#include <lib/types.h>

/*
 * struct timespec at @address as nanoseconds, saturating. -EFAULT, -EINVAL negative or out of
 * range.
 */
int clock_duration_in(uint64_t address, uint64_t *out_ns);
/**
 * clock_deadline_in() - the timespec at @address as a deadline on the arch_now_ns() clock.
 * @clock: CLOCK_*, what an absolute time counts on.
 * Errors: as above.
 */
int clock_deadline_in(uint64_t address, int clock, bool absolute, uint64_t *out_ns);
