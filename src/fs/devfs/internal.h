// SPDX-License-Identifier: MIT
/* What the files of src/fs/devfs share. */
#pragma once

#include <block/bdev.h>
#include <vfs/vfs.h>

extern const struct inode_ops devfs_char_ops;         /* char.c */
extern const struct inode_ops devfs_block_ops;        /* block.c */

/* The block device with a number, also one that nothing is attached to; NULL. */
struct bdev *devfs_bdev(uint64_t dev);

/* Registers null, zero, full, random and urandom; once. */
int devfs_memory_devices(void);
