// SPDX-License-Identifier: MIT
/* The command line of torture, read once; nobody changes it afterwards. */
#ifndef TORTURE_OPTIONS_H
#define TORTURE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { LEVELS_MAX = 64, THREADS_MAX = 128 };

struct options {
    const char *disk; /* a block device with an ext2, or a folder where level 0 is mounted */
    const char *root; /* the mount points l0, l1, … are made in here */
    const char *only, *without;
    uint64_t seconds, ops, seed;
    uint64_t levels, threads;
    uint64_t pool_min, pool_max; /* how far the pool is resized; pool_max 0: twice what it has */
    uint64_t fill_kib;           /* most that is written to fill a level */
    uint64_t watchdog_seconds;
    bool keep; /* leave the files */
};

/** options_read() - or end the program with 2, with a line that names what is wrong. */
void options_read(struct options *o, int argc, char **argv);

#endif
