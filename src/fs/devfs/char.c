// SPDX-License-Identifier: MIT
/* Character devices as files: everything goes to the device. Positions mean nothing to them. */
#include <fs/devfs/internal.h>

static int char_open(struct inode *inode, struct file *file)
{
    struct chardev *dev = chardev_by_dev(inode->rdev);

    if (!dev)
        return -ENXIO;
    file->private = dev;
    file->stream = dev->stream;
    return 0;
}

static ssize_t char_read(struct file *file, void *dst, size_t bytes, uint64_t offset)
{
    struct chardev *dev = file->private;

    (void)offset;
    return dev->ops->dev_read ? dev->ops->dev_read(dev, file, dst, bytes) : -EINVAL;
}

static ssize_t char_write(struct file *file, const void *src, size_t bytes, uint64_t offset)
{
    struct chardev *dev = file->private;

    (void)offset;
    return dev->ops->dev_write ? dev->ops->dev_write(dev, file, src, bytes) : -EINVAL;
}

static int char_ioctl(struct file *file, unsigned command, uint64_t argument)
{
    struct chardev *dev = file->private;

    return dev->ops->dev_ioctl ? dev->ops->dev_ioctl(dev, file, command, argument) : -ENOTTY;
}

static int char_setattr(struct inode *inode, const struct inode_attr *attr)
{
    inode_apply_attr(inode, attr);
    return 0;
}

const struct inode_ops devfs_char_ops = {
    .open_file = char_open,
    .read_file = char_read,
    .write_file = char_write,
    .ioctl = char_ioctl,
    .setattr = char_setattr,
};
