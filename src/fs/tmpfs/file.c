// SPDX-License-Identifier: MIT
/*
 * Contents of tmpfs files. Holes take no page. Reads come without the inode's lock, so a lock of
 * our own is held while the tree is used; nothing below it sleeps, since app memory was made
 * present by the caller.
 */
#include <fs/tmpfs/internal.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/page.h>

static uint64_t index_of(uint64_t offset) { return offset / TMPFS_PAGE_BYTES; }

/* From @offset to the end of its page, but at most @bytes. */
static size_t chunk_at(uint64_t offset, size_t bytes)
{
    return MIN(bytes, (size_t)(TMPFS_PAGE_BYTES - offset % TMPFS_PAGE_BYTES));
}

static ssize_t file_read(struct inode *inode, void *dst, size_t bytes, uint64_t offset)
{
    struct tmpfs_inode *file = tmpfs_inode(inode);
    size_t done = 0;
    int err = 0;

    mutex_lock(&file->data_lock);
    bytes = offset < inode->size ? MIN(bytes, (size_t)(inode->size - offset)) : 0;
    while (!err && done < bytes) {
        size_t chunk = chunk_at(offset + done, bytes - done);
        const char *page = page_tree_find(&file->tree, index_of(offset + done));
        char *to = (char *)dst + done;
        if (page)
            err = arch_copy(to, page + (offset + done) % TMPFS_PAGE_BYTES, chunk);
        else
            err = arch_zero(to, chunk);
        if (!err)
            done += chunk;
    }
    mutex_unlock(&file->data_lock);
    return done ? (ssize_t)done : err;
}

/* The page at @index, made if it is a hole. */
static int page_for_write(struct tmpfs_inode *file, uint64_t index, char **out)
{
    void *page = page_tree_find(&file->tree, index);

    if (!page) {
        int err = tmpfs_page_alloc(file->inode.super, &page);
        if (err)
            return err;
        err = page_tree_insert(&file->tree, index, page);
        if (err) {
            tmpfs_page_free(file->inode.super, page);
            return err;
        }
        file->inode.blocks += TMPFS_PAGE_BYTES / 512;
    }
    *out = page;
    return 0;
}

static ssize_t file_write(struct inode *inode, const void *src, size_t bytes, uint64_t offset)
{
    struct tmpfs_inode *file = tmpfs_inode(inode);
    size_t done = 0;
    int err = 0;

    mutex_lock(&file->data_lock);
    while (done < bytes) {
        uint64_t at = offset + done;
        size_t chunk = chunk_at(at, bytes - done);
        char *page;
        err = page_for_write(file, index_of(at), &page);
        if (!err)
            err = arch_copy(page + at % TMPFS_PAGE_BYTES, (const char *)src + done, chunk);
        if (err)
            break;
        done += chunk;
    }
    if (done) {
        inode->size = MAX(inode->size, offset + done);
        inode_touch(inode, true);
    }
    mutex_unlock(&file->data_lock);
    return done ? (ssize_t)done : err;
}

/* A hole gets its page also to be read, so that all mappings see one and the same. */
static int file_map_page(struct inode *inode, uint64_t index, bool write, struct page_into *into)
{
    struct tmpfs_inode *file = tmpfs_inode(inode);
    char *page;
    int err = -ENXIO;

    mutex_lock(&file->data_lock);
    if (index < div_round_up(inode->size, TMPFS_PAGE_BYTES))
        err = page_for_write(file, index, &page);
    if (!err) {
        if (write)
            inode_touch(inode, true);
        into->ops->page_ready(into, page);
    }
    mutex_unlock(&file->data_lock);
    return err;
}

/* A page stays as long as the file, and that as long as it is mapped. */
static void file_unmap_page(struct inode *inode, uint64_t index)
{
    (void)inode;
    (void)index;
}

/* Pages from @index on go. */
static void drop_pages(struct tmpfs_inode *file, uint64_t index)
{
    while (page_tree_next(&file->tree, &index)) {
        inode_page_leaving(&file->inode, index);
        tmpfs_page_free(file->inode.super, page_tree_remove(&file->tree, index));
        file->inode.blocks -= TMPFS_PAGE_BYTES / 512;
    }
}

static int file_truncate(struct inode *inode, uint64_t size)
{
    struct tmpfs_inode *file = tmpfs_inode(inode);
    size_t tail = size % TMPFS_PAGE_BYTES;

    mutex_lock(&file->data_lock);
    if (size < inode->size) {
        char *page = tail ? page_tree_find(&file->tree, index_of(size)) : NULL;
        if (page)
            memset(page + tail, 0, TMPFS_PAGE_BYTES - tail);
        drop_pages(file, div_round_up(size, TMPFS_PAGE_BYTES));
    }
    inode->size = size;
    inode_touch(inode, true);
    mutex_unlock(&file->data_lock);
    return 0;
}

/* Nobody uses the file any more. */
void tmpfs_file_free(struct tmpfs_inode *file) { drop_pages(file, 0); }

static int tmpfs_setattr(struct inode *inode, const struct inode_attr *attr)
{
    inode_apply_attr(inode, attr);
    return 0;
}

static ssize_t symlink_read(struct inode *inode, char *dst, size_t bytes)
{
    const char *target = tmpfs_inode(inode)->target;
    size_t length = MIN(bytes, (size_t)inode->size);

    memcpy(dst, target, length);
    return (ssize_t)length;
}

const struct inode_ops tmpfs_file_ops = {
    .read_at = file_read,
    .write_at = file_write,
    .truncate = file_truncate,
    .map_page = file_map_page,
    .unmap_page = file_unmap_page,
    .setattr = tmpfs_setattr,
};

const struct inode_ops tmpfs_symlink_ops = {
    .readlink = symlink_read,
    .setattr = tmpfs_setattr,
};

/* Devices, pipes, sockets: names only. */
const struct inode_ops tmpfs_node_ops = {
    .setattr = tmpfs_setattr,
};
