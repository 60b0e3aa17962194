// SPDX-License-Identifier: MIT
/* The pool of extra stacks, through /sys/stack: resized under load, and its invariants checked. */
#ifndef TORTURE_POOL_H
#define TORTURE_POOL_H

#include <stdbool.h>
#include <stdint.h>

/** pool_open() - look at the pool before anything is done. */
void pool_open(void);

/** pool_present() - there is a /sys/stack that can be read. */
bool pool_present(void);

/** pool_read() - one value of /sys/stack. Errors: positive errno. Costs an open: see checker.c. */
int pool_read(const char *name, uint64_t *value);

/** pool_ample() - stacks enough for the main thread. pool_restore() - as many as there were. */
void pool_ample(void);
void pool_restore(void);

/**
 * pool_expected() - what `total` must be.
 * @turn: grows with each resize.
 *
 * Returns false while one is under way.
 */
bool pool_expected(uint64_t *total, uint32_t *turn);

/** pool_resizes() - how many succeeded. */
uint64_t pool_resizes(void);

/** checker_start(), checker_stop() - the thread that checks the invariants all along. */
int checker_start(void);
void checker_stop(void);

/** checker_end() - after all is over: everything must be back. */
void checker_end(void);

#endif
