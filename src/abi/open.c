// SPDX-License-Identifier: MIT
/* Descriptors: open, close, dup, fcntl. */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/locks.h>
#include <abi/process.h>
#include <abi/syscalls.h>

#define OPEN_KNOWN                                                                              \
    (OPEN_ACCESS | OPEN_CREATE | OPEN_EXCLUSIVE | OPEN_TRUNCATE | OPEN_APPEND | OPEN_NONBLOCK | \
     OPEN_SYNC | OPEN_DSYNC | OPEN_DIRECTORY | OPEN_NOFOLLOW | OPEN_CLOEXEC | OPEN_PATH)
#define SETTABLE_FLAGS (OPEN_APPEND | OPEN_NONBLOCK)

enum {
    F_DUPFD = 0, F_GETFD = 1, F_SETFD = 2, F_GETFL = 3, F_SETFL = 4, F_DUPFD_CLOEXEC = 1030,
    F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032,
    FD_CLOEXEC = 1,
};

/*
 * O_DIRECT and O_TMPFILE promise what is not kept here, so they are refused, as by some
 * filesystems.
 */
static long open_at(uint64_t dirfd, uint64_t path, uint64_t flags, uint64_t mode)
{
    struct at at;
    struct file *file;

    if ((flags & O_TMPFILE) == O_TMPFILE)
        return -EOPNOTSUPP;
    if (flags & O_DIRECT)
        return -EINVAL;
    int error = at_begin(&at, dirfd, path);
    if (error)
        return error;
    uint32_t file_mode = (uint32_t)mode & 07777 & ~__atomic_load_n(&app.umask, __ATOMIC_RELAXED);
    error = vfs_open(at_base(&at), at.name, (unsigned)flags & OPEN_KNOWN, file_mode, &file);
    at_end(&at);
    if (error)
        return error;
    return install_file(file, 0, flags & OPEN_CLOEXEC);
}

SYSCALL(open)
{
    return open_at((uint64_t)AT_FDCWD, args->a[0], args->a[1], args->a[2]);
}

SYSCALL(openat)
{
    return open_at(args->a[0], args->a[1], args->a[2], args->a[3]);
}

SYSCALL(creat)
{
    return open_at((uint64_t)AT_FDCWD, args->a[0], OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE,
                   args->a[1]);
}

static int close_fd(int fd)
{
    struct file *file = fd_get(fd);
    if (!file)
        return -EBADF;
    locks_closing(file);
    file_put(file);
    return fd_close(fd);
}

SYSCALL(close)
{
    return close_fd((int)args->a[0]);
}

/* (first, last, flags): closes them; the flag to mark them only is not served */
SYSCALL(close_range)
{
    if (args->a[2] || args->a[0] > args->a[1])
        return -EINVAL;
    for (uint64_t fd = args->a[0]; fd <= args->a[1] && fd < FD_MAX; fd++)
        close_fd((int)fd);
    return 0;
}

static long duplicate(uint64_t fd, uint64_t lowest, bool close_on_exec)
{
    struct file *file = fd_get((int)fd);
    if (!file)
        return -EBADF;
    if (lowest >= FD_MAX) {
        file_put(file);
        return -EINVAL;
    }
    return install_file(file, (int)lowest, close_on_exec);
}

SYSCALL(dup)
{
    return duplicate(args->a[0], 0, false);
}

static long duplicate_to(uint64_t fd, uint64_t target, bool close_on_exec)
{
    if ((int)target < 0 || (int)target >= FD_MAX)
        return -EBADF;
    struct file *file = fd_get((int)fd), *old = file ? fd_get((int)target) : NULL;
    if (!file)
        return -EBADF;
    file_put(file);
    if (old) {
        locks_closing(old);
        file_put(old);
    }
    int error = fd_duplicate((int)fd, (int)target, close_on_exec);
    return error < 0 ? error : (long)target;
}

SYSCALL(dup2)
{
    if (args->a[0] == args->a[1]) {
        struct file *file = fd_get((int)args->a[0]);
        if (!file)
            return -EBADF;
        file_put(file);
        return (long)args->a[0];
    }
    return duplicate_to(args->a[0], args->a[1], false);
}

SYSCALL(dup3)
{
    if (args->a[0] == args->a[1] || (args->a[2] & ~(uint64_t)OPEN_CLOEXEC))
        return -EINVAL;
    return duplicate_to(args->a[0], args->a[1], args->a[2] & OPEN_CLOEXEC);
}

static long file_control(struct file *file, uint64_t command, uint64_t argument)
{
    switch (command) {
    case F_GETFL:
        return (long)(file->flags & ~(OPEN_CLOEXEC | OPEN_CREATE | OPEN_EXCLUSIVE | OPEN_TRUNCATE));
    case F_GETPIPE_SZ:
        return pipe_size(file);
    case F_SETPIPE_SZ: {
        long bytes = pipe_size(file);
        return bytes >= 0 && argument > (uint64_t)bytes ? -EPERM : bytes;
    }
    case F_SETFL:
        file->flags = (file->flags & ~SETTABLE_FLAGS) | ((unsigned)argument & SETTABLE_FLAGS);
        return 0;
    case F_GETLK:
    case F_OFD_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return file->flags & OPEN_PATH ? -EBADF : locks_fcntl(file, command, argument);
    default:
        return -EINVAL;
    }
}

/* (fd, command, argument) */
SYSCALL(fcntl)
{
    struct file *file = fd_get((int)args->a[0]);
    long result;

    if (!file)
        return -EBADF;
    switch (args->a[1]) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        result = duplicate(args->a[0], args->a[2], args->a[1] == F_DUPFD_CLOEXEC);
        break;
    case F_GETFD:
        result = fd_close_on_exec((int)args->a[0]) ? FD_CLOEXEC : 0;
        break;
    case F_SETFD:
        result = fd_set_close_on_exec((int)args->a[0], args->a[2] & FD_CLOEXEC);
        break;
    default:
        result = file_control(file, args->a[1], args->a[2]);
    }
    file_put(file);
    return result;
}
