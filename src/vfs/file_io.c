// SPDX-License-Identifier: MIT
/*
 * What is done to an open file. vfs_read, vfs_write and vfs_sync are probes: the functions here are
 * their bodies, which run with a sure amount of stack, and run again further down in the same
 * thread when the file lies on a loop device. So they are small, and hold no lock but the one of
 * the inode written to.
 *
 * Reads don't change access times: every mount is "noatime", since a read that makes an inode dirty
 * would make reading at one level write at all levels below. OPEN_SYNC and OPEN_DSYNC sync without
 * a further probe: a write that has been done can't then be refused.
 */
#include <rt/assert.h>
#include <vfs/internal.h>

#define IO_BYTES_MAX 0x7ffff000u /* as Linux: the most that one call moves */

__attribute__((noipa)) ssize_t vfs_read_body(struct file *file, void *dst, size_t bytes,
                                             uint64_t offset)
{
    struct inode *inode = file->inode;

    lock_order_probe("the probe vfs_read");
    if ((file->flags & OPEN_PATH) || (file->flags & OPEN_ACCESS) == OPEN_WRITE)
        return -EBADF;
    if (mode_is_dir(inode->mode))
        return -EISDIR;
    if (offset > INT64_MAX)
        return -EINVAL;
    bytes = MIN(bytes, (size_t)IO_BYTES_MAX);
    if (inode->ops->read_file)
        return inode->ops->read_file(file, dst, bytes, offset);
    if (!inode->ops->read_at)
        return -EINVAL;
    return bytes ? inode->ops->read_at(inode, dst, bytes, offset) : 0;
}

/* The inode is locked for as long as its contents change; syncing needs no lock. */
static ssize_t write_locked(struct file *file, const void *src, size_t bytes, uint64_t offset)
{
    struct inode *inode = file->inode;
    ssize_t done = -EFBIG;

    mutex_lock(&inode->lock);
    if (file->flags & OPEN_APPEND)
        offset = inode->size;
    if (offset < INT64_MAX)
        done = inode->ops->write_at(inode, src, MIN(bytes, (size_t)(INT64_MAX - offset)), offset);
    if (done > 0)
        file->append_end = offset + (size_t)done;
    mutex_unlock(&inode->lock);
    return done;
}

__attribute__((noipa)) ssize_t vfs_write_body(struct file *file, const void *src, size_t bytes,
                                              uint64_t offset)
{
    struct inode *inode = file->inode;

    lock_order_probe("the probe vfs_write");
    if ((file->flags & OPEN_PATH) || (file->flags & OPEN_ACCESS) == OPEN_READ)
        return -EBADF;
    if (offset > INT64_MAX)
        return -EINVAL;
    bytes = MIN(bytes, (size_t)IO_BYTES_MAX);
    if (inode->ops->write_file)
        return inode->ops->write_file(file, src, bytes, offset);
    if (!inode->ops->write_at)
        return -EINVAL;
    if (inode->super->read_only)
        return -EROFS;
    if (!bytes)
        return 0;
    ssize_t done = write_locked(file, src, bytes, offset);
    if (done > 0 && (file->flags & OPEN_DSYNC) && inode->ops->sync_inode) {
        int err = inode->ops->sync_inode(inode, (file->flags & OPEN_SYNC) != OPEN_SYNC);
        if (err)
            return err;
    }
    return done;
}

__attribute__((noipa)) int vfs_sync_body(struct file *file, bool data_only)
{
    struct inode *inode = file->inode;

    lock_order_probe("the probe vfs_sync");
    if (file->flags & OPEN_PATH)
        return -EBADF;
    if (!inode->ops->sync_inode)
        return mode_is_file(inode->mode) || mode_is_dir(inode->mode) ? 0 : -EINVAL;
    if (inode->super->read_only)
        return 0;
    return inode->ops->sync_inode(inode, data_only);
}

/* ---- size ---- */

int inode_truncate(struct inode *inode, uint64_t size)
{
    int err = -ENOENT;

    if (!inode->ops->truncate)
        return -EINVAL;
    mutex_lock(&inode->lock);
    err = inode->ops->truncate(inode, size);
    if (!err)
        inode_was_cut(inode, size);
    mutex_unlock(&inode->lock);
    return err;
}

int vfs_truncate(struct file *file, uint64_t size)
{
    if (file->flags & OPEN_PATH)
        return -EBADF;
    if (size > INT64_MAX || (file->flags & OPEN_ACCESS) == OPEN_READ ||
        !mode_is_file(file->inode->mode))
        return -EINVAL;
    if (file->inode->super->read_only)
        return -EROFS;
    return inode_truncate(file->inode, size);
}

int vfs_truncate_path(const struct path *base, const char *name, uint64_t size)
{
    struct path path;

    if (size > INT64_MAX)
        return -EINVAL;
    int err = path_walk(base, name, WALK_FOLLOW, &path);
    if (err)
        return err;
    if (mode_is_dir(path.inode->mode))
        err = -EISDIR;
    else if (!mode_is_file(path.inode->mode))
        err = -EINVAL;
    else if (path.inode->super->read_only)
        err = -EROFS;
    else
        err = inode_truncate(path.inode, size);
    path_put(&path);
    return err;
}

/* ---- directories ---- */

/* Passes entries on and moves the file's position behind each that was taken. */
struct moving_sink {
    struct dir_sink sink;
    struct dir_sink *receiver;
    struct file *file;
};

static bool moving_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                        uint32_t mode, uint64_t next_offset)
{
    struct moving_sink *moving = container_of(sink, struct moving_sink, sink);
    struct dir_sink *receiver = moving->receiver;
    bool taken = receiver->ops->emit(receiver, name, length, number, mode, next_offset);

    if (taken)
        moving->file->position = next_offset;
    return taken;
}

static const struct dir_sink_ops moving_sink_ops = { .emit = moving_emit };

int vfs_readdir(struct file *file, struct dir_sink *sink)
{
    struct inode *dir = file->inode;
    struct moving_sink moving = { { &moving_sink_ops }, sink, file };
    bool locked_here = !mutex_is_mine(&file->position_lock);
    int err;

    if (file->flags & OPEN_PATH)
        return -EBADF;
    if (!mode_is_dir(dir->mode) || !dir->ops->readdir)
        return -ENOTDIR;
    if (locked_here)
        mutex_lock(&file->position_lock);
    mutex_lock(&dir->lock);
    if (dir->nlink)
        err = dir->ops->readdir(dir, file->position, &moving.sink);
    else
        err = -ENOENT;
    mutex_unlock(&dir->lock);
    if (locked_here)
        mutex_unlock(&file->position_lock);
    return err;
}

int vfs_ioctl(struct file *file, unsigned command, uint64_t argument)
{
    struct inode *inode = file->inode;

    if (file->flags & OPEN_PATH)
        return -EBADF;
    if (!inode->ops->ioctl)
        return -ENOTTY;
    return inode->ops->ioctl(file, command, argument);
}
