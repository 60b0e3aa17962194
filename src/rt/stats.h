// SPDX-License-Identifier: MIT
/*
 * Samples of the pool of extra stacks for a program outside, one JSON object a line, on the machine's debug port:
 *     {"ms":1000,"total":64,"free":61,…,"probes":{"vfs_read":{"requests":…,"switches":…,"refusals":…},…}}
 * `ms` is the time since boot; the other names are those of /sys/stack.
 */
#pragma once

struct xstack_totals;

/* Starts the thread that samples, if stats= asks for it. Errors: -ENOMEM. */
int stats_start(void);
/* The last sample, from the end of the machine: interrupts off, nobody else runs. @deepest: bytes. */
void stats_end(const struct xstack_totals *totals, unsigned long deepest);
