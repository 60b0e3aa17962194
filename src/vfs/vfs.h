// SPDX-License-Identifier: MIT
/*
 * The virtual filesystem: inodes, open files, mounts, path walks. A filesystem fills in three tables
 * (fs_type_ops, super_ops, inode_ops) and keeps its own part behind `private`.
 *
 * Locks, outermost first: mount table -> super->rename_lock -> inode->lock of directories (parent before
 * child, else lower inode number first) -> inode->lock of a file -> what the filesystem takes. A level's
 * locks come before those of the level that backs it. inode->lock is taken here, not by filesystems.
 *
 * The probes are vfs_read, vfs_write, vfs_sync and vfs_lookup: below each, a stack of its need is sure.
 */
#pragma once

#include <lib/errno.h>
#include <lib/list.h>
#include <lib/types.h>
#include <rt/sync.h>

#define NAME_BYTES_MAX 255
#define PATH_BYTES_MAX 4096

/* mode bits, as stat gives them */
#define MODE_TYPE 0170000u
#define MODE_SOCKET 0140000u
#define MODE_SYMLINK 0120000u
#define MODE_FILE 0100000u
#define MODE_BLOCK 0060000u
#define MODE_DIR 0040000u
#define MODE_CHAR 0020000u
#define MODE_FIFO 0010000u

static inline bool mode_is_dir(uint32_t mode) { return (mode & MODE_TYPE) == MODE_DIR; }
static inline bool mode_is_file(uint32_t mode) { return (mode & MODE_TYPE) == MODE_FILE; }
static inline bool mode_is_symlink(uint32_t mode) { return (mode & MODE_TYPE) == MODE_SYMLINK; }

struct file;
struct file_end_ops;
struct fs_stat;
struct fs_type;
struct inode;
struct page_into;
struct super;
struct write_back;

struct fs_timestamp {
    int64_t seconds;
    uint32_t nanoseconds;
};

/* A receiver of directory entries. emit() returns false when it is full: the entry was not taken. */
struct dir_sink;
struct dir_sink_ops {
    bool (*emit)(struct dir_sink *sink, const char *name, size_t length, uint64_t number, uint32_t mode,
                 uint64_t next_offset);
};
struct dir_sink {
    const struct dir_sink_ops *ops;
};

enum attr_mask {
    SET_MODE = 1, SET_UID = 2, SET_GID = 4, SET_ATIME = 8, SET_MTIME = 16,
};
struct inode_attr {
    unsigned mask;
    uint32_t mode, uid, gid;
    struct fs_timestamp atime, mtime;
};

/*
 * All return 0 or -errno; an operation that is NULL gives -EOPNOTSUPP, -ENOTDIR, -EINVAL or -EPERM as
 * Linux would. "locked": the caller holds that inode's lock. Names are not terminated.
 */
