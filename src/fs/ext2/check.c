// SPDX-License-Identifier: MIT
/*
 * Is it an ext2 filesystem, one that we write without harm, and does its geometry hold together?
 * Nothing behind this file trusts a number of the superblock or of a group descriptor that was not
 * looked at here.
 *
 * Understood: revisions 0 and 1; blocks of 1, 2 and 4 KiB; incompatible: filetype; read-only
 * compatible: sparse_super, large_file. Compatible features that may be ignored: dir_prealloc,
 * imagic_inodes, has_journal (when nothing is to be recovered), ext_attr, resize_inode, dir_index
 * (a changed directory loses its index flag). All others are refused by name; unknown read-only
 * compatible ones do not matter to a read-only mount.
 */
#include <fs/ext2/ext2_fs.h>
#include <rt/log.h>

#define MKE2FS_LINE "mke2fs -t ext2 -O none,filetype,sparse_super,large_file"
#define COMPAT_IGNORED                                                                             \
    (EXT2_COMPAT_DIR_PREALLOC | EXT2_COMPAT_IMAGIC_INODES | EXT2_COMPAT_HAS_JOURNAL |              \
     EXT2_COMPAT_EXT_ATTR | EXT2_COMPAT_RESIZE_INODE | EXT2_COMPAT_DIR_INDEX)
#define RO_COMPAT_KNOWN (EXT2_RO_COMPAT_SPARSE_SUPER | EXT2_RO_COMPAT_LARGE_FILE)

/* Names as e2fsprogs has them, by bit. */
static const char *const compat_names[32] = {
    [6] = "lazy_bg",      [8] = "snapshot_bitmap", [9] = "sparse_super2",
    [10] = "fast_commit", [11] = "stable_inodes",  [12] = "orphan_file",
};
static const char *const incompat_names[32] = {
    [0] = "compression",
    [2] = "needs_recovery",
    [3] = "journal_dev",
    [4] = "meta_bg",
    [6] = "extents",
    [7] = "64bit",
    [8] = "mmp",
    [9] = "flex_bg",
    [10] = "ea_inode",
    [12] = "dirdata",
    [13] = "metadata_csum_seed",
    [14] = "large_dir",
    [15] = "inline_data",
    [16] = "encrypt",
    [17] = "casefold",
};
static const char *const ro_compat_names[32] = {
    [2] = "btree_dir",      [3] = "huge_file", [4] = "uninit_bg",       [5] = "dir_nlink",
    [6] = "extra_isize",    [7] = "snapshot",  [8] = "quota",           [9] = "bigalloc",
    [10] = "metadata_csum", [11] = "replica",  [12] = "read-only",      [13] = "project",
    [14] = "shared_blocks", [15] = "verity",   [16] = "orphan_present",
};

/* Says which features they are that @unknown has and we do not; false if there is one. */
static bool features_known(const struct ext2_fs *fs, uint32_t unknown, const char *kind,
                           const char *const names[32])
{
    if (!unknown)
        return true;
    for (unsigned bit = 0; bit < 32; bit++) {
        if (!(unknown & (1u << bit)))
            continue;
        if (names[bit])
            console_printf("ext2: %s: refused: %s feature \"%s\"\n", fs->source, kind, names[bit]);
        else
            console_printf("ext2: %s: refused: unknown %s feature, bit %u\n", fs->source, kind,
                           bit);
    }
    return false;
}

static int wrong(const struct ext2_fs *fs, const char *what, uint64_t value)
{
    console_printf("ext2: %s: not a usable ext2 filesystem: %s (%lu)\n", fs->source, what, value);
    return -EINVAL;
}

bool ext2_group_has_super(const struct ext2_fs *fs, uint32_t group)
{
    if (!(fs->ro_compat & EXT2_RO_COMPAT_SPARSE_SUPER) || group <= 1)
        return true;
    for (uint32_t base = 3; base <= 7; base += 2) {
        uint64_t power = base;
        while (power < group)
            power *= base;
        if (power == group)
            return true;
    }
    return false;
}

uint32_t ext2_group_head(const struct ext2_fs *fs, uint32_t group)
{
    if (!ext2_group_has_super(fs, group))
        return 0;
    return 1 + fs->gdt_blocks + fs->reserved_gdt_blocks;
}

static uint32_t group_first(const struct ext2_fs *fs, uint32_t group)
{
    return fs->first_data_block + group * fs->blocks_per_group;
}

uint32_t ext2_group_blocks(const struct ext2_fs *fs, uint32_t group)
{
    return MIN(fs->blocks_per_group, fs->blocks_count - group_first(fs, group));
}

