// SPDX-License-Identifier: MIT
/*
 * A path as system calls take it: a directory descriptor and a text in app memory. at_begin()
 * fetches both; at_end() gives them back. The text lies in the heap: a path never lies on a stack.
 */
#pragma once

#include <vfs/vfs.h>

struct at {
    char *name;
    struct file *file;                /* of the descriptor; NULL: from the current directory */
};

static inline const struct path *at_base(const struct at *at)
{
    return at->file ? &at->file->path : NULL;
}

/* -EFAULT, -ENAMETOOLONG, -EBADF, -ENOMEM; nothing to give back then. */
int at_begin(struct at *at, uint64_t dirfd, uint64_t path);
void at_end(struct at *at);

/**
 * at_walk() - the file that the path names, referenced.
 * @at_flags: AT_SYMLINK_NOFOLLOW, and AT_EMPTY_PATH: an empty path names the descriptor's own file.
 * Errors: those of path_walk() and at_begin().
 */
int at_walk(uint64_t dirfd, uint64_t path, unsigned at_flags, struct path *out);

/* An open file that can do I/O: -EBADF for none and for O_PATH. */
int file_of(uint64_t fd, struct file **out);
/* fd_install(), but @file is put when there is no descriptor for it. */
int install_file(struct file *file, int lowest, bool close_on_exec);
