// SPDX-License-Identifier: MIT
/*
 * The registry of block devices: by name and by number; opening, closing, claiming.
 *
 * The registry's lock is a spin lock. What opening needs (the cache of blocks, requests and pages
 * kept in reserve) is made and unmade under `transitions`, a mutex that is never held across I/O:
 * the blocks that a last close still has to write are written before it is taken.
 */
#include <block/bdev.h>
#include <block/buf.h>
#include <block/buf_cache.h>
#include <block/page_cache.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/log.h>

#define RESERVE_BIOS 4u
#define RESERVE_PAGES 16u
#define DEFAULT_BUF_BYTES 1024u

static struct spinlock registry_lock = SPINLOCK_NAMED("block devices");
static struct list registry = LIST_INIT(registry);     /* registry_lock */
static struct mutex transitions = MUTEX_INIT(transitions);

static struct bdev *find_locked(uint64_t dev, const char *name)
{
    struct bdev *bdev;

    list_for_each(bdev, &registry, link) {
        if (name ? strcmp(bdev->name, name) == 0 : bdev->dev == dev)
            return bdev;
    }
    return NULL;
}

int bdev_register(struct bdev *bdev)
{
    ASSERT(!bdev->ops->submit != !bdev->ops->submit_stacked, "a device is direct or stacked");
    ASSERT(bdev->block_bytes >= SECTOR_BYTES && bdev->block_bytes <= PAGE_BYTES, "block size");
    bdev->openers = 0;
    bdev->claimed = false;
    bdev->bufs = NULL;
    bdev->reserve = (struct bio_reserve){.lock = SPINLOCK_INIT};
    spin_name(&bdev->reserve.lock, "bio reserve");
    list_init(&bdev->reserve.free);
    waitq_init(&bdev->reserve.waiters);

    bool irq = spin_lock(&registry_lock);
    bool taken = find_locked(bdev->dev, NULL) || find_locked(0, bdev->name);
    if (!taken)
        list_push_back(&registry, &bdev->link);
    spin_unlock(&registry_lock, irq);
    return taken ? -EEXIST : 0;
}

int bdev_unregister(struct bdev *bdev)
{
    bool irq = spin_lock(&registry_lock);
    bool busy = bdev->openers > 0;
    if (!busy)
        list_remove(&bdev->link);
    spin_unlock(&registry_lock, irq);
    return busy ? -EBUSY : 0;
}

struct bdev *bdev_find(uint64_t dev)
{
    bool irq = spin_lock(&registry_lock);
    struct bdev *bdev = find_locked(dev, NULL);
    spin_unlock(&registry_lock, irq);
    return bdev;
}

struct bdev *bdev_by_index(uint32_t index)
{
    struct bdev *bdev, *found = NULL;
    bool irq = spin_lock(&registry_lock);

    list_for_each(bdev, &registry, link) {
        if (index-- == 0) {
            found = bdev;
            break;
        }
    }
    spin_unlock(&registry_lock, irq);
    return found;
}

static void reserve_drain(struct bio_reserve *reserve)
{
    struct list *link;

    while ((link = list_pop_front(&reserve->free))) {
        heap_free(list_entry(link, struct bio, link));
        reserve->count--;
    }
    ASSERT(reserve->count == 0, "no request is under way when a device is closed");
}

static int reserve_fill(struct bio_reserve *reserve)
{
    while (reserve->count < RESERVE_BIOS) {
        struct bio *bio = heap_alloc(sizeof(*bio));
        if (!bio) {
            reserve_drain(reserve);
            return -ENOMEM;
        }
        list_push_back(&reserve->free, &bio->link);
        reserve->count++;
    }
    return 0;
}

/* transitions is held. */
static int prepare_first_open(struct bdev *bdev)
{
    int err = reserve_fill(&bdev->reserve);
    if (err)
        return err;
    err = page_cache_reserve(RESERVE_PAGES);
    if (err)
        goto out_bios;
    err = buf_cache_create(bdev, MAX(DEFAULT_BUF_BYTES, bdev->block_bytes));
    if (err)
        goto out_pages;
    return 0;
out_pages:
    page_cache_unreserve(RESERVE_PAGES);
out_bios:
    reserve_drain(&bdev->reserve);
    return err;
}

static int open_found(uint64_t dev, const char *name, struct bdev **out)
{
    int err = 0;

    mutex_lock(&transitions);
    bool irq = spin_lock(&registry_lock);
    struct bdev *bdev = find_locked(dev, name);
    bool attached = bdev && (bdev->sector_count || bdev->ops->bdev_ioctl);
    bool first = attached && bdev->openers++ == 0;
    spin_unlock(&registry_lock, irq);

    if (!attached)
        err = -ENXIO;
    else if (first)
        err = prepare_first_open(bdev);
    if (err && attached) {
        irq = spin_lock(&registry_lock);
        bdev->openers--;
        spin_unlock(&registry_lock, irq);
    }
    mutex_unlock(&transitions);
    *out = err ? NULL : bdev;
    return err;
}

int bdev_open(uint64_t dev, struct bdev **out)
{
    return open_found(dev, NULL, out);
}

int bdev_open_name(const char *name, struct bdev **out)
{
    return open_found(0, name, out);
}

void bdev_close(struct bdev *bdev)
{
    /* Every close, not only the last: which one will be the last is not known before the lock. */
    if (buf_dirty_count(bdev) && buf_sync(bdev))
        log_error("%s: closed with blocks that could not be written", bdev->name);

    mutex_lock(&transitions);
    bool irq = spin_lock(&registry_lock);
    ASSERT(bdev->openers, "a device is closed as often as it was opened");
    bool last = --bdev->openers == 0;
    spin_unlock(&registry_lock, irq);
    if (last) {
        buf_cache_destroy(bdev);
        page_cache_unreserve(RESERVE_PAGES);
        reserve_drain(&bdev->reserve);
    }
    mutex_unlock(&transitions);
    if (last && bdev->ops->bdev_last_close)
        bdev->ops->bdev_last_close(bdev);
}

/* Whether @bdev, its disk or one of its partitions is claimed. */
static bool claimed_locked(const struct bdev *bdev)
{
    const struct bdev *other;
    bool taken = bdev->claimed || (bdev->whole && bdev->whole->claimed);

    list_for_each(other, &registry, link)
        taken |= other->whole == bdev && other->claimed;
    return taken;
}

int bdev_claim(struct bdev *bdev)
{
    bool irq = spin_lock(&registry_lock);
    bool taken = claimed_locked(bdev);
    bdev->claimed |= !taken;
    spin_unlock(&registry_lock, irq);
    return taken ? -EBUSY : 0;
}

void bdev_release(struct bdev *bdev)
{
    bool irq = spin_lock(&registry_lock);
    ASSERT(bdev->claimed, "a device is released by who claimed it");
    bdev->claimed = false;
    spin_unlock(&registry_lock, irq);
}
