// SPDX-License-Identifier: MIT
/* Work that an interrupt handler leaves to a thread: one worker a CPU runs it in order; it may sleep. */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

struct work;
struct work_ops {
    void (*execute)(struct work *work);
};
struct work {
    const struct work_ops *ops;
    struct list link;
    uint32_t cpu_index;               /* whose worker runs it: the CPU that initialised it */
    bool queued;
};
void work_init(struct work *work, const struct work_ops *ops);
/* To its CPU's worker, so that it never runs twice at a time; false if it is queued already. Any context.
 * @work may be freed or queued again from its own execute(). */
bool work_queue(struct work *work);
int work_start(void);
