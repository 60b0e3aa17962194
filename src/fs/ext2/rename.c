// SPDX-License-Identifier: MIT
/*
 * Renaming. The new name is written before the old one is removed, and a directory's ".." in
 * between: when these lie in different blocks, the order is noted (struct ext2_order) and kept by
 * the sync. Two renames whose orders would contradict each other are parted by a full sync. The vfs
 * holds all locks and has made sure that no directory moves into itself.
 */
#include <fs/ext2/ext2_fs.h>

struct renaming {
    struct ext2_inode *old_dir, *new_dir, *moved, *replaced;
    struct ext2_slot from;   /* the old name's record */
    struct ext2_slot to;     /* the new name's: of @replaced, or with room */
    struct ext2_slot parent; /* ".." of a directory that gets another parent */
    bool grown, reparented;
    struct ext2_change change;
};

/* -EAGAIN: only after a full sync. */
static int note_order(struct ext2_fs *fs, uint64_t first, uint64_t later, uint32_t stage)
{
    if (first == later)
        return 0;
    int err = 0;
    bool irq = spin_lock(&fs->list_lock);
    for (uint32_t i = 0; i < fs->order_count && !err; i++)
        if (fs->orders[i].later == first || fs->orders[i].first == later)
            err = -EAGAIN;
    if (fs->order_count == EXT2_ORDERS_MAX)
        err = -EAGAIN;
    if (!err)
        fs->orders[fs->order_count++] = (struct ext2_order){ first, later, stage };
    spin_unlock(&fs->list_lock, irq);
    return err;
}

static int prepare_target(struct renaming *r, const char *name, size_t length)
{
    r->grown = false;
    if (!r->replaced)
        return ext2_dir_room(r->new_dir, length, &r->to, &r->grown);
    int err = ext2_dir_find(r->new_dir, name, length, &r->to);
    if (err)
        return err;
    if (r->to.inode == r->replaced->inode.number)
        return 0;
    buf_put(r->to.buf);
    return ext2_damaged(ext2_of(&r->moved->inode), r->new_dir->inode.number,
                        "a name changed under its lock", r->to.inode);
}

static int pin_all(struct renaming *r)
{
    struct ext2_fs *fs = ext2_of(&r->moved->inode);
    int err = ext2_pin(&r->change, r->from.buf, EXT2_PIN_NAMES);
    if (!err)
        err = ext2_pin(&r->change, r->to.buf, EXT2_PIN_NAMES);
    if (!err && r->reparented)
        err = ext2_pin(&r->change, r->parent.buf, EXT2_PIN_NAMES);
    if (!err)
        err = note_order(fs, r->to.buf->block, r->from.buf->block, EXT2_STAGE_OLD_NAMES);
    if (!err && r->reparented)
        err = note_order(fs, r->to.buf->block, r->parent.buf->block, EXT2_STAGE_PARENTS);
    if (err)
        ext2_change_cancel(&r->change);
    return err;
}

/* The references to blocks that are held from prepare to commit. */
static void put_slots(struct renaming *r)
{
    buf_put(r->from.buf);
    buf_put(r->to.buf);
    if (r->reparented)
        buf_put(r->parent.buf);
}

static int prepare(struct renaming *r, const char *old_name, size_t old_length,
                   const char *new_name, size_t new_length)
{
    int err = ext2_dir_find(r->old_dir, old_name, old_length, &r->from);
    if (err)
        return err;
    if (r->from.inode != r->moved->inode.number) {
        err = ext2_damaged(ext2_of(&r->moved->inode), r->old_dir->inode.number,
                           "a name changed under its lock", r->from.inode);
        goto out_from;
    }
    r->reparented = mode_is_dir(r->moved->inode.mode) && r->old_dir != r->new_dir;
    if (r->reparented) {
        err = ext2_dir_parent(r->moved, &r->parent);
        if (err)
            goto out_from;
    }
    err = prepare_target(r, new_name, new_length);
    if (err)
        goto out_parent;
    ext2_change_init(&r->change);
    err = pin_all(r);
    if (!err)
        return 0;
    ext2_dir_room_cancel(r->new_dir, &r->to, r->grown);
out_parent:
    if (r->reparented)
        buf_put(r->parent.buf);
out_from:
    buf_put(r->from.buf);
    return err;
}

