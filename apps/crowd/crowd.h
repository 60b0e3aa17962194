// SPDX-License-Identifier: MIT
/*
 * What the parts of crowd share. In reading order: main.c, readers.c, memory.c, options.c, make.c.
 */
#ifndef CROWD_CROWD_H
#define CROWD_CROWD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nestio/block.h"

enum {
    CROWD_SEED = 1,
    THREADS_MAX = 100000,
    /* Every so many blocks one is left out: the main thread reads it first, see warm_up(). */
    WARM_EVERY = 64,
};

struct options {
    const char *file;
    const char *make; /* make a file of this name instead */
    const char *probe; /* the disk that will be stopped; NULL: do not wait for that */
    unsigned threads;
    size_t stack_bytes;
    unsigned wait_seconds;
    bool same; /* all read the same block */
};

/** options_read() - read the command line, or end the program with status 2. */
void options_read(struct options *o, int argc, char **argv);

/** make_file() - write the blocks that @o->threads threads need. Returns the exit status. */
int make_file(const struct options *o);

/** places_for() - blocks for @threads threads, some to spare. */
uint32_t places_for(unsigned threads);
/** blocks_needed() - blocks of their file, with those that warm_up() reads. */
uint32_t blocks_needed(unsigned threads);

/* What became of the reads. */
struct reads {
    _Atomic unsigned ready;   /* threads that stand at the barrier, or are past it */
    _Atomic unsigned entered; /* that have called pread() */
    _Atomic unsigned left;    /* in which it has returned */
    _Atomic unsigned good, wrong, failed;
    _Atomic bool released;    /* the disk goes on: the block that comes now is the last one */
    _Atomic unsigned ended;
    _Atomic int error; /* of the first that failed */
};
extern struct reads reads;

/** readers_start() - make the threads, which wait at a barrier. Errors: a negative errno. */
int readers_start(const struct options *o, int fd);
/** readers_go() - open the barrier. */
void readers_go(void);
/** readers_join() - wait for their ends. */
void readers_join(void);
/** read_block() - read block @number into @buf and check it. 0, a negative errno, -EILSEQ for wrong content. */
int read_block(int fd, void *buf, uint32_t number);

/** memory_note() - remember what /sys says of memory now, as moment @moment, 0 or 1. */
void memory_note(int moment);
/** memory_print() - print the difference of the two moments, for each of @threads threads. */
void memory_print(unsigned threads);
/** sys_value() - the number in a file of /sys; -1: there is none. */
int64_t sys_value(const char *path);

/** sys_threads_listed() - the lines of /sys/stack/threads that name this program's threads, growing or not. */
unsigned sys_threads_listed(void);

/** now_ms() - the monotonic clock. */
uint64_t now_ms(void);

#endif
