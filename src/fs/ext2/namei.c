// SPDX-License-Identifier: MIT
/*
 * Names: looking one up, making a hard link, removing one; and the tables of operations. Creating
 * is in create.c, renaming in rename.c. The vfs holds the locks of the directory and of the inode
 * concerned, and has found that the name exists, or does not.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>

static bool is_dots(const char *name, size_t length)
{
    return name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'));
}

static int lookup(struct inode *inode, const char *name, size_t length, struct inode **out)
{
    struct ext2_inode *dir = ext2_inode(inode);
    struct ext2_slot slot;
    int err = ext2_dir_find(dir, name, length, &slot);
    if (err)
        return err;
    buf_put(slot.buf);
    err = inode_get(inode->super, slot.inode, out);
    if (err || !mode_is_dir((*out)->mode) || is_dots(name, length))
        return err;
    err = ext2_dir_check_parent(dir, ext2_inode(*out));
    if (err)
        inode_put(*out);
    return err;
}

int ext2_may_remove(const struct ext2_inode *dir, const struct ext2_inode *victim)
{
    if ((dir->flags | victim->flags) & (EXT2_FLAG_IMMUTABLE | EXT2_FLAG_APPEND))
        return -EPERM;
    return 0;
}

void ext2_drop_link(struct ext2_inode *victim)
{
    struct inode *inode = &victim->inode;
    if (mode_is_dir(inode->mode))
        inode->nlink = 0; /* its own "." goes with it */
    else if (inode->nlink)
        inode->nlink--;
    ext2_touch(inode, false);
    ext2_mark(victim, true);
    if (!inode->nlink)
        ext2_orphaned(victim);
}

static int link_inside(struct ext2_inode *dir, const char *name, size_t length,
                       struct ext2_inode *target)
{
    struct ext2_fs *fs = ext2_of(&dir->inode);
    struct ext2_change change;
    struct ext2_slot slot;
    bool grown;
    int err = ext2_dir_room(dir, length, &slot, &grown);
    if (err)
        return err;
    ext2_change_init(&change);
    err = ext2_pin(&change, slot.buf, EXT2_PIN_NAMES);
    if (err) {
        ext2_dir_room_cancel(dir, &slot, grown);
        return err;
    }
    ext2_dir_room_commit(dir, &slot, grown);
    ext2_dir_insert(dir, &slot, name, length, (uint32_t)target->inode.number, target->inode.mode);
    target->inode.nlink++;
    ext2_touch(&target->inode, false);
    ext2_mark(target, true);
    ext2_change_commit(fs, &change);
    buf_put(slot.buf);
    return 0;
}

static int link(struct inode *inode, const char *name, size_t length, struct inode *target)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *dir = ext2_inode(inode), *ei = ext2_inode(target);
    if ((dir->flags & EXT2_FLAG_IMMUTABLE) ||
        (ei->flags & (EXT2_FLAG_IMMUTABLE | EXT2_FLAG_APPEND)))
        return -EPERM;
    if (target->nlink >= EXT2_LINKS_MAX)
        return -EMLINK;
    int err;
    bool again = false;
    do {
        err = ext2_enter(fs);
        if (err)
            return err;
        err = link_inside(dir, name, length, ei);
        ext2_leave(fs);
        again = err == -ENOSPC && !again && ext2_sync_frees(fs) && ext2_sync_fs(fs) == 0;
    } while (again);
    return err;
}

/* Finds the name and makes sure that it is @victim's. */
static int find_victim(struct ext2_inode *dir, const char *name, size_t length,
                       const struct inode *victim, struct ext2_slot *slot)
{
    int err = ext2_dir_find(dir, name, length, slot);
    if (err)
        return err;
    if (slot->inode == victim->number)
        return 0;
    buf_put(slot->buf);
    return ext2_damaged(ext2_of(victim), dir->inode.number, "a name changed under its lock",
                        slot->inode);
}

static int remove(struct inode *inode, const char *name, size_t length, struct inode *victim)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *dir = ext2_inode(inode);
    struct ext2_change change;
    struct ext2_slot slot;
    int err = ext2_may_remove(dir, ext2_inode(victim));
    if (!err)
        err = ext2_enter(fs);
    if (err)
        return err;
    err = find_victim(dir, name, length, victim, &slot);
    if (err)
        goto out_leave;
    ext2_change_init(&change);
    err = ext2_pin(&change, slot.buf, EXT2_PIN_NAMES);
    if (!err) {
        ext2_dir_remove(dir, &slot);
        if (mode_is_dir(victim->mode) && inode->nlink > 2)
            inode->nlink--; /* its ".." named us */
        ext2_drop_link(ext2_inode(victim));
        ext2_change_commit(fs, &change);
    }
    buf_put(slot.buf);
out_leave:
    ext2_leave(fs);
    return err;
}

static int rmdir(struct inode *inode, const char *name, size_t length, struct inode *victim)
{
    int empty = ext2_dir_is_empty(ext2_inode(victim));
    if (empty <= 0)
        return empty ? empty : -ENOTEMPTY;
    return remove(inode, name, length, victim);
}

static ssize_t readlink(struct inode *inode, char *dst, size_t bytes)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    bytes = MIN(bytes, (size_t)inode->size);
    if (ext2_is_fast_symlink(ei)) {
        memcpy(dst, ei->block, bytes);
        return (ssize_t)bytes;
    }
    uint32_t block;
    struct buf *buf;
    int err = ext2_bmap(ei, 0, 1, &block);
    if (!err && !block)
        err = ext2_damaged(fs, inode->number, "symlink without a block", 0);
    if (!err)
        err = buf_read(fs->bdev, block, &buf);
    if (err)
        return err;
    memcpy(dst, buf->data, bytes);
    buf_put(buf);
    return (ssize_t)bytes;
}

const struct inode_ops ext2_dir_ops = {
    .lookup = lookup,
    .create = ext2_create,
    .link = link,
    .unlink = remove,
    .rmdir = rmdir,
    .rename = ext2_rename,
    .readdir = ext2_readdir,
    .setattr = ext2_setattr,
    .sync_inode = ext2_sync_inode,
};

const struct inode_ops ext2_file_ops = {
    .read_at = ext2_read_at,
    .map_page = ext2_map_page,
    .unmap_page = ext2_unmap_page,
    .write_at = ext2_write_at,
    .truncate = ext2_truncate,
    .setattr = ext2_setattr,
    .sync_inode = ext2_sync_inode,
};

const struct inode_ops ext2_symlink_ops = {
    .readlink = readlink,
    .setattr = ext2_setattr,
    .sync_inode = ext2_sync_inode,
};

const struct inode_ops ext2_node_ops = {
    .setattr = ext2_setattr,
    .sync_inode = ext2_sync_inode,
};