bool ext2_block_valid(const struct ext2_fs *fs, uint32_t block)
{
    if (block < fs->first_data_block || block >= fs->blocks_count)
        return false;
    uint32_t group = (block - fs->first_data_block) / fs->blocks_per_group;
    const struct ext2_group *g = &fs->groups[group];
    if (block - group_first(fs, group) < ext2_group_head(fs, group))
        return false;
    if (block == g->block_bitmap_block || block == g->inode_bitmap_block)
        return false;
    return block - g->inode_table >= fs->table_blocks; /* wraps below the table */
}

/* The largest size that the pointers and the 32-bit count of sectors, indirect blocks included,
 * allow. */
static uint64_t size_limit(const struct ext2_fs *fs)
{
    uint64_t n = 1ull << fs->pointers_shift;
    uint64_t by_pointers = EXT2_DIRECT + n + n * n + n * n * n;
    uint64_t by_sectors = (UINT32_MAX / fs->sectors_per_block) - (1 + (1 + n) + (1 + n + n * n));
    return MIN(by_pointers, by_sectors) << fs->block_shift;
}

static int check_features(struct ext2_fs *fs, const struct ext2_super_disk *disk, bool read_only)
{
    fs->revision = disk->revision;
    if (disk->revision > 1)
        return wrong(fs, "revision", disk->revision);
    if (disk->revision == 1) {
        fs->compat = disk->compat;
        fs->incompat = disk->incompat;
        fs->ro_compat = disk->ro_compat;
    }
    bool known =
        features_known(fs, fs->incompat & ~EXT2_INCOMPAT_FILETYPE, "incompatible", incompat_names);
    known &= features_known(fs, fs->compat & ~COMPAT_IGNORED, "compatible", compat_names);
    if (!read_only)
        known &= features_known(fs, fs->ro_compat & ~RO_COMPAT_KNOWN, "read-only compatible",
                                ro_compat_names);
    if (!known) {
        console_printf("ext2: %s: `%s DEVICE` makes one that works\n", fs->source, MKE2FS_LINE);
        return -EINVAL;
    }
    if (disk->revision == 1 && disk->last_orphan && !read_only)
        return wrong(fs, "a journal left deleted inodes behind, run e2fsck; first of them",
                     disk->last_orphan);
    fs->has_file_type = fs->incompat & EXT2_INCOMPAT_FILETYPE;
    return 0;
}

static int check_inodes(struct ext2_fs *fs, const struct ext2_super_disk *disk)
{
    fs->inode_bytes = disk->revision ? disk->inode_bytes : EXT2_OLD_INODE_BYTES;
    fs->first_inode = disk->revision ? disk->first_inode : EXT2_OLD_FIRST_INODE;
    fs->inodes_per_group = disk->inodes_per_group;
    fs->inodes_count = disk->inodes_count;
    if (!is_pow2(fs->inode_bytes) || fs->inode_bytes < EXT2_OLD_INODE_BYTES ||
        fs->inode_bytes > fs->block_bytes)
        return wrong(fs, "inode size", fs->inode_bytes);
    uint32_t per_block = fs->block_bytes / fs->inode_bytes;
    if (!fs->inodes_per_group || fs->inodes_per_group > fs->block_bytes * 8)
        return wrong(fs, "inodes per group", fs->inodes_per_group);
    fs->table_blocks = (uint32_t)div_round_up(fs->inodes_per_group, per_block);
    if ((uint64_t)fs->group_count * fs->inodes_per_group != fs->inodes_count)
        return wrong(fs, "inode count", fs->inodes_count);
    if (fs->first_inode < EXT2_OLD_FIRST_INODE || fs->first_inode > fs->inodes_count)
        return wrong(fs, "first inode", fs->first_inode);
    return 0;
}

