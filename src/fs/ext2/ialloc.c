// SPDX-License-Identifier: MIT
/*
 * Inode numbers: which are free. As with blocks (alloc.c), a claim takes the bit at once and can be
 * undone, and the number of a deleted inode is free again only after a full sync (ext2_dead in
 * sync.c).
 *
 * Where: a directory goes to the group with most free blocks among those with their share of free
 * inodes, so that trees spread; everything else next to its directory.
 */
#include <fs/ext2/ext2_fs.h>

static uint32_t first_free(const uint8_t *map, uint32_t end)
{
    for (uint32_t bit = 0; bit < end; bit++) {
        if (bit % 8 == 0 && map[bit / 8] == 0xff)
            bit += 7;
        else if (!(map[bit / 8] & (1u << (bit % 8))))
            return bit;
    }
    return end;
}

/* As in alloc.c. */
static void recount(struct ext2_fs *fs, struct ext2_group *g)
{
    const uint8_t *map = g->inode_bitmap->data;
    uint32_t free = 0;
    for (uint32_t bit = 0; bit < fs->inodes_per_group; bit++)
        free += !(map[bit / 8] & (1u << (bit % 8)));
    g->counts_changed |= free != g->free_inodes;
    fs->free_inodes += (uint64_t)free - g->free_inodes;
    g->free_inodes = free;
}

/* alloc_lock held. */
static int load(struct ext2_fs *fs, uint32_t group)
{
    struct ext2_group *g = &fs->groups[group];
    struct buf *buf;
    if (g->inode_bitmap)
        return 0;
    int err = buf_read(fs->bdev, g->inode_bitmap_block, &buf);
    if (err)
        return err;
    uint32_t reserved = group == 0 ? MIN(fs->first_inode - 1, fs->inodes_per_group) : 0;
    if (first_free(buf->data, reserved) < reserved) {
        buf_put(buf);
        return ext2_damaged(fs, 0, "inode bitmap shows reserved inodes as free, group", group);
    }
    g->inode_bitmap = buf;
    if (!fs->was_valid)
        recount(fs, g);
    return 0;
}

int ext2_load_inode_bitmap(struct ext2_fs *fs, uint32_t group)
{
    mutex_lock(&fs->alloc_lock);
    int err = load(fs, group);
    mutex_unlock(&fs->alloc_lock);
    return err;
}

/* alloc_lock held; the bitmap is loaded. */
static void write_bit(struct ext2_fs *fs, struct ext2_group *g, uint32_t bit, bool set,
                      bool directory)
{
    struct buf *buf = g->inode_bitmap;
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    mutex_lock(&buf->lock);
    uint8_t *byte = (uint8_t *)buf->data + bit / 8;
    ASSERT(!(*byte & mask) == set, "an inode number is claimed and released in turn");
    *byte = set ? *byte | mask : *byte & ~mask;
    buf_mark_dirty(buf);
    mutex_unlock(&buf->lock);
    g->free_inodes += set ? -1u : 1u;
    fs->free_inodes += set ? -1ull : 1ull;
    if (directory)
        g->used_dirs += set ? 1u : -1u;
    g->counts_changed = true;
}

/* alloc_lock held. */
static uint32_t directory_group(const struct ext2_fs *fs, uint32_t parent_group)
{
    uint64_t share = fs->free_inodes / fs->group_count;
    uint32_t best = parent_group, most = 0;
    for (uint32_t i = 0; i < fs->group_count; i++) {
        uint32_t group = (parent_group + i) % fs->group_count;
        const struct ext2_group *g = &fs->groups[group];
        if (g->free_inodes && g->free_inodes >= share && g->free_blocks > most) {
            best = group;
            most = g->free_blocks;
        }
    }
    return best;
}

/* alloc_lock held. -ENOSPC: none in this group. */
static int claim_in_group(struct ext2_fs *fs, uint32_t group, bool directory, uint32_t *out)
{
    struct ext2_group *g = &fs->groups[group];
    if (!g->free_inodes)
        return -ENOSPC;
    int err = load(fs, group);
    if (err == -EUCLEAN || (!err && !g->free_inodes))
        return -ENOSPC;
    if (err)
        return err;
    uint32_t bit = first_free(g->inode_bitmap->data, fs->inodes_per_group);
    if (bit >= fs->inodes_per_group) {
        ext2_damaged(fs, 0, "no free inode where the descriptor counts some, group", group);
        fs->free_inodes -= g->free_inodes;
        g->free_inodes = 0;
        g->counts_changed = true;
        return -ENOSPC;
    }
    write_bit(fs, g, bit, true, directory);
    *out = group * fs->inodes_per_group + bit + 1;
    return 0;
}

int ext2_claim_inode(struct ext2_fs *fs, const struct ext2_inode *dir, bool directory,
                     uint32_t *out)
{
    uint32_t group = (uint32_t)((dir->inode.number - 1) / fs->inodes_per_group);
    mutex_lock(&fs->alloc_lock);
    if (directory)
        group = directory_group(fs, group);
    int err = -ENOSPC;
    for (uint32_t i = 0; err == -ENOSPC && i < fs->group_count; i++)
        err = claim_in_group(fs, (group + i) % fs->group_count, directory, out);
    mutex_unlock(&fs->alloc_lock);
    return err;
}

void ext2_unclaim_inode(struct ext2_fs *fs, uint32_t number, bool directory)
{
    struct ext2_group *g = &fs->groups[(number - 1) / fs->inodes_per_group];
    uint32_t bit = (number - 1) % fs->inodes_per_group;
    mutex_lock(&fs->alloc_lock);
    const uint8_t *map = g->inode_bitmap->data;
    if (map[bit / 8] & (1u << (bit % 8)))
        write_bit(fs, g, bit, false, directory);
    else
        ext2_damaged(fs, number, "inode was freed twice", number);
    mutex_unlock(&fs->alloc_lock);
}
