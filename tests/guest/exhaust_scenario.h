// SPDX-License-Identifier: MIT
/*
 * The fixed scenario of the tests of exhaustion, on a tower of ext2 in a file in ext2: mount all levels, read,
 * create, write, fsync, mkdir, rename, truncate, unlink at some of them, unmount all. It runs in the guest
 * (exhaust.c) and on the host port (tests/host/test_exhaust.c).
 *
 * While it runs, one take, allocation or request is refused (rt/fail.h), or all from one on until the caller has met
 * an error. The step that meets this must end with exactly the error expected, leave nothing behind, and succeed when
 * it is tried again at once. Then the scenario either goes on or gives up. Either way all levels are unmounted at the
 * end. What was done stays known, and the next run begins by comparing it with the disk.
 */
#pragma once

#include <lib/types.h>

#define SCENARIO_LEVELS 7             /* filesystems: level 0 is the disk's */

struct bdev;

struct scenario {
    /* For the run: */
    struct bdev *disk;
    int expected;                     /* -EIO or -ENOMEM may be met once; 0: no failure at all */
    bool lasting;                     /* write-back met failures too: each level may report one later */
    bool give_up;                     /* behind a failure, else go on */
    bool only_verify;                 /* mount, compare, unmount */
    /* How it went: */
    unsigned failures;                /* errors that the caller met */
    const char *failed_step;          /* the first of them; NULL: none */
    int failed_level, failed_error;
    char wrong[120];                  /* the first thing that must not be; empty: all is well */
    /* What is on the disk, from run to run; all 0 for a tower from scenario_populate(): */
    uint32_t progress[SCENARIO_LEVELS];   /* steps done */
    /* Its own: */
    struct bdev *loops[SCENARIO_LEVELS];
    bool mounted[SCENARIO_LEVELS];
    char *name, *name2;               /* room for paths */
    uint8_t *data;
};

/* Memory, and the directories to mount on, once. 0 or -errno. */
int scenario_init(struct scenario *s);
/* On a fresh tower: makes at each level a file that is only read later. */
int scenario_populate(struct scenario *s);
/* One run; s->wrong says whether it was right. */
void scenario_run(struct scenario *s);

/* What must be back after a run: compared before and after by the caller. */
struct scenario_balance {
    uint64_t heap_bytes, free_pages;
    uint64_t stacks_missing;          /* total - free */
    uint64_t in_use, reserved, threads, page_floor;
};
void scenario_balance(struct scenario_balance *out);
/* Waits until threads that end have gone; writes to @text what differs, or nothing: true. */
bool scenario_balanced(const struct scenario_balance *before, char *text, size_t size);
