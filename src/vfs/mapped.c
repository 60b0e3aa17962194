// SPDX-License-Identifier: MIT
/* Shared mappings of files: between filesystems, which own the pages, and who maps them. */
#include <vfs/vfs.h>

static const struct page_mapper_ops *mapper;

void vfs_set_page_mapper(const struct page_mapper_ops *ops) { mapper = ops; }

static bool is_mapped(const struct inode *inode)
{
    return __atomic_load_n(&inode->mapped, __ATOMIC_SEQ_CST) > 0;
}

void inode_page_cleaning(struct inode *inode, uint64_t index)
{
    if (is_mapped(inode))
        mapper->page_cleaning(inode, index);
}

void inode_page_leaving(struct inode *inode, uint64_t index)
{
    if (is_mapped(inode))
        mapper->page_leaving(inode, index);
}

void inode_was_cut(struct inode *inode, uint64_t size)
{
    if (is_mapped(inode))
        mapper->file_cut(inode, size);
}

int vfs_map_page(struct file *file, uint64_t index, bool write, struct page_into *into)
{
    struct inode *inode = file->inode;

    if (!inode->ops->map_page)
        return -ENODEV;
    if (!write)
        return inode->ops->map_page(inode, index, false, into);
    if (inode->super->read_only)
        return -EROFS;
    mutex_lock(&inode->lock);
    int err = inode->ops->map_page(inode, index, true, into);
    mutex_unlock(&inode->lock);
    return err;
}