static void commit(struct renaming *r, const char *new_name, size_t new_length)
{
    struct ext2_fs *fs = ext2_of(&r->moved->inode);
    struct inode *old_dir = &r->old_dir->inode, *new_dir = &r->new_dir->inode,
                 *moved = &r->moved->inode;
    bool directory = mode_is_dir(moved->mode);
    if (r->replaced) {
        ext2_dir_replace(r->new_dir, &r->to, (uint32_t)moved->number, moved->mode);
        ext2_drop_link(r->replaced);
    } else {
        ext2_dir_room_commit(r->new_dir, &r->to, r->grown);
        ext2_dir_insert(r->new_dir, &r->to, new_name, new_length, (uint32_t)moved->number,
                        moved->mode);
    }
    ext2_dir_remove(r->old_dir, &r->from);
    if (r->reparented) {
        ext2_dir_replace(r->moved, &r->parent, (uint32_t)new_dir->number, MODE_DIR);
        r->moved->parent = (uint32_t)new_dir->number;
    }
    /* A directory's ".." counts as a link of its parent. */
    if (directory && (r->replaced || old_dir != new_dir) && old_dir->nlink > 2)
        old_dir->nlink--;
    if (directory && !r->replaced && old_dir != new_dir)
        new_dir->nlink++;
    ext2_touch(moved, false);
    ext2_mark(r->moved, true);
    ext2_change_commit(fs, &r->change);
    put_slots(r);
}

static int check(const struct renaming *r)
{
    int err = ext2_may_remove(r->old_dir, r->moved);
    if (!err && r->replaced)
        err = ext2_may_remove(r->new_dir, r->replaced);
    if (!err && (r->new_dir->flags & EXT2_FLAG_IMMUTABLE))
        err = -EPERM;
    if (!err && r->replaced && mode_is_dir(r->replaced->inode.mode)) {
        int empty = ext2_dir_is_empty(r->replaced);
        err = empty > 0 ? 0 : empty ? empty : -ENOTEMPTY;
    }
    if (!err && mode_is_dir(r->moved->inode.mode) && !r->replaced && r->old_dir != r->new_dir &&
        r->new_dir->inode.nlink >= EXT2_LINKS_MAX)
        err = -EMLINK;
    return err;
}

int ext2_rename(struct inode *old_dir, const char *old_name, size_t old_length, struct inode *moved,
                struct inode *new_dir, const char *new_name, size_t new_length,
                struct inode *replaced)
{
    struct ext2_fs *fs = ext2_of(moved);
    struct renaming r = {
        .old_dir = ext2_inode(old_dir),
        .new_dir = ext2_inode(new_dir),
        .moved = ext2_inode(moved),
        .replaced = replaced ? ext2_inode(replaced) : NULL,
    };
    if (replaced == moved)
        return 0;
    int err = check(&r);
    if (err)
        return err;
    for (unsigned tries = 0;; tries++) {
        err = ext2_enter(fs);
        if (err)
            return err;
        err = prepare(&r, old_name, old_length, new_name, new_length);
        if (!err)
            commit(&r, new_name, new_length);
        ext2_leave(fs);
        bool worth_it = err == -EAGAIN || (err == -ENOSPC && ext2_sync_frees(fs));
        if (!worth_it || tries == 2)
            break;
        int sync_err = ext2_sync_fs(fs);
        if (sync_err)
            return err == -EAGAIN ? sync_err : err;
    }
    return err == -EAGAIN ? -EIO : err;
}
