// SPDX-License-Identifier: MIT
/*
 * Block devices: a registry by name ("vda", "loop0") and by device number.
 *
 * A driver fills in either submit (direct: takes the bio, completes it later) or submit_stacked
 * (does the work now, may sleep). Only the probe calls submit_stacked, so nothing stacked runs
 * unprobed.
 */
#pragma once

#include <block/bio.h>

struct buf_cache;

struct bdev_ops {
    void (*submit)(struct bdev *bdev, struct bio *bio);
    /* Does the bio and calls bio_complete() exactly once. */
    void (*submit_stacked)(struct bdev *bdev, struct bio *bio);
    /* Device-specific ioctl; -ENOTTY. @argument is an app address. NULL: none. */
    int (*bdev_ioctl)(struct bdev *bdev, unsigned command, uint64_t argument);
    /* The last opener has gone; may sleep. NULL: nothing to do. */
    void (*bdev_last_close)(struct bdev *bdev);
};

/* Requests kept back for an open device, so that I/O goes on when memory is out. */
struct bio_reserve {
    struct spinlock lock;
    struct list free;                 /* lock */
    uint32_t count;                   /* lock; those there are, free or under way */
    struct waitq waiters;
};

#define BDEV_NAME_BYTES 16

struct bdev {
    const struct bdev_ops *ops;
    char name[BDEV_NAME_BYTES];
    uint64_t dev;                     /* device number, as stat shows it */
    uint64_t sector_count;            /* 0: nothing attached */
    uint32_t block_bytes;             /* logical block: 512 to 4096 */
    bool read_only;
    bool has_cache;                   /* a volatile write cache: flush means something */
    uint32_t level;                   /* 0: a direct device; else its backing's level + 1 */
    uint32_t vecs_max;                /* the device's limit for one bio; 0: BIO_VECS_MAX */
    struct bdev *whole;               /* of a partition: its disk; ops and driver are the disk's */
    uint64_t start_sector;            /* of a partition: where it begins on the disk */
    uint32_t openers;                 /* registry lock */
    bool claimed;                     /* registry lock; mounted, or otherwise used exclusively */
    struct buf_cache *bufs;           /* while open */
    struct bio_reserve reserve;       /* filled while open */
    void *driver;                     /* the driver's */
    struct list link;
    /* statistics, updated with atomics */
    uint64_t reads, writes, flushes, errors, read_sectors, write_sectors;
};

#define DEV_NUMBER(major, minor) (((uint64_t)(major) << 8) | (minor))  /* minor below 256 */

/* Registration keeps @bdev itself; -EEXIST for a taken name or number. */
int bdev_register(struct bdev *bdev);
int bdev_unregister(struct bdev *bdev);              /* -EBUSY while open */
/*
 * -ENXIO no such device; -ENOMEM. A device that attaches its contents later (a loop) opens with
 * none.
 */
int bdev_open(uint64_t dev, struct bdev **out);
int bdev_open_name(const char *name, struct bdev **out);
struct bdev *bdev_find(uint64_t dev);                /* without opening it; NULL */
void bdev_close(struct bdev *bdev);                  /* the last close drops cached clean blocks */
/* -EBUSY: claimed, or a partition of it is, or the disk that it is a partition of. */
int bdev_claim(struct bdev *bdev);
void bdev_release(struct bdev *bdev);
struct bdev *bdev_by_index(uint32_t index);          /* for devfs; NULL past the last */

/*
 * Whole-device raw access in multiples of 512 bytes through a bounce page, for /dev/NAME. May
 * sleep.
 */
ssize_t bdev_read(struct bdev *bdev, void *dst, size_t bytes, uint64_t offset);
ssize_t bdev_write(struct bdev *bdev, const void *src, size_t bytes, uint64_t offset);
int bdev_flush(struct bdev *bdev);
/*
 * Linux's block ioctls (BLKGETSIZE64 and its kin), then the driver's own; -ENOTTY. For /dev/NAME.
 */
int bdev_control(struct bdev *bdev, unsigned command, uint64_t argument);

/* The probe: called by bio_submit() for stacked devices only. 0, or -EIO and nothing was done. */
int bdev_submit_stacked(struct bdev *bdev, struct bio *bio);
