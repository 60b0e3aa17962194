// SPDX-License-Identifier: MIT
/*
 * Raw access to a whole device, for /dev/NAME: bytes go through a bounce buffer in the direct map,
 * since neither a stack nor app memory may be shown to a device. The cache of blocks is not
 * consulted. Also Linux's ioctls for any block device.
 */
#include <block/bdev.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/page.h>

#define BOUNCE_ORDER 3u               /* 32 KiB, if there is as much in one piece */

/* Source: Linux UAPI, linux/fs.h (values only). */
#define BLKROGET 0x125eu
#define BLKGETSIZE 0x1260u
#define BLKFLSBUF 0x1261u
#define BLKSSZGET 0x1268u
#define BLKPBSZGET 0x127bu
#define BLKBSZGET 0x80081270u
#define BLKGETSIZE64 0x80081272u

static int transfer(struct bdev *bdev, enum bio_op op, uint64_t offset, void *data, uint32_t bytes)
{
    struct bio *bio = bio_alloc(bdev, op, offset / SECTOR_BYTES);

    if (!bio)
        return -ENOMEM;
    if (bytes)
        bio_add(bio, data, bytes);
    return bio_submit_wait(bio);
}

/* Exactly one of @dst and @src is given. */
static ssize_t copy_through(struct bdev *bdev, char *dst, const char *src, size_t bytes,
                            uint64_t offset)
{
    unsigned order = bytes > PAGE_BYTES ? BOUNCE_ORDER : 0;
    char *bounce = page_alloc(order);
    size_t done = 0;
    int err = 0;

    if (!bounce) {
        order = 0;
        bounce = page_alloc(0);
    }
    if (!bounce)
        return -ENOMEM;
    while (done < bytes) {
        uint32_t part = (uint32_t)MIN(bytes - done, (size_t)PAGE_BYTES << order);
        if (src)
            err = arch_copy(bounce, src + done, part);
        if (!err)
            err = transfer(bdev, src ? BIO_WRITE : BIO_READ, offset + done, bounce, part);
        if (!err && dst)
            err = arch_copy(dst + done, bounce, part);
        if (err)
            break;
        done += part;
    }
    page_free(bounce, order);
    return done ? (ssize_t)done : err;
}

static bool aligned(const struct bdev *bdev, size_t bytes, uint64_t offset)
{
    return bytes % bdev->block_bytes == 0 && offset % bdev->block_bytes == 0;
}

ssize_t bdev_read(struct bdev *bdev, void *dst, size_t bytes, uint64_t offset)
{
    uint64_t size = bdev->sector_count * SECTOR_BYTES;

    if (!aligned(bdev, bytes, offset))
        return -EINVAL;
    if (offset >= size || !bytes)
        return 0;
    return copy_through(bdev, dst, NULL, MIN(bytes, size - offset), offset);
}

ssize_t bdev_write(struct bdev *bdev, const void *src, size_t bytes, uint64_t offset)
{
    uint64_t size = bdev->sector_count * SECTOR_BYTES;

    if (!aligned(bdev, bytes, offset))
        return -EINVAL;
    if (!bytes)
        return 0;
    if (offset >= size)
        return -ENOSPC;
    return copy_through(bdev, NULL, src, MIN(bytes, size - offset), offset);
}

int bdev_flush(struct bdev *bdev)
{
    return transfer(bdev, BIO_FLUSH, 0, NULL, 0);
}

static int give(uint64_t argument, uint64_t value, size_t bytes)
{
    return arch_copy((void *)(uintptr_t)argument, &value, bytes);
}

int bdev_control(struct bdev *bdev, unsigned command, uint64_t argument)
{
    switch (command) {
    case BLKROGET:
        return give(argument, bdev->read_only, 4);
    case BLKGETSIZE:
        return give(argument, bdev->sector_count, 8);
    case BLKGETSIZE64:
        return give(argument, bdev->sector_count * SECTOR_BYTES, 8);
    case BLKSSZGET:
    case BLKPBSZGET:
        return give(argument, bdev->block_bytes, 4);
    case BLKBSZGET:
        return give(argument, PAGE_BYTES, 4);
    case BLKFLSBUF:
        return bdev_flush(bdev);
    default:
        if (!bdev->ops->bdev_ioctl)
            return -ENOTTY;
        return bdev->ops->bdev_ioctl(bdev, command, argument);
    }
}
