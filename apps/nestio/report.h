// SPDX-License-Identifier: MIT
/*
 * The report at the end: the table, what the system says of its stacks, and the verdict.
 */
#ifndef NESTIO_REPORT_H
#define NESTIO_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "tower.h"

/**
 * report_print() - print the table and the verdict.
 * @tower:      after all is done.
 * @elapsed_ms: what the operations took.
 *
 * Returns the exit status: 0 all good, 1 wrong data or an error, 3 something was refused and
 * nothing is wrong.
 */
int report_print(const struct tower *tower, uint64_t elapsed_ms);

#endif
