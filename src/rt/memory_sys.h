// SPDX-License-Identifier: MIT
/* What /sys shows of memory. NULL-terminated tables; the layers above add theirs to /sys/memory. */
#pragma once

#include <rt/attr.h>

extern const struct attr *const memory_attrs[];        /* /sys/memory: total, free, heap; bytes */
extern const struct attr *const stack_memory_attrs[];  /* /sys/stack: memory, a table by kind */
