// SPDX-License-Identifier: MIT
/*
 * Contents of regular files, through the page cache. What lies between a page and the disk is here
 * too; these functions run once a level in a tower of loop devices, so they are few and small.
 *
 * Bytes of a page behind the file's end mean nothing and may be anything, in memory and on the
 * disk. Whoever moves the end over them makes them zero first.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>
#include <vfs/write_back.h>

static uint32_t page_blocks(const struct ext2_fs *fs) { return PAGE_BYTES >> fs->block_shift; }

/*
 * Starts I/O on the blocks of @page that exist, neighbours in one bio. Each bio is submitted before
 * the next is asked for (see bio_alloc).
 */
static int start_page(struct ext2_inode *ei, struct cpage *page, enum bio_op op,
                      struct io_batch *batch)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint32_t count = page_blocks(fs), blocks[EXT2_PAGE_BLOCKS_MAX];
    int err = ext2_bmap(ei, page->index * count, count, blocks);
    if (err == -EUCLEAN && op == BIO_WRITE)
        err = 0; /* damaged pointers lead nowhere: trying again would not help */
    for (uint32_t i = 0, run; i < count && !err; i += run) {
        for (run = 1; i + run < count && blocks[i] && blocks[i + run] == blocks[i] + run;)
            run++;
        if (!blocks[i]) {
            run = 1;
            continue;
        }
        struct bio *bio = bio_alloc(fs->bdev, op, (uint64_t)blocks[i] * fs->sectors_per_block);
        if (!bio)
            return -ENOMEM;
        bio_add(bio, (uint8_t *)page->data + (i << fs->block_shift), run << fs->block_shift);
        io_batch_submit(batch, bio);
    }
    return err;
}

/* Before reading: what no block fills must be zero. */
static int start_read(struct mapping *mapping, struct cpage *page, struct io_batch *batch)
{
    memset(page->data, 0, PAGE_BYTES);
    return start_page(container_of(mapping, struct ext2_inode, mapping), page, BIO_READ, batch);
}

static int read_page(struct mapping *mapping, struct cpage *page)
{
    struct io_batch batch;
    io_batch_init(&batch);
    int err = start_read(mapping, page, &batch);
    int io_err = io_batch_wait(&batch);
    return io_err ? io_err : err;
}

static int write_page(struct mapping *mapping, struct cpage *page, struct io_batch *batch)
{
    return start_page(container_of(mapping, struct ext2_inode, mapping), page, BIO_WRITE, batch);
}

const struct mapping_ops ext2_mapping_ops = {
    .read_page = read_page,
    .write_page = write_page,
    .start_read = start_read,
    .page_cleans = ext2_page_cleans,
    .page_leaves = ext2_page_leaves,
};

ssize_t ext2_read_at(struct inode *inode, void *dst, size_t bytes, uint64_t offset)
{
    struct ext2_inode *ei = ext2_inode(inode);
    return mapping_read(&ei->mapping, dst, bytes, offset, inode->size);
}

static void zero_behind(struct cpage *page, uint64_t size)
{
    uint64_t start = page->index << PAGE_SHIFT;
    uint32_t kept = size > start ? (uint32_t)MIN(size - start, (uint64_t)PAGE_BYTES) : 0;
    memset((uint8_t *)page->data + kept, 0, PAGE_BYTES - kept);
}

/* The part of the last page behind the file's end will be inside the file: it reaches the disk as
 * zeroes. */
static int zero_tail(struct ext2_inode *ei)
{
    struct cpage *page;
    uint64_t size = ei->inode.size;
    if (size % PAGE_BYTES == 0)
        return 0;
    int err = mapping_read_page(&ei->mapping, size >> PAGE_SHIFT, &page);
    if (err)
        return err;
    cpage_wait_stable(page);
    zero_behind(page, size);
    cpage_mark_dirty(page);
    ext2_mark(ei, true);
    cpage_put(page);
    return 0;
}

/* A size that needs more than 31 bits is a feature of the filesystem. */
static void note_large_file(struct ext2_fs *fs)
{
    if (fs->ro_compat & EXT2_RO_COMPAT_LARGE_FILE)
        return;
    mutex_lock(&fs->super_buf->lock);
    fs->ro_compat |= EXT2_RO_COMPAT_LARGE_FILE;
    fs->disk->ro_compat |= EXT2_RO_COMPAT_LARGE_FILE;
    buf_mark_dirty(fs->super_buf);
    mutex_unlock(&fs->super_buf->lock);
}

/* Under map_lock, so that an fsync which stores this inode alone sees the mark with the size. */
static void set_size(struct ext2_inode *ei, uint64_t size)
{
    if (size > INT32_MAX)
        note_large_file(ext2_of(&ei->inode));
    mutex_lock(&ei->map_lock);
    __atomic_store_n(&ei->inode.size, size, __ATOMIC_RELEASE);
    ext2_mark(ei, true);
    mutex_unlock(&ei->map_lock);
}

static uint64_t size_limit(const struct ext2_fs *fs)
{
    return fs->revision ? fs->size_max : MIN(fs->size_max, (uint64_t)INT32_MAX);
}

