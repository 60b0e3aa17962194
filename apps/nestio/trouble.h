// SPDX-License-Identifier: MIT
/*
 * What went wrong. Workers have small stacks and must not print: they leave a note here, and the
 * main thread prints it.
 */
#ifndef NESTIO_TROUBLE_H
#define NESTIO_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "block.h"

/* Wrong data in a block (then @error is 0), or a call that failed. */
struct trouble {
    const char *call; /* what was done; a constant string */
    int error;        /* positive errno; 0 for wrong data */
    unsigned level;
    int64_t block;           /* -1: not about one block */
    uint32_t oldest, newest; /* generations that were allowed */
    struct block_finding found;
};

/**
 * trouble_note() - remember a trouble; any thread.
 * @t: copied.
 */
void trouble_note(const struct trouble *t);

/**
 * trouble_say() - an error that is about no block, printed at once; main thread only.
 * @format: as printf, one line without the newline.
 */
void trouble_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** trouble_wrong_say() - as trouble_say(), counted as wrong data. */
void trouble_wrong_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** trouble_print() - print the notes that were not printed yet; main thread only. */
void trouble_print(void);

/** trouble_wrong() - how many times wrong data were found. */
uint64_t trouble_wrong(void);

/** trouble_errors() - how many unexpected errors there were. */
uint64_t trouble_errors(void);

/** trouble_too_many() - whether it makes no sense to go on. */
bool trouble_too_many(void);

#endif
