// SPDX-License-Identifier: MIT
/*
 * The I/O of a loop device: a bio becomes reads and writes of the file below, in the submitter's
 * thread.
 *
 * This is where a level begins anew: it runs below the probe bdev_submit_stacked, and each
 * vfs_read, vfs_write and vfs_sync is a probe again. A refusal by one of those is passed up as one
 * (bio->refused), so that the level above can tell it from a failing device.
 *
 * The device ends where the file ended when its size was last taken; a file that has become shorter
 * since gives -EIO behind its end.
 */
#include <drivers/stacked/loop_internal.h>

#include <lib/errno.h>

struct file *loop_file(struct loop *loop)
{
    bool irq = spin_lock(&loop->file_lock);
    struct file *file = loop->file;

    if (file)
        file_ref(file);
    spin_unlock(&loop->file_lock, irq);
    return file;
}

static int transfer(struct file *file, const struct bio *bio, uint64_t offset)
{
    for (uint32_t i = 0; i < bio->vec_count; i++) {
        char *data = bio->vecs[i].data;
        char *end = data + bio->vecs[i].bytes;
        while (data < end) {
            ssize_t n;
            if (bio->op == BIO_READ)
                n = vfs_read(file, data, (size_t)(end - data), offset);
            else
                n = vfs_write(file, data, (size_t)(end - data), offset);
            if (n <= 0)
                return n ? (int)n : -EIO;
            data += n;
            offset += (uint64_t)n;
        }
    }
    return 0;
}

static void loop_submit_stacked(struct bdev *bdev, struct bio *bio)
{
    struct loop *loop = bdev->driver;
    struct file *file = loop_file(loop);
    uint64_t mark = io_refusal_mark();
    int err = -EIO;

    if (file) {
        if (bio->op == BIO_FLUSH)
            err = vfs_sync(file, true);   /* the data and what finds it, not the time stamps */
        else
            err = transfer(file, bio, loop->offset + bio->sector * SECTOR_BYTES);
        bio->refused = err == -EIO && io_refused_since(mark);
        file_put(file);
    }
    bio_complete(bio, err);
}

static void loop_last_close(struct bdev *bdev)
{
    struct loop *loop = bdev->driver;
    struct file *file = NULL;

    mutex_lock(&loop_lock);
    if (loop->file && (loop->flags & LO_FLAGS_AUTOCLEAR))
        file = loop_clear(loop);
    mutex_unlock(&loop_lock);
    if (file)
        file_put(file);
}

const struct bdev_ops loop_bdev_ops = {
    .submit_stacked = loop_submit_stacked,
    .bdev_ioctl = loop_ioctl,
    .bdev_last_close = loop_last_close,
};
