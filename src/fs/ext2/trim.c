// SPDX-License-Identifier: MIT
/*
 * Freeing a file's blocks from the end, one leaf of pointers a step. Each step is a change of its
 * own, so an error in between leaves a consistent file that still has some blocks to free.
 *
 * A truncation therefore sets the size first, which cannot be left half done, and frees afterwards;
 * what could not be freed (a device error, no stack) is remembered by trim_pending and finished by
 * the next change of the file, by sync, or by its eviction. A file never grows before that.
 *
 * Pointers that make no sense are dropped with a complaint: a damaged file can be deleted.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>

static void path_put_all(struct ext2_trim_path *path)
{
    while (path->depth)
        buf_put(path->bufs[--path->depth]);
}

/* The pointer that names bufs[@level]. */
static uint32_t *name_of(struct ext2_inode *ei, struct ext2_trim_path *path, unsigned level)
{
    if (level == 0)
        return &ei->block[path->root];
    return &((uint32_t *)path->bufs[level - 1]->data)[path->slots[level]];
}

/* Makes freeing of pointers [@first, @end) possible; those out of range count as nothing to free.
 * */
static int prepare_pointers(struct ext2_inode *ei, const uint32_t *pointers, uint32_t first,
                            uint32_t end)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    for (uint32_t i = first; i < end; i++) {
        if (!pointers[i] || !ext2_block_valid(fs, pointers[i]))
            continue;
        int err = ext2_free_prepare(fs, pointers[i]);
        if (err)
            return err;
    }
    return 0;
}

/* map_lock held. @metadata: the block may be in the device's cache. */
static void free_one(struct ext2_inode *ei, uint32_t block, bool metadata)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint32_t sectors = fs->sectors_per_block;
    ei->inode.blocks = ei->inode.blocks < sectors ? 0 : ei->inode.blocks - sectors;
    if (!ext2_block_valid(fs, block)) {
        ext2_damaged(fs, ei->inode.number, "block out of range, not freed", block);
        return;
    }
    if (metadata)
        ext2_forget_block(fs, block);
    ext2_free_commit(fs, block);
}

/* Frees and clears (if @clear) pointers [@first, @end); map_lock held. Returns whether there were
 * any. */
static bool free_pointers(struct ext2_inode *ei, uint32_t *pointers, uint32_t first, uint32_t end,
                          bool clear)
{
    bool metadata = !mode_is_file(ei->inode.mode);
    bool any = false;
    for (uint32_t i = first; i < end; i++) {
        uint32_t block = pointers[i];
        if (!block)
            continue;
        any = true;
        if (clear)
            pointers[i] = 0;
        free_one(ei, block, metadata);
    }
    return any;
}

/* The last child at or behind @first that is there, or -1. */
static int64_t last_child(const struct ext2_fs *fs, const struct buf *buf, uint32_t first)
{
    const uint32_t *pointers = buf->data;
    for (int64_t i = (1 << fs->pointers_shift) - 1; i >= (int64_t)first; i--)
        if (pointers[i])
            return i;
    return -1;
}

/* A leaf of which a part stays. Returns 1: something was freed; 0: nothing to free. */
static int trim_leaf_part(struct ext2_inode *ei, struct ext2_trim_path *path)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct buf *leaf = path->bufs[path->depth - 1];
    uint32_t first = (uint32_t)path->start, end = 1u << fs->pointers_shift;
    struct ext2_change change;
    if (last_child(fs, leaf, first) < 0)
        return 0;
    ext2_change_init(&change);
    int err = ext2_pin(&change, leaf, EXT2_PIN_POINTERS);
    if (!err)
        err = prepare_pointers(ei, leaf->data, first, end);
    if (err) {
        ext2_change_cancel(&change);
        return err;
    }
    mutex_lock(&ei->map_lock);
    free_pointers(ei, leaf->data, first, end, false);   /* takes locks that come before a buffer's */
    mutex_lock(&leaf->lock);
    memset((uint32_t *)leaf->data + first, 0, (end - first) * sizeof(uint32_t));
    mutex_unlock(&leaf->lock);
    ext2_mark(ei, true);
    mutex_unlock(&ei->map_lock);
    ext2_change_commit(fs, &change);
    return 1;
}

/* Frees the node at the end of the path, with all it points to if it is a leaf; its parent forgets
 * it. */
