// SPDX-License-Identifier: MIT
/* The cache of freed home stacks: what others see of it. Taking and giving back are in rt/stack.h. */
#pragma once

#include <lib/types.h>

#define STACK_CACHE_MAX 16u           /* stacks kept for each CPU, but only 64 KiB of them, and at least 2 */
uint32_t stack_cache_most(void);

struct stack_cache_counts {
    uint64_t cached, hits, misses, kept, passed_on, unmapped;
};
/* Of one CPU, or with @cpu = UINT32_MAX of all. */
void stack_cache_counts(uint32_t cpu, struct stack_cache_counts *out);
/* Unmaps all that is cached and waits until it is done; for a worker when memory is short, and for tests.
 * Thread context; may sleep. */
void stack_cache_drain(void);
