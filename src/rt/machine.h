// SPDX-License-Identifier: MIT
/* The end of the machine: one last line with the contract's numbers, then the exit code. */
#pragma once

#include <lib/types.h>

enum exit_status {
    EXIT_APP_MAX = 123, EXIT_TIMEOUT = 124, EXIT_SETUP = 125, EXIT_GUARD = 200, EXIT_BOUND = 201,
    EXIT_PANIC = 202, EXIT_PARAM = 203, EXIT_APP_CRASH = 204,
};

/* How the app ended, for the last line; NULL and 0 until there is one. */
struct app_end {
    const char *name;
    int app_status;                   /* shown when above 123 */
    int signal;                       /* shown when not 0 */
};
extern struct app_end app_end;

/* Flushes the log, prints the last line, ends the machine. Any context, also a broken one. */
noreturn_fn void machine_end(unsigned status);
