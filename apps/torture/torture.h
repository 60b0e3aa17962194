// SPDX-License-Identifier: MIT
/*
 * What all of torture shares: the tower of levels, what is known of the files in it, the workers,
 * and how an operation ends.
 *
 * Rules of the model. Every file and folder under /torture of a level has a slot that says what it
 * must look like; who holds the slot's lock may use the file. A call that fails has changed nothing
 * (a write: nothing beyond the count it gave), so the model is changed after a call succeeded and
 * never otherwise. Only content that was written in part of a unit is "unknown" until it is
 * overwritten.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/actor.h"
#include "options.h"

enum { ACTOR_MAIN, ACTOR_CHECKER, ACTOR_WORKERS };

enum {
    UNIT_BYTES = 512,
    FILE_UNITS = 256,     /* most units of a file */
    FILES = 24,           /* slots for files of a level */
    FOLDERS = 6,          /* slots for folders of a level */
    BUFFER_BYTES = 32768, /* of each worker */
    GENERATION_UNKNOWN = 0xffff,
};

/* A file's slot. All but @lock belongs to its holder. */
struct file_slot {
    _Atomic int lock; /* -1: one writer; n: so many readers */
    bool exists;
    bool size_unknown;               /* a write ended within a unit */
    uint8_t place;                   /* which of its names it has */
    uint16_t newest;                 /* the last generation that was written */
    uint32_t id;                     /* what its units say they belong to */
    uint32_t base;                   /* its first unit's offset in bytes: a hole lies before it */
    uint32_t units;                  /* its size, from base */
    uint16_t generation[FILE_UNITS]; /* 0: zeros */
};

/* A folder's slot: which of its files there are. */
struct folder_slot {
    _Atomic int lock;
    bool exists;
    uint8_t place;
    uint16_t present; /* a bit a file */
};

struct level {
    unsigned index;
    char folder[216]; /* the mount point */
    int loop_index;   /* -1: no loop device */
    bool mounted;
    bool usable;            /* mounted, and /torture made in it */
    _Atomic uint32_t epoch; /* odd: being unmounted, unmounted or being mounted */
    _Atomic int users;      /* operations under way; new ones stay away while the epoch is odd */
    _Atomic bool shut;      /* no new operations: somebody waits for users to become 0 */
    _Atomic int filling;
    _Atomic uint32_t next_id;
    uint64_t free_blocks, free_inodes; /* before anything was made in it */
    struct file_slot files[FILES];
    struct folder_slot folders[FOLDERS];
};

/* How an operation ended. */
enum outcome {
    DONE,
    SKIPPED, /* there was nothing to do: not counted */
    LEGAL,   /* an error that is allowed: no room, no memory, busy */
    REFUSED, /* for want of an extra stack */
    FAILED,  /* an error that is not allowed, or wrong data; a note says which */
};

/* A worker's slot: many threads live in it, one after another. */
struct worker {
    unsigned index;
    struct actor *actor;
    uint64_t random;
    uint64_t refusals;  /* when the operation began */
    uint32_t epoch;     /* of the level in use, when the operation began */
    unsigned left;      /* operations until this thread ends */
    unsigned char *buf; /* BUFFER_BYTES */
    _Atomic int state;  /* spawn.c */
    unsigned long thread;
    bool joinable;
};

struct torture {
    struct options options;
    struct level *levels; /* options.levels + 1 */
    unsigned count;       /* levels that came up */
    struct worker *workers;
    _Atomic bool stop;
    _Atomic uint64_t operations;
    _Atomic uint64_t threads_started;
    _Atomic uint64_t mounts, unmounts;
    _Atomic uint32_t mounting; /* odd while something is mounted or unmounted */
    _Atomic uint64_t checks;   /* of the invariants */
    uint64_t setup_refused;    /* outside the operations */
};

extern struct torture torture;

/* An operation's kind; ops.c has the table. */
struct op_kind {
    const char *name;
    unsigned weight;
    enum outcome (*run)(struct worker *w);
};

/** now_ms() - the monotonic clock in milliseconds. */
uint64_t now_ms(void);

/** sleep_us() - sleep so many microseconds. */
void sleep_us(unsigned us);

/** pick() - a random number below @count. */
uint32_t pick(struct worker *w, uint32_t count);

/** lock_alone(), lock_shared() - try to lock a slot; unlock() undoes either. */
bool lock_alone(_Atomic int *lock);
bool lock_shared(_Atomic int *lock);
void unlock(_Atomic int *lock);

/* Errors that a call may give, for judge(). ENOMEM always may. */
enum { MAY_BE_FULL = 1, MAY_BE_BUSY = 2, MAY_BE_SHORT = 4 };

/**
 * judge() - what a failed call means.
 * @level:  NULL: none. ENOENT is legal when the level was unmounted meanwhile.
 * @detail: of the note: a slot, a size; -1: none.
 * @error:  positive errno.
 * @may_be: errors that are legal here; MAY_BE_SHORT is EAGAIN.
 */
enum outcome judge(struct worker *w, const char *call, const struct level *level, long detail,
                   int error, unsigned may_be);

/**
 * level_enter() - choose a level to work in; NULL if the one chosen is not to be used now.
 * level_leave() - undo.
 */
struct level *level_enter(struct worker *w);
void level_leave(struct level *level);

/* tower.c, apart from tower.h */

/** op_mount() - unmount or mount the deepest level, under load. */
enum outcome op_mount(struct worker *w);

/* folders.c, files.c, fill.c, check_files.c */
enum outcome op_folder(struct worker *w);
enum outcome op_create(struct worker *w);
enum outcome op_write(struct worker *w);
enum outcome op_read(struct worker *w);
enum outcome op_map(struct worker *w);
enum outcome op_fsync(struct worker *w);
enum outcome op_rename(struct worker *w);
enum outcome op_truncate(struct worker *w);
enum outcome op_unlink(struct worker *w);
enum outcome op_fill(struct worker *w);
enum outcome op_orphan(struct worker *w);
enum outcome op_sync(struct worker *w);

/**
 * verify_all() - look at every file and folder of the levels that are up.
 * @checked:   files that were right.
 * @unchecked: files that could not be read for want of a stack.
 */
void verify_all(struct worker *w, uint64_t *checked, uint64_t *unchecked);

/** wipe_level() - remove /torture with all that is in it. Errors: positive errno; *call failed. */
int wipe_level(struct level *level, const char **call);

/* memory.c, futexes.c, threads.c, pool.c */
enum outcome op_memory(struct worker *w);
enum outcome op_futex(struct worker *w);
enum outcome op_lock(struct worker *w);
enum outcome op_sleep(struct worker *w);
enum outcome op_threads(struct worker *w);
enum outcome op_affinity(struct worker *w);
enum outcome op_resize(struct worker *w);

/* ops.c */

/** ops_choose() - keep the kinds of --only, drop those of --without. NULL, or a bad name. */
const char *ops_choose(const char *only, const char *without);

/** run_operation() - one operation by @w. */
void run_operation(struct worker *w);

/** ops_print() - the table. ops_total() - one of its columns summed up. */
void ops_print(void);
uint64_t ops_total(enum outcome outcome);

#endif
