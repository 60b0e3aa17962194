// SPDX-License-Identifier: MIT
/*
 * Directories: blocks of records, searched from front to back. A record is checked when it is
 * stepped on, so a damaged one ends the search with -EUCLEAN and nothing behind it is believed. The
 * caller holds the directory's lock; changes are also inside the gate, with the block pinned by the
 * caller.
 *
 * An index of hashes (dir_index) is not kept up: a directory that is changed loses its index flag,
 * and is then an ordinary one whose index blocks look like records. e2fsck -D makes a new index.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>

static struct ext2_dirent_disk *at(const struct buf *buf, uint32_t offset)
{
    return (struct ext2_dirent_disk *)((uint8_t *)buf->data + offset);
}

/* The record at @offset, if it is one; else NULL, and the complaint is made. */
static struct ext2_dirent_disk *record(struct ext2_inode *dir, const struct buf *buf,
                                       uint32_t offset)
{
    struct ext2_fs *fs = ext2_of(&dir->inode);
    struct ext2_dirent_disk *r = at(buf, offset);
    const char *wrong = NULL;
    if (offset + EXT2_RECORD_BYTES(1) > fs->block_bytes)
        wrong = "directory record across a block's end, block";
    else if (r->record_bytes < EXT2_RECORD_BYTES(1) || r->record_bytes % 4)
        wrong = "directory record of impossible length, block";
    else if (offset + r->record_bytes > fs->block_bytes)
        wrong = "directory record across a block's end, block";
    else if (r->inode && (EXT2_RECORD_BYTES(r->name_bytes) > r->record_bytes || !r->name_bytes))
        wrong = "directory record too short for its name, block";
    else if (r->inode > fs->inodes_count)
        wrong = "directory record with an impossible inode, block";
    if (!wrong)
        return r;
    ext2_damaged(fs, dir->inode.number, wrong, buf->block);
    return NULL;
}

static int read_block(struct ext2_inode *dir, uint32_t index, struct buf **out)
{
    struct ext2_fs *fs = ext2_of(&dir->inode);
    uint32_t block;
    int err = ext2_bmap(dir, index, 1, &block);
    if (err)
        return err;
    if (!block)
        return ext2_damaged(fs, dir->inode.number, "hole in a directory, block", index);
    return buf_read(fs->bdev, block, out);
}

static uint32_t block_count(const struct ext2_inode *dir)
{
    return (uint32_t)(dir->inode.size >> ext2_of(&dir->inode)->block_shift);
}

static bool is_name(const struct ext2_dirent_disk *r, const char *name, size_t length)
{
    return r->inode && r->name_bytes == length && memcmp(r->name, name, length) == 0;
}

/* 1: found, and @out keeps the reference to @buf. */
static int find_in_block(struct ext2_inode *dir, struct buf *buf, const char *name, size_t length,
                         struct ext2_slot *out)
{
    uint32_t block_bytes = ext2_of(&dir->inode)->block_bytes;
    for (uint32_t offset = 0; offset < block_bytes;) {
        const struct ext2_dirent_disk *r = record(dir, buf, offset);
        if (!r)
            return -EUCLEAN;
        if (is_name(r, name, length)) {
            out->buf = buf;
            out->offset = offset;
            out->inode = r->inode;
            return 1;
        }
        offset += r->record_bytes;
    }
    return 0;
}

int ext2_dir_find(struct ext2_inode *dir, const char *name, size_t length, struct ext2_slot *out)
{
    uint32_t count = block_count(dir);
    for (uint32_t index = 0; index < count; index++) {
        struct buf *buf;
        int err = read_block(dir, index, &buf);
        if (err)
            return err;
        int found = find_in_block(dir, buf, name, length, out);
        if (found > 0) {
            out->block_index = index;
            return 0;
        }
        buf_put(buf);
        if (found < 0)
            return found;
    }
    return -ENOENT;
}

/* 1: there is room at *@offset. */
static int room_in_block(struct ext2_inode *dir, const struct buf *buf, uint32_t needed,
                         uint32_t *offset)
{
    uint32_t block_bytes = ext2_of(&dir->inode)->block_bytes;
    for (*offset = 0; *offset < block_bytes;) {
        const struct ext2_dirent_disk *r = record(dir, buf, *offset);
        if (!r)
            return -EUCLEAN;
        uint32_t used = r->inode ? EXT2_RECORD_BYTES(r->name_bytes) : 0;
        if (r->record_bytes >= used + needed)
            return 1;
        *offset += r->record_bytes;
    }
    return 0;
}

/*
 * One block more, that holds an empty record. It is written at once: the inode that names it may
 * reach the disk before the names in it do (sync.c).
 */
