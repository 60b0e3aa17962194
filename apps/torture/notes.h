// SPDX-License-Identifier: MIT
/* What went wrong: any thread leaves a note, however small its stack; the main thread prints it. */
#ifndef TORTURE_NOTES_H
#define TORTURE_NOTES_H

#include <stdbool.h>
#include <stdint.h>

struct note {
    const char *what; /* constant strings */
    const char *why;  /* NULL: errno says it */
    int error;        /* positive errno, or 0 */
    int level;        /* -1: none */
    long detail;      /* a slot, a size; -1: none */
    long got, wanted; /* both -1: not shown */
};

/** note_wrong() - wrong data or a broken invariant. note_error() - an error that may not be. */
void note_wrong(const char *what, const char *why, int level, long detail, long got, long wanted);
void note_error(const char *what, int error, int level, long detail);

/** notes_print() - print what was not printed yet. Main thread, or the watchdog at the end. */
void notes_print(void);

uint64_t notes_wrong(void);
uint64_t notes_errors(void);

/** notes_too_many() - it makes no sense to go on. */
bool notes_too_many(void);

#endif
