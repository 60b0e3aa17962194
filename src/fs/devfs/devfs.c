// SPDX-License-Identifier: MIT
/*
 * devfs: one directory that shows what the registries of character and block devices hold at this
 * moment, so a new loop device appears at once. An inode's number is made from type and device
 * number (device_inode_number); device nodes of other filesystems are opened through the same
 * inodes.
 *
 * /dev/tty is the console, unless a driver has registered a device of that name.
 */
#include <fs/devfs/devfs.h>
#include <fs/devfs/internal.h>
#include <lib/string.h>
#include <rt/heap.h>

#define DEVFS_MAGIC 0x1373u
#define ROOT_NUMBER 1u

struct bdev *devfs_bdev(uint64_t dev)
{
    struct bdev *bdev;

    for (uint32_t i = 0; (bdev = bdev_by_index(i)) != NULL; i++)
        if (bdev->dev == dev)
            return bdev;
    return NULL;
}

static struct bdev *bdev_named(const char *name, size_t length)
{
    struct bdev *bdev;

    for (uint32_t i = 0; (bdev = bdev_by_index(i)) != NULL; i++)
        if (strlen(bdev->name) == length && memcmp(bdev->name, name, length) == 0)
            return bdev;
    return NULL;
}

static const struct chardev *tty_alias(void)
{
    return chardev_find("tty", 3) ? NULL : chardev_find("console", 7);
}

/* ---- the directory ---- */

static int dir_lookup(struct inode *dir, const char *name, size_t length, struct inode **out)
{
    const struct chardev *chardev = chardev_find(name, length);
    const struct bdev *bdev;

    if (length == 2 && memcmp(name, "..", 2) == 0)
        return inode_get(dir->super, ROOT_NUMBER, out);
    if (!chardev && length == 3 && memcmp(name, "tty", 3) == 0)
        chardev = tty_alias();
    if (chardev)
        return inode_get(dir->super, device_inode_number(MODE_CHAR, chardev->dev), out);
    bdev = bdev_named(name, length);
    if (bdev)
        return inode_get(dir->super, device_inode_number(MODE_BLOCK, bdev->dev), out);
    return -ENOENT;
}

/*
 * Offsets: 0 and 1 for the dots, 2 for tty, then two for each place in a registry: even characters,
 * odd blocks.
 */
#define OFFSET_TTY 2u
#define OFFSET_CHAR 4u
#define OFFSET_BLOCK 5u

static bool emit_device(struct dir_sink *sink, const char *name, uint32_t mode, uint64_t dev,
                        uint64_t next)
{
    return sink->ops->emit(sink, name, strlen(name), device_inode_number(mode, dev), mode, next);
}

static int dir_read(struct inode *dir, uint64_t offset, struct dir_sink *sink)
{
    const struct chardev *chardev = offset <= OFFSET_TTY ? tty_alias() : NULL;
    const struct bdev *bdev;
    uint64_t at;

    if (offset == 0 && !sink->ops->emit(sink, ".", 1, dir->number, MODE_DIR, 1))
        return 0;
    if (offset <= 1 && !sink->ops->emit(sink, "..", 2, dir->number, MODE_DIR, OFFSET_TTY))
        return 0;
    if (chardev && !emit_device(sink, "tty", MODE_CHAR, chardev->dev, OFFSET_CHAR))
        return 0;
    at = MAX(offset, (uint64_t)OFFSET_CHAR);
    if (at % 2 == 0) {
        for (; (chardev = chardev_by_index((uint32_t)(at - OFFSET_CHAR) / 2)) != NULL; at += 2)
            if (!emit_device(sink, chardev->name, MODE_CHAR, chardev->dev, at + 2))
                return 0;
        at = OFFSET_BLOCK;
    }
    for (; (bdev = bdev_by_index((uint32_t)(at - OFFSET_BLOCK) / 2)) != NULL; at += 2)
        if (!emit_device(sink, bdev->name, MODE_BLOCK, bdev->dev, at + 2))
            return 0;
    return 0;
}

static const struct inode_ops devfs_dir_ops = {
    .lookup = dir_lookup,
    .readdir = dir_read,
};

/* ---- the filesystem ---- */

static struct inode *inode_alloc(struct super *super)
{
    (void)super;
    return heap_zalloc(sizeof(struct inode));
}

static void inode_free(struct inode *inode) { heap_free(inode); }

static int inode_read(struct inode *inode)
{
    uint32_t mode = (uint32_t)(inode->number >> 32);
    uint64_t dev = (uint32_t)inode->number;

    inode->nlink = 1;
    inode_touch(inode, true);
    inode->atime = inode->mtime;
    if (inode->number == ROOT_NUMBER) {
        inode->ops = &devfs_dir_ops;
        inode->mode = MODE_DIR | 0755;
        inode->nlink = 2;
        return 0;
    }
    if (mode == MODE_CHAR && chardev_by_dev(dev))
        inode->ops = &devfs_char_ops;
    else if (mode == MODE_BLOCK && devfs_bdev(dev))
        inode->ops = &devfs_block_ops;
    else
        return -ENXIO;
    inode->mode = mode | 0666;
    inode->rdev = dev;
    return 0;
}

static void put_super(struct super *super)
{
    (void)super;
    vfs_set_device_super(NULL);
}

static int statfs(struct super *super, struct fs_stat *out)
{
    (void)super;
    out->type = DEVFS_MAGIC;
    out->block_bytes = 4096;
    out->name_max = NAME_BYTES_MAX;
    return 0;
}

static const struct super_ops devfs_super_ops = {
    .inode_alloc = inode_alloc,
    .inode_free = inode_free,
    .inode_read = inode_read,
    .put_super = put_super,
    .statfs = statfs,
};

static int mount(struct super *super, const char *options)
{
    if (*options)
        return -EINVAL;
    int err = devfs_memory_devices();
    if (err && err != -EEXIST)
        return err;
    super->ops = &devfs_super_ops;
    err = inode_get(super, ROOT_NUMBER, &super->root);
    if (!err)
        vfs_set_device_super(super);
    return err;
}

static const struct fs_type_ops devfs_type_ops = { .mount = mount };

const struct fs_type devfs_fs_type = {
    .name = "devfs",
    .ops = &devfs_type_ops,
    .inode_class = LOCK_CLASS_NAMED("devfs inode"),
};
