// SPDX-License-Identifier: MIT
/* Waits inside a call: see wait.h. */
#include <abi/wait.h>

#include <abi/process.h>
#include <abi/signals.h>
#include <lib/errno.h>

void app_wait_enter(struct app_wait *wait, struct waitq *queue)
{
    wait->queue = queue;
    waitq_enter(queue, &wait->waiter);
}

void app_wait_leave(struct app_wait *wait)
{
    waitq_leave(wait->queue, &wait->waiter);
}

int app_wait(struct app_wait *wait, uint64_t deadline_ns)
{
    struct app_thread *t = app_thread_current();
    int result = -EINTR;

    if (signals_wait_begin(t)) {
        app_idle_begin();
        waitq_wait(wait->queue, &wait->waiter, deadline_ns);
        waitq_leave(wait->queue, &wait->waiter);
        app_idle_end();
        result = 0;
    } else {
        waitq_leave(wait->queue, &wait->waiter);
    }
    if (app_ending())
        app_thread_exit(0);
    if (signals_wait_end(t))
        return -EINTR;
    return result ? result : arch_now_ns() >= deadline_ns ? -ETIMEDOUT : 0;
}

int app_sleep_until(uint64_t deadline_ns)
{
    static struct waitq nothing = WAITQ_INIT(nothing);
    struct app_wait wait;
    int error;

    do {
        app_wait_enter(&wait, &nothing);
        error = app_wait(&wait, deadline_ns);
    } while (error == 0);
    return error == -ETIMEDOUT ? 0 : error;
}
