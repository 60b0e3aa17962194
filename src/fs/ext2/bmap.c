// SPDX-License-Identifier: MIT
/*
 * From a file's block to the device's: a walk down the pointers, at most three indirect blocks,
 * iterative. A page's worth of blocks always lies in one leaf, since 12 and the pointers of a block
 * are multiples of 4 at 1 KiB blocks, of 2 at 2 KiB.
 */
#include <fs/ext2/ext2_fs.h>

unsigned ext2_split(const struct ext2_fs *fs, uint64_t file_block, uint32_t slots[4])
{
    unsigned shift = fs->pointers_shift;
    uint32_t mask = (1u << shift) - 1;
    if (file_block < EXT2_DIRECT) {
        slots[0] = (uint32_t)file_block;
        return 1;
    }
    file_block -= EXT2_DIRECT;
    for (unsigned height = 1; height <= 3; height++) {
        if (!(file_block >> (height * shift))) {
            slots[0] = EXT2_DIRECT - 1 + height;
            for (unsigned i = 1; i <= height; i++)
                slots[i] = (uint32_t)(file_block >> ((height - i) * shift)) & mask;
            return height + 1;
        }
        file_block -= 1ull << (height * shift);
    }
    return 0;
}

/* Reads the indirect block @block of @ei in place of *@buf, which is let go. */
static int step_down(struct ext2_inode *ei, uint32_t block, struct buf **buf)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    struct buf *next = NULL;
    int err = 0;
    if (!ext2_block_valid(fs, block))
        err = ext2_damaged(fs, ei->inode.number, "indirect block out of range", block);
    else
        err = buf_read(fs->bdev, block, &next);
    if (*buf)
        buf_put(*buf);
    *buf = next;
    return err;
}

/* Copies @count pointers out; those that lead nowhere are complained about and count as holes. */
static noinline int take_pointers(struct ext2_inode *ei, const uint32_t *pointers, uint32_t count,
                                  uint32_t *out)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    int err = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!pointers[i] || ext2_block_valid(fs, pointers[i]))
            out[i] = pointers[i];
        else
            err = ext2_damaged(fs, ei->inode.number, "block out of range", pointers[i]);
    }
    return err;
}

int ext2_bmap(struct ext2_inode *ei, uint64_t first, uint32_t count, uint32_t *out)
{
    uint32_t slots[4];
    struct buf *buf = NULL;
    int err = 0;
    unsigned depth = ext2_split(ext2_of(&ei->inode), first, slots);
    for (uint32_t i = 0; i < count; i++)
        out[i] = 0;
    if (!depth)
        return 0;

    mutex_lock(&ei->map_lock);
    const uint32_t *pointers = ei->block;
    for (unsigned level = 0; level + 1 < depth && pointers; level++) {
        uint32_t block = pointers[slots[level]];
        pointers = NULL;
        if (block)
            err = step_down(ei, block, &buf);
        if (block && !err)
            pointers = buf->data;
    }
    if (pointers)
        err = take_pointers(ei, pointers + slots[depth - 1], count, out);
    if (buf)
        buf_put(buf);
    mutex_unlock(&ei->map_lock);
    return err;
}
