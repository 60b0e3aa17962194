// SPDX-License-Identifier: MIT
/* One-shot timers on this CPU's clock. A timer fires in interrupt context and may be started again there. */
#pragma once

#include <lib/pqueue.h>
#include <lib/types.h>

struct timer;
struct timer_ops {
    void (*fire)(struct timer *timer);    /* interrupt context; must not sleep */
};
struct timer {
    const struct timer_ops *ops;
    struct pqueue_node node;          /* its key is the deadline */
    uint32_t cpu_index;
    bool armed;
};

void timer_init(struct timer *timer, const struct timer_ops *ops);
/* @deadline_ns on the arch_now_ns() clock; a timer that is armed already is moved. Any context. */
void timer_start(struct timer *timer, uint64_t deadline_ns);
/* Returns whether it was armed. It may be firing at this moment on another CPU. Any context. */
bool timer_cancel(struct timer *timer);
/* The same, and waits until it is not firing any more. Not from its own fire(). */
bool timer_cancel_wait(struct timer *timer);
