// SPDX-License-Identifier: MIT
/* The tree of names: making, removing, moving, listing, and the current directory. */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/heap.h>

#define HERE ((uint64_t)AT_FDCWD)
#define LISTING_BYTES_MAX KIB(32)
#define RENAME_NOREPLACE 1u

static long create_at(uint64_t dirfd, uint64_t path, uint64_t mode, uint64_t type, uint64_t dev)
{
    struct at at;

    int error = at_begin(&at, dirfd, path);
    if (error)
        return error;
    mode &= 07777 & ~__atomic_load_n(&app.umask, __ATOMIC_RELAXED);
    error = vfs_create_node(at_base(&at), at.name, (uint32_t)(mode | type), dev);
    at_end(&at);
    return error;
}

SYSCALL(mkdir)
{
    return create_at(HERE, args->a[0], args->a[1], MODE_DIR, 0);
}

SYSCALL(mkdirat)
{
    return create_at(args->a[0], args->a[1], args->a[2], MODE_DIR, 0);
}

static long make_node(uint64_t dirfd, uint64_t path, uint64_t mode, uint64_t dev)
{
    uint64_t type = mode & MODE_TYPE ? mode & MODE_TYPE : MODE_FILE;
    if (type == MODE_DIR)
        return -EPERM;
    if (type == MODE_SYMLINK)
        return -EINVAL;
    return create_at(dirfd, path, mode, type, dev);
}

SYSCALL(mknod)
{
    return make_node(HERE, args->a[0], args->a[1], args->a[2]);
}

SYSCALL(mknodat)
{
    return make_node(args->a[0], args->a[1], args->a[2], args->a[3]);
}

static long remove_at(uint64_t dirfd, uint64_t path, bool directory)
{
    struct at at;

    int error = at_begin(&at, dirfd, path);
    if (error)
        return error;
    error = directory ? vfs_rmdir(at_base(&at), at.name) : vfs_unlink(at_base(&at), at.name);
    at_end(&at);
    return error;
}

SYSCALL(rmdir)
{
    return remove_at(HERE, args->a[0], true);
}

SYSCALL(unlink)
{
    return remove_at(HERE, args->a[0], false);
}

SYSCALL(unlinkat)
{
    if (args->a[2] & ~(uint64_t)AT_REMOVEDIR)
        return -EINVAL;
    return remove_at(args->a[0], args->a[1], args->a[2] & AT_REMOVEDIR);
}

static long rename_at(uint64_t old_fd, uint64_t old_path, uint64_t new_fd, uint64_t new_path,
                      uint64_t flags)
{
    struct at from, to;

    if (flags & ~(uint64_t)RENAME_NOREPLACE)
        return -EINVAL;
    int error = at_begin(&from, old_fd, old_path);
    if (error)
        return error;
    error = at_begin(&to, new_fd, new_path);
    if (!error) {
        error = vfs_rename(at_base(&from), from.name, at_base(&to), to.name,
                           flags & RENAME_NOREPLACE);
        at_end(&to);
    }
    at_end(&from);
    return error;
}

SYSCALL(rename)
{
    return rename_at(HERE, args->a[0], HERE, args->a[1], 0);
}

SYSCALL(renameat)
{
    return rename_at(args->a[0], args->a[1], args->a[2], args->a[3], 0);
}

SYSCALL(renameat2)
{
    return rename_at(args->a[0], args->a[1], args->a[2], args->a[3], args->a[4]);
}

static long link_at(uint64_t old_fd, uint64_t old_path, uint64_t new_fd, uint64_t new_path,
                    uint64_t flags)
{
    struct at from, to;

    if (flags & ~(uint64_t)AT_SYMLINK_FOLLOW)
        return -EINVAL;
    int error = at_begin(&from, old_fd, old_path);
    if (error)
        return error;
    error = at_begin(&to, new_fd, new_path);
    if (!error) {
        unsigned walk = flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0;
        error = vfs_link(at_base(&from), from.name, at_base(&to), to.name, walk);
        at_end(&to);
    }
    at_end(&from);
    return error;
}

SYSCALL(link)
{
    return link_at(HERE, args->a[0], HERE, args->a[1], 0);
}

SYSCALL(linkat)
{
    return link_at(args->a[0], args->a[1], args->a[2], args->a[3], args->a[4]);
}

static long symlink_at(uint64_t target_path, uint64_t dirfd, uint64_t path)
{
    struct at at;
    char *target;

    int error = app_path_in(target_path, &target);
    if (error)
        return error;
    error = target[0] ? at_begin(&at, dirfd, path) : -ENOENT;
    if (!error) {
        error = vfs_symlink(at_base(&at), target, at.name);
        at_end(&at);
    }
    heap_free(target);
    return error;
}

