// SPDX-License-Identifier: MIT
/*
 * Writing back the dirty blocks of a device, many in flight.
 *
 * One round locks up to ROUND_MAX dirty bufs, in order of their blocks (so neighbours become one
 * request), writes them, waits, and unlocks. Locks are only tried while others are held, so it
 * cannot deadlock with somebody who holds one of them and wants another; a buf that is busy is
 * waited for with empty hands.
 *
 * A sync answers for what was dirty when it began (stamps) and for what others were writing then:
 * if such a write failed, it tries that block itself.
 */
#include <block/buf_cache.h>

#include <lib/errno.h>
#include <rt/assert.h>

#define ROUND_MAX 32u
#define TRIES_MAX 4u

struct round {
    struct buf_cache *cache;
    uint64_t limit;                   /* stamps up to here */
    struct list bufs;                 /* by lru_link, ascending; locked, referenced, writing */
    uint32_t count;
    struct buf *busy;                 /* referenced; dirty, but somebody holds its lock */
};

static void insert_by_block(struct list *head, struct buf *buf)
{
    struct list *at = head->prev;

    while (at != head && list_entry(at, struct buf, lru_link)->block > buf->block)
        at = at->prev;
    list_insert_after(at, &buf->lru_link);
}

static void collect(struct round *round)
{
    struct buf_cache *cache = round->cache;
    struct buf *buf, *next;
    bool irq = spin_lock(&cache->lock);

    list_for_each_safe(buf, next, &cache->dirty, dirty_link) {
        if (round->count == ROUND_MAX)
            break;
        if (buf->stamp > round->limit)
            continue;
        if (!mutex_trylock(&buf->lock)) {
            if (!round->busy) {
                round->busy = buf;
                buf->refs++;
            }
            continue;
        }
        buf->refs++;
        buf_begin_write_locked(cache, buf);
        insert_by_block(&round->bufs, buf);
        round->count++;
    }
    spin_unlock(&cache->lock, irq);
}

/* One buf that was busy: waits for its lock, holding nothing else. */
static noinline void collect_busy(struct round *round)
{
    struct buf_cache *cache = round->cache;
    struct buf *buf = round->busy;

    round->busy = NULL;
    mutex_lock(&buf->lock);
    bool irq = spin_lock(&cache->lock);
    bool dirty = buf->dirty;
    if (dirty) {
        buf_begin_write_locked(cache, buf);
        list_push_back(&round->bufs, &buf->lru_link);
        round->count++;
    }
    spin_unlock(&cache->lock, irq);
    if (!dirty) {
        mutex_unlock(&buf->lock);
        buf_put(buf);
    }
}

/* Starts all writes of the round, by ascending blocks. -ENOMEM: the rest was not started. */
static int start_writes(struct round *round, struct io_batch *batch)
{
    uint32_t block_bytes = round->cache->block_bytes;
    struct buf *buf;

    list_for_each(buf, &round->bufs, lru_link) {
        struct bio *bio =
            bio_alloc(buf->bdev, BIO_WRITE, buf->block * (block_bytes / SECTOR_BYTES));
        if (!bio)
            return -ENOMEM;
        bio_add(bio, buf->data, block_bytes);
        io_batch_submit(batch, bio);
    }
    return 0;
}

static noinline int write_round(struct round *round)
{
    struct io_batch batch;
    struct list *link;

    io_batch_init(&batch);
    int err = start_writes(round, &batch);
    int io_err = io_batch_wait(&batch);
    if (io_err)
        err = io_err;
    while ((link = list_pop_front(&round->bufs))) {
        struct buf *buf = list_entry(link, struct buf, lru_link);
        buf_end_write(round->cache, buf, err);
        mutex_unlock(&buf->lock);
        buf_put(buf);
    }
    round->count = 0;
    return err;
}

static bool others_write(struct buf_cache *cache, uint64_t limit)
{
    struct buf *buf;
    bool found = false;
    bool irq = spin_lock(&cache->lock);

    list_for_each(buf, &cache->writing, dirty_link)
        found |= buf->stamp <= limit;
    spin_unlock(&cache->lock, irq);
    return found;
}

static noinline void wait_for_others(struct buf_cache *cache, uint64_t limit)
{
    struct waiter waiter;

    while (others_write(cache, limit)) {
        waitq_enter(&cache->writers, &waiter);
        if (others_write(cache, limit))
            waitq_wait(&cache->writers, &waiter, WAIT_FOREVER);
        waitq_leave(&cache->writers, &waiter);
    }
}

/* Writes what is dirty and not newer than round->limit; the first error. */
static int write_all(struct round *round)
{
    int err = 0;

    for (;;) {
        collect(round);
        if (round->count == 0 && !round->busy)
            return err;
        if (round->count == 0)
            collect_busy(round);
        int round_err = round->count ? write_round(round) : 0;
        if (round_err && !err)
            err = round_err;
        if (round->busy) {
            buf_put(round->busy);
            round->busy = NULL;
        }
    }
}

int buf_sync(struct bdev *bdev)
{
    struct buf_cache *cache = bdev->bufs;
    struct round round = {.cache = cache};

    list_init(&round.bufs);
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        bool irq = spin_lock(&cache->lock);
        round.limit = cache->stamp;
        uint64_t failures = cache->failures;
        spin_unlock(&cache->lock, irq);
        int err = write_all(&round);
        if (err)
            return err;
        wait_for_others(cache, round.limit);
        if (__atomic_load_n(&cache->failures, __ATOMIC_ACQUIRE) == failures)
            return 0;
    }
    return -EIO;
}
