// SPDX-License-Identifier: MIT
/* devfs: the devices there are, as nodes. See devfs.c. */
#pragma once

#include <vfs/vfs.h>

extern const struct fs_type devfs_fs_type;
