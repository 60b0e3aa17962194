// SPDX-License-Identifier: MIT
/*
 * The second extended filesystem, read and write. What it understands, and what it refuses by name,
 * is in check.c; how changes reach the disk is in sync.c; which lock guards what is in ext2_fs.h.
 */
#pragma once

#include <vfs/vfs.h>

/* "ext2"; needs a device. -EINVAL: not such a filesystem, or one we refuse (said on the console).
 * */
extern const struct fs_type ext2_fs_type;
