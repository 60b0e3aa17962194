// SPDX-License-Identifier: MIT
/* Threads: the workers, one after another in each slot, and the short-lived ones. */
#ifndef TORTURE_THREADS_H
#define TORTURE_THREADS_H

#include <stdint.h>

/** run_workers() - until time or operations are used up. Returns the milliseconds it took. */
uint64_t run_workers(void);

/** cpus_find() - which CPUs there are. */
void cpus_find(void);

/** cpus_count() - how many. */
unsigned cpus_count(void);

/** children_wait() - wait for the last short-lived thread. Errors: -1 after a note. */
int children_wait(void);

#endif