static int trim_node(struct ext2_inode *ei, struct ext2_trim_path *path)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    unsigned level = path->depth - 1;
    struct buf *node = path->bufs[level];
    uint32_t end = path->height == 0 ? 1u << fs->pointers_shift : 0;
    uint32_t *name = name_of(ei, path, level);
    struct ext2_change change;
    ext2_change_init(&change);
    int err = prepare_pointers(ei, node->data, 0, end);
    if (!err)
        err = ext2_free_prepare(fs, *name);
    if (!err && level > 0)
        err = ext2_pin(&change, path->bufs[level - 1], EXT2_PIN_POINTERS);
    if (err) {
        ext2_change_cancel(&change);
        return err;
    }
    mutex_lock(&ei->map_lock);
    uint32_t block = *name;
    *name = 0;
    free_pointers(ei, node->data, 0, end, false);
    buf_put(node);
    path->depth--;
    free_one(ei, block, true);
    ext2_mark(ei, true);
    mutex_unlock(&ei->map_lock);
    ext2_change_commit(fs, &change);
    return 1;
}

/* A pointer to an indirect block that cannot be one, or is another's: what is behind it is lost. */
static int drop_pointer(struct ext2_inode *ei, struct ext2_trim_path *path)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    uint32_t *name = name_of(ei, path, path->depth);
    struct ext2_change change;
    ext2_change_init(&change);
    if (path->depth) {
        int err = ext2_pin(&change, path->bufs[path->depth - 1], EXT2_PIN_POINTERS);
        if (err)
            return err;
    }
    mutex_lock(&ei->map_lock);
    ext2_damaged(fs, ei->inode.number, "indirect block out of range or not its own, dropped",
                 *name);
    *name = 0;
    ext2_mark(ei, true);
    mutex_unlock(&ei->map_lock);
    ext2_change_commit(fs, &change);
    return 1;
}

static bool on_path(const struct ext2_trim_path *path, uint32_t block)
{
    for (unsigned i = 0; i < path->depth; i++)
        if (path->bufs[i]->block == block)
            return true;
    return false;
}

/*
 * One step in the tree at path->root, whose blocks from path->start on are to go. 1, 0 or -errno. A
 * block that several pointers lead to is stepped on once: after that it is freed, and so the steps
 * are bounded.
 */
static int trim_tree(struct ext2_inode *ei, struct ext2_trim_path *path)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    for (;;) {
        uint32_t block = *name_of(ei, path, path->depth);
        if (!ext2_block_valid(fs, block))
            return drop_pointer(ei, path);
        int err = ext2_free_prepare(fs, block);
        if (err)
            return err;
        if (ext2_is_freed(fs, block) || on_path(path, block))
            return drop_pointer(ei, path);
        err = buf_read(fs->bdev, block, &path->bufs[path->depth]);
        if (err)
            return err;
        path->depth++;
        if (path->height == 0)
            return path->start ? trim_leaf_part(ei, path) : trim_node(ei, path);
        unsigned stride_shift = path->height * fs->pointers_shift;
        uint32_t first = (uint32_t)(path->start >> stride_shift);
        int64_t child = last_child(fs, path->bufs[path->depth - 1], first);
        if (child < 0)
            return path->start ? 0 : trim_node(ei, path);
        path->start = child == first ? path->start & ((1ull << stride_shift) - 1) : 0;
        path->slots[path->depth] = (uint32_t)child;
        path->height--;
    }
}

static int trim_direct(struct ext2_inode *ei, uint64_t keep)
{
    if (keep >= EXT2_DIRECT)
        return 0;
    int err = prepare_pointers(ei, ei->block, (uint32_t)keep, EXT2_DIRECT);
    if (err)
        return err;
    mutex_lock(&ei->map_lock);
    if (free_pointers(ei, ei->block, (uint32_t)keep, EXT2_DIRECT, true))
        ext2_mark(ei, true);
    mutex_unlock(&ei->map_lock);
    return 0;
}

static int trim_step(struct ext2_inode *ei, uint64_t keep)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    for (unsigned height = 3; height >= 1; height--) {
        uint64_t base = EXT2_DIRECT;
        for (unsigned h = 1; h < height; h++)
            base += 1ull << (h * fs->pointers_shift);
        if (keep >= base + (1ull << (height * fs->pointers_shift)))
            return 0;
        uint32_t root = EXT2_DIRECT - 1 + height;
        if (!ei->block[root])
            continue;
        struct ext2_trim_path *path = &ei->trim_path;
        path->root = root;
        path->height = height - 1;
        path->depth = 0;
        path->start = keep > base ? keep - base : 0;
        int done = trim_tree(ei, path);
        path_put_all(path);
        if (done)
            return done;
    }
    return trim_direct(ei, keep);
}

int ext2_trim(struct ext2_inode *ei, uint64_t keep)
{
    int more;
    do {
        more = trim_step(ei, keep);
    } while (more > 0);
    return more;
}

int ext2_trim_to_size(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    if (!ei->trim_pending)
        return 0;
    uint64_t size = ei->inode.size;
    int err = ext2_trim(ei, div_round_up(size, fs->block_bytes));
    /* Pages that a reader made again from the old blocks, and writes of the last page that still
     * run. */
    if (!err)
        err = mapping_truncate(&ei->mapping, size);
    if (!err)
        ei->trim_pending = false;
    return err;
}
