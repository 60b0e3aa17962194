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
    bool queued;
};
void work_init(struct work *work, const struct work_ops *ops);
/* To this CPU's worker; false if it is queued already. Any context. @work may be freed or queued again
 * from its own execute(). */
bool work_queue(struct work *work);
int work_start(void);
