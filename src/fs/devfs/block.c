// SPDX-License-Identifier: MIT
/*
 * Block devices as files. The device is opened for each call, not for as long as the file is open:
 * so a loop device that nothing is attached to can be opened to attach something, and an open node
 * doesn't keep one from being detached. The position is in bytes; what is not whole sectors goes
 * through a sector on the heap.
 */
#include <fs/devfs/internal.h>
#include <lib/bits.h>
#include <rt/heap.h>

#define BLKROGET 0x125eu
#define BLKGETSIZE 0x1260u
#define BLKFLSBUF 0x1261u
#define BLKSSZGET 0x1268u
#define BLKPBSZGET 0x127bu
#define BLKGETSIZE64 0x80081272u

static int block_open(struct inode *inode, struct file *file)
{
    const struct bdev *bdev = devfs_bdev(inode->rdev);

    if (!bdev)
        return -ENXIO;
    if ((file->flags & OPEN_ACCESS) != OPEN_READ && bdev->sector_count && bdev->read_only)
        return -EROFS;
    return 0;
}

/* From @offset as far as one call to the device goes: whole sectors, or what lies in one. */
static size_t piece(uint64_t offset, size_t bytes)
{
    size_t into = offset % SECTOR_BYTES;

    if (!into && bytes >= SECTOR_BYTES)
        return align_down(bytes, SECTOR_BYTES);
    return MIN(bytes, (size_t)(SECTOR_BYTES - into));
}

static ssize_t read_part(struct bdev *bdev, void *dst, size_t bytes, uint64_t offset)
{
    char *sector = heap_alloc(SECTOR_BYTES);

    if (!sector)
        return -ENOMEM;
    ssize_t done = bdev_read(bdev, sector, SECTOR_BYTES, align_down(offset, SECTOR_BYTES));
    if (done == SECTOR_BYTES)
        done = arch_copy(dst, sector + offset % SECTOR_BYTES, bytes);
    heap_free(sector);
    return done < 0 ? done : (ssize_t)bytes;
}

static ssize_t write_part(struct bdev *bdev, const void *src, size_t bytes, uint64_t offset)
{
    char *sector = heap_alloc(SECTOR_BYTES);
    uint64_t start = align_down(offset, SECTOR_BYTES);

    if (!sector)
        return -ENOMEM;
    ssize_t done = bdev_read(bdev, sector, SECTOR_BYTES, start);
    if (done == SECTOR_BYTES)
        done = arch_copy(sector + offset % SECTOR_BYTES, src, bytes);
    if (!done)
        done = bdev_write(bdev, sector, SECTOR_BYTES, start);
    heap_free(sector);
    return done < 0 ? done : (ssize_t)bytes;
}

static bool is_whole(size_t bytes, uint64_t offset)
{
    return !(offset % SECTOR_BYTES) && !(bytes % SECTOR_BYTES);
}

static ssize_t block_read(struct file *file, void *dst, size_t bytes, uint64_t offset)
{
    struct bdev *bdev;
    size_t done = 0;
    ssize_t n = bdev_open(file->inode->rdev, &bdev);

    if (n)
        return n;
    uint64_t size = bdev->sector_count * SECTOR_BYTES;
    bytes = offset < size ? MIN(bytes, (size_t)(size - offset)) : 0;
    while (done < bytes && n >= 0) {
        size_t part = piece(offset + done, bytes - done);
        char *to = (char *)dst + done;
        if (is_whole(part, offset + done))
            n = bdev_read(bdev, to, part, offset + done);
        else
            n = read_part(bdev, to, part, offset + done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
    }
    bdev_close(bdev);
    return done ? (ssize_t)done : n;
}

static ssize_t block_write(struct file *file, const void *src, size_t bytes, uint64_t offset)
{
    struct bdev *bdev;
    size_t done = 0;
    ssize_t n = bdev_open(file->inode->rdev, &bdev);

    if (n)
        return n;
    uint64_t size = bdev->sector_count * SECTOR_BYTES;
    if (bdev->read_only)
        n = -EROFS;
    else if (bytes && offset >= size)
        n = -ENOSPC;
    else
        bytes = MIN(bytes, (size_t)(size - offset));
    while (done < bytes && n >= 0) {
        size_t part = piece(offset + done, bytes - done);
        const char *from = (const char *)src + done;
        if (is_whole(part, offset + done))
            n = bdev_write(bdev, from, part, offset + done);
        else
            n = write_part(bdev, from, part, offset + done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
    }
    bdev_close(bdev);
    return done ? (ssize_t)done : n;
}

static int block_flush(uint64_t dev)
{
    struct bdev *bdev;
    int err = bdev_open(dev, &bdev);

    if (err)
        return err;
    err = bdev_flush(bdev);
    bdev_close(bdev);
    return err;
}

static int block_sync(struct inode *inode, bool data_only)
{
    (void)data_only;
    return block_flush(inode->rdev);
}

static int put_value(uint64_t argument, const void *value, size_t bytes)
{
    return arch_copy((void *)argument, value, bytes);
}

static int block_ioctl(struct file *file, unsigned command, uint64_t argument)
{
    struct bdev *bdev = devfs_bdev(file->inode->rdev);
    uint64_t size;
    int value;

    if (!bdev)
        return -ENXIO;
    switch (command) {
    case BLKGETSIZE64:
        size = bdev->sector_count * SECTOR_BYTES;
        return put_value(argument, &size, sizeof(size));
    case BLKGETSIZE:
        size = bdev->sector_count;
        return put_value(argument, &size, sizeof(size));
    case BLKSSZGET:
    case BLKPBSZGET:
        value = (int)bdev->block_bytes;
        return put_value(argument, &value, sizeof(value));
    case BLKROGET:
        value = bdev->read_only;
        return put_value(argument, &value, sizeof(value));
    case BLKFLSBUF:
        return block_flush(bdev->dev);
    default:
        return bdev->ops->bdev_ioctl ? bdev->ops->bdev_ioctl(bdev, command, argument) : -ENOTTY;
    }
}

static int block_setattr(struct inode *inode, const struct inode_attr *attr)
{
    inode_apply_attr(inode, attr);
    return 0;
}

const struct inode_ops devfs_block_ops = {
    .open_file = block_open,
    .read_file = block_read,
    .write_file = block_write,
    .sync_inode = block_sync,
    .ioctl = block_ioctl,
    .setattr = block_setattr,
};
