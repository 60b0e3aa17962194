// SPDX-License-Identifier: MIT
/* Threads that stay on one CPU each. */
#include "pinned.h"

#include "guest.h"

#include <arch/arch.h>
#include <rt/cpu.h>
#include <rt/sync.h>

#define PATIENCE_NS (300 * NS_PER_S)

static struct pinned pinned[CPUS_MAX];

static void pinned_run(void *argument)
{
    struct pinned *self = argument;
    self->ops->pinned_work(self);
    semaphore_up(&self->done);
}
static const struct thread_def pinned_def = {.name = "pinned", .run = pinned_run};

struct pinned *pinned_start(uint32_t cpu, const struct pinned_ops *ops)
{
    struct pinned *self = &pinned[cpu];
    struct thread *thread;
    *self = (struct pinned){.ops = ops, .cpu = cpu};
    semaphore_init(&self->done, 0);
    int err = thread_prepare(&pinned_def, self, &thread);
    CHECK(err == 0);
    if (err)
        return NULL;
    CHECK(thread_set_affinity(thread, UINT64_C(1) << cpu) == 0);
    thread_start(thread);
    return self;
}

void pinned_wait(struct pinned *self)
{
    if (self)
        CHECK(semaphore_down(&self->done, arch_now_ns() + PATIENCE_NS));
}

void pinned_on_all(const struct pinned_ops *ops)
{
    struct pinned *started[CPUS_MAX];
    for (uint32_t i = 0; i < cpu_count; i++)
        started[i] = pinned_start(i, ops);
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned_wait(started[i]);
}
