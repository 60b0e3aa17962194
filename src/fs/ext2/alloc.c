// SPDX-License-Identifier: MIT
/*
 * Blocks: which are free.
 *
 * A claimed block is taken in the bitmap at once; until its owner is committed, the claim can be
 * undone. A freed block stays taken in the bitmap and is noted as pending; only when a full sync
 * has written all that referred to it (see sync.c) is it given back. So a bitmap may be written at
 * any time, no block is used again before the old reference is gone from the disk, and a crash can
 * only leak blocks.
 *
 * A group's bitmap is read when it is first needed and stays pinned until unmount: 1/32768 of the
 * device at 4 KiB blocks. Free counts on the disk do not count what is pending.
 */
#include <fs/ext2/ext2_fs.h>
#include <lib/string.h>
#include <rt/heap.h>

static bool test_bit(const void *map, uint32_t bit)
{
    return ((const uint8_t *)map)[bit / 8] & (1u << (bit % 8));
}

static uint32_t group_of(const struct ext2_fs *fs, uint32_t block)
{
    return (block - fs->first_data_block) / fs->blocks_per_group;
}

static uint32_t bit_of(const struct ext2_fs *fs, uint32_t block)
{
    return (block - fs->first_data_block) % fs->blocks_per_group;
}

static uint32_t block_of(const struct ext2_fs *fs, uint32_t group, uint32_t bit)
{
    return fs->first_data_block + group * fs->blocks_per_group + bit;
}

/* A bitmap that shows a group's own tables as free would have us overwrite them. */
static bool tables_taken(const struct ext2_fs *fs, uint32_t group, const void *map)
{
    const struct ext2_group *g = &fs->groups[group];
    uint32_t head = ext2_group_head(fs, group);
    for (uint32_t bit = 0; bit < head; bit++)
        if (!test_bit(map, bit))
            return false;
    for (uint32_t i = 0; i < fs->table_blocks; i++)
        if (!test_bit(map, bit_of(fs, g->inode_table + i)))
            return false;
    return test_bit(map, bit_of(fs, g->block_bitmap_block)) &&
           test_bit(map, bit_of(fs, g->inode_bitmap_block));
}

/* After a power cut the descriptor may count otherwise than the bitmap, which is right. */
static void recount(struct ext2_fs *fs, uint32_t group)
{
    struct ext2_group *g = &fs->groups[group];
    uint32_t free = 0, end = ext2_group_blocks(fs, group);
    for (uint32_t bit = 0; bit < end; bit++)
        free += !test_bit(g->block_bitmap->data, bit);
    g->counts_changed |= free != g->free_blocks;
    fs->free_blocks += (uint64_t)free - g->free_blocks;
    g->free_blocks = free;
}

/* alloc_lock held. */
static int load_bitmap(struct ext2_fs *fs, uint32_t group)
{
    struct ext2_group *g = &fs->groups[group];
    struct buf *buf;
    if (g->block_bitmap)
        return 0;
    int err = buf_read(fs->bdev, g->block_bitmap_block, &buf);
    if (err)
        return err;
    if (!tables_taken(fs, group, buf->data)) {
        buf_put(buf);
        return ext2_damaged(fs, 0, "block bitmap shows its group's tables as free, group", group);
    }
    g->block_bitmap = buf;
    if (!fs->was_valid)
        recount(fs, group);
    return 0;
}

/* The first free bit in [@from, @end), or @end. */
static uint32_t find_free(const void *map, uint32_t from, uint32_t end)
{
    uint32_t bit = from;
    while (bit < end) {
        if (bit % 64 == 0 && end - bit >= 64 && le64((const uint8_t *)map + bit / 8) == UINT64_MAX)
            bit += 64;
        else if (test_bit(map, bit))
            bit++;
        else
            return bit;
    }
    return end;
}

/* alloc_lock held. Sets or clears one bit of a bitmap. */
static void write_bit(struct buf *buf, uint32_t bit, bool set)
{
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    mutex_lock(&buf->lock);
    uint8_t *byte = (uint8_t *)buf->data + bit / 8;
    *byte = set ? *byte | mask : *byte & ~mask;
    buf_mark_dirty(buf);
    mutex_unlock(&buf->lock);
}

/* alloc_lock held. Takes a block of @group, from bit @from on if possible. -ENOSPC: none. */
static int claim_in_group(struct ext2_fs *fs, uint32_t group, uint32_t from, uint32_t *out)
{
    struct ext2_group *g = &fs->groups[group];
    uint32_t end = ext2_group_blocks(fs, group);
    if (!g->free_blocks)
        return -ENOSPC;
    int err = load_bitmap(fs, group);
    if (err == -EUCLEAN || (!err && !g->free_blocks))
        return -ENOSPC; /* there may be others */
    if (err)
        return err;
    uint32_t bit = find_free(g->block_bitmap->data, from, end);
    if (bit == end)
        bit = find_free(g->block_bitmap->data, 0, end);
    if (bit == end) {
        /* The descriptor promised more than there is: believe the bitmap. */
        ext2_damaged(fs, 0, "no free block where the descriptor counts some, group", group);
        fs->free_blocks -= g->free_blocks;
        g->free_blocks = 0;
        g->counts_changed = true;
        return -ENOSPC;
    }
    write_bit(g->block_bitmap, bit, true);
    g->free_blocks--;
    g->counts_changed = true;
    fs->free_blocks--;
    *out = block_of(fs, group, bit);
    return 0;
}

