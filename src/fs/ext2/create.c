// SPDX-License-Identifier: MIT
/*
 * Making files, directories, device nodes and symlinks.
 *
 * Everything that may fail comes first: a place for the name, an inode number, its block of the
 * table, a block for a directory's first records or a long symlink, the inode in memory. Then it is
 * put together.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>

struct creation {
    struct ext2_inode *dir;
    uint32_t mode;
    uint64_t dev;
    const char *target;
    size_t target_length;

    /* what was prepared */
    struct ext2_slot slot;
    bool grown;
    struct ext2_change change;
    uint32_t number;
    struct buf *table;
    uint32_t table_offset;
    uint32_t content; /* block; 0: none is needed */
};

static bool needs_content(const struct creation *c)
{
    return mode_is_dir(c->mode) ||
           (mode_is_symlink(c->mode) && c->target_length >= EXT2_FAST_SYMLINK_BYTES);
}

/* The first block of a directory is written at once, as every new directory block is (dir.c). */
static int fill_content(struct creation *c, struct buf *buf)
{
    struct ext2_fs *fs = ext2_of(&c->dir->inode);
    bool directory = mode_is_dir(c->mode);
    mutex_lock(&buf->lock);
    if (directory) {
        ext2_dir_format(fs, buf->data, c->number, (uint32_t)c->dir->inode.number);
        ext2_mark_buf(fs, buf);
    } else {
        memcpy(buf->data, c->target, c->target_length);
    }
    mutex_unlock(&buf->lock);
    if (!directory)
        return ext2_pin(&c->change, buf, EXT2_PIN_FRESH);
    int err = buf_write(buf);
    ext2_wrote(fs);
    return err;
}

static int prepare_content(struct creation *c)
{
    struct ext2_fs *fs = ext2_of(&c->dir->inode);
    uint32_t group = (c->number - 1) / fs->inodes_per_group;
    struct buf *buf;
    if (!needs_content(c))
        return 0;
    int err =
        ext2_claim_block(fs, fs->first_data_block + group * fs->blocks_per_group, &c->content);
    if (err)
        return err;
    err = buf_get_zeroed(fs->bdev, c->content, &buf);
    if (!err) {
        err = fill_content(c, buf);
        buf_put(buf);
    }
    return err;
}

static void cancel(struct creation *c)
{
    struct ext2_fs *fs = ext2_of(&c->dir->inode);
    ext2_change_cancel(&c->change);
    if (c->content) {
        buf_forget(fs->bdev, c->content);
        ext2_unclaim_block(fs, c->content);
    }
    if (c->table)
        buf_put(c->table);
    if (c->number)
        ext2_unclaim_inode(fs, c->number, mode_is_dir(c->mode));
    ext2_dir_room_cancel(c->dir, &c->slot, c->grown);
}

static int prepare(struct creation *c, size_t name_length, struct inode **out)
{
    struct ext2_fs *fs = ext2_of(&c->dir->inode);
    ext2_change_init(&c->change);
    c->number = c->content = 0;
    c->table = NULL;
    int err = ext2_dir_room(c->dir, name_length, &c->slot, &c->grown);
    if (err)
        return err;
    err = ext2_pin(&c->change, c->slot.buf, EXT2_PIN_NAMES);
    if (!err)
        err = ext2_claim_inode(fs, c->dir, mode_is_dir(c->mode), &c->number);
    if (!err)
        err = ext2_table_read(fs, c->number, &c->table, &c->table_offset);
    if (!err && ext2_table_in_use(c->table, c->table_offset)) {
        err = ext2_damaged(fs, c->number, "inode bitmap shows an inode in use as free", 0);
        c->number = 0; /* stays claimed, so that the next attempt takes another */
    }
    if (!err)
        err = prepare_content(c);
    if (!err)
        err = inode_new(c->dir->inode.super, c->number, out);
    if (err)
        cancel(c);
    return err;
}

static void set_up(struct creation *c, struct inode *inode)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    uint32_t type = c->mode & MODE_TYPE;
    inode->mode = c->mode;
    inode->nlink = mode_is_dir(c->mode) ? 2 : 1;
    ext2_touch(inode, true);
    inode->atime = inode->mtime;
    ei->table = c->table;
    ei->table_offset = c->table_offset;
    ei->fresh = true;
    ei->parent = mode_is_dir(c->mode) ? (uint32_t)c->dir->inode.number : 0;
    ei->generation = __atomic_add_fetch(&fs->next_generation, 1, __ATOMIC_RELAXED);
    ei->flags = c->dir->flags & EXT2_FLAGS_INHERITED;
    ei->goal = fs->first_data_block + (c->number - 1) / fs->inodes_per_group * fs->blocks_per_group;
    if (c->content) {
        ei->block[0] = c->content;
        inode->blocks = fs->sectors_per_block;
        inode->size = mode_is_dir(c->mode) ? fs->block_bytes : c->target_length;
    } else if (mode_is_symlink(c->mode)) {
        memcpy(ei->block, c->target, c->target_length);
        inode->size = c->target_length;
    } else if (type == MODE_CHAR || type == MODE_BLOCK) {
        inode->rdev = c->dev;
        ei->block[c->dev <= UINT16_MAX ? 0 : 1] = (uint32_t)c->dev;
    }
    ext2_inode_set_ops(inode);
    inode->is_new = false;
    ext2_mark(ei, true);
}

static int create_inside(struct creation *c, const char *name, size_t length, struct inode **out)
{
    struct ext2_fs *fs = ext2_of(&c->dir->inode);
    int err = prepare(c, length, out);
    if (err)
        return err;
    set_up(c, *out);
    ext2_dir_room_commit(c->dir, &c->slot, c->grown);
    ext2_dir_insert(c->dir, &c->slot, name, length, c->number, c->mode);
    if (mode_is_dir(c->mode))
        c->dir->inode.nlink++;
    ext2_change_commit(fs, &c->change);
    buf_put(c->slot.buf);
    return 0;
}

int ext2_create(struct inode *inode, const char *name, size_t length, uint32_t mode, uint64_t dev,
                const char *target, struct inode **out)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct creation c = { .dir = ext2_inode(inode), .mode = mode, .dev = dev, .target = target };
    if (c.dir->flags & EXT2_FLAG_IMMUTABLE)
        return -EPERM;
    if (dev > UINT32_MAX)
        return -EINVAL;
    if (mode_is_dir(mode) && inode->nlink >= EXT2_LINKS_MAX)
        return -EMLINK;
    if (mode_is_symlink(mode))
        c.target_length = strlen(target);
    if (c.target_length >= fs->block_bytes)
        return -ENAMETOOLONG;
    int err;
    bool again = false;
    do {
        err = ext2_enter(fs);
        if (err)
            return err;
        err = create_inside(&c, name, length, out);
        ext2_leave(fs);
        again = err == -ENOSPC && !again && ext2_sync_frees(fs) && ext2_sync_fs(fs) == 0;
    } while (again);
    return err;
}
