// SPDX-License-Identifier: MIT
/* A read or write that goes on; it lies in struct app_thread, not on the stack. See io.c. */
#pragma once

#include <abi/linux.h>

struct file;

/* pipe.c: how much a pipe holds; -EBADF for other files. */
long pipe_size(const struct file *file);

/* So many buffers need no memory: what a C library prints comes out when there is none left. */
#define TRANSFER_FEW 4

enum direction { READ, WRITE };

struct transfer {
    struct file *file;
    enum direction direction;
    bool positioned;                  /* at @offset; else at the file's position, which moves */
    uint64_t offset;
    struct linux_iovec *vector;       /* `few`, or in the heap when there are more */
    uint32_t count;
    struct linux_iovec few[TRANSFER_FEW];
};