static int extend(struct ext2_inode *dir, struct ext2_slot *out)
{
    struct ext2_fs *fs = ext2_of(&dir->inode);
    if (dir->inode.size + fs->block_bytes > INT32_MAX)
        return -ENOSPC;
    int err = ext2_grow_prepare(dir, block_count(dir), 1);
    if (err)
        return err;
    if (!dir->growth.data[0])
        err = ext2_damaged(fs, dir->inode.number, "a directory has blocks behind its size",
                           dir->inode.size);
    else
        err = buf_get_zeroed(fs->bdev, dir->growth.data[0], &out->buf);
    if (err) {
        ext2_grow_cancel(dir);
        return err;
    }
    mutex_lock(&out->buf->lock);
    at(out->buf, 0)->record_bytes = (uint16_t)fs->block_bytes;
    ext2_mark_buf(fs, out->buf);
    mutex_unlock(&out->buf->lock);
    err = buf_write(out->buf);
    ext2_wrote(fs);
    if (err) {
        buf_put(out->buf);
        ext2_grow_cancel(dir);
        return err;
    }
    out->offset = 0;
    out->block_index = block_count(dir);
    return 0;
}

int ext2_dir_room(struct ext2_inode *dir, size_t length, struct ext2_slot *out, bool *grown)
{
    uint32_t count = block_count(dir), needed = EXT2_RECORD_BYTES(length);
    *grown = false;
    for (uint32_t index = dir->room_hint; index < count; index++) {
        int err = read_block(dir, index, &out->buf);
        if (err)
            return err;
        int room = room_in_block(dir, out->buf, needed, &out->offset);
        if (room > 0) {
            out->block_index = index;
            return 0;
        }
        buf_put(out->buf);
        if (room < 0)
            return room;
    }
    int err = extend(dir, out);
    *grown = !err;
    return err;
}

void ext2_dir_room_commit(struct ext2_inode *dir, const struct ext2_slot *slot, bool grown)
{
    if (grown) {
        ext2_grow_commit(dir);
        dir->inode.size += ext2_of(&dir->inode)->block_bytes;
    }
    dir->room_hint = slot->block_index;
}

void ext2_dir_room_cancel(struct ext2_inode *dir, struct ext2_slot *slot, bool grown)
{
    buf_put(slot->buf);
    if (grown)
        ext2_grow_cancel(dir);
}

static uint8_t file_type(const struct ext2_fs *fs, uint32_t mode)
{
    static const uint8_t types[16] = {
        [MODE_FILE >> 12] = EXT2_FT_FILE,       [MODE_DIR >> 12] = EXT2_FT_DIR,
        [MODE_CHAR >> 12] = EXT2_FT_CHAR,       [MODE_BLOCK >> 12] = EXT2_FT_BLOCK,
        [MODE_FIFO >> 12] = EXT2_FT_FIFO,       [MODE_SOCKET >> 12] = EXT2_FT_SOCKET,
        [MODE_SYMLINK >> 12] = EXT2_FT_SYMLINK,
    };
    return fs->has_file_type ? types[(mode & MODE_TYPE) >> 12] : 0;
}

static void changed(struct ext2_inode *dir)
{
    dir->flags &= ~EXT2_FLAG_INDEX;
    ext2_touch(&dir->inode, true);
    ext2_mark(dir, true);
}

void ext2_dir_insert(struct ext2_inode *dir, const struct ext2_slot *slot, const char *name,
                     size_t length, uint32_t number, uint32_t mode)
{
    struct ext2_dirent_disk *r = at(slot->buf, slot->offset);
    mutex_lock(&slot->buf->lock);
    if (r->inode) {
        uint32_t used = EXT2_RECORD_BYTES(r->name_bytes);
        struct ext2_dirent_disk *rest = at(slot->buf, slot->offset + used);
        rest->record_bytes = (uint16_t)(r->record_bytes - used);
        r->record_bytes = (uint16_t)used;
        r = rest;
    }
    r->inode = number;
    r->name_bytes = (uint8_t)length;
    r->file_type = file_type(ext2_of(&dir->inode), mode);
    memcpy(r->name, name, length);
    mutex_unlock(&slot->buf->lock);
    changed(dir);
}

void ext2_dir_remove(struct ext2_inode *dir, const struct ext2_slot *slot)
{
    struct ext2_dirent_disk *r = at(slot->buf, slot->offset);
    mutex_lock(&slot->buf->lock);
    /* Found anew: an insertion may have split the record before. All up to here were checked. */
    for (uint32_t offset = 0; offset < slot->offset;) {
        struct ext2_dirent_disk *before = at(slot->buf, offset);
        offset += before->record_bytes;
        if (offset == slot->offset)
            before->record_bytes = (uint16_t)(before->record_bytes + r->record_bytes);
    }
    r->inode = 0;
    mutex_unlock(&slot->buf->lock);
    if (slot->block_index < dir->room_hint)
        dir->room_hint = slot->block_index;
    changed(dir);
}

void ext2_dir_replace(struct ext2_inode *dir, const struct ext2_slot *slot, uint32_t number,
                      uint32_t mode)
{
    struct ext2_dirent_disk *r = at(slot->buf, slot->offset);
    mutex_lock(&slot->buf->lock);
    r->inode = number;
    r->file_type = file_type(ext2_of(&dir->inode), mode);
    mutex_unlock(&slot->buf->lock);
    changed(dir);
}

