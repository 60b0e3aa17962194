// SPDX-License-Identifier: MIT
/*
 * One thread a mount writes back what is dirty, evicts deleted inodes, and does the sync of an unmount.
 * It has private extra stacks for every probe on its longest path to the disk, so it makes progress with
 * every extra stack of the pool taken, and with stack.extra=0. Who waits for it holds no extra stack and
 * no lock that is taken inside an I/O operation.
 */
#pragma once

#include <vfs/vfs.h>

int write_back_start(struct super *super);           /* -ENOMEM: also when the private stacks can't be had */
/* Nothing may be dirty. The thread drops the cached inodes, puts the super, gives its stacks back and ends. */
void write_back_stop(struct super *super);
void write_back_kick(struct super *super);           /* soon, please; any context */
int write_back_sync(struct super *super);            /* everything to the disk, and wait */
void write_back_evict(struct inode *inode);          /* takes over the last reference */
