// SPDX-License-Identifier: MIT
/*
 * The inode table: reading an inode, storing it, its end.
 *
 * A cached inode keeps its block of the table pinned, so that storing it cannot fail. The block's
 * buffer gets the inode's fields only when they may go to the disk: by a sync (sync.c). Fields that
 * are not ours, such as the part of large inodes behind the first 128 bytes, are left as they are.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>
#include <rt/heap.h>

#define FLAGS_REFUSED (EXT2_FLAG_COMPRESSED | EXT2_FLAG_EXTENTS | EXT2_FLAG_INLINE_DATA)
#define READ_AHEAD_PAGES 8u

struct inode *ext2_inode_alloc(struct super *super)
{
    struct ext2_fs *fs = ext2_of_super(super);
    struct ext2_inode *ei = heap_zalloc(sizeof(*ei));
    if (!ei)
        return NULL;
    mapping_init(&ei->mapping, &ext2_mapping_ops);
    ei->mapping.read_ahead = fs->bdev->level ? 0 : READ_AHEAD_PAGES;
    mapping_set_level(&ei->mapping, super->level);
    mutex_init_level(&ei->map_lock, "ext2 block map", super->level);
    list_init(&ei->dirty_link);
    return &ei->inode;
}

void ext2_inode_free(struct inode *inode)
{
    struct ext2_inode *ei = ext2_inode(inode);
    ASSERT(!ei->dirty, "a dirty inode is referenced, or evicted first");
    mapping_destroy(&ei->mapping, inode->nlink == 0);
    if (ei->table)
        buf_put(ei->table);
    heap_free(ei);
}

int ext2_table_read(struct ext2_fs *fs, uint32_t number, struct buf **out, uint32_t *offset)
{
    uint32_t group = (number - 1) / fs->inodes_per_group;
    uint32_t index = (number - 1) % fs->inodes_per_group;
    uint32_t per_block = fs->block_bytes / fs->inode_bytes;
    *offset = index % per_block * fs->inode_bytes;
    return buf_read(fs->bdev, fs->groups[group].inode_table + index / per_block, out);
}

static struct ext2_inode_disk *disk_of(const struct buf *table, uint32_t offset)
{
    return (struct ext2_inode_disk *)((uint8_t *)table->data + offset);
}

bool ext2_table_in_use(const struct buf *table, uint32_t offset)
{
    return disk_of(table, offset)->links_count != 0;
}

bool ext2_is_fast_symlink(const struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint64_t xattr_sectors = ei->file_acl ? fs->sectors_per_block : 0;
    return mode_is_symlink(ei->inode.mode) && ei->inode.blocks == xattr_sectors;
}

void ext2_inode_set_ops(struct inode *inode)
{
    switch (inode->mode & MODE_TYPE) {
    case MODE_FILE:
        inode->ops = &ext2_file_ops;
        break;
    case MODE_DIR:
        inode->ops = &ext2_dir_ops;
        break;
    case MODE_SYMLINK:
        inode->ops = &ext2_symlink_ops;
        break;
    default:
        inode->ops = &ext2_node_ops;
        break;
    }
}

/* What an inode must satisfy before anything of it is used; NULL: all is well. */
static const char *what_is_wrong(const struct ext2_fs *fs, const struct ext2_inode *ei)
{
    const struct inode *inode = &ei->inode;
    if (!inode->nlink)
        return "a name leads to a deleted inode";
    switch (inode->mode & MODE_TYPE) {
    case MODE_FILE:
        return inode->size > fs->size_max ? "size above the maximum" : NULL;
    case MODE_DIR:
        if (!inode->size || inode->size % fs->block_bytes || inode->size > INT32_MAX)
            return "impossible directory size";
        return NULL;
    case MODE_SYMLINK:
        if (!inode->size || inode->size >= fs->block_bytes)
            return "impossible symlink size";
        if (ext2_is_fast_symlink(ei) && inode->size >= EXT2_FAST_SYMLINK_BYTES)
            return "impossible symlink size";
        return NULL;
    case MODE_CHAR:
    case MODE_BLOCK:
    case MODE_FIFO:
    case MODE_SOCKET:
        return NULL;
    }
    return "unknown file type";
}

/* Old encoding in the first pointer, else Linux's later one in the second; for us the latter is a
 * number. */
static uint64_t device_number(const struct ext2_inode *ei)
{
    return ei->block[0] ? ei->block[0] & 0xffff : ei->block[1];
}

