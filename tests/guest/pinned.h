// SPDX-License-Identifier: MIT
/* Test threads that stay on one CPU each, at most one a CPU at a time. */
#pragma once

#include <lib/types.h>
#include <rt/sync.h>

struct pinned;
struct pinned_ops {
    void (*pinned_work)(struct pinned *self);
};
struct pinned {
    const struct pinned_ops *ops;
    uint32_t cpu;
    struct semaphore done;
};

struct pinned *pinned_start(uint32_t cpu, const struct pinned_ops *ops);
void pinned_wait(struct pinned *self);
/* One on each CPU; returns when all have ended. */
void pinned_on_all(const struct pinned_ops *ops);
