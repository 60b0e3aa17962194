// SPDX-License-Identifier: MIT
/* Paths of system calls: see at.h. */
#include <abi/at.h>

#include <abi/copy.h>
#include <abi/linux.h>
#include <rt/heap.h>

int at_begin(struct at *at, uint64_t dirfd, uint64_t path)
{
    *at = (struct at){0};
    int error = app_path_in(path, &at->name);
    if (error)
        return error;
    if ((int)dirfd == AT_FDCWD || at->name[0] == '/')
        return 0;
    at->file = fd_get((int)dirfd);
    if (at->file)
        return 0;
    heap_free(at->name);
    return -EBADF;
}

void at_end(struct at *at)
{
    if (at->file)
        file_put(at->file);
    heap_free(at->name);
}

int at_walk(uint64_t dirfd, uint64_t path, unsigned at_flags, struct path *out)
{
    struct at at;

    int error = at_begin(&at, dirfd, path);
    if (error)
        return error;
    unsigned walk = at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;
    if (at.name[0] == 0 && (at_flags & AT_EMPTY_PATH) && at.file)
        path_copy(out, &at.file->path);
    else if (at.name[0] == 0 && (at_flags & AT_EMPTY_PATH))
        error = path_walk(NULL, ".", walk, out);
    else
        error = path_walk(at_base(&at), at.name, walk, out);
    at_end(&at);
    return error;
}

int file_of(uint64_t fd, struct file **out)
{
    struct file *file = fd_get((int)fd);
    if (!file)
        return -EBADF;
    if (file->flags & OPEN_PATH) {
        file_put(file);
        return -EBADF;
    }
    *out = file;
    return 0;
}

int install_file(struct file *file, int lowest, bool close_on_exec)
{
    int fd = fd_install(file, lowest, close_on_exec);
    if (fd < 0)
        file_put(file);
    return fd;
}
