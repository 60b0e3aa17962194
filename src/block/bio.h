// SPDX-License-Identifier: MIT
/*
 * A bio is one request to a block device: it goes down by bio_submit() and comes back by
 * bio->done->end_io(), possibly in interrupt context, possibly before bio_submit() returns.
 * Completions never nest: end_io() wakes or queues, it does not submit.
 *
 * A direct device takes the bio on the submitter's stack and completes it from its interrupt. A
 * stacked device (loop) does its work in the submitter's thread, below the probe
 * bdev_submit_stacked, and may sleep; refused for want of a stack, the bio ends with -EIO and
 * @refused set, and nothing was done.
 */
#pragma once

#include <lib/list.h>
#include <rt/sync.h>

#define SECTOR_BYTES 512u
#define BIO_VECS_MAX 16

struct bdev;
struct bio;

/* Who gets the bio back: a const object. */
struct bio_done {
    void (*end_io)(struct bio *bio);  /* any context; must not sleep */
};

enum bio_op { BIO_READ, BIO_WRITE, BIO_FLUSH };

struct bio_vec {
    void *data;                       /* direct-map memory, never a stack */
    uint32_t bytes;                   /* a multiple of 512 */
};

struct bio {
    struct bdev *bdev;
    enum bio_op op;
    uint64_t sector;                  /* in units of 512 bytes */
    const struct bio_done *done;
    void *context;                    /* the submitter's */
    int error;                        /* 0 or negative errno, valid in end_io() */
    bool refused;                     /* -EIO for want of a stack, not from a device */
    bool from_reserve;
    uint64_t deadline_ns;             /* the driver's */
    struct list link;                 /* the driver's */
    uint32_t driver_tag;
    uint32_t vec_count;
    struct bio_vec vecs[BIO_VECS_MAX];
};

/*
 * From the heap. When that is out, an open device has a few in reserve, and this waits for one of
 * them; so submit a bio before you ask for the next. NULL: no memory, and the device is not open.
 */
struct bio *bio_alloc(struct bdev *bdev, enum bio_op op, uint64_t sector);
void bio_free(struct bio *bio);
/* false: no room for one more vector. Adjacent memory is merged. */
bool bio_add(struct bio *bio, void *data, uint32_t bytes);
uint64_t bio_bytes(const struct bio *bio);
uint32_t bio_vecs_max(const struct bdev *bdev);

/*
 * Checks range (-EIO), alignment (-EINVAL), write protection (-EROFS) and memory (a stack: panic),
 * then hands it to the device. Errors come back through end_io() like any other. Thread context.
 */
void bio_submit(struct bio *bio);
/* What a driver calls once per bio; any context. */
void bio_complete(struct bio *bio, int error);

/*
 * Several bios that one thread waits for. The batch lies where the submitter likes (also on its
 * stack: the CPU, not the device, writes to it); every bio is freed as it completes. Once only:
 * init, submit…, wait; error and refused stay readable. The last bio is kept back until the next
 * one or the wait, so that neighbours on the device become one request.
 */
struct io_batch {
    struct spinlock lock;
    uint32_t pending;                 /* bios under way, and one until io_batch_wait() */
    int error;                        /* the first one */
    bool refused;
    struct bio *kept;                 /* the waiter's: not submitted yet */
    struct completion idle;
};
void io_batch_init(struct io_batch *batch);
void io_batch_submit(struct io_batch *batch, struct bio *bio);   /* sets done and context */
int io_batch_wait(struct io_batch *batch);

/* Submit one bio, wait for it, free it; returns its error. */
int bio_submit_wait(struct bio *bio);

/*
 * Whether an -EIO that this thread has just met came from a probe that found no stack:
 *     uint64_t mark = io_refusal_mark();
 *     err = …;
 *     refused = err == -EIO && io_refused_since(mark);
 */
uint64_t io_refusal_mark(void);
bool io_refused_since(uint64_t mark);
