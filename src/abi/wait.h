// SPDX-License-Identifier: MIT
/*
 * Waiting inside a system call for what only the app, a person or the time brings about. Such a
 * wait holds no lock and no extra stack, the end of the app does not await it, and a signal ends
 * it.
 *
 *     for (;;) {
 *         done = try();
 *         if (done)
 *             break;
 *         app_wait_enter(&wait, queue);
 *         if (might_succeed_now())            reads only, and takes no lock
 *             app_wait_leave(&wait);
 *         else if ((error = app_wait(&wait, deadline_ns)))
 *             break;
 *     }
 */
#pragma once

#include <rt/sync.h>

struct app_wait {
    struct waitq *queue;
    struct waiter waiter;
};

void app_wait_enter(struct app_wait *wait, struct waitq *queue);
void app_wait_leave(struct app_wait *wait);
/**
 * app_wait() - sleep after app_wait_enter(), and leave the queue.
 * Returns 0: woken, perhaps for nothing; -ETIMEDOUT; -EINTR: a signal waits to be delivered. Does
 * not return when the app is ending: what the caller holds then stays.
 */
int app_wait(struct app_wait *wait, uint64_t deadline_ns);

/* 0: it is so late; -EINTR. */
int app_sleep_until(uint64_t deadline_ns);
