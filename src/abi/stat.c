// SPDX-License-Identifier: MIT
/* What a file and a filesystem are: stat and its kin. */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/syscalls.h>
#include <rt/heap.h>

#define STAT_FLAGS (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)
#define BLOCK_BYTES_SHOWN 4096

static struct linux_timespec timespec_of(const struct fs_timestamp *t)
{
    return (struct linux_timespec){t->seconds, t->nanoseconds};
}

/* Without the inode's lock: a stat does not wait for a write that goes on; each field is whole. */
static noinline int stat_out(const struct inode *inode, uint64_t address)
{
    struct linux_stat s = {
        .dev = inode->super->dev,
        .ino = inode->number,
        .nlink = inode->nlink,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .rdev = inode->rdev,
        .size = (int64_t)inode->size,
        .blksize = BLOCK_BYTES_SHOWN,
        .blocks = (int64_t)inode->blocks,
        .atime = timespec_of(&inode->atime),
        .mtime = timespec_of(&inode->mtime),
        .ctime = timespec_of(&inode->ctime),
    };
    return app_copy_out(address, &s, sizeof(s));
}

static long stat_at(uint64_t dirfd, uint64_t path, uint64_t address, unsigned flags)
{
    struct path found;

    if (flags & ~STAT_FLAGS)
        return -EINVAL;
    int error = at_walk(dirfd, path, flags, &found);
    if (error)
        return error;
    error = stat_out(found.inode, address);
    path_put(&found);
    return error;
}

SYSCALL(stat)
{
    return stat_at((uint64_t)AT_FDCWD, args->a[0], args->a[1], 0);
}

SYSCALL(lstat)
{
    return stat_at((uint64_t)AT_FDCWD, args->a[0], args->a[1], AT_SYMLINK_NOFOLLOW);
}

SYSCALL(fstat)
{
    struct file *file = fd_get((int)args->a[0]);
    if (!file)
        return -EBADF;
    int error = stat_out(file->inode, args->a[1]);
    file_put(file);
    return error;
}

/* (dirfd, path, stat, flags) */
SYSCALL(newfstatat)
{
    return stat_at(args->a[0], args->a[1], args->a[2], (unsigned)args->a[3]);
}

static struct linux_statx_time statx_time_of(const struct fs_timestamp *t)
{
    return (struct linux_statx_time){t->seconds, t->nanoseconds, 0};
}

static uint32_t major_of(uint64_t dev)
{
    return (uint32_t)((dev >> 8 & 0xfff) | (dev >> 32 & ~UINT64_C(0xfff)));
}

static uint32_t minor_of(uint64_t dev)
{
    return (uint32_t)((dev & 0xff) | (dev >> 12 & ~UINT64_C(0xff)));
}

/* In the heap: it is the largest there is. */
static int statx_out(const struct inode *inode, uint64_t address)
{
    struct linux_statx *s = heap_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->mask = STATX_BASIC_STATS;
    s->blksize = BLOCK_BYTES_SHOWN;
    s->nlink = inode->nlink;
    s->uid = inode->uid;
    s->gid = inode->gid;
    s->mode = (uint16_t)inode->mode;
    s->ino = inode->number;
    s->size = inode->size;
    s->blocks = inode->blocks;
    s->atime = statx_time_of(&inode->atime);
    s->ctime = statx_time_of(&inode->ctime);
    s->mtime = statx_time_of(&inode->mtime);
    s->rdev_major = major_of(inode->rdev);
    s->rdev_minor = minor_of(inode->rdev);
    s->dev_major = major_of(inode->super->dev);
    s->dev_minor = minor_of(inode->super->dev);
    int error = app_copy_out(address, s, sizeof(*s));
    heap_free(s);
    return error;
}

/* (dirfd, path, flags, mask, statx) */
SYSCALL(statx)
{
    struct path found;
    unsigned flags = (unsigned)args->a[2] & ~AT_STATX_SYNC_TYPE;

    if (flags & ~STAT_FLAGS)
        return -EINVAL;
    int error = at_walk(args->a[0], args->a[1], flags, &found);
    if (error)
        return error;
    error = statx_out(found.inode, args->a[4]);
    path_put(&found);
    return error;
}

/*
 * Root may read and write everything, but on a read-only filesystem, and execute what anybody may.
 */
static int access_check(const struct path *found, unsigned wanted)
{
    enum { MAY_EXECUTE = 1, MAY_WRITE = 2 };
    const struct inode *inode = found->inode;

    if ((wanted & MAY_WRITE) && inode->super->read_only &&
        (mode_is_file(inode->mode) || mode_is_dir(inode->mode)))
        return -EROFS;
    if ((wanted & MAY_EXECUTE) && mode_is_file(inode->mode) && !(inode->mode & 0111))
        return -EACCES;
    return 0;
}

static long access_at(uint64_t dirfd, uint64_t path, uint64_t wanted, unsigned flags)
{
    struct path found;

    if (wanted > 7 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
        return -EINVAL;
    int error = at_walk(dirfd, path, flags, &found);
    if (error)
        return error;
    error = access_check(&found, (unsigned)wanted);
    path_put(&found);
    return error;
}

SYSCALL(access)
{
    return access_at((uint64_t)AT_FDCWD, args->a[0], args->a[1], 0);
}

SYSCALL(faccessat)
{
    return access_at(args->a[0], args->a[1], args->a[2], 0);
}

SYSCALL(faccessat2)
{
    return access_at(args->a[0], args->a[1], args->a[2], (unsigned)args->a[3]);
}

static noinline int statfs_out(const struct fs_stat *found, uint64_t address)
{
    struct linux_statfs s = {
        .type = (int64_t)found->type,
        .bsize = (int64_t)found->block_bytes,
        .blocks = found->blocks,
        .bfree = found->blocks_free,
        .bavail = found->blocks_available,
        .files = found->files,
        .ffree = found->files_free,
        .namelen = (int64_t)found->name_max,
        .frsize = (int64_t)found->block_bytes,
        .flags = (int64_t)found->flags,
    };
    return app_copy_out(address, &s, sizeof(s));
}

static int statfs_of(const struct path *path, uint64_t address)
{
    struct fs_stat found = {0};
    int error = vfs_statfs(path, &found);
    return error ? error : statfs_out(&found, address);
}

SYSCALL(statfs)
{
    struct path found;

    int error = at_walk((uint64_t)AT_FDCWD, args->a[0], 0, &found);
    if (error)
        return error;
    error = statfs_of(&found, args->a[1]);
    path_put(&found);
    return error;
}

SYSCALL(fstatfs)
{
    struct file *file = fd_get((int)args->a[0]);
    if (!file)
        return -EBADF;
    int error = statfs_of(&file->path, args->a[1]);
    file_put(file);
    return error;
}
