// SPDX-License-Identifier: MIT
/*
 * A block device that does as it is told: fails the nth request of a kind, keeps requests until
 * they are released in an order of the test's choosing, or completes them late and out of order.
 * Direct or stacked.
 *
 *     struct faulty *f = faulty_create("bad0", MIB(1), false);
 *     f->fail_write_at = 3;                     the third write from now fails with f->error (-EIO)
 *     f->hold = true; … faulty_release(f, 1);   the second oldest of those held
 *     f->shuffle = true;                        each completes later, from a timer, in random order
 */
#pragma once

#include <block/bdev.h>
#include <rt/timer.h>

struct faulty {
    struct bdev bdev;
    char *data;
    unsigned reads, writes, flushes;          /* done or failed, since the start */
    unsigned fail_read_at, fail_write_at;     /* counts down to 1; 0: none */
    bool fail_reads, fail_writes, fail_flushes;   /* all of them */
    uint64_t bad_sector;                      /* writes that touch it fail; UINT64_MAX: none */
    int error;
    bool hold, shuffle;
    unsigned held_count, most_held;
    struct list held;                         /* bios, oldest first */
    struct timer timer;
    unsigned seed;
};

/* Registered, not open. Number 240:n. */
struct faulty *faulty_create(const char *name, uint64_t bytes, bool stacked);
void faulty_destroy(struct faulty *f);
/* Lets the @index-th oldest of those held go on. */
void faulty_release(struct faulty *f, unsigned index);
void faulty_release_all(struct faulty *f);
