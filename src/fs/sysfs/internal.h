// SPDX-License-Identifier: MIT
/* What the files of src/fs/sysfs share. */
#pragma once

#include <rt/attr.h>
#include <vfs/vfs.h>

/* A directory or a file. Nodes are only added, never removed. */
struct sysfs_node {
    char *name;
    uint64_t number;                  /* of the inode; also its place among its siblings */
    const struct attr *attr;          /* NULL: a directory */
    struct sysfs_node *parent;
    struct list all_link;
    uint32_t dir_count;               /* directories in it */
};

extern const struct inode_ops sysfs_file_ops;
