// SPDX-License-Identifier: MIT
/* A value that sysfs shows as a text file; the runtime and drivers define them, src/fs/sysfs shows them. */
#pragma once

#include <lib/format.h>

struct attr;
struct attr_ops {
    void (*show)(const struct attr *attr, struct strbuf *out);
    /* NULL: read only. @text is terminated, without the final newline. Returns 0 or -errno. */
    int (*store)(const struct attr *attr, const char *text);
};
struct attr {
    const char *name;
    const struct attr_ops *ops;
    uint64_t key;                     /* the owner's */
};
