// SPDX-License-Identifier: MIT
/* sysfs: what the runtime and drivers let see and set, as files. See sysfs.c. */
#pragma once

#include <rt/attr.h>
#include <vfs/vfs.h>

extern const struct fs_type sysfs_fs_type;

/**
 * sysfs_add_group() - show a table of attributes as the files of a directory.
 * @dir:   its path below the root of sysfs, such as "stack" or "block/vda"; made if need be.
 * @attrs: NULL-terminated; stays for ever.
 *
 * Context: thread; before or after sysfs is mounted.
 * Errors:  -EEXIST a name is taken; -ENOMEM. What was added before the error stays.
 */
int sysfs_add_group(const char *dir, const struct attr *const *attrs);

/* The direct block devices that there are now, under block/. Context: thread, once. -ENOMEM. */
int sysfs_add_block_devices(void);