struct inode_ops {
    /* Directory, locked. Finds a name; the result is referenced. -ENOENT. */
    int (*lookup)(struct inode *dir, const char *name, size_t length, struct inode **out);
    /* Directory, locked; the name is known not to exist. @mode has the type; @dev for device nodes;
     * @target for symlinks. One entry point makes files, directories, nodes and symlinks. */
    int (*create)(struct inode *dir, const char *name, size_t length, uint32_t mode, uint64_t dev,
                  const char *target, struct inode **out);
    /* @target locked too. */
    int (*link)(struct inode *dir, const char *name, size_t length, struct inode *target);
    /* @victim is what the name refers to, locked; directories are known to be removable types. */
    int (*unlink)(struct inode *dir, const char *name, size_t length, struct inode *victim);
    int (*rmdir)(struct inode *dir, const char *name, size_t length, struct inode *victim);  /* -ENOTEMPTY */
    /* All involved locked; @replaced is NULL or what the new name referred to. */
    int (*rename)(struct inode *old_dir, const char *old_name, size_t old_length, struct inode *moved,
                  struct inode *new_dir, const char *new_name, size_t new_length, struct inode *replaced);
    int (*readdir)(struct inode *dir, uint64_t offset, struct dir_sink *sink);   /* locked; "." and ".." too */
    ssize_t (*readlink)(struct inode *inode, char *dst, size_t bytes);  /* kernel buffer; not terminated */
    /* File. @dst may be an app address: use arch_copy(). Not locked for read; locked for write. */
    ssize_t (*read_at)(struct inode *inode, void *dst, size_t bytes, uint64_t offset);
    ssize_t (*write_at)(struct inode *inode, const void *src, size_t bytes, uint64_t offset);
    int (*truncate)(struct inode *inode, uint64_t size);                 /* locked */
    int (*setattr)(struct inode *inode, const struct inode_attr *attr);  /* locked */
    /* Everything of this inode, and what names it, reaches the disk, and the disk is flushed. */
    int (*sync_inode)(struct inode *inode, bool data_only);
    /* Called at open; devices may refuse or attach file->private. */
    int (*open_file)(struct inode *inode, struct file *file);
    void (*close_file)(struct inode *inode, struct file *file);
    /* Devices: instead of read_at and write_at, with the open file. */
    ssize_t (*read_file)(struct file *file, void *dst, size_t bytes, uint64_t offset);
    ssize_t (*write_file)(struct file *file, const void *src, size_t bytes, uint64_t offset);
    int (*ioctl)(struct file *file, unsigned command, uint64_t argument);
    /* See vfs_map_page(); locked if @write. Calls into->ops->page_ready() with the page held still: it is
     * neither written out nor cut off meanwhile. unmap_page drops what a kept page was kept by. */
    int (*map_page)(struct inode *inode, uint64_t index, bool write, struct page_into *into);
    void (*unmap_page)(struct inode *inode, uint64_t index);
};

/* For mutex_lock_nested(): which of several inodes of one filesystem a lock is of, outermost first. */
enum inode_nesting {
    INODE_FIRST,                      /* the only one, or the first directory */
    INODE_SECOND_DIR,
    INODE_CHILD, INODE_SECOND_CHILD,  /* what a name in a locked directory refers to */
    INODE_READING,                    /* being read, so that only who reads it has anything to do with it */
};

/* ---- shared mappings of files ---- */

/*
 * Whoever wants a file's page in an address space. page_ready() maps @frame, and returns whether it is
 * mapped now and was not before: then the page is kept until unmap_page. No waiting for I/O in it.
 */
struct page_into_ops {
    bool (*page_ready)(struct page_into *into, void *frame);
};
struct page_into {
    const struct page_into_ops *ops;
};

/*
 * What the filesystems tell whoever has mapped pages; for inodes with inode->mapped. Called with the page
 * held still, or for file_cut with the inode locked.
 */
struct page_mapper_ops {
    /* The page is about to be written out: no more writes to it without another vfs_map_page(). */
    void (*page_cleaning)(struct inode *inode, uint64_t index);
    /* The page leaves the file: it is unmapped everywhere, and unmap_page called for each. */
    void (*page_leaving)(struct inode *inode, uint64_t index);
    /* The file has been cut to @size bytes; for who has copies of its pages. */
    void (*file_cut)(struct inode *inode, uint64_t size);
};
void vfs_set_page_mapper(const struct page_mapper_ops *ops);
void inode_page_cleaning(struct inode *inode, uint64_t index);
void inode_page_leaving(struct inode *inode, uint64_t index);

/**
 * vfs_map_page() - page @index of @file's contents for a shared mapping.
 * @write: it will be written to: a hole gets its blocks, and the page counts as changed from now on.
 * Errors: -ENXIO the page lies behind the end of the file; -EIO, -ENOMEM, -ENOSPC, -EROFS; -ENODEV such files
 *         cannot be mapped.
 */
int vfs_map_page(struct file *file, uint64_t index, bool write, struct page_into *into);

/*
 * Files whose reads and writes wait for another thread or for a person: pipes, the console and the like.
 * A system call goes to these operations and not through the probes: such a wait holds no extra stack.
 * A NULL operation gives -EINVAL; @dst and @src are app addresses. Whoever makes events come true calls
 * vfs_events_changed().
 */
