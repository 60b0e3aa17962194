// SPDX-License-Identifier: MIT
/*
 * Requests: making them, checking them, handing them to a device, and getting them back.
 *
 * On the way down to a stacked device every frame here is paid once a level, so the functions are
 * few and their frames small. Bios come from the heap; each open device keeps a few in reserve
 * (block/bdev.c), and a bio of a device depends only on devices below it, so waiting for one of
 * those always ends.
 */
#include <block/bdev.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/fail.h>
#include <rt/heap.h>
#include <rt/stack.h>
#include <rt/thread.h>

static struct bio *reserve_try(struct bio_reserve *reserve)
{
    bool irq = spin_lock(&reserve->lock);
    struct list *link = list_pop_front(&reserve->free);
    spin_unlock(&reserve->lock, irq);
    return link ? list_entry(link, struct bio, link) : NULL;
}

static noinline struct bio *reserve_wait(struct bio_reserve *reserve)
{
    struct bio *bio = reserve_try(reserve);
    struct waiter waiter;

    if (bio || !reserve->count)
        return bio;
    assert_may_sleep("bio_alloc with memory out");
    while (!bio) {
        waitq_enter(&reserve->waiters, &waiter);
        bio = reserve_try(reserve);
        if (!bio)
            waitq_wait(&reserve->waiters, &waiter, WAIT_FOREVER);
        waitq_leave(&reserve->waiters, &waiter);
    }
    return bio;
}

struct bio *bio_alloc(struct bdev *bdev, enum bio_op op, uint64_t sector)
{
    struct bio *bio = heap_alloc(sizeof(*bio));
    bool from_reserve = false;

    if (!bio) {
        bio = reserve_wait(&bdev->reserve);
        from_reserve = true;
        if (!bio)
            return NULL;
    }
    memset(bio, 0, offsetof(struct bio, vecs));
    bio->bdev = bdev;
    bio->op = op;
    bio->sector = sector;
    bio->from_reserve = from_reserve;
    list_init(&bio->link);
    return bio;
}

void bio_free(struct bio *bio)
{
    struct bio_reserve *reserve = &bio->bdev->reserve;

    if (!bio->from_reserve) {
        heap_free(bio);
        return;
    }
    bool irq = spin_lock(&reserve->lock);
    list_push_back(&reserve->free, &bio->link);
    spin_unlock(&reserve->lock, irq);
    waitq_wake(&reserve->waiters, 1);
}

uint32_t bio_vecs_max(const struct bdev *bdev)
{
    return bdev->vecs_max ? MIN(bdev->vecs_max, (uint32_t)BIO_VECS_MAX) : BIO_VECS_MAX;
}

bool bio_add(struct bio *bio, void *data, uint32_t bytes)
{
    struct bio_vec *last = bio->vec_count ? &bio->vecs[bio->vec_count - 1] : NULL;

    if (last && (char *)last->data + last->bytes == (char *)data) {
        last->bytes += bytes;
        return true;
    }
    if (bio->vec_count >= bio_vecs_max(bio->bdev))
        return false;
    bio->vecs[bio->vec_count++] = (struct bio_vec){.data = data, .bytes = bytes};
    return true;
}

uint64_t bio_bytes(const struct bio *bio)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < bio->vec_count; i++)
        bytes += bio->vecs[i].bytes;
    return bytes;
}

static int check_memory(const struct bio *bio, uint32_t block_bytes)
{
    for (uint32_t i = 0; i < bio->vec_count; i++) {
        const struct bio_vec *vec = &bio->vecs[i];
        ASSERT(!stack_contains(vec->data), "device memory is never on a stack");
        ASSERT(!stack_contains((char *)vec->data + vec->bytes - 1),
               "device memory is never on a stack");
        if (!vec->bytes || vec->bytes % block_bytes)
            return -EINVAL;
    }
    return 0;
}

/* 0, or why the device is not even asked. Also counts, since the sizes are at hand. */
static noinline int check_and_count(struct bdev *bdev, struct bio *bio)
{
    uint64_t sectors = bio_bytes(bio) / SECTOR_BYTES;
    struct thread_io *io = &thread_current()->io;
    int err;

    ASSERT(!stack_contains(bio), "a bio is never on a stack");
    ASSERT(bio->done, "somebody must get the bio back");
    if (bio->op == BIO_FLUSH) {
        __atomic_fetch_add(&bdev->flushes, 1, __ATOMIC_RELAXED);
        return bio->vec_count ? -EINVAL : 0;
    }
    err = check_memory(bio, bdev->block_bytes);
    if (err)
        return err;
    if (!sectors || bio->sector % (bdev->block_bytes / SECTOR_BYTES))
        return -EINVAL;
    if (bio->sector >= bdev->sector_count || sectors > bdev->sector_count - bio->sector)
        return -EIO;
    if (bio->op == BIO_WRITE && bdev->read_only)
        return -EROFS;

    bool write = bio->op == BIO_WRITE;
    __atomic_fetch_add(write ? &bdev->writes : &bdev->reads, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(write ? &bdev->write_sectors : &bdev->read_sectors, sectors,
                       __ATOMIC_RELAXED);
    if (!bdev->level)
        *(write ? &io->write_sectors : &io->read_sectors) += sectors;
    return 0;
}

void bio_submit(struct bio *bio)
{
    struct bdev *bdev = bio->bdev;
    int err = check_and_count(bdev, bio);

    if (!err && !bdev->level && fail_now(FAIL_DEVICE))
        err = -EIO;
    if (err) {
        bio_complete(bio, err);
        return;
    }
    bio->sector += bdev->start_sector;
    if (bdev->ops->submit) {
        bdev->ops->submit(bdev, bio);
        return;
    }
    /*
     * The body always returns 0, whatever became of the bio: anything else is the probe's refusal.
     */
    if (bdev_submit_stacked(bdev, bio)) {
        bio->refused = true;
        bio_complete(bio, -EIO);
    }
}

/* The body of the probe: runs with at least its need of stack left. */
int bdev_submit_stacked_body(struct bdev *bdev, struct bio *bio);

noinline __attribute__((noclone, noipa))
int bdev_submit_stacked_body(struct bdev *bdev, struct bio *bio)
{
    lock_order_probe("the probe bdev_submit_stacked");
    bdev->ops->submit_stacked(bdev, bio);
    return 0;
}

void bio_complete(struct bio *bio, int error)
{
    ASSERT(error <= 0, "errors are negative");
    bio->error = error;
    if (error && !bio->refused)
        __atomic_fetch_add(&bio->bdev->errors, 1, __ATOMIC_RELAXED);
    bio->done->end_io(bio);
}

uint64_t io_refusal_mark(void)
{
    return thread_current()->refusals;
}

bool io_refused_since(uint64_t mark)
{
    return thread_current()->refusals != mark;
}
