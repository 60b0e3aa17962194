// SPDX-License-Identifier: MIT
/*
 * Extending a file's map: claims data blocks and the indirect blocks that lead to them.
 *
 * New indirect blocks are filled while nothing refers to them; prepare leaves one pointer to hang
 * their chain in, and the data pointers of a leaf that exists, to be stored by the commit. The
 * caller holds the inode's lock and is inside the gate, so that no other change of this map is
 * under way: prepare only reads, and only the commit needs map_lock.
 */
#include <fs/ext2/ext2_fs.h>

static int claim(struct ext2_inode *ei, uint32_t *out)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    ASSERT(gr->claim_count < EXT2_CLAIMS_MAX,
           "one growth is at most a page and its indirect blocks");
    /* The map's count of sectors has 32 bits. */
    if (ei->inode.blocks + (gr->claim_count + 1ull) * fs->sectors_per_block > UINT32_MAX)
        return -EFBIG;
    int err = ext2_claim_block(fs, ei->goal, out);
    if (err)
        return err;
    gr->claims[gr->claim_count++] = *out;
    ei->goal = *out + 1;
    return 0;
}

/* New indirect blocks for slots[@level..@depth - 2], the top one to be hung in at slots[@level]. */
static int new_chain(struct ext2_inode *ei, unsigned level, unsigned depth, const uint32_t *slots)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    gr->parent = gr->leaf;
    gr->leaf = NULL;
    gr->parent_slot = slots[level];
    gr->leaf_is_new = true;
    for (; level + 1 < depth; level++) {
        uint32_t block;
        struct buf *buf;
        int err = claim(ei, &block);
        if (!err)
            err = buf_get_zeroed(fs->bdev, block, &buf);
        if (err)
            return err;
        if (gr->leaf) {
            ((uint32_t *)gr->leaf->data)[slots[level]] = block;
            buf_put(gr->leaf);
        } else {
            gr->parent_value = block;
        }
        gr->leaf = buf;
        err = ext2_pin(&gr->change, buf, EXT2_PIN_FRESH);
        if (err)
            return err;
    }
    return 0;
}

/* Finds the leaf for slots[], or makes a new chain to one. */
static int find_leaf(struct ext2_inode *ei, unsigned depth, const uint32_t *slots)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    const uint32_t *pointers = ei->block;
    for (unsigned level = 0; level + 1 < depth; level++) {
        uint32_t block = pointers[slots[level]];
        if (!block)
            return new_chain(ei, level, depth, slots);
        if (!ext2_block_valid(fs, block))
            return ext2_damaged(fs, ei->inode.number, "indirect block out of range", block);
        struct buf *next;
        int err = buf_read(fs->bdev, block, &next);
        if (err)
            return err;
        if (gr->leaf)
            buf_put(gr->leaf);
        gr->leaf = next;
        pointers = next->data;
    }
    return 0;
}

/* Claims what is missing among the data pointers, close to the one before. */
static int claim_data(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    uint32_t *pointers = gr->leaf ? gr->leaf->data : ei->block;
    for (uint32_t i = 0; i < gr->count; i++) {
        uint32_t slot = gr->slot + i;
        if (pointers[slot]) {
            if (!ext2_block_valid(fs, pointers[slot]))
                return ext2_damaged(fs, ei->inode.number, "block out of range", pointers[slot]);
            continue;
        }
        if (slot && pointers[slot - 1])
            ei->goal = pointers[slot - 1] + 1;
        else if (i && gr->data[i - 1])
            ei->goal = gr->data[i - 1] + 1;
        int err = claim(ei, &gr->data[i]);
        if (err)
            return err;
        if (gr->leaf_is_new)
            pointers[slot] = gr->data[i];
        else
            gr->missing |= 1u << i;
    }
    return 0;
}

static void finish(struct ext2_growth *gr)
{
    if (gr->leaf)
        buf_put(gr->leaf);
    if (gr->parent)
        buf_put(gr->parent);
    gr->leaf = gr->parent = NULL;
    gr->claim_count = 0;
}

int ext2_grow_prepare(struct ext2_inode *ei, uint64_t first, uint32_t count)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    uint32_t slots[4];
    unsigned depth = ext2_split(fs, first, slots);
    if (!depth)
        return -EFBIG;
    ext2_change_init(&gr->change);
    gr->leaf = gr->parent = NULL;
    gr->parent_value = 0;
    gr->leaf_is_new = false;
    gr->claim_count = gr->missing = 0;
    gr->slot = slots[depth - 1];
    gr->count = count;
    for (uint32_t i = 0; i < EXT2_PAGE_BLOCKS_MAX; i++)
        gr->data[i] = 0;
    int err = find_leaf(ei, depth, slots);
    if (!err)
        err = claim_data(ei);
    if (!err && gr->missing && gr->leaf)
        err = ext2_pin(&gr->change, gr->leaf, EXT2_PIN_POINTERS);
    if (!err && gr->parent_value && gr->parent)
        err = ext2_pin(&gr->change, gr->parent, EXT2_PIN_POINTERS);
    if (err)
        ext2_grow_cancel(ei);
    return err;
}

static void store_pointer(struct ext2_inode *ei, struct buf *buf, uint32_t slot, uint32_t value)
{
    if (!buf) {
        ei->block[slot] = value;
        return;
    }
    mutex_lock(&buf->lock);
    ((uint32_t *)buf->data)[slot] = value;
    mutex_unlock(&buf->lock);
}

void ext2_grow_commit(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    if (gr->claim_count) {
        mutex_lock(&ei->map_lock);
        for (uint32_t i = 0; i < gr->count; i++)
            if (gr->missing & (1u << i))
                store_pointer(ei, gr->leaf, gr->slot + i, gr->data[i]);
        if (gr->parent_value)
            store_pointer(ei, gr->parent, gr->parent_slot, gr->parent_value);
        ei->inode.blocks += (uint64_t)gr->claim_count * fs->sectors_per_block;
        ext2_mark(ei, true);
        mutex_unlock(&ei->map_lock);
    }
    ext2_change_commit(fs, &gr->change);
    finish(gr);
}

void ext2_grow_cancel(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct ext2_growth *gr = &ei->growth;
    uint32_t claim_count = gr->claim_count;
    ext2_change_cancel(&gr->change);
    finish(gr);
    for (uint32_t i = 0; i < claim_count; i++) {
        buf_forget(fs->bdev, gr->claims[i]);
        ext2_unclaim_block(fs, gr->claims[i]);
    }
}
