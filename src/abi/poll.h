// SPDX-License-Identifier: MIT
/* Waiting for events of several files: what poll, select and epoll share. */
#pragma once

#include <vfs/vfs.h>

/* What @file is ready for now: EVENT_*, POLLRDNORM, POLLWRNORM. Never sleeps. */
unsigned poll_file(struct file *file);

/* What somebody waits for; look() says how many of it are ready, or -errno. It does not sleep. */
struct watch;
struct watch_ops {
    long (*watch_look)(struct watch *watch);
};
struct watch {
    const struct watch_ops *ops;
};

/**
 * poll_wait() - until something is ready or @deadline_ns (0: only look).
 * Returns how many are ready, 0 when it is too late, the watch's error, or -EINTR.
 */
long poll_wait(struct watch *watch, uint64_t deadline_ns);

/* A timespec from now on as a deadline; address 0: never. -EFAULT, -EINVAL. */
int poll_deadline_in(uint64_t address, uint64_t *deadline_ns);
/* Below 0: never. */
uint64_t poll_deadline_of_ms(int32_t timeout_ms);
