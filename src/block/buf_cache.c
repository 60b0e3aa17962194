// SPDX-License-Identifier: MIT
/*
 * The cache of one device's blocks: finding, making and evicting bufs.
 *
 * Memory: a cache owns BUF_FLOOR bufs from its making to its end. When the heap is out, a new buf
 * comes from those in reserve, or replaces the clean buf that was unused longest; so metadata can
 * be read on every level as long as that many blocks are not referenced or dirty at once.
 */
#include <block/buf_cache.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/page.h>

#define BUF_FLOOR 16u

static struct spinlock caches_lock = SPINLOCK_NAMED("all buffer caches");
static struct list caches = LIST_INIT(caches);         /* caches_lock */

static struct list *chain(struct buf_cache *cache, uint64_t block)
{
    return &cache->hash[(block ^ (block >> 7)) % BUF_HASH_COUNT];
}

static struct buf *find_locked(struct buf_cache *cache, uint64_t block)
{
    struct list *head = chain(cache, block);
    struct buf *buf;

    list_for_each(buf, head, hash_link) {
        if (buf->block == block)
            return buf;
    }
    return NULL;
}

static void ref_locked(struct buf *buf)
{
    if (buf->refs++ == 0 && !buf->dirty)
        list_remove(&buf->lru_link);
}

static struct buf *make(struct buf_cache *cache)
{
    struct buf *buf = heap_zalloc(sizeof(*buf));

    if (!buf)
        return NULL;
    buf->data = heap_alloc(cache->block_bytes);
    if (!buf->data) {
        heap_free(buf);
        return NULL;
    }
    buf->bdev = cache->bdev;
    mutex_init(&buf->lock);           /* its class comes with its block */
    list_init(&buf->hash_link);
    list_init(&buf->lru_link);
    list_init(&buf->dirty_link);
    return buf;
}

static void unmake(struct buf *buf)
{
    heap_free(buf->data);
    heap_free(buf);
}

/* Out of its block; into reserve or, if there are enough, to be freed by the caller. */
static bool retire_locked(struct buf_cache *cache, struct buf *buf)
{
    list_remove(&buf->hash_link);
    list_remove(&buf->lru_link);
    buf->uptodate = false;
    if (cache->count <= BUF_FLOOR) {
        list_push_back(&cache->free, &buf->lru_link);
        return false;
    }
    cache->count--;
    return true;
}

/* When the heap is out: from the reserve, else the clean buf that was unused longest. */
static noinline struct buf *take_kept(struct buf_cache *cache)
{
    bool irq = spin_lock(&cache->lock);
    struct list *link = list_pop_front(&cache->free);
    struct buf *buf = NULL;

    if (!link)
        link = list_pop_front(&cache->lru);
    if (link) {
        buf = list_entry(link, struct buf, lru_link);
        list_remove(&buf->hash_link);
        buf->uptodate = false;
    }
    spin_unlock(&cache->lock, irq);
    return buf;
}

static struct buf *take_new(struct buf_cache *cache)
{
    struct buf *buf = make(cache);

    if (!buf)
        return take_kept(cache);
    bool irq = spin_lock(&cache->lock);
    cache->count++;
    spin_unlock(&cache->lock, irq);
    return buf;
}

struct buf *buf_get_cached(struct buf_cache *cache, uint64_t block)
{
    bool irq = spin_lock(&cache->lock);
    struct buf *buf = find_locked(cache, block);

    if (buf)
        ref_locked(buf);
    spin_unlock(&cache->lock, irq);
    return buf;
}

int buf_get(struct buf_cache *cache, uint64_t block, struct buf **out)
{
    struct buf *fresh, *buf = buf_get_cached(cache, block);
    bool surplus = false;

    *out = buf;
    if (buf)
        return 0;
    fresh = take_new(cache);
    if (!fresh)
        return -ENOMEM;
    bool irq = spin_lock(&cache->lock);
    buf = find_locked(cache, block);
    if (buf) {
        ref_locked(buf);
        surplus = retire_locked(cache, fresh);
    } else {
        buf = fresh;
        buf->block = block;
        /* A loop may have got its contents, and so its level, after the cache was made. */
        mutex_set_class(&buf->lock, LOCK_CLASS_HERE("buffer"), cache->bdev->level);
        buf->refs = 1;
        list_push_front(chain(cache, block), &buf->hash_link);
    }
    spin_unlock(&cache->lock, irq);
    if (surplus)
        unmake(fresh);
    *out = buf;
    return 0;
}

void buf_ref(struct buf *buf)
{
    struct buf_cache *cache = buf->bdev->bufs;
    bool irq = spin_lock(&cache->lock);

    ASSERT(buf->refs, "who shares a reference has one");
    buf->refs++;
    spin_unlock(&cache->lock, irq);
}

void buf_put(struct buf *buf)
{
    struct buf_cache *cache = buf->bdev->bufs;
    bool surplus = false;
    bool irq = spin_lock(&cache->lock);

    ASSERT(buf->refs, "a reference is put once");
    if (--buf->refs == 0 && !buf->dirty) {
        if (buf->uptodate)
            list_push_back(&cache->lru, &buf->lru_link);
        else
            surplus = retire_locked(cache, buf);
    }
    spin_unlock(&cache->lock, irq);
    if (surplus)
        unmake(buf);
}

