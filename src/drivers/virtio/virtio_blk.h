// SPDX-License-Identifier: MIT
/* Virtio disks: vda, vdb, …; block devices 254:0, 254:16, … as on Linux. */
#pragma once

/**
 * virtio_blk_init() - find all virtio disks and register them. One line a disk in the log; a disk
 * that cannot be used is named there with the reason and left out.
 * Context: thread, booting; once. Errors: none so far.
 */
int virtio_blk_init(void);
