// SPDX-License-Identifier: MIT
/*
 * Mounting and unmounting. A mount for writing clears the superblock's valid flag, on the disk
 * before anything else changes; the unmount sets it again, if it was set before and nothing was
 * found damaged.
 */
#include <fs/ext2/ext2.h>
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/log.h>

static void drop_groups(struct ext2_fs *fs)
{
    for (uint32_t i = 0; fs->groups && i < fs->group_count; i++) {
        struct ext2_group *g = &fs->groups[i];
        if (g->block_bitmap)
            buf_put(g->block_bitmap);
        if (g->inode_bitmap)
            buf_put(g->inode_bitmap);
        heap_free(g->pending);
    }
    for (uint32_t i = 0; fs->gdt && i < fs->gdt_blocks; i++)
        if (fs->gdt[i])
            buf_put(fs->gdt[i]);
    heap_free(fs->groups);
    heap_free(fs->gdt);
}

static void destroy(struct ext2_fs *fs)
{
    drop_groups(fs);
    if (fs->super_buf)
        buf_put(fs->super_buf);
    if (fs->bdev) {
        bdev_release(fs->bdev);
        bdev_close(fs->bdev);
    }
    heap_free(fs);
}

/* The superblock lies at byte 1024, whatever the size of a block. */
static int read_super(struct ext2_fs *fs, uint32_t block_bytes)
{
    int err = buf_cache_set_block_bytes(fs->bdev, block_bytes);
    if (!err)
        err = buf_read(fs->bdev, EXT2_SUPER_OFFSET / block_bytes, &fs->super_buf);
    if (!err)
        fs->disk = (struct ext2_super_disk *)((uint8_t *)fs->super_buf->data +
                                              EXT2_SUPER_OFFSET % block_bytes);
    return err;
}

static int check_super(struct ext2_fs *fs)
{
    struct bdev *bdev = fs->bdev;
    if (bdev->sector_count < 2 * EXT2_SUPER_OFFSET / SECTOR_BYTES) {
        console_printf("ext2: %s: nothing to mount: %lu sectors\n", fs->source, bdev->sector_count);
        return bdev->sector_count ? -EINVAL : -ENXIO;
    }
    int err = read_super(fs, MAX(EXT2_SUPER_OFFSET, bdev->block_bytes));
    if (!err)
        err = ext2_check_super(fs, fs->disk, fs->super->read_only);
    if (err)
        return err;
    buf_put(fs->super_buf);
    fs->super_buf = NULL;
    fs->disk = NULL;
    return read_super(fs, fs->block_bytes);
}

static int read_groups(struct ext2_fs *fs)
{
    uint32_t per_block = fs->block_bytes / sizeof(struct ext2_group_disk);
    fs->groups = heap_zalloc(fs->group_count * sizeof(*fs->groups));
    fs->gdt = heap_zalloc(fs->gdt_blocks * sizeof(*fs->gdt));
    if (!fs->groups || !fs->gdt)
        return -ENOMEM;
    for (uint32_t i = 0; i < fs->group_count; i++) {
        struct buf **buf = &fs->gdt[i / per_block];
        int err = *buf ? 0 : buf_read(fs->bdev, fs->first_data_block + 1 + i / per_block, buf);
        if (!err)
            err = ext2_check_group(fs, i, (struct ext2_group_disk *)(*buf)->data + i % per_block);
        if (err)
            return err;
        fs->free_blocks += fs->groups[i].free_blocks;
        fs->free_inodes += fs->groups[i].free_inodes;
        fs->overhead += ext2_group_head(fs, i) + 2 + fs->table_blocks;
    }
    fs->overhead += fs->first_data_block;
    return 0;
}

static int read_root(struct ext2_fs *fs)
{
    struct inode *root;
    int err = inode_get(fs->super, EXT2_ROOT_INODE, &root);
    if (err == -EUCLEAN || (!err && !mode_is_dir(root->mode))) {
        console_printf("ext2: %s: no usable root directory; run e2fsck\n", fs->source);
        if (!err)
            inode_put(root);
        return -EINVAL;
    }
    if (!err)
        fs->super->root = root;
    return err;
}

#define SUPER_TRIES 3 /* a passing failure should not cost the next mount an e2fsck */

static int write_super(struct ext2_fs *fs)
{
    int err = -EIO;
    for (unsigned i = 0; i < SUPER_TRIES && err; i++) {
        err = buf_write(fs->super_buf);
        ext2_wrote(fs);
        if (!err)
            err = ext2_flush(fs);
    }
    return err;
}

static void set_state(struct ext2_fs *fs, uint16_t state, bool mounting)
{
    mutex_lock(&fs->super_buf->lock);
    fs->disk->state = state;
    fs->disk->write_time = (uint32_t)fs_now().seconds;
    if (mounting) {
        fs->disk->mount_time = fs->disk->write_time;
        fs->disk->mount_count++;
    }
    buf_mark_dirty(fs->super_buf);
    mutex_unlock(&fs->super_buf->lock);
}

