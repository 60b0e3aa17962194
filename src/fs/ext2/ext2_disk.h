// SPDX-License-Identifier: MIT
/*
 * The ext2 format on the disk: little-endian, which is what the CPU is too (asserted). Sources:
 * "The Second Extended File System: Internal Layout" (D. Poirier), chapters 3 and 4; the manual
 * page ext4(5) of e2fsprogs 1.47 for the features; debugfs output for whatever was in doubt.
 */
#pragma once

#include <lib/types.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "structures are used as they lie on the disk");

#define EXT2_MAGIC 0xef53
#define EXT2_SUPER_OFFSET 1024u
#define EXT2_ROOT_INODE 2u
#define EXT2_OLD_FIRST_INODE 11u /* revision 0; revision 1 says it in first_inode */
#define EXT2_OLD_INODE_BYTES 128u
#define EXT2_LINKS_MAX 32000u
#define EXT2_NAME_MAX 255u

/* state */
#define EXT2_STATE_VALID 1u
#define EXT2_STATE_ERROR 2u
/* errors */
#define EXT2_ERRORS_CONTINUE 1u

#define EXT2_COMPAT_DIR_PREALLOC 0x0001u
#define EXT2_COMPAT_IMAGIC_INODES 0x0002u
#define EXT2_COMPAT_HAS_JOURNAL 0x0004u
#define EXT2_COMPAT_EXT_ATTR 0x0008u
#define EXT2_COMPAT_RESIZE_INODE 0x0010u
#define EXT2_COMPAT_DIR_INDEX 0x0020u
#define EXT2_INCOMPAT_FILETYPE 0x0002u
#define EXT2_INCOMPAT_RECOVER 0x0004u
#define EXT2_RO_COMPAT_SPARSE_SUPER 0x0001u
#define EXT2_RO_COMPAT_LARGE_FILE 0x0002u

struct ext2_super_disk {
    uint32_t inodes_count, blocks_count, reserved_blocks_count, free_blocks_count;
    uint32_t free_inodes_count, first_data_block, log_block_size, log_fragment_size;
    uint32_t blocks_per_group, fragments_per_group, inodes_per_group, mount_time;
    uint32_t write_time;
    uint16_t mount_count, mount_count_max, magic, state, errors, minor_revision;
    uint32_t last_check, check_interval, creator_os, revision;
    uint16_t reserved_uid, reserved_gid;
    /* revision 1 */
    uint32_t first_inode;
    uint16_t inode_bytes, block_group;
    uint32_t compat, incompat, ro_compat;
    uint8_t uuid[16];
    char volume_name[16], last_mounted[64];
    uint32_t algorithm_bitmap;
    uint8_t prealloc_blocks, prealloc_dir_blocks;
    uint16_t reserved_gdt_blocks;
    uint8_t journal_uuid[16];
    uint32_t journal_inode, journal_dev, last_orphan;
    uint8_t rest[1024 - 236];
};
_Static_assert(sizeof(struct ext2_super_disk) == 1024, "ext2 format");
_Static_assert(offsetof(struct ext2_super_disk, magic) == 56, "ext2 format");
_Static_assert(offsetof(struct ext2_super_disk, first_inode) == 84, "ext2 format");
_Static_assert(offsetof(struct ext2_super_disk, uuid) == 104, "ext2 format");
_Static_assert(offsetof(struct ext2_super_disk, last_orphan) == 232, "ext2 format");

struct ext2_group_disk {
    uint32_t block_bitmap, inode_bitmap, inode_table;
    uint16_t free_blocks_count, free_inodes_count, used_dirs_count, flags;
    uint8_t reserved[12];
};
_Static_assert(sizeof(struct ext2_group_disk) == 32, "ext2 format");

/* inode flags */
#define EXT2_FLAG_COMPRESSED 0x00000004u
#define EXT2_FLAG_IMMUTABLE 0x00000010u
#define EXT2_FLAG_APPEND 0x00000020u
#define EXT2_FLAG_INDEX 0x00001000u
#define EXT2_FLAG_EXTENTS 0x00080000u
#define EXT2_FLAG_INLINE_DATA 0x10000000u
/* What a new inode takes over from its directory: secure delete, undelete, sync, no dump, no atime.
 * */
#define EXT2_FLAGS_INHERITED 0x000000cbu

#define EXT2_DIRECT 12u /* pointers to data; then single, double, triple indirect */
#define EXT2_SINGLE 12u
#define EXT2_DOUBLE 13u
#define EXT2_TRIPLE 14u
#define EXT2_POINTERS 15u
#define EXT2_FAST_SYMLINK_BYTES 60u /* a shorter target lies in the pointers */

struct ext2_inode_disk {
    uint16_t mode, uid;
    uint32_t size, atime, ctime, mtime, dtime;
    uint16_t gid, links_count;
    uint32_t blocks, flags, osd1;
    uint32_t block[EXT2_POINTERS];
    uint32_t generation, file_acl, size_high, fragment_address;
    uint8_t fragment_number, fragment_bytes;
    uint16_t pad, uid_high, gid_high;
    uint32_t reserved;
};
_Static_assert(sizeof(struct ext2_inode_disk) == 128, "ext2 format");
_Static_assert(offsetof(struct ext2_inode_disk, block) == 40, "ext2 format");
_Static_assert(offsetof(struct ext2_inode_disk, uid_high) == 120, "ext2 format");

struct ext2_dirent_disk {
    uint32_t inode;        /* 0: unused */
    uint16_t record_bytes; /* to the next record; a multiple of 4; never crosses a block */
    uint8_t name_bytes;
    uint8_t file_type; /* with the filetype feature; else the upper half of name_bytes, 0 */
    char name[];
};
_Static_assert(sizeof(struct ext2_dirent_disk) == 8, "ext2 format");

enum ext2_file_type {
    EXT2_FT_UNKNOWN,
    EXT2_FT_FILE,
    EXT2_FT_DIR,
    EXT2_FT_CHAR,
    EXT2_FT_BLOCK,
    EXT2_FT_FIFO,
    EXT2_FT_SOCKET,
    EXT2_FT_SYMLINK,
};

#define EXT2_RECORD_BYTES(name_bytes) (((uint32_t)(name_bytes) + 8 + 3) & ~3u)

/* A block of extended attributes, which several inodes may share; only its count concerns us. */
#define EXT2_XATTR_MAGIC 0xea020000u
struct ext2_xattr_disk {
    uint32_t magic, refcount, blocks, hash;
    uint32_t reserved[4];
};
_Static_assert(sizeof(struct ext2_xattr_disk) == 32, "ext2 format");
