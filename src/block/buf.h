// SPDX-License-Identifier: MIT
/*
 * Cached blocks of a device, for filesystem metadata (file contents are in block/mapping.h). A buf
 * is one filesystem block; it is found by number, read once, changed in memory, marked dirty,
 * written back.
 *
 *     err = buf_read(bdev, block, &buf);   referenced and up to date
 *     mutex_lock(&buf->lock); change buf->data; buf_mark_dirty(buf); mutex_unlock(&buf->lock);
 *     buf_put(buf);
 *
 * A buf that is referenced or dirty stays in memory; clean ones go when frames are short. A failed
 * read leaves the buf not up to date, so the next reader tries again. A failed write leaves it
 * dirty.
 */
#pragma once

#include <block/bdev.h>

struct buf {
    struct bdev *bdev;
    uint64_t block;                   /* in units of the cache's block size */
    void *data;
    uint32_t refs;                    /* cache lock */
    bool uptodate;                    /* set under lock, read anywhere */
    bool dirty, writing;              /* cache lock */
    uint64_t stamp;                   /* cache lock; when it became dirty, in the cache's count */
    struct mutex lock;                /* contents; held while reading, changing and writing */
    struct list hash_link, lru_link, dirty_link;
};

/*
 * Sets the block size of an open device's cache (1024, 2048 or 4096; 512 is allowed): drops what is
 * cached.
 */
int buf_cache_set_block_bytes(struct bdev *bdev, uint32_t block_bytes);

/* Referenced and up to date. -EIO, -ENOMEM, -EINVAL outside the device. */
int buf_read(struct bdev *bdev, uint64_t block, struct buf **out);
/* A new block: not read, all zero. */
int buf_get_zeroed(struct bdev *bdev, uint64_t block, struct buf **out);
void buf_ref(struct buf *buf);
void buf_put(struct buf *buf);
void buf_mark_dirty(struct buf *buf);                /* cannot fail */
/* Writes it now if it is dirty, and waits; -EIO leaves it dirty. buf->lock not held. */
int buf_write(struct buf *buf);
/* The block was freed: it will not be written any more; waits for a write that is under way, so the
 * caller holds no buf->lock. */
void buf_forget(struct bdev *bdev, uint64_t block);
/*
 * Writes all that is dirty now, many in flight, and waits, also for others' writes; does not flush
 * the device's own cache. No buf->lock held. The first error; what failed stays dirty.
 */
int buf_sync(struct bdev *bdev);
uint64_t buf_dirty_count(const struct bdev *bdev);
