// SPDX-License-Identifier: MIT
/* What can be changed about a file: mode, owner, times, size. */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/syscalls.h>

#define HERE ((uint64_t)AT_FDCWD)

static long set_at(uint64_t dirfd, uint64_t path, unsigned flags, const struct inode_attr *attr)
{
    struct path found;

    int error = at_walk(dirfd, path, flags, &found);
    if (error)
        return error;
    error = vfs_setattr(&found, attr);
    path_put(&found);
    return error;
}

static long set_open(uint64_t fd, const struct inode_attr *attr)
{
    struct file *file;

    int error = file_of(fd, &file);
    if (error)
        return error;
    error = vfs_setattr(&file->path, attr);
    file_put(file);
    return error;
}

static struct inode_attr mode_attr(uint64_t mode)
{
    return (struct inode_attr){.mask = SET_MODE, .mode = (uint32_t)mode & 07777};
}

SYSCALL(chmod)
{
    struct inode_attr attr = mode_attr(args->a[1]);
    return set_at(HERE, args->a[0], 0, &attr);
}

SYSCALL(fchmod)
{
    struct inode_attr attr = mode_attr(args->a[1]);
    return set_open(args->a[0], &attr);
}

SYSCALL(fchmodat)
{
    struct inode_attr attr = mode_attr(args->a[2]);
    return set_at(args->a[0], args->a[1], 0, &attr);
}

/* -1 leaves an owner as it is. */
static struct inode_attr owner_attr(uint64_t uid, uint64_t gid)
{
    return (struct inode_attr){
        .mask = ((uint32_t)uid != UINT32_MAX ? SET_UID : 0) |
                ((uint32_t)gid != UINT32_MAX ? SET_GID : 0),
        .uid = (uint32_t)uid,
        .gid = (uint32_t)gid,
    };
}

SYSCALL(chown)
{
    struct inode_attr attr = owner_attr(args->a[1], args->a[2]);
    return set_at(HERE, args->a[0], 0, &attr);
}

SYSCALL(lchown)
{
    struct inode_attr attr = owner_attr(args->a[1], args->a[2]);
    return set_at(HERE, args->a[0], AT_SYMLINK_NOFOLLOW, &attr);
}

SYSCALL(fchown)
{
    struct inode_attr attr = owner_attr(args->a[1], args->a[2]);
    return set_open(args->a[0], &attr);
}

/* (dirfd, path, uid, gid, flags) */
SYSCALL(fchownat)
{
    if (args->a[4] & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    struct inode_attr attr = owner_attr(args->a[2], args->a[3]);
    return set_at(args->a[0], args->a[1], (unsigned)args->a[4], &attr);
}

/* One of the two times: now, left alone, or given. */
static int time_in(const struct linux_timespec *t, unsigned bit, struct inode_attr *attr,
                   struct fs_timestamp *out)
{
    if (t->nanoseconds == UTIME_OMIT)
        return 0;
    attr->mask |= bit;
    if (t->nanoseconds == UTIME_NOW) {
        *out = fs_now();
        return 0;
    }
    if (t->nanoseconds < 0 || t->nanoseconds >= (int64_t)NS_PER_S)
        return -EINVAL;
    *out = (struct fs_timestamp){t->seconds, (uint32_t)t->nanoseconds};
    return 0;
}

static noinline int times_in(uint64_t address, struct inode_attr *attr)
{
    struct linux_timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};

    int error = address ? app_copy_in(times, address, sizeof(times)) : 0;
    if (!error)
        error = time_in(&times[0], SET_ATIME, attr, &attr->atime);
    return error ? error : time_in(&times[1], SET_MTIME, attr, &attr->mtime);
}

/* (dirfd, path, times, flags); no path: the descriptor itself */
SYSCALL(utimensat)
{
    struct inode_attr attr = {0};

    if (args->a[3] & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    int error = times_in(args->a[2], &attr);
    if (error)
        return error;
    if (args->a[1] == 0 && (int32_t)args->a[0] == AT_FDCWD)
        return -EFAULT;
    if (args->a[1] == 0)
        return set_open(args->a[0], &attr);
    return set_at(args->a[0], args->a[1], (unsigned)args->a[3], &attr);
}

SYSCALL(umask)
{
    return __atomic_exchange_n(&app.umask, (uint32_t)args->a[0] & 0777, __ATOMIC_RELAXED);
}

SYSCALL(truncate)
{
    struct at at;

    if ((int64_t)args->a[1] < 0)
        return -EINVAL;
    int error = at_begin(&at, HERE, args->a[0]);
    if (error)
        return error;
    error = vfs_truncate_path(NULL, at.name, args->a[1]);
    at_end(&at);
    return error;
}

SYSCALL(ftruncate)
{
    struct file *file;

    if ((int64_t)args->a[1] < 0)
        return -EINVAL;
    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    if ((file->flags & OPEN_ACCESS) == OPEN_READ || !mode_is_file(file->inode->mode))
        error = -EINVAL;
    else
        error = vfs_truncate(file, args->a[1]);
    file_put(file);
    return error;
}

/* No filesystem here promises space ahead of its use; the C libraries write zeros instead. */
SYSCALL(fallocate)
{
    struct file *file;

    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    file_put(file);
    return -EOPNOTSUPP;
}
