// SPDX-License-Identifier: MIT
/* What the files of src/vfs share with each other and nobody else sees. */
#pragma once

#include <rt/work.h>
#include <vfs/vfs.h>

/* ---- inode cache (inode.c) ---- */
#define INODE_BUCKETS 256u
#define INODES_IDLE_MAX 512u          /* unreferenced inodes kept, a super */

int inode_cache_init(struct super *super);            /* -ENOMEM */
/* Frees what is unreferenced. */
void inode_cache_drop(struct super *super);
/* At the end of a super: nothing may be left. */
void inode_cache_destroy(struct super *super);
/* Throws away an inode whose last reference the caller holds. */
void inode_discard(struct inode *inode);
int inode_shrinker_start(void);

/* ---- mounts (mount.c, unmount.c) ---- */
struct mount {
    uint32_t id;                      /* ascending in the order of mounting */
    struct super *super;
    struct path point;                /* what it covers; mount NULL for the root */
    char *target;                     /* path of @point when it was mounted */
    bool permanent;                   /* made by vfs_start(): stays until the machine ends */
    bool attached, closing;           /* mounts_lock */
    uint32_t refs;                    /* mounts_lock; one if attached, one a path or child mount */
    uint32_t pins;                    /* mounts_lock; passing visitors: they don't make it busy */
    struct work finish;               /* a lazy unmount, once the last reference has gone */
    bool finish_failed;               /* mounts_lock; the disk failed then: it may be tried again */
    struct list link;                 /* mounts_lock; by id */
};

extern struct spinlock mounts_lock;
extern struct list mounts;
extern struct mount *root_mount;

void mount_ref(struct mount *mount);
void mount_put(struct mount *mount);
/* Replaces a covered directory by the root of what covers it, as often as it takes. */
void mount_cross_down(struct path *path);
/* At the root of a mount: replaces it by the directory it covers; false at the root of all. */
bool mount_cross_up(struct path *path);
/*
 * The mount with the greatest id below @id, pinned: it can't go before mount_unpin(). NULL: none.
 */
struct mount *mount_before(uint32_t id);
void mount_unpin(struct mount *mount);
/* Waits until no visitor is left; closing is set, so none can come. */
void mount_wait_pins(struct mount *mount);
/* Mounts @type as the root of all. */
int mount_root_start(const char *type);
/* All that is mounted now stays until the end of the machine. */
void mount_make_permanent(void);
/* A mount that is gone from the table and has no reference, with its super. */
void mount_destroy(struct mount *mount);

extern const struct work_ops mount_finish_ops;       /* unmount.c: the end of a lazy unmount */

/* ---- supers (super.c) ---- */
const struct fs_type *fs_type_find(const char *name);
/* A mounted super that is in no table yet. */
int super_make(const struct fs_type *type, const char *source, uint64_t dev, bool read_only,
               const char *options, struct super **out);
/* The super of a mount that is gone from the table: put, and all memory given back. */
void super_destroy(struct super *super);
/* Drops the cached inodes and puts the super: on write-back's thread if there is one. */
void super_put(struct super *super);

/* ---- path walks (path.c) ---- */
#define SYMLINKS_MAX 40u

struct walk {
    struct path at;                   /* referenced: how far we have come */
    const char *rest;                 /* what is still to be walked */
    const char *last;                 /* the last component, not terminated; none for "/" */
    size_t last_length;
    bool last_slash;                  /* slashes follow it */
    unsigned symlinks;
    char *text;                       /* on the heap: holds @rest behind a symlink */
};

int walk_begin(struct walk *walk, const struct path *base, const char *name);
/* Goes to the directory of the last component. */
int walk_parent(struct walk *walk);
/* Resolves the last component; 1: it was a symlink, now part of the rest: walk_parent() again. */
int walk_last(struct walk *walk, unsigned flags, struct path *out);
void walk_end(struct walk *walk);
/* Whether the last component is a name, and not "." or ".." or nothing. */
bool walk_last_is_name(const struct walk *walk);

/* ---- the current directory (cwd.c) ---- */
void cwd_get(struct path *out);
void cwd_set(const struct path *path);
void cwd_reset(void);                 /* to the root of all, without needing anything */
/*
 * The absolute path of a directory, at most @bytes with its end; the length, -ENOENT if it was
 * removed.
 */
int path_text(const struct path *path, char *dst, size_t bytes);

/* ---- files without a name (anonymous.c) ---- */
int anonymous_start(void);            /* -ENOMEM */

/* ---- shared mappings (mapped.c) ---- */
void inode_was_cut(struct inode *inode, uint64_t size);       /* locked */

/* ---- open files (open.c, file_io.c) ---- */
uint64_t file_next_serial(void);      /* for file->serial */
int inode_truncate(struct inode *inode, uint64_t size);       /* takes the lock */