SYSCALL(symlink)
{
    return symlink_at(args->a[0], HERE, args->a[1]);
}

SYSCALL(symlinkat)
{
    return symlink_at(args->a[0], args->a[1], args->a[2]);
}

static long readlink_at(uint64_t dirfd, uint64_t path, uint64_t buffer, uint64_t bytes)
{
    struct at at;

    if (bytes == 0 || bytes > INT32_MAX)
        return -EINVAL;
    int error = at_begin(&at, dirfd, path);
    if (error)
        return error;
    ssize_t length = -ENOMEM;
    char *text = heap_alloc(PATH_BYTES_MAX);
    if (text)
        length = vfs_readlink(at_base(&at), at.name, text, MIN(bytes, (uint64_t)PATH_BYTES_MAX));
    if (length > 0) {
        error = app_copy_out(buffer, text, (size_t)length);
        if (error)
            length = error;
    }
    heap_free(text);
    at_end(&at);
    return length;
}

SYSCALL(readlink)
{
    return readlink_at(HERE, args->a[0], args->a[1], args->a[2]);
}

SYSCALL(readlinkat)
{
    return readlink_at(args->a[0], args->a[1], args->a[2], args->a[3]);
}

/*
 * ---- listing: entries are gathered in the heap, for a directory is locked while it is read ----
 */

struct listing {
    struct dir_sink sink;
    uint8_t *text;
    size_t size, used;
    bool full;
};

static bool listing_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                         uint32_t mode, uint64_t next_offset)
{
    struct listing *l = container_of(sink, struct listing, sink);
    size_t bytes = align_up(LINUX_DIRENT_HEAD + length + 1, 8);

    if (l->size - l->used < bytes) {
        l->full = true;
        return false;
    }
    struct linux_dirent head = {
        .ino = number,
        .next_offset = (int64_t)next_offset,
        .bytes = (uint16_t)bytes,
        .type = (uint8_t)((mode & MODE_TYPE) >> 12),
    };
    uint8_t *entry = l->text + l->used;
    memset(entry, 0, bytes);
    memcpy(entry, &head, LINUX_DIRENT_HEAD);
    memcpy(entry + LINUX_DIRENT_HEAD, name, length);
    l->used += bytes;
    return true;
}

static const struct dir_sink_ops listing_sink_ops = {.emit = listing_emit};

static long list_file(struct file *file, uint64_t buffer, uint64_t bytes)
{
    struct listing l = {
        .sink = {.ops = &listing_sink_ops},
        .size = MIN(bytes, LISTING_BYTES_MAX),
    };
    l.text = heap_alloc(l.size);
    if (!l.text)
        return -ENOMEM;
    mutex_lock(&file->position_lock);
    long result = vfs_readdir(file, &l.sink);
    mutex_unlock(&file->position_lock);
    if (l.used)
        result = app_copy_out(buffer, l.text, l.used);
    else if (result == 0 && l.full)
        result = -EINVAL;
    heap_free(l.text);
    return result < 0 ? result : (long)l.used;
}

/* (fd, buffer, bytes) */
SYSCALL(getdents64)
{
    struct file *file;

    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    long result = -ENOTDIR;
    if (args->a[2] < LINUX_DIRENT_HEAD)
        result = -EINVAL;
    else if (mode_is_dir(file->inode->mode))
        result = list_file(file, args->a[1], args->a[2]);
    file_put(file);
    return result;
}

/* ---- the current directory ---- */

SYSCALL(chdir)
{
    struct at at;

    int error = at_begin(&at, HERE, args->a[0]);
    if (error)
        return error;
    error = vfs_chdir(NULL, at.name);
    at_end(&at);
    return error;
}

SYSCALL(fchdir)
{
    struct file *file = fd_get((int)args->a[0]);
    if (!file)
        return -EBADF;
    int error = vfs_chdir(&file->path, ".");
    file_put(file);
    return error;
}

/* (buffer, bytes); returns the bytes written, the final 0 included */
SYSCALL(getcwd)
{
    char *text = heap_alloc(PATH_BYTES_MAX);
    if (!text)
        return -ENOMEM;
    long result = vfs_getcwd(text, PATH_BYTES_MAX);
    if (result >= 0) {
        size_t bytes = strlen(text) + 1;
        result = bytes > args->a[1] ? -ERANGE : app_copy_out(args->a[0], text, bytes);
        if (result == 0)
            result = (long)bytes;
    }
    heap_free(text);
    return result;
}
