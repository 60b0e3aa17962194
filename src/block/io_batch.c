// SPDX-License-Identifier: MIT
/*
 * Waiting for requests: several at once (struct io_batch), or one.
 *
 * Neighbours on the device are merged here, in the one place that all write-back and read-ahead
 * passes; a bio from the reserve is never kept back, since whoever waits for it must get it.
 *
 * The batch may lie on the waiter's stack, so the last completion must be done with it before the
 * waiter goes on: everything happens under batch->lock, and the waiter takes that lock once more at
 * the end.
 */
#include <block/bdev.h>
#include <lib/errno.h>
#include <rt/assert.h>

static void batch_end_io(struct bio *bio)
{
    struct io_batch *batch = bio->context;
    int error = bio->error;
    bool refused = bio->refused;

    bio_free(bio);
    bool irq = spin_lock(&batch->lock);
    ASSERT(batch->pending, "a bio completes once");
    if (error && !batch->error)
        batch->error = error;
    batch->refused |= refused;
    if (--batch->pending == 0)
        completion_signal(&batch->idle);
    spin_unlock(&batch->lock, irq);
}

static const struct bio_done batch_done = {.end_io = batch_end_io};

void io_batch_init(struct io_batch *batch)
{
    spin_init(&batch->lock, "I/O batch");
    batch->pending = 1;
    batch->error = 0;
    batch->refused = false;
    batch->kept = NULL;
    completion_init(&batch->idle);
}

/* Appends all of @bio to @kept if it goes on where that ends; it is not needed any more then. */
static bool merge(struct bio *kept, struct bio *bio)
{
    if (kept->bdev != bio->bdev || kept->op != bio->op || bio->op == BIO_FLUSH ||
        kept->sector + bio_bytes(kept) / SECTOR_BYTES != bio->sector ||
        kept->vec_count + bio->vec_count > bio_vecs_max(bio->bdev))
        return false;
    for (uint32_t i = 0; i < bio->vec_count; i++)
        bio_add(kept, bio->vecs[i].data, bio->vecs[i].bytes);
    bio_free(bio);
    return true;
}

static void submit_kept(struct io_batch *batch)
{
    struct bio *bio = batch->kept;

    batch->kept = NULL;
    bio->done = &batch_done;
    bio->context = batch;
    bool irq = spin_lock(&batch->lock);
    batch->pending++;
    spin_unlock(&batch->lock, irq);
    bio_submit(bio);
}

void io_batch_submit(struct io_batch *batch, struct bio *bio)
{
    if (batch->kept) {
        if (merge(batch->kept, bio))
            return;
        submit_kept(batch);
    }
    batch->kept = bio;
    if (bio->from_reserve)            /* others wait for it */
        submit_kept(batch);
}

int io_batch_wait(struct io_batch *batch)
{
    if (batch->kept)
        submit_kept(batch);
    bool irq = spin_lock(&batch->lock);
    bool idle = --batch->pending == 0;
    spin_unlock(&batch->lock, irq);

    if (!idle) {
        completion_wait(&batch->idle, WAIT_FOREVER);
        irq = spin_lock(&batch->lock);
        spin_unlock(&batch->lock, irq);
    }
    return batch->error;
}

int bio_submit_wait(struct bio *bio)
{
    struct io_batch batch;

    io_batch_init(&batch);
    io_batch_submit(&batch, bio);
    return io_batch_wait(&batch);
}