/* @page is locked, stable and, if only a part of it is written, complete. */
static int fill_page(struct ext2_inode *ei, struct cpage *page, const void *src, uint32_t within,
                     uint32_t bytes)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint32_t first = within >> fs->block_shift, last = (within + bytes - 1) >> fs->block_shift;
    int err = ext2_grow_prepare(ei, page->index * page_blocks(fs) + first, last - first + 1);
    if (err)
        return err;
    bool complete = page->uptodate;
    uint64_t end = (page->index << PAGE_SHIFT) + within + bytes;
    if (end > ei->inode.size)
        zero_behind(page, ei->inode.size);
    err = arch_copy((uint8_t *)page->data + within, src, bytes);
    if (err && !complete) {
        ext2_grow_cancel(ei);
        return err;
    }
    /* After a copy that broke off in the middle the page has changed, and its blocks go with it. */
    ext2_grow_commit(ei);
    page->uptodate = true;
    cpage_mark_dirty(page);
    if (!err && end > ei->inode.size)
        set_size(ei, end);
    ext2_touch(&ei->inode, true);
    ext2_mark(ei, false);
    return err;
}

/* Inside the gate: @bytes within one page. */
static int write_inside(struct ext2_inode *ei, const void *src, uint32_t bytes, uint64_t offset)
{
    uint64_t index = offset >> PAGE_SHIFT;
    uint64_t size = ei->inode.size;
    struct cpage *page;
    int err = ext2_trim_to_size(ei);
    if (!err && offset > size && index != size >> PAGE_SHIFT)
        err = zero_tail(ei);
    if (err)
        return err;
    if (bytes == PAGE_BYTES || index << PAGE_SHIFT >= size)
        err = mapping_get_page(&ei->mapping, index, &page);
    else
        err = mapping_read_page(&ei->mapping, index, &page);
    if (err)
        return err;
    cpage_wait_stable(page);
    err = fill_page(ei, page, src, offset % PAGE_BYTES, bytes);
    cpage_put(page);
    return err;
}

void ext2_relieve(struct ext2_inode *ei)
{
    if (mapping_dirty_many())
        write_back_kick(ei->inode.super);
    if (!mapping_dirty_excess())
        return;
    mapping_write_back(&ei->mapping, 0, UINT64_MAX);
    ext2_wrote(ext2_of(&ei->inode));
}

static int write_part(struct ext2_inode *ei, const void *src, uint32_t bytes, uint64_t offset)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    int err = ext2_enter(fs);
    if (err)
        return err;
    err = write_inside(ei, src, bytes, offset);
    ext2_leave(fs);
    return err;
}

ssize_t ext2_write_at(struct inode *inode, const void *src, size_t bytes, uint64_t offset)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    size_t done = 0;
    bool retried = false;
    int err = 0;
    if (ei->flags & EXT2_FLAG_IMMUTABLE)
        return -EPERM;
    if ((ei->flags & EXT2_FLAG_APPEND) && offset < inode->size)
        return -EPERM;
    if (offset >= size_limit(fs))
        return bytes ? -EFBIG : 0;
    bytes = MIN(bytes, size_limit(fs) - offset);
    while (done < bytes) {
        uint64_t at = offset + done;
        uint32_t part = (uint32_t)MIN(bytes - done, PAGE_BYTES - at % PAGE_BYTES);
        err = write_part(ei, (const uint8_t *)src + done, part, at);
        if (err == -ENOSPC && !retried && ext2_sync_frees(fs)) {
            retried = true;
            if (ext2_sync_fs(fs) == 0)
                continue;
        }
        if (err)
            break;
        done += part;
    }
    ext2_relieve(ei);
    return done ? (ssize_t)done : err;
}

static int truncate_inside(struct ext2_inode *ei, uint64_t size)
{
    struct inode *inode = &ei->inode;
    int err = ext2_trim_to_size(ei);
    if (err)
        return err;
    if (size > inode->size) {
        err = zero_tail(ei);
        if (!err)
            set_size(ei, size);
        return err;
    }
    if (size == inode->size)
        return 0;
    err = mapping_truncate(&ei->mapping, size);
    if (err)
        return err;
    ei->trim_pending = true;
    set_size(ei, size);
    /* From here on it has happened; blocks that cannot be freed now are freed later. */
    if (ext2_trim_to_size(ei))
        write_back_kick(inode->super);
    /* Who read, or mapped, before the size changed may have brought back what was cut off: nobody does any more. */
    return mapping_truncate(&ei->mapping, align_up(size, PAGE_BYTES));
}

int ext2_truncate(struct inode *inode, uint64_t size)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *ei = ext2_inode(inode);
    if (ei->flags & (EXT2_FLAG_IMMUTABLE | EXT2_FLAG_APPEND))
        return -EPERM;
    if (size > size_limit(fs))
        return -EFBIG;
    int err = ext2_enter(fs);
    if (err)
        return err;
    err = truncate_inside(ei, size);
    if (!err) {
        ext2_touch(inode, true);
        ext2_mark(ei, false);
    }
    ext2_leave(fs);
    return err;
}