#define EVENT_IN 1u                   /* as poll(2) has them */
#define EVENT_OUT 4u
#define EVENT_ERROR 8u
#define EVENT_HANG_UP 16u
struct stream_ops {
    ssize_t (*stream_read)(struct file *file, void *dst, size_t bytes);
    ssize_t (*stream_write)(struct file *file, const void *src, size_t bytes);
    unsigned (*stream_events)(struct file *file);       /* EVENT_* that hold now; never sleeps */
};
/* Who waits for events of several files (poll) looks again. Any context. */
void vfs_events_changed(void);
extern struct waitq vfs_events;
extern uint64_t vfs_events_count;     /* atomic; how often */

struct inode {
    struct super *super;
    uint64_t number;
    const struct inode_ops *ops;
    struct mutex lock;                /* the fields below but refs, directory contents, file size */
    uint32_t mode, uid, gid, nlink;
    uint64_t size, blocks;            /* bytes; units of 512 bytes */
    struct fs_timestamp atime, mtime, ctime;
    uint64_t rdev;
    uint32_t refs;                    /* super->inodes_lock */
    uint32_t mounted_here;            /* mounts that cover this directory */
    uint32_t mapped;                  /* atomic; mappings of it that there are */
    bool is_new, bad;                 /* being read; reading it failed */
    struct list hash_link, lru_link, bucket_link;  /* inodes_lock: all; unreferenced; by number */
    void *private;
};

struct super_ops {
    /* Allocate with room for the filesystem's own part; inode_free undoes it, and never sleeps: an inode
     * whose pages or fields are dirty is kept by a reference of its filesystem (inode_ref). */
    struct inode *(*inode_alloc)(struct super *super);
    void (*inode_free)(struct inode *inode);
    /* Fill @inode (number set) from the disk. */
    int (*inode_read)(struct inode *inode);
    /* Last reference to a file with nlink 0 is gone: free its blocks and the inode. On write-back's
     * thread, may fail with -EIO or -ENOMEM (then it is tried again). NULL: nothing to do. */
    int (*evict)(struct inode *inode);
    /* Everything dirty to the disk, in a safe order, then flush. On write-back's thread. */
    int (*sync_super)(struct super *super);
    /* Dirty pages that have waited long enough; called by write-back every few seconds or when many. */
    int (*write_some)(struct super *super);
    void (*put_super)(struct super *super);       /* unmount: all is synced, no inode is in use */
    int (*statfs)(struct super *super, struct fs_stat *out);
};

struct fs_stat {
    uint64_t type, block_bytes, blocks, blocks_free, blocks_available, files, files_free, name_max, flags;
};

struct super {
    const struct fs_type *type;
    const struct super_ops *ops;
    struct inode *root;               /* referenced */
    char source[64];
    uint64_t dev;                     /* st_dev */
    bool read_only;
    uint32_t level;                   /* stacked devices below; set by the filesystem at mount */
    uint32_t reserve_probes;          /* probes on the longest path below write-back */
    struct mutex rename_lock;
    struct spinlock inodes_lock;
    struct list inodes;               /* all cached, hash_link */
    uint32_t inode_count;
    struct list *inode_buckets;       /* by number, bucket_link; the cache's own */
    struct list idle;                 /* unreferenced, lru_link, the oldest first */
    uint32_t idle_count;
    struct write_back *write_back;    /* NULL: memory only */
    void *private;
};

struct fs_type_ops {
    /* @super->source, ->dev (of the source, 0 if none), ->read_only are set. Fill in ops, root, level. */
    int (*mount)(struct super *super, const char *options);
};
struct fs_type {
    const char *name;
    bool needs_device;
    const struct fs_type_ops *ops;
    struct lock_class inode_class;    /* of inode->lock; empty but in a debug build */
};
/* All there are, NULL-terminated; defined by init. */
extern const struct fs_type *const fs_types[];

