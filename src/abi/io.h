// SPDX-License-Identifier: MIT
/* A read or write that goes on; it lies in struct app_thread, not on the stack. See io.c. */
#pragma once

#include <abi/linux.h>

struct file;

enum direction { READ, WRITE };

struct transfer {
    struct file *file;
    enum direction direction;
    bool positioned;                  /* at @offset; else at the file's position, which moves */
    uint64_t offset;
    struct linux_iovec *vector;       /* in the heap; NULL: the one below */
    uint32_t count;
    struct linux_iovec one;
};