static int check_blocks(struct ext2_fs *fs, const struct ext2_super_disk *disk)
{
    if (disk->log_block_size > 2)
        return wrong(fs, "block size above 4096, as a power of two", disk->log_block_size + 10ull);
    if (disk->log_fragment_size != disk->log_block_size)
        return wrong(fs, "fragment size differs from block size", disk->log_fragment_size);
    fs->block_shift = 10 + disk->log_block_size;
    fs->block_bytes = 1u << fs->block_shift;
    fs->sectors_per_block = fs->block_bytes / SECTOR_BYTES;
    fs->pointers_shift = fs->block_shift - 2;
    if (fs->block_bytes < fs->bdev->block_bytes)
        return wrong(fs, "block size below the device's", fs->block_bytes);

    fs->first_data_block = disk->first_data_block;
    fs->blocks_count = disk->blocks_count;
    fs->blocks_per_group = disk->blocks_per_group;
    fs->reserved_blocks = disk->reserved_blocks_count;
    if (fs->first_data_block != (fs->block_bytes == 1024 ? 1u : 0u))
        return wrong(fs, "first data block", fs->first_data_block);
    if (fs->blocks_count <= fs->first_data_block)
        return wrong(fs, "block count", fs->blocks_count);
    if (fs->blocks_count > fs->bdev->sector_count / fs->sectors_per_block) {
        console_printf("ext2: %s: %u blocks of %u bytes, but the device has %lu: truncated?\n",
                       fs->source, fs->blocks_count, fs->block_bytes,
                       fs->bdev->sector_count / fs->sectors_per_block);
        return -EINVAL;
    }
    if (fs->blocks_per_group < 64 || fs->blocks_per_group > fs->block_bytes * 8)
        return wrong(fs, "blocks per group", fs->blocks_per_group);
    if (fs->reserved_blocks > fs->blocks_count)
        return wrong(fs, "reserved blocks", fs->reserved_blocks);
    uint64_t data_blocks = fs->blocks_count - fs->first_data_block;
    fs->group_count = (uint32_t)div_round_up(data_blocks, fs->blocks_per_group);
    uint32_t per_block = fs->block_bytes / sizeof(struct ext2_group_disk);
    fs->gdt_blocks = (uint32_t)div_round_up(fs->group_count, per_block);
    if (fs->compat & EXT2_COMPAT_RESIZE_INODE)
        fs->reserved_gdt_blocks = disk->reserved_gdt_blocks;
    if (fs->reserved_gdt_blocks > fs->block_bytes / 4)
        return wrong(fs, "reserved descriptor blocks", fs->reserved_gdt_blocks);
    if ((uint64_t)fs->first_data_block + 1 + fs->gdt_blocks >= fs->blocks_count)
        return wrong(fs, "group count", fs->group_count);
    return 0;
}

int ext2_check_super(struct ext2_fs *fs, const struct ext2_super_disk *disk, bool read_only)
{
    if (disk->magic != EXT2_MAGIC)
        return wrong(fs, "no magic number where 0xef53 is expected", disk->magic);
    int err = check_features(fs, disk, read_only);
    if (!err)
        err = check_blocks(fs, disk);
    if (!err)
        err = check_inodes(fs, disk);
    if (err)
        return err;
    fs->size_max = size_limit(fs);
    fs->was_valid = (disk->state & EXT2_STATE_VALID) && !(disk->state & EXT2_STATE_ERROR);
    return 0;
}

/* Whether [@block, @block + @count) lies in group @index, behind what is at its start. */
static bool in_group(const struct ext2_fs *fs, uint32_t index, uint32_t block, uint32_t count)
{
    uint64_t first = group_first(fs, index);
    return block >= first + ext2_group_head(fs, index) &&
           (uint64_t)block + count <= first + ext2_group_blocks(fs, index);
}

int ext2_check_group(struct ext2_fs *fs, uint32_t index, const struct ext2_group_disk *disk)
{
    struct ext2_group *g = &fs->groups[index];
    if (!in_group(fs, index, disk->block_bitmap, 1))
        return wrong(fs, "block bitmap outside its group", index);
    if (!in_group(fs, index, disk->inode_bitmap, 1))
        return wrong(fs, "inode bitmap outside its group", index);
    if (!in_group(fs, index, disk->inode_table, fs->table_blocks))
        return wrong(fs, "inode table outside its group", index);
    if (disk->block_bitmap == disk->inode_bitmap ||
        disk->block_bitmap - disk->inode_table < fs->table_blocks ||
        disk->inode_bitmap - disk->inode_table < fs->table_blocks)
        return wrong(fs, "tables overlap in group", index);
    if (disk->free_blocks_count > ext2_group_blocks(fs, index) ||
        disk->free_inodes_count > fs->inodes_per_group ||
        disk->used_dirs_count > fs->inodes_per_group)
        return wrong(fs, "impossible free counts in group", index);
    g->block_bitmap_block = disk->block_bitmap;
    g->inode_bitmap_block = disk->inode_bitmap;
    g->inode_table = disk->inode_table;
    g->free_blocks = disk->free_blocks_count;
    g->free_inodes = disk->free_inodes_count;
    g->used_dirs = disk->used_dirs_count;
    return 0;
}
