// SPDX-License-Identifier: MIT
/*
 * Partitions: vda1, vda2, … of a disk vda, from its GPT or MBR. A partition is a block device of its
 * own that hands its requests to the disk's queue, moved by where it begins; it is no stacked device
 * and stands behind no probe. Loop devices are not looked at.
 */
#pragma once

struct bdev;

#define PARTITIONS_MAX 15u            /* numbers 1 to 15, as the minor numbers of a disk allow */

/**
 * partition_scan() - look for a partition table on every direct device, and register what it has.
 *
 * A table that contradicts itself costs only the partitions concerned: what overlaps an earlier one
 * or leaves the disk is left out, and a GPT that is broken is read from its backup. Each of these is
 * a warning in the log that names the disk.
 *
 * Context: thread, while booting; reads the disks.
 */
void partition_scan(void);

/* The same for one disk; how many partitions it has now. For tests too. */
unsigned partition_scan_disk(struct bdev *disk);
