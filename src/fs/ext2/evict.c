// SPDX-License-Identifier: MIT
/*
 * The end of an inode whose last name and last user are gone: its blocks are freed, its attribute
 * block is let go, and a note (struct ext2_dead) is left for the next full sync, which clears it on
 * the disk and gives its number back. Tried again by write-back when something fails; a full sync
 * that looks for space does it too.
 */
#include <fs/ext2/ext2_fs.h>
#include <rt/heap.h>

/* One user less of the attribute block; the last one frees it. */
static int release_xattr(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint32_t block = ei->file_acl;
    struct ext2_change change;
    struct buf *buf;
    if (!block)
        return 0;
    if (!ext2_block_valid(fs, block)) {
        ext2_damaged(fs, ei->inode.number, "attribute block out of range, not freed", block);
        ei->file_acl = 0;
        return 0;
    }
    int err = buf_read(fs->bdev, block, &buf);
    if (err)
        return err;
    struct ext2_xattr_disk *disk = buf->data;
    bool usable = disk->magic == EXT2_XATTR_MAGIC && disk->refcount > 0;
    bool last = usable && disk->refcount == 1;
    ext2_change_init(&change);
    if (last)
        err = ext2_free_prepare(fs, block);
    else if (usable)
        err = ext2_pin(&change, buf, EXT2_PIN_POINTERS);
    if (!err && usable && !last) {
        mutex_lock(&buf->lock);
        disk->refcount--;
        mutex_unlock(&buf->lock);
        ext2_change_commit(fs, &change);
    }
    buf_put(buf);
    if (err)
        return err;
    if (!usable)
        ext2_damaged(fs, ei->inode.number, "not an attribute block, not freed", block);
    if (last) {
        ext2_forget_block(fs, block);
        ext2_free_commit(fs, block);
    }
    ei->file_acl = 0;
    return 0;
}

static bool has_blocks(const struct ext2_inode *ei)
{
    uint32_t type = ei->inode.mode & MODE_TYPE;
    return type == MODE_FILE || type == MODE_DIR ||
           (type == MODE_SYMLINK && !ext2_is_fast_symlink(ei));
}

/* What contradicts itself too much to be deleted stays on the disk, without a name, for e2fsck. */
static int abandon(struct ext2_inode *ei)
{
    ext2_unmark(ei);
    ei->evicted = true;
    return 0;
}

int ext2_evict_inside(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint32_t number = (uint32_t)ei->inode.number;
    if (ei->evicted)
        return 0;
    int err = ext2_load_inode_bitmap(fs, (number - 1) / fs->inodes_per_group);
    if (!err)
        err = mapping_truncate(&ei->mapping, 0);
    if (!err && has_blocks(ei))
        err = ext2_trim(ei, 0);
    if (!err)
        err = release_xattr(ei);
    if (err)
        return err == -EUCLEAN ? abandon(ei) : err;
    struct ext2_dead *dead = heap_alloc(sizeof(*dead));
    if (!dead)
        return -ENOMEM;
    buf_ref(ei->table);
    dead->table = ei->table;
    dead->table_offset = ei->table_offset;
    dead->number = number;
    dead->time = (uint32_t)fs_now().seconds;
    dead->directory = mode_is_dir(ei->inode.mode);
    ext2_unmark(ei);
    bool irq = spin_lock(&fs->list_lock);
    list_push_back(&fs->dead, &dead->link);
    fs->pending_inodes++;
    spin_unlock(&fs->list_lock, irq);
    ei->evicted = true;
    return 0;
}

int ext2_evict(struct inode *inode)
{
    struct ext2_fs *fs = ext2_of(inode);
    int err = 0;
    ext2_enter_always(fs);
    if (fs->frozen)
        err = abandon(ext2_inode(inode));
    else
        err = ext2_evict_inside(ext2_inode(inode));
    ext2_leave(fs);
    return err;
}
