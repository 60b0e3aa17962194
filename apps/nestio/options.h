// SPDX-License-Identifier: MIT
/*
 * The command line of nestio, read once into one struct that nobody changes afterwards.
 */
#ifndef NESTIO_OPTIONS_H
#define NESTIO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LEVELS_MAX = 128,  /* deepest level that may be asked for; level 0 comes on top */
    BLOCKS_MAX = 1024, /* data blocks of one level, at most */
    THREADS_MAX = 256,
};

struct options {
    const char *disk; /* a block device, or a directory where level 0 is mounted already */
    const char *root; /* the mount points l0, l1, … are made in here */
    unsigned levels;  /* the deepest level to use */
    bool levels_given;
    unsigned threads;
    uint64_t ops;     /* over all threads and levels; 0: no limit but the time */
    unsigned seconds; /* 0: no limit */
    unsigned write_percent;
    size_t stack_bytes; /* of each worker thread */
    uint64_t seed;
    unsigned blocks; /* data blocks of a level, at most, when its file is made */
    unsigned watchdog_seconds;
    bool verify; /* read only: check what is there */
};

/**
 * options_read() - read the command line, or end the program.
 * @o:    filled with the defaults and what was given.
 * @argc: as main() got it.
 * @argv: as main() got it.
 *
 * Errors:  does not return them: says which option, which value and what is allowed, and exits with
 * 2.
 *          `--help` prints the options and exits with 0.
 */
void options_read(struct options *o, int argc, char **argv);

#endif