/* Evicts up to @wanted clean bufs into @gone; the caller frees them without a lock. */
static uint32_t evict(struct buf_cache *cache, uint32_t wanted, struct list *gone)
{
    uint32_t count = 0;
    bool irq = spin_lock(&cache->lock);

    while (count < wanted && cache->count > BUF_FLOOR && !list_empty(&cache->lru)) {
        struct buf *buf = list_first(&cache->lru, struct buf, lru_link);
        if (retire_locked(cache, buf))
            list_push_back(gone, &buf->lru_link);
        count++;
    }
    spin_unlock(&cache->lock, irq);
    return count;
}

static void unmake_all(struct list *gone)
{
    struct list *link;

    while ((link = list_pop_front(gone)))
        unmake(list_entry(link, struct buf, lru_link));
}

/* Frames freed are seen by counting free frames: several small bufs share one. */
static uint64_t bufs_shrink(struct shrinker *shrinker, uint64_t pages_wanted)
{
    uint64_t before = page_count_free(), after;
    uint64_t wanted = pages_wanted * (PAGE_BYTES / SECTOR_BYTES);
    struct list gone = LIST_INIT(gone);
    struct buf_cache *cache;

    (void)shrinker;
    bool irq = spin_lock(&caches_lock);
    list_for_each(cache, &caches, all_link) {
        if (wanted)
            wanted -= evict(cache, (uint32_t)MIN(wanted, (uint64_t)UINT32_MAX), &gone);
    }
    spin_unlock(&caches_lock, irq);
    unmake_all(&gone);
    after = page_count_free();
    return after > before ? after - before : 0;
}

static const struct shrinker_ops buf_shrinker_ops = {.shrink = bufs_shrink};
static struct shrinker buf_shrinker = {.ops = &buf_shrinker_ops};

static void empty(struct buf_cache *cache)
{
    struct list *link;

    for (uint32_t i = 0; i < BUF_HASH_COUNT; i++) {
        while (!list_empty(&cache->hash[i])) {
            struct buf *buf = list_first(&cache->hash[i], struct buf, hash_link);
            list_remove(&buf->hash_link);
            list_remove(&buf->lru_link);
            list_remove(&buf->dirty_link);
            unmake(buf);
        }
    }
    while ((link = list_pop_front(&cache->free)))
        unmake(list_entry(link, struct buf, lru_link));
    cache->count = 0;
    cache->dirty_count = 0;
}

static int fill_reserve(struct buf_cache *cache)
{
    while (cache->count < BUF_FLOOR) {
        struct buf *buf = make(cache);
        if (!buf) {
            empty(cache);
            return -ENOMEM;
        }
        list_push_back(&cache->free, &buf->lru_link);
        cache->count++;
    }
    return 0;
}

static void publish(struct buf_cache *cache)
{
    static bool registered;           /* caches_lock */
    bool irq = spin_lock(&caches_lock);
    bool first = !registered;

    registered = true;
    list_push_back(&caches, &cache->all_link);
    spin_unlock(&caches_lock, irq);
    if (first)
        page_register_shrinker(&buf_shrinker);
}

int buf_cache_create(struct bdev *bdev, uint32_t block_bytes)
{
    struct buf_cache *cache = heap_zalloc(sizeof(*cache));

    if (!cache)
        return -ENOMEM;
    cache->bdev = bdev;
    cache->block_bytes = block_bytes;
    spin_name(&cache->lock, "buffer cache");
    waitq_init(&cache->writers);
    list_init(&cache->free);
    list_init(&cache->lru);
    list_init(&cache->dirty);
    list_init(&cache->writing);
    for (uint32_t i = 0; i < BUF_HASH_COUNT; i++)
        list_init(&cache->hash[i]);
    if (fill_reserve(cache)) {
        heap_free(cache);
        return -ENOMEM;
    }
    bdev->bufs = cache;
    publish(cache);
    return 0;
}

static bool in_use(struct buf_cache *cache)
{
    struct buf *buf;

    for (uint32_t i = 0; i < BUF_HASH_COUNT; i++) {
        list_for_each(buf, &cache->hash[i], hash_link) {
            if (buf->refs)
                return true;
        }
    }
    return false;
}

static void withdraw(struct buf_cache *cache)
{
    bool irq = spin_lock(&caches_lock);
    list_remove(&cache->all_link);
    spin_unlock(&caches_lock, irq);
}

void buf_cache_destroy(struct bdev *bdev)
{
    struct buf_cache *cache = bdev->bufs;

    withdraw(cache);
    ASSERT(!in_use(cache), "nobody uses a block of a closed device");
    empty(cache);
    bdev->bufs = NULL;
    heap_free(cache);
}

int buf_cache_set_block_bytes(struct bdev *bdev, uint32_t block_bytes)
{
    struct buf_cache *cache = bdev->bufs;

    if (block_bytes < bdev->block_bytes || block_bytes > PAGE_BYTES || block_bytes % SECTOR_BYTES ||
        (block_bytes & (block_bytes - 1)))
        return -EINVAL;
    if (block_bytes == cache->block_bytes)
        return 0;
    if (in_use(cache) || cache->dirty_count)
        return -EBUSY;
    withdraw(cache);
    empty(cache);
    cache->block_bytes = block_bytes;
    int err = fill_reserve(cache);
    publish(cache);
    return err;
}
