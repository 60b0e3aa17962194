// SPDX-License-Identifier: MIT
/*
 * The tower: the levels, what is known of their blocks, and how it is put up, checked and taken
 * down.
 *
 * Level 0 is the file system on the disk, level k+1 the one in /next.img of level k. Each has its
 * data in /nestio. The main thread puts the tower up and down (ladder.c, data.c) and checks it
 * (verify.c); in between the workers use it (worker.c), and only then are the atomic fields shared.
 */
#ifndef NESTIO_TOWER_H
#define NESTIO_TOWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "ack.h"
#include "options.h"

/* block_state.lock: how many threads read the block, and these: */
#define BLOCK_OWNED 0x40000000u /* somebody's write, fsync or ack is under way: no other writer */
#define BLOCK_SHUT 0x80000000u  /* the content changes right now: no reader either */

struct block_state {
    _Atomic uint32_t lock;
    _Atomic uint32_t acked; /* the last generation fsynced; raised by the owner */
    _Atomic uint32_t
        issued; /* the last one that was given to write; raised by the owner before it writes */
    uint32_t noted_acked; /* what the ack file holds at least; the owner's, as all below */
    uint32_t noted_issued;
    bool torn; /* sectors of several generations may be there: a power cut, not yet overwritten */
};

struct level {
    unsigned index;
    char folder[224];
    int loop_index; /* -1: no loop device */
    int fd;         /* the data file; -1: not open */
    bool mounted;
    bool up;      /* mounted, and its data file open */
    bool refused; /* could not be put up for want of a stack */
    uint32_t blocks;
    struct block_state *state; /* one a block; made when the level first comes up */

    _Atomic uint64_t reads, writes; /* operations tried, refused ones included */
    _Atomic uint64_t
        reached_disk; /* operations in which the own thread gave a request to the disk */
    _Atomic uint64_t refused_count;
    _Atomic uint64_t wrong;
    uint64_t checked;   /* blocks found right in the verifications */
    uint64_t unchecked; /* blocks whose verification was refused */
};

struct tower {
    const struct options *options;
    struct level *levels; /* options->levels + 1 */
    unsigned count;       /* levels that were up at the first time */
    bool borrowed;        /* level 0 is mounted by somebody else and stays so */
    struct ack ack;
    void *buf; /* a block, for the main thread */
};

/**
 * tower_init() - an empty tower.
 *
 * Errors:  -ENOMEM.
 */
int tower_init(struct tower *tower, const struct options *options);

/**
 * tower_up() - mount level after level and open the data files.
 * @again: the levels must be those of the first time.
 *
 * A level that cannot come up for want of a stack counts as one refused operation and ends the
 * tower there.
 * Errors:  -1 after it has said what is wrong; what is up stays up.
 */
int tower_up(struct tower *tower, bool again);

/**
 * tower_down() - close, unmount and detach, innermost first.
 *
 * Errors:  -1 after it has said what is wrong, or counted a refusal; the outer levels are then
 * still mounted.
 */
int tower_down(struct tower *tower);

/**
 * level_open_data() - open, or make, the data file of a mounted level.
 * @again: it must be there with the size of the first time.
 * @call:  on an error: what failed; NULL if it was said already.
 *
 * Errors:  a negative errno.
 */
int level_open_data(struct tower *tower, struct level *level, bool again, const char **call);

/**
 * tower_recover() - learn from the ack file and the blocks what is there, and check it.
 *
 * Errors:  -1 after it has said what is wrong, wrong data included.
 */
int tower_recover(struct tower *tower);

/**
 * tower_verify() - check every block of the levels that are up against what is known.
 * @pass:      its name in messages.
 * @check_ack: the ack file too.
 */
void tower_verify(struct tower *tower, const char *pass, bool check_ack);

/** run_workers() - the threads that read and write; returns when all ended. Errors: -1, said. */
int run_workers(struct tower *tower, uint64_t *elapsed_ms);

/** now_ms() - the monotonic clock in milliseconds. */
uint64_t now_ms(void);

#endif
