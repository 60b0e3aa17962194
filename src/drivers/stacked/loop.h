// SPDX-License-Identifier: MIT
/*
 * Loop devices: block devices whose contents are a file's, or another block device's. Linux's
 * interface is /dev/loop-control and the LOOP_* ioctls of /dev/loopN (block devices 7:N, up to 256,
 * made as needed).
 */
#pragma once

#include <block/bdev.h>
#include <vfs/vfs.h>

/* Registers /dev/loop-control and the first eight devices. -ENOMEM. Once, after vfs_start(). */
int loop_start(void);

/**
 * loop_attach_file() - give a free loop device the contents of @file.
 * @file: open for reading, and unless @read_only for writing; the loop takes its own reference.
 * It is detached by loop_detach(), or when the last of those who open it has closed it (autoclear).
 * Errors: -EINVAL neither a regular file nor a block device; -ENOSPC all are taken; -ENOMEM.
 */
int loop_attach_file(struct file *file, bool read_only, struct bdev **out);

/* Detaches now if nobody has it open, else at the last close. -ENXIO nothing is attached. */
int loop_detach(struct bdev *bdev);