static void take_fields(struct ext2_inode *ei, const struct ext2_inode_disk *disk)
{
    struct inode *inode = &ei->inode;
    inode->mode = disk->mode;
    inode->uid = disk->uid | (uint32_t)disk->uid_high << 16;
    inode->gid = disk->gid | (uint32_t)disk->gid_high << 16;
    inode->nlink = disk->links_count;
    inode->size = disk->size;
    if (mode_is_file(inode->mode))
        inode->size |= (uint64_t)disk->size_high << 32;
    inode->blocks = disk->blocks;
    inode->atime = (struct fs_timestamp){ (int32_t)disk->atime, 0 };
    inode->mtime = (struct fs_timestamp){ (int32_t)disk->mtime, 0 };
    inode->ctime = (struct fs_timestamp){ (int32_t)disk->ctime, 0 };
    ei->flags = disk->flags;
    ei->generation = disk->generation;
    ei->file_acl = disk->file_acl;
    memcpy(ei->block, disk->block, sizeof(ei->block));
    uint32_t type = inode->mode & MODE_TYPE;
    inode->rdev = type == MODE_CHAR || type == MODE_BLOCK ? device_number(ei) : 0;
}

int ext2_inode_read(struct inode *inode)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    uint32_t number = (uint32_t)inode->number;
    if (inode->number > fs->inodes_count || (number != EXT2_ROOT_INODE && number < fs->first_inode))
        return ext2_damaged(fs, inode->number, "no such inode can be named; highest",
                            fs->inodes_count);
    int err = ext2_table_read(fs, number, &ei->table, &ei->table_offset);
    if (err)
        return err;
    const struct ext2_inode_disk *disk = disk_of(ei->table, ei->table_offset);
    mutex_lock(&ei->table->lock);
    take_fields(ei, disk);
    mutex_unlock(&ei->table->lock);
    const char *wrong = what_is_wrong(fs, ei);
    if (wrong)
        return ext2_damaged(fs, inode->number, wrong, inode->size);
    if (ei->flags & FLAGS_REFUSED)
        return ext2_damaged(fs, inode->number, "flags of a format that is not ext2", ei->flags);
    ei->goal = fs->first_data_block + (number - 1) / fs->inodes_per_group * fs->blocks_per_group;
    ext2_inode_set_ops(inode);
    return 0;
}

void ext2_inode_store(struct ext2_inode *ei)
{
    const struct inode *inode = &ei->inode;
    mutex_lock(&ei->table->lock);
    struct ext2_inode_disk *disk = disk_of(ei->table, ei->table_offset);
    if (ei->fresh)
        memset(disk, 0, ext2_of(inode)->inode_bytes);
    ei->fresh = false;
    disk->mode = (uint16_t)inode->mode;
    disk->uid = (uint16_t)inode->uid;
    disk->uid_high = (uint16_t)(inode->uid >> 16);
    disk->gid = (uint16_t)inode->gid;
    disk->gid_high = (uint16_t)(inode->gid >> 16);
    disk->size = (uint32_t)inode->size;
    if (mode_is_file(inode->mode))
        disk->size_high = (uint32_t)(inode->size >> 32);
    disk->atime = (uint32_t)inode->atime.seconds;
    disk->ctime = (uint32_t)inode->ctime.seconds;
    disk->mtime = (uint32_t)inode->mtime.seconds;
    disk->dtime = inode->nlink ? 0 : (uint32_t)inode->ctime.seconds;
    disk->links_count = (uint16_t)inode->nlink;
    disk->blocks = (uint32_t)inode->blocks;
    disk->flags = ei->flags;
    disk->generation = ei->generation;
    disk->file_acl = ei->file_acl;
    memcpy(disk->block, ei->block, sizeof(ei->block));
    ei->stale = false;
    buf_mark_dirty(ei->table);
    mutex_unlock(&ei->table->lock);
}

void ext2_dead_store(struct ext2_fs *fs, const struct ext2_dead *dead)
{
    mutex_lock(&dead->table->lock);
    struct ext2_inode_disk *disk = disk_of(dead->table, dead->table_offset);
    uint32_t generation = disk->generation;
    memset(disk, 0, fs->inode_bytes);
    disk->generation = generation;
    disk->dtime = dead->time;
    buf_mark_dirty(dead->table);
    mutex_unlock(&dead->table->lock);
}

void ext2_touch(struct inode *inode, bool modified)
{
    inode_touch(inode, modified);
    inode->ctime.nanoseconds =
        0; /* the disk keeps seconds: the times are the same after a remount */
    inode->mtime.nanoseconds = 0;
}

int ext2_setattr(struct inode *inode, const struct inode_attr *attr)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    if (ei->flags & (EXT2_FLAG_IMMUTABLE | EXT2_FLAG_APPEND))
        return -EPERM;
    int err = ext2_enter(fs);
    if (err)
        return err;
    inode_apply_attr(inode, attr);
    inode->atime.nanoseconds = inode->mtime.nanoseconds = inode->ctime.nanoseconds = 0;
    ext2_mark(ei, false);
    ext2_leave(fs);
    return 0;
}
