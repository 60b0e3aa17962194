// SPDX-License-Identifier: MIT
/* One level of nested file systems: the file /next.img of a folder, mounted through a loop device. */
#ifndef COMMON_MOUNTS_H
#define COMMON_MOUNTS_H

#include <stdbool.h>

/** make_folder() - mkdir that is content with a folder that is there. Errors: a negative errno. */
int make_folder(const char *path);

/**
 * mount_next() - mount the ext2 in @outer/next.img on @folder, which is there.
 * @loop_index: -1: a loop device is taken and its number stored, which stays so when the mount
 *              fails; else the device is there already and is mounted.
 * @call:       on an error: the call that failed.
 *
 * Errors:  a negative errno. Context: one thread at a time.
 */
int mount_next(const char *outer, const char *folder, bool read_only, int *loop_index,
               const char **call);

#endif
