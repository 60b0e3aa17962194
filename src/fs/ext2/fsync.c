// SPDX-License-Identifier: MIT
/*
 * fsync, in the calling thread. The file's data goes first. If nothing but contents and times has
 * changed since a full sync, the inode is stored and written alone, and one flush ends it; this needs
 * no gate, so such fsyncs run side by side. Else, when blocks, the size, links or names have changed,
 * fsync is a full sync, which takes the directories up to the root with it.
 */
#include <fs/ext2/ext2_fs.h>

/* Stores the inode if that is safe by itself; false: a full sync is needed. */
static bool store_alone(struct ext2_inode *ei, bool data_only)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    mutex_lock(&ei->map_lock);
    bool alone = ei->changed_seq <= __atomic_load_n(&fs->synced_seq, __ATOMIC_ACQUIRE);
    if (alone && ei->stale && !data_only)
        ext2_inode_store(ei);
    mutex_unlock(&ei->map_lock);
    return alone;
}

int ext2_sync_inode(struct inode *inode, bool data_only)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    if (inode->super->read_only)
        return 0;
    int err = 0;
    if (mode_is_file(inode->mode)) {
        err = mapping_write_back(&ei->mapping, 0, UINT64_MAX);
        ext2_wrote(fs);
    }
    if (!err && (!inode->nlink || store_alone(ei, data_only))) {
        if (inode->nlink && !data_only) {
            err = buf_write(ei->table);
            ext2_wrote(fs);
        }
        if (!err)
            err = ext2_flush(fs);
    } else if (!err) {
        err = ext2_sync_fs(fs);
    }
    int earlier = mode_is_file(inode->mode) ? mapping_take_error(&ei->mapping) : 0;
    return err ? err : earlier;
}