/* ---- inode cache (for filesystems) ---- */
/* The inode with @number, referenced, read if it was not cached. -EIO, -ENOMEM. */
int inode_get(struct super *super, uint64_t number, struct inode **out);
/* A new inode that the filesystem has just allocated: not read, is_new cleared by the caller's setup, before
 * a directory names it. Put while still is_new, it is thrown away without an eviction. -ENOMEM; -EUCLEAN the
 * number is in use. */
int inode_new(struct super *super, uint64_t number, struct inode **out);
void inode_ref(struct inode *inode);
void inode_put(struct inode *inode);          /* may queue an eviction; any thread context, never sleeps */
void inode_touch(struct inode *inode, bool modified);  /* now -> ctime, and mtime if @modified */
/* For a setattr operation: copies what @attr->mask names into the inode (locked), and touches ctime. */
void inode_apply_attr(struct inode *inode, const struct inode_attr *attr);
/* All cached inodes, one after the other, referenced: NULL gives the first; @previous is put. NULL at the end. */
struct inode *inode_next(struct super *super, struct inode *previous);
struct fs_timestamp fs_now(void);

/* ---- paths and mounts ---- */
struct mount;
struct path {
    struct mount *mount;
    struct inode *inode;              /* both referenced */
};
void path_put(struct path *path);
void path_copy(struct path *to, const struct path *from);

#define WALK_FOLLOW 1u                /* follow a symlink in the last component */
#define WALK_DIRECTORY 2u             /* the result must be a directory */
/* @base NULL: the current directory. -ENOENT -ENOTDIR -ELOOP -ENAMETOOLONG -EIO. */
int path_walk(const struct path *base, const char *name, unsigned flags, struct path *out);

/**
 * vfs_mount() - mount @source on directory @target.
 * @source: a device path such as /dev/vda, or "none". @flags: MOUNT_READ_ONLY or 0.
 * Errors: -ENODEV unknown type; -ENOTBLK; -EBUSY device or target in use; -EINVAL not such a filesystem
 *         (said on the console, with what is wrong); -EIO; -ENOMEM.
 */
#define MOUNT_READ_ONLY 1u
int vfs_mount(const char *source, const char *target, const char *type, unsigned flags, const char *options);
int vfs_unmount(const char *target, bool lazy);      /* -EBUSY; syncs on write-back's thread */
int vfs_unmount_all(void);            /* innermost first; the first error; for the end of the app */
int vfs_sync_all(void);
/* Text of /proc/mounts form, for mount listings. */
struct strbuf;
void vfs_show_mounts(struct strbuf *out);

/* ---- open files ---- */
#define OPEN_ACCESS 3u
#define OPEN_READ 0u
#define OPEN_WRITE 1u
#define OPEN_READ_WRITE 2u
#define OPEN_CREATE 0100u
#define OPEN_EXCLUSIVE 0200u
#define OPEN_TRUNCATE 01000u
#define OPEN_APPEND 02000u
#define OPEN_NONBLOCK 04000u
#define OPEN_DSYNC 010000u
#define OPEN_DIRECTORY 0200000u
#define OPEN_NOFOLLOW 0400000u
#define OPEN_CLOEXEC 02000000u
#define OPEN_SYNC 04010000u
#define OPEN_PATH 010000000u

struct file {
    struct path path;
    struct inode *inode;              /* = path.inode; for a device node of another filesystem: devfs's */
    unsigned flags;
    struct mutex position_lock;
    uint64_t position;
    uint64_t append_end;              /* inode->lock; see vfs_write() */
    uint32_t refs;                    /* atomic */
    uint64_t serial;                  /* no two files ever have the same */
    const struct stream_ops *stream;  /* NULL: its calls go through the probes */
    const struct file_end_ops *at_end;  /* called before it is closed; or NULL */
    void *private;
};
struct file_end_ops {
    void (*file_ends)(struct file *file);
};

/**
 * vfs_open_anonymous() - an open file that no name leads to, such as one end of a pipe.
 * @ops: open_file is not called; close_file is. @private becomes file->private.
 * Errors: -ENOMEM.
 */
int vfs_open_anonymous(const struct inode_ops *ops, const struct stream_ops *stream, uint32_t mode,
                       unsigned flags, void *private, struct file **out);
