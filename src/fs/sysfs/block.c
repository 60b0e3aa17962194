// SPDX-License-Identifier: MIT
/*
 * Disks and partitions in sysfs, where Linux has them: block/vda/size, block/vda/vda1/size and
 * start, in sectors of 512 bytes, and ro.
 */
#include <fs/sysfs/sysfs.h>

#include <block/bdev.h>
#include <rt/heap.h>

static const struct bdev *bdev_of(const struct attr *attr)
{
    return (const struct bdev *)(uintptr_t)attr->key;
}

static void show_size(const struct attr *attr, struct strbuf *out)
{
    strbuf_printf(out, "%lu\n", (unsigned long)bdev_of(attr)->sector_count);
}
static void show_start(const struct attr *attr, struct strbuf *out)
{
    strbuf_printf(out, "%lu\n", (unsigned long)bdev_of(attr)->start_sector);
}
static void show_read_only(const struct attr *attr, struct strbuf *out)
{
    strbuf_printf(out, "%u\n", bdev_of(attr)->read_only);
}
static const struct attr_ops size_ops = { .show = show_size };
static const struct attr_ops start_ops = { .show = show_start };
static const struct attr_ops read_only_ops = { .show = show_read_only };

struct bdev_attrs {
    struct attr values[3];
    const struct attr *table[4];
};

static int add_one(const struct bdev *bdev)
{
    struct bdev_attrs *attrs = heap_zalloc(sizeof(*attrs));
    uint64_t key = (uint64_t)(uintptr_t)bdev;
    char dir[2 * BDEV_NAME_BYTES + 8];

    if (!attrs)
        return -ENOMEM;
    attrs->values[0] = (struct attr){ "size", &size_ops, key };
    attrs->values[1] = (struct attr){ "ro", &read_only_ops, key };
    attrs->values[2] = (struct attr){ "start", &start_ops, key };
    for (unsigned i = 0; i < (bdev->whole ? 3u : 2u); i++)
        attrs->table[i] = &attrs->values[i];
    if (bdev->whole)
        snprintf(dir, sizeof(dir), "block/%s/%s", bdev->whole->name, bdev->name);
    else
        snprintf(dir, sizeof(dir), "block/%s", bdev->name);
    return sysfs_add_group(dir, attrs->table);
}

int sysfs_add_block_devices(void)
{
    const struct bdev *bdev;
    int err = 0;

    for (uint32_t i = 0; !err && (bdev = bdev_by_index(i)) != NULL; i++)
        if (!bdev->level && bdev->sector_count)
            err = add_one(bdev);
    return err;
}
