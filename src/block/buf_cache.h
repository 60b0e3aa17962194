// SPDX-License-Identifier: MIT
/*
 * Inside the cache of blocks: what buf.c (one block), buf_cache.c (finding, making, evicting) and
 * buf_sync.c (writing back) share. Everybody else uses block/buf.h.
 *
 * Where a buf is: in a hash chain from its making to its eviction; in `lru` while it is clean and
 * unreferenced; in `dirty` while it is dirty and not being written; in `writing` while it is
 * written, and then its lru_link belongs to its writer. `free` holds bufs without a block, kept in
 * reserve.
 */
#pragma once

#include <block/buf.h>

#define BUF_HASH_COUNT 128u

struct buf_cache {
    struct bdev *bdev;
    struct list all_link;             /* the list of caches, for the shrinker */
    struct spinlock lock;             /* everything below */
    uint32_t block_bytes;
    uint32_t count;                   /* bufs there are, free ones too; never below BUF_FLOOR */
    uint32_t dirty_count;
    uint64_t stamp;                   /* of the buf that became dirty last */
    uint64_t failures;                /* writes that failed or were refused */
    struct waitq writers;             /* waits for the end of a write */
    struct list free, lru, dirty, writing;
    struct list hash[BUF_HASH_COUNT];
};

/* Made at a device's first open, unmade at its last close (then nothing is referenced). -ENOMEM. */
int buf_cache_create(struct bdev *bdev, uint32_t block_bytes);
void buf_cache_destroy(struct bdev *bdev);

/* The buf of @block, referenced, made if need be. -ENOMEM. */
int buf_get(struct buf_cache *cache, uint64_t block, struct buf **out);
/* The same if it is cached; NULL. */
struct buf *buf_get_cached(struct buf_cache *cache, uint64_t block);

/* With cache->lock held and buf->lock taken by the caller: now being written, no longer dirty. */
void buf_begin_write_locked(struct buf_cache *cache, struct buf *buf);
/* The write has ended with @error; the caller still holds buf->lock. */
void buf_end_write(struct buf_cache *cache, struct buf *buf, int error);