int vfs_open(const struct path *base, const char *name, unsigned flags, uint32_t mode, struct file **out);
void file_ref(struct file *file);
void file_put(struct file *file);     /* the last one closes */

/* The probes (src/probes.def). @dst and @src may be app addresses, populated beforehand. */
ssize_t vfs_read(struct file *file, void *dst, size_t bytes, uint64_t offset);
/* With OPEN_APPEND @offset is ignored, and file->append_end says where this write ended (read it while holding
 * position_lock). On OPEN_SYNC/DSYNC the data is on the disk when it returns. */
ssize_t vfs_write(struct file *file, const void *src, size_t bytes, uint64_t offset);
int vfs_sync(struct file *file, bool data_only);
/* @dir is locked by the caller. -ENOENT -ENOTDIR -ENAMETOOLONG -EIO. */
int vfs_lookup(struct inode *dir, const char *name, size_t length, struct inode **out);

int vfs_truncate(struct file *file, uint64_t size);
int vfs_truncate_path(const struct path *base, const char *name, uint64_t size);
/* Moves file->position; takes position_lock unless the caller holds it. */
int vfs_readdir(struct file *file, struct dir_sink *sink);
int vfs_ioctl(struct file *file, unsigned command, uint64_t argument);
int vfs_create_node(const struct path *base, const char *name, uint32_t mode, uint64_t dev);  /* mkdir too */
int vfs_symlink(const struct path *base, const char *target, const char *name);
int vfs_link(const struct path *old_base, const char *old_name, const struct path *new_base,
             const char *new_name, unsigned flags);
int vfs_unlink(const struct path *base, const char *name);
int vfs_rmdir(const struct path *base, const char *name);
int vfs_rename(const struct path *old_base, const char *old_name, const struct path *new_base,
               const char *new_name, bool no_replace);
ssize_t vfs_readlink(const struct path *base, const char *name, char *dst, size_t bytes);  /* kernel buffer */
int vfs_setattr(const struct path *path, const struct inode_attr *attr);
int vfs_statfs(const struct path *path, struct fs_stat *out);
int vfs_chdir(const struct path *base, const char *name);
int vfs_getcwd(char *dst, size_t bytes);

/* ---- descriptors: one process, one table ---- */
#define FD_MAX 1024
int fd_install(struct file *file, int lowest, bool close_on_exec);   /* takes the reference; -EMFILE */
struct file *fd_get(int fd);                         /* referenced; NULL: no such descriptor */
int fd_close(int fd);                                /* -EBADF */
int fd_duplicate(int fd, int target, bool close_on_exec);   /* dup2/dup3 */
void fd_close_all(void);
bool fd_close_on_exec(int fd);
int fd_set_close_on_exec(int fd, bool on);

/* ---- character devices, shown by devfs ---- */
struct chardev;
struct chardev_ops {
    ssize_t (*dev_read)(struct chardev *dev, struct file *file, void *dst, size_t bytes);
    ssize_t (*dev_write)(struct chardev *dev, struct file *file, const void *src, size_t bytes);
    int (*dev_ioctl)(struct chardev *dev, struct file *file, unsigned command, uint64_t argument);
};
struct chardev {
    const char *name;
    uint64_t dev;
    const struct chardev_ops *ops;
    const struct stream_ops *stream;  /* of its open files; or NULL */
    struct list link;
};
int chardev_register(struct chardev *dev);           /* -EEXIST: the name or the number is taken */
struct chardev *chardev_by_index(uint32_t index);
struct chardev *chardev_find(const char *name, size_t length);
struct chardev *chardev_by_dev(uint64_t dev);

/* devfs says where device nodes of other filesystems are opened: its inodes have these numbers. */
void vfs_set_device_super(struct super *super);
static inline uint64_t device_inode_number(uint32_t mode, uint64_t rdev)
{
    return ((uint64_t)(mode & MODE_TYPE) << 32) | rdev;
}

/* ---- start ---- */
/* Mounts tmpfs on /, makes /dev /sys /tmp /app /proc…, mounts devfs and sysfs. */
int vfs_start(void);