int ext2_claim_block(struct ext2_fs *fs, uint32_t goal, uint32_t *out)
{
    if (goal < fs->first_data_block || goal >= fs->blocks_count)
        goal = fs->first_data_block;
    uint32_t first = group_of(fs, goal);
    mutex_lock(&fs->alloc_lock);
    int err = claim_in_group(fs, first, bit_of(fs, goal), out);
    for (uint32_t i = 1; err == -ENOSPC && i < fs->group_count; i++)
        err = claim_in_group(fs, (first + i) % fs->group_count, 0, out);
    mutex_unlock(&fs->alloc_lock);
    return err;
}

void ext2_unclaim_block(struct ext2_fs *fs, uint32_t block)
{
    struct ext2_group *g = &fs->groups[group_of(fs, block)];
    mutex_lock(&fs->alloc_lock);
    ASSERT(test_bit(g->block_bitmap->data, bit_of(fs, block)), "a claim is undone once");
    write_bit(g->block_bitmap, bit_of(fs, block), false);
    g->free_blocks++;
    g->counts_changed = true;
    fs->free_blocks++;
    mutex_unlock(&fs->alloc_lock);
}

int ext2_free_prepare(struct ext2_fs *fs, uint32_t block)
{
    struct ext2_group *g = &fs->groups[group_of(fs, block)];
    mutex_lock(&fs->alloc_lock);
    int err = load_bitmap(fs, group_of(fs, block));
    if (err == -EUCLEAN)
        err = 0; /* complained about; the commit will leak the block */
    if (!err && !g->pending) {
        g->pending = heap_zalloc(fs->block_bytes);
        if (!g->pending)
            err = -ENOMEM;
    }
    mutex_unlock(&fs->alloc_lock);
    return err;
}

bool ext2_is_freed(struct ext2_fs *fs, uint32_t block)
{
    struct ext2_group *g = &fs->groups[group_of(fs, block)];
    uint32_t bit = bit_of(fs, block);
    mutex_lock(&fs->alloc_lock);
    bool freed = !g->block_bitmap || !g->pending || !test_bit(g->block_bitmap->data, bit) ||
                 test_bit(g->pending, bit);
    mutex_unlock(&fs->alloc_lock);
    return freed;
}

void ext2_free_commit(struct ext2_fs *fs, uint32_t block)
{
    struct ext2_group *g = &fs->groups[group_of(fs, block)];
    uint32_t bit = bit_of(fs, block);
    mutex_lock(&fs->alloc_lock);
    if (!g->block_bitmap || !g->pending) {
        ext2_damaged(fs, 0, "block not freed, since its group's bitmap is damaged", block);
    } else if (!test_bit(g->block_bitmap->data, bit) || test_bit(g->pending, bit)) {
        ext2_damaged(fs, 0, "block was freed twice", block);
    } else {
        g->pending[bit / 8] |= (uint8_t)(1u << (bit % 8));
        g->pending_count++;
        fs->pending_blocks++;
    }
    mutex_unlock(&fs->alloc_lock);
}

static void release_group(struct ext2_fs *fs, struct ext2_group *g)
{
    uint8_t *map = g->block_bitmap->data;
    mutex_lock(&g->block_bitmap->lock);
    for (uint32_t i = 0; i < fs->block_bytes; i++)
        map[i] &= (uint8_t)~g->pending[i];
    buf_mark_dirty(g->block_bitmap);
    mutex_unlock(&g->block_bitmap->lock);
    g->free_blocks += g->pending_count;
    fs->free_blocks += g->pending_count;
    fs->pending_blocks -= g->pending_count;
    g->pending_count = 0;
    g->counts_changed = true;
    heap_free(g->pending);
    g->pending = NULL;
}

void ext2_release_pending(struct ext2_fs *fs)
{
    mutex_lock(&fs->alloc_lock);
    for (uint32_t i = 0; i < fs->group_count; i++)
        if (fs->groups[i].pending_count)
            release_group(fs, &fs->groups[i]);
    mutex_unlock(&fs->alloc_lock);
}

void ext2_store_counts(struct ext2_fs *fs)
{
    uint32_t per_block = fs->block_bytes / sizeof(struct ext2_group_disk);
    bool any = false;
    mutex_lock(&fs->alloc_lock);
    for (uint32_t i = 0; i < fs->group_count; i++) {
        struct ext2_group *g = &fs->groups[i];
        if (!g->counts_changed)
            continue;
        struct buf *buf = fs->gdt[i / per_block];
        mutex_lock(&buf->lock);
        struct ext2_group_disk *disk = (struct ext2_group_disk *)buf->data + i % per_block;
        disk->free_blocks_count = (uint16_t)g->free_blocks;
        disk->free_inodes_count = (uint16_t)g->free_inodes;
        disk->used_dirs_count = (uint16_t)g->used_dirs;
        buf_mark_dirty(buf);
        mutex_unlock(&buf->lock);
        g->counts_changed = false;
        any = true;
    }
    if (any) {
        mutex_lock(&fs->super_buf->lock);
        fs->disk->free_blocks_count = (uint32_t)fs->free_blocks;
        fs->disk->free_inodes_count = (uint32_t)fs->free_inodes;
        fs->disk->write_time = (uint32_t)fs_now().seconds;
        if (fs->damaged)
            fs->disk->state |= EXT2_STATE_ERROR;
        buf_mark_dirty(fs->super_buf);
        mutex_unlock(&fs->super_buf->lock);
    }
    mutex_unlock(&fs->alloc_lock);
}