static int begin_writing(struct ext2_fs *fs)
{
    if (fs->super->read_only)
        return 0;
    if (!fs->was_valid)
        console_printf("ext2: %s: was not unmounted cleanly, or has errors: e2fsck is due\n",
                       fs->source);
    uint16_t state = fs->disk->state;
    set_state(fs, state & (uint16_t)~EXT2_STATE_VALID, true);
    int err = write_super(fs);
    if (err) {
        set_state(fs, state, false); /* it may have got through: put it right if that can be */
        write_super(fs);
        buf_forget(fs->bdev, fs->super_buf->block);
    }
    return err;
}

static void put_super(struct super *super)
{
    struct ext2_fs *fs = ext2_of_super(super);
    if (!super->read_only) {
        int err = ext2_sync_all(fs);
        uint16_t state = fs->disk->state;
        if (fs->damaged)
            state |= EXT2_STATE_ERROR;
        else if (fs->was_valid && !err)
            state |= EXT2_STATE_VALID;
        set_state(fs, state, false);
        if (!err)
            err = write_super(fs);
        if (err)
            log_error("ext2: %s: unmounted, but not marked clean: %s", fs->source, errno_name(err));
    }
    super->private = NULL;
    destroy(fs);
}

static int statfs(struct super *super, struct fs_stat *out)
{
    struct ext2_fs *fs = ext2_of_super(super);
    mutex_lock(&fs->alloc_lock);
    uint64_t free = fs->free_blocks + fs->pending_blocks;
    out->type = EXT2_MAGIC;
    out->block_bytes = fs->block_bytes;
    out->blocks = fs->blocks_count - MIN(fs->overhead, fs->blocks_count);
    out->blocks_free = free;
    out->blocks_available = free > fs->reserved_blocks ? free - fs->reserved_blocks : 0;
    out->files = fs->inodes_count;
    out->files_free = fs->free_inodes + fs->pending_inodes;
    out->name_max = EXT2_NAME_MAX;
    mutex_unlock(&fs->alloc_lock);
    return 0;
}

static const struct super_ops ext2_super_ops = {
    .inode_alloc = ext2_inode_alloc,
    .inode_free = ext2_inode_free,
    .inode_read = ext2_inode_read,
    .evict = ext2_evict,
    .sync_super = ext2_sync_super,
    .write_some = ext2_write_some,
    .put_super = put_super,
    .statfs = statfs,
};

static struct ext2_fs *make(struct super *super)
{
    struct ext2_fs *fs = heap_zalloc(sizeof(*fs));
    if (!fs)
        return NULL;
    fs->super = super;
    fs->source = ext2_intern(super->source);
    if (!fs->source)
        fs->source = "?";
    spin_name(&fs->list_lock, "ext2 lists");
    mutex_init(&fs->alloc_lock);
    mutex_init(&fs->data_lock);
    ext2_gate_init(&fs->gate);
    for (uint32_t i = 0; i < EXT2_PIN_BUCKETS; i++)
        list_init(&fs->pins[i]);
    list_init(&fs->dirty);
    list_init(&fs->dead);
    fs->change_seq = 1;
    fs->next_generation = (uint32_t)arch_random();
    return fs;
}

static int open_device(struct ext2_fs *fs)
{
    struct bdev *bdev;
    int err = bdev_open(fs->super->dev, &bdev);
    if (err)
        return err;
    err = bdev_claim(bdev);
    if (err) {
        bdev_close(bdev);
        return err;
    }
    fs->bdev = bdev;
    fs->super->read_only |= bdev->read_only;
    fs->super->level = bdev->level;
    fs->super->reserve_probes = 2 * bdev->level + 2;
    mutex_set_class(&fs->alloc_lock, LOCK_CLASS_HERE("ext2 allocation"), bdev->level);
    mutex_set_class(&fs->data_lock, LOCK_CLASS_HERE("ext2 data walk"), bdev->level);
    ext2_gate_set_level(&fs->gate, bdev->level);
    return 0;
}

static int mount(struct super *super, const char *options)
{
    struct ext2_fs *fs = make(super);
    (void)options;
    if (!fs)
        return -ENOMEM;
    super->private = fs;
    super->ops = &ext2_super_ops;
    int err = open_device(fs);
    if (!err)
        err = check_super(fs);
    if (!err)
        err = read_groups(fs);
    if (!err)
        err = read_root(fs);
    if (!err)
        err = begin_writing(fs);
    if (!err)
        return 0;
    struct inode *root = super->root;
    super->root = NULL;
    if (root)
        inode_put(root);
    super->ops = NULL;
    super->private = NULL;
    destroy(fs);
    return err;
}

static const struct fs_type_ops ext2_type_ops = { .mount = mount };

const struct fs_type ext2_fs_type = {
    .name = "ext2",
    .needs_device = true,
    .ops = &ext2_type_ops,
    .inode_class = LOCK_CLASS_NAMED("ext2 inode"),
};