void ext2_dir_format(struct ext2_fs *fs, void *data, uint32_t self, uint32_t parent)
{
    struct ext2_dirent_disk *r = data;
    r->inode = self;
    r->record_bytes = EXT2_RECORD_BYTES(1);
    r->name_bytes = 1;
    r->file_type = file_type(fs, MODE_DIR);
    r->name[0] = '.';
    r = (struct ext2_dirent_disk *)((uint8_t *)data + EXT2_RECORD_BYTES(1));
    r->inode = parent;
    r->record_bytes = (uint16_t)(fs->block_bytes - EXT2_RECORD_BYTES(1));
    r->name_bytes = 2;
    r->file_type = file_type(fs, MODE_DIR);
    r->name[0] = r->name[1] = '.';
}

int ext2_dir_parent(struct ext2_inode *dir, struct ext2_slot *out)
{
    int err = read_block(dir, 0, &out->buf);
    if (err)
        return err;
    int found = find_in_block(dir, out->buf, "..", 2, out);
    out->block_index = 0;
    if (found > 0)
        return 0;
    buf_put(out->buf);
    return found < 0
               ? found
               : ext2_damaged(ext2_of(&dir->inode), dir->inode.number, "no .. in directory", 0);
}

int ext2_dir_check_parent(const struct ext2_inode *dir, struct ext2_inode *child)
{
    struct ext2_slot slot;
    if (!child->parent) {
        int err = ext2_dir_parent(child, &slot);
        if (err)
            return err;
        child->parent = slot.inode;
        buf_put(slot.buf);
    }
    if (child->parent == dir->inode.number && &dir->inode != &child->inode)
        return 0;
    return ext2_damaged(ext2_of(&dir->inode), dir->inode.number,
                        "a directory has two parents, inode", child->inode.number);
}

/* 1: nothing but "." and ".." in this block. */
static int block_is_empty(struct ext2_inode *dir, const struct buf *buf)
{
    uint32_t block_bytes = ext2_of(&dir->inode)->block_bytes;
    for (uint32_t offset = 0; offset < block_bytes;) {
        const struct ext2_dirent_disk *r = record(dir, buf, offset);
        if (!r)
            return -EUCLEAN;
        if (r->inode && !is_name(r, ".", 1) && !is_name(r, "..", 2))
            return 0;
        offset += r->record_bytes;
    }
    return 1;
}

int ext2_dir_is_empty(struct ext2_inode *dir)
{
    uint32_t count = block_count(dir);
    int empty = 1;
    for (uint32_t index = 0; index < count && empty > 0; index++) {
        struct buf *buf;
        int err = read_block(dir, index, &buf);
        if (err)
            return err;
        empty = block_is_empty(dir, buf);
        buf_put(buf);
    }
    return empty;
}

static uint32_t mode_of_type(uint8_t type)
{
    static const uint32_t modes[] = {
        [EXT2_FT_FILE] = MODE_FILE,       [EXT2_FT_DIR] = MODE_DIR,
        [EXT2_FT_CHAR] = MODE_CHAR,       [EXT2_FT_BLOCK] = MODE_BLOCK,
        [EXT2_FT_FIFO] = MODE_FIFO,       [EXT2_FT_SOCKET] = MODE_SOCKET,
        [EXT2_FT_SYMLINK] = MODE_SYMLINK,
    };
    return type < ARRAY_COUNT(modes) ? modes[type] : 0;
}

/* 1: all from @within on was taken; 0: the receiver is full. */
static int emit_block(struct ext2_inode *dir, const struct buf *buf, uint64_t base, uint32_t within,
                      struct dir_sink *sink)
{
    uint32_t block_bytes = ext2_of(&dir->inode)->block_bytes;
    for (uint32_t offset = 0; offset < block_bytes;) {
        const struct ext2_dirent_disk *r = record(dir, buf, offset);
        if (!r)
            return -EUCLEAN;
        uint32_t next = offset + r->record_bytes;
        uint32_t mode = mode_of_type(r->file_type);
        if (r->inode && offset >= within) {
            if (memchr(r->name, '/', r->name_bytes) || memchr(r->name, 0, r->name_bytes))
                return ext2_damaged(ext2_of(&dir->inode), dir->inode.number,
                                    "impossible name, block", buf->block);
            if (!sink->ops->emit(sink, r->name, r->name_bytes, r->inode, mode, base + next))
                return 0;
        }
        offset = next;
    }
    return 1;
}

int ext2_readdir(struct inode *inode, uint64_t offset, struct dir_sink *sink)
{
    struct ext2_fs *fs = ext2_of(inode);
    struct ext2_inode *dir = ext2_inode(inode);
    while (offset < inode->size) {
        uint32_t index = (uint32_t)(offset >> fs->block_shift);
        uint64_t base = (uint64_t)index << fs->block_shift;
        struct buf *buf;
        int err = read_block(dir, index, &buf);
        if (err)
            return err;
        int more = emit_block(dir, buf, base, (uint32_t)(offset - base), sink);
        buf_put(buf);
        if (more <= 0)
            return more;
        offset = base + fs->block_bytes;
    }
    return 0;
}
