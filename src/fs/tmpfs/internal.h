// SPDX-License-Identifier: MIT
/* What the files of src/fs/tmpfs share. */
#pragma once

#include <lib/bits.h>
#include <vfs/vfs.h>

#define TMPFS_PAGE_BYTES 4096u

/* index -> page: a tree of nodes with 64 slots each, as high as the greatest index needs. */
struct page_tree {
    void *root;
    unsigned height;                  /* levels of nodes; 0: empty */
};

void *page_tree_find(const struct page_tree *tree, uint64_t index);
/* -ENOMEM; the index must be free. */
int page_tree_insert(struct page_tree *tree, uint64_t index, void *page);
/* The page leaves the tree, with the nodes that are empty then. */
void *page_tree_remove(struct page_tree *tree, uint64_t index);
/* The first page at or behind *@index, which becomes its index; NULL: none. */
void *page_tree_next(const struct page_tree *tree, uint64_t *index);

struct tmpfs {
    uint64_t page_limit, inode_limit;
    uint64_t pages, inodes;           /* in use; atomic */
    uint64_t last_number;             /* atomic */
};

struct tmpfs_inode {
    struct inode inode;               /* first */
    /* files */
    struct mutex data_lock;           /* tree, and size together with inode.lock */
    struct page_tree tree;
    /* directories: inode.lock */
    struct list entries;              /* by cookie */
    uint64_t next_cookie;
    struct inode *parent;             /* alive as long as this one is linked; NULL once removed */
    /* symlinks */
    char *target;
};

static inline struct tmpfs_inode *tmpfs_inode(struct inode *inode)
{
    return container_of(inode, struct tmpfs_inode, inode);
}

static inline struct tmpfs *tmpfs_of(const struct super *super)
{
    return super->private;
}

/* A new inode with a link and the reference that goes with being linked, beside the caller's. */
int tmpfs_make_inode(struct super *super, uint32_t mode, struct inode **out);
/* Undoes it: the last link is gone. The caller's reference stays. */
void tmpfs_unlinked(struct inode *inode);

/* Takes one page out of the limit, zeroed; -ENOSPC, -ENOMEM. */
int tmpfs_page_alloc(struct super *super, void **out);
void tmpfs_page_free(struct super *super, void *page);

void tmpfs_file_free(struct tmpfs_inode *file);       /* all pages */
void tmpfs_dir_clear(struct tmpfs_inode *dir);        /* all entries; what they name stays */

extern const struct inode_ops tmpfs_file_ops, tmpfs_dir_ops, tmpfs_symlink_ops, tmpfs_node_ops;
