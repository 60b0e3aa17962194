// SPDX-License-Identifier: MIT
/*
 * One cached block: reading it, changing it, writing it, forgetting it. A block's own lock is held
 * across its I/O; no lock of the whole cache is, since reading a block here may read blocks of the
 * levels below.
 */
#include <block/buf_cache.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>

static bool is_uptodate(const struct buf *buf)
{
    return __atomic_load_n(&buf->uptodate, __ATOMIC_ACQUIRE);
}

static int transfer(struct buf *buf, enum bio_op op)
{
    uint32_t block_bytes = buf->bdev->bufs->block_bytes;
    struct bio *bio = bio_alloc(buf->bdev, op, buf->block * (block_bytes / SECTOR_BYTES));

    if (!bio)
        return -ENOMEM;
    bio_add(bio, buf->data, block_bytes);
    return bio_submit_wait(bio);
}

static bool outside(const struct bdev *bdev, uint64_t block)
{
    return block >= bdev->sector_count / (bdev->bufs->block_bytes / SECTOR_BYTES);
}

int buf_read(struct bdev *bdev, uint64_t block, struct buf **out)
{
    struct buf *buf;
    int err;

    *out = NULL;
    if (outside(bdev, block))
        return -EINVAL;
    err = buf_get(bdev->bufs, block, &buf);
    if (err)
        return err;
    if (!is_uptodate(buf)) {
        mutex_lock(&buf->lock);
        if (!is_uptodate(buf)) {
            err = transfer(buf, BIO_READ);
            __atomic_store_n(&buf->uptodate, !err, __ATOMIC_RELEASE);
        }
        mutex_unlock(&buf->lock);
    }
    if (err)
        buf_put(buf);
    else
        *out = buf;
    return err;
}

int buf_get_zeroed(struct bdev *bdev, uint64_t block, struct buf **out)
{
    struct buf *buf;
    int err;

    *out = NULL;
    if (outside(bdev, block))
        return -EINVAL;
    err = buf_get(bdev->bufs, block, &buf);
    if (err)
        return err;
    mutex_lock(&buf->lock);
    memset(buf->data, 0, bdev->bufs->block_bytes);
    __atomic_store_n(&buf->uptodate, true, __ATOMIC_RELEASE);
    mutex_unlock(&buf->lock);
    *out = buf;
    return 0;
}

void buf_mark_dirty(struct buf *buf)
{
    struct buf_cache *cache = buf->bdev->bufs;
    bool irq = spin_lock(&cache->lock);

    ASSERT(buf->refs && buf->uptodate, "what is marked dirty is referenced and complete");
    if (!buf->dirty) {
        buf->dirty = true;
        buf->stamp = ++cache->stamp;
        cache->dirty_count++;
        if (!buf->writing)
            list_push_back(&cache->dirty, &buf->dirty_link);
    }
    spin_unlock(&cache->lock, irq);
}

void buf_begin_write_locked(struct buf_cache *cache, struct buf *buf)
{
    ASSERT(buf->dirty && !buf->writing, "a dirty block is written by one thread");
    list_remove(&buf->dirty_link);
    buf->dirty = false;
    buf->writing = true;
    cache->dirty_count--;
    list_push_back(&cache->writing, &buf->dirty_link);
}

void buf_end_write(struct buf_cache *cache, struct buf *buf, int error)
{
    bool irq = spin_lock(&cache->lock);

    list_remove(&buf->dirty_link);
    buf->writing = false;
    if (error) {
        cache->failures++;
        if (!buf->dirty) {
            buf->dirty = true;
            cache->dirty_count++;
        }
    }
    if (buf->dirty) {
        buf->stamp = ++cache->stamp;
        list_push_back(&cache->dirty, &buf->dirty_link);
    }
    spin_unlock(&cache->lock, irq);
    waitq_wake(&cache->writers, WAITQ_ALL);
}

int buf_write(struct buf *buf)
{
    struct buf_cache *cache = buf->bdev->bufs;
    int err = 0;

    mutex_lock(&buf->lock);
    bool irq = spin_lock(&cache->lock);
    bool dirty = buf->dirty;
    if (dirty)
        buf_begin_write_locked(cache, buf);
    spin_unlock(&cache->lock, irq);
    if (dirty) {
        err = transfer(buf, BIO_WRITE);
        buf_end_write(cache, buf, err);
    }
    mutex_unlock(&buf->lock);
    return err;
}

void buf_forget(struct bdev *bdev, uint64_t block)
{
    struct buf_cache *cache = bdev->bufs;
    struct buf *buf = buf_get_cached(cache, block);

    if (!buf)
        return;
    mutex_lock(&buf->lock);           /* a writer holds it until its write has ended */
    bool irq = spin_lock(&cache->lock);
    if (buf->dirty) {
        list_remove(&buf->dirty_link);
        buf->dirty = false;
        cache->dirty_count--;
    }
    buf->uptodate = false;
    spin_unlock(&cache->lock, irq);
    mutex_unlock(&buf->lock);
    buf_put(buf);
}

uint64_t buf_dirty_count(const struct bdev *bdev)
{
    return __atomic_load_n(&bdev->bufs->dirty_count, __ATOMIC_RELAXED);
}
