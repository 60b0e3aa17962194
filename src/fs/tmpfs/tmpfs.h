// SPDX-License-Identifier: MIT
/* tmpfs: files in memory. See super.c. */
#pragma once

#include <vfs/vfs.h>

extern const struct fs_type tmpfs_fs_type;
