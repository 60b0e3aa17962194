// SPDX-License-Identifier: MIT
/*
 * Pages of files in an address space. They are the cached pages themselves, pinned. A page that may
 * be written to is dirty and has its blocks, as after a write of all of it that lies in the file;
 * write-back takes the right to write away again (page_cleans) before it starts.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/bits.h>
#include <lib/string.h>

void ext2_page_cleans(struct mapping *mapping, struct cpage *page)
{
    inode_page_cleaning(&container_of(mapping, struct ext2_inode, mapping)->inode, page->index);
}

void ext2_page_leaves(struct mapping *mapping, struct cpage *page)
{
    inode_page_leaving(&container_of(mapping, struct ext2_inode, mapping)->inode, page->index);
}

static bool is_zero(const uint8_t *bytes, uint32_t count)
{
    while (count && !bytes[count - 1])
        count--;
    return count == 0;
}

/*
 * Bytes behind the file's end are seen through a mapping, and shall be zero. They mean nothing on
 * the disk. -ENXIO: the whole page lies behind.
 */
static int show_end(struct cpage *page, uint64_t size)
{
    uint64_t start = page->index << PAGE_SHIFT;
    if (start >= size)
        return -ENXIO;
    uint32_t kept = (uint32_t)MIN(size - start, (uint64_t)PAGE_BYTES);
    uint8_t *tail = (uint8_t *)page->data + kept;
    if (!is_zero(tail, PAGE_BYTES - kept)) {
        cpage_wait_stable(page);
        memset(tail, 0, PAGE_BYTES - kept);
    }
    return 0;
}

static void hand_out(struct cpage *page, struct page_into *into)
{
    if (into->ops->page_ready(into, page->data))
        cpage_pin(page);
}

static int map_to_read(struct ext2_inode *ei, uint64_t index, struct page_into *into)
{
    struct cpage *page;
    if (index << PAGE_SHIFT >= __atomic_load_n(&ei->inode.size, __ATOMIC_ACQUIRE))
        return -ENXIO;
    int err = mapping_read_page(&ei->mapping, index, &page);
    if (err)
        return err;
    err = show_end(page, __atomic_load_n(&ei->inode.size, __ATOMIC_ACQUIRE));
    if (!err)
        hand_out(page, into);
    cpage_put(page);
    return err;
}

/* Inside the gate, the page is locked. */
static int make_writable(struct ext2_inode *ei, struct cpage *page)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint64_t start = page->index << PAGE_SHIFT, size = ei->inode.size;
    int err = show_end(page, size);
    if (err)
        return err;
    cpage_wait_stable(page);
    uint64_t bytes = MIN(size - start, (uint64_t)PAGE_BYTES);
    err = ext2_grow_prepare(ei, start >> fs->block_shift,
                            (uint32_t)div_round_up(bytes, fs->block_bytes));
    if (err)
        return err;
    ext2_grow_commit(ei);
    cpage_mark_dirty(page);
    ext2_touch(&ei->inode, true);
    ext2_mark(ei, false);
    return 0;
}

static int map_inside(struct ext2_inode *ei, uint64_t index, struct page_into *into)
{
    struct cpage *page;
    int err = ext2_trim_to_size(ei);
    if (!err && index << PAGE_SHIFT >= ei->inode.size)
        err = -ENXIO;
    if (!err)
        err = mapping_read_page(&ei->mapping, index, &page);
    if (err)
        return err;
    err = make_writable(ei, page);
    if (!err)
        hand_out(page, into);
    cpage_put(page);
    return err;
}

static int map_to_write(struct ext2_inode *ei, uint64_t index, struct page_into *into)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    if (ei->flags & (EXT2_FLAG_IMMUTABLE | EXT2_FLAG_APPEND))
        return -EPERM;
    int err = ext2_enter(fs);
    if (err)
        return err;
    err = map_inside(ei, index, into);
    ext2_leave(fs);
    return err;
}

int ext2_map_page(struct inode *inode, uint64_t index, bool write, struct page_into *into)
{
    struct ext2_inode *ei = ext2_inode(inode);
    if (index > INT64_MAX >> PAGE_SHIFT)
        return -ENXIO;
    if (!write)
        return map_to_read(ei, index, into);
    int err = map_to_write(ei, index, into);
    if (err == -ENOSPC && ext2_sync_frees(ext2_of(inode)) && ext2_sync_fs(ext2_of(inode)) == 0)
        err = map_to_write(ei, index, into);
    ext2_relieve(ei);
    return err;
}

void ext2_unmap_page(struct inode *inode, uint64_t index)
{
    mapping_unpin_page(&ext2_inode(inode)->mapping, index);
}
