// SPDX-License-Identifier: MIT
/* Disks in memory: direct devices that complete at once. For tests, and as scratch space. */
#pragma once

#include <block/bdev.h>

/**
 * ram_disk_create() - make and register a disk of @bytes, all zero.
 * @bytes: rounded down to whole sectors. All memory is taken now: no request fails for want of it.
 * Errors: -ENOMEM; -EEXIST; -ENOSPC no number left; -EINVAL no sector, or the name is too long.
 */
int ram_disk_create(const char *name, uint64_t bytes, struct bdev **out);
/* -EBUSY while open. */
int ram_disk_destroy(struct bdev *bdev);
