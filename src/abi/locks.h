// SPDX-License-Identifier: MIT
/* Locks on files: see locks.c. */
#pragma once

#include <vfs/vfs.h>

enum {
    F_GETLK = 5, F_SETLK = 6, F_SETLKW = 7, F_OFD_GETLK = 36, F_OFD_SETLK = 37, F_OFD_SETLKW = 38,
};
enum { F_RDLCK = 0, F_WRLCK = 1, F_UNLCK = 2 };

void locks_start(void);

/* fcntl's commands above; @address is that of a struct flock in app memory. May wait. */
long locks_fcntl(struct file *file, uint64_t command, uint64_t address);

/* A descriptor of @file is being closed: the process loses its locks on that file. */
void locks_closing(const struct file *file);
