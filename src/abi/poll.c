// SPDX-License-Identifier: MIT
/*
 * poll, select and their kin. Regular files and plain devices are always ready; streams say
 * themselves. All who wait sleep in one queue, which every change of a stream wakes: there is one
 * program, and few of its threads poll.
 */
#include <abi/poll.h>

#include <abi/at.h>
#include <abi/clock.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/signals.h>
#include <abi/syscalls.h>
#include <abi/wait.h>
#include <lib/bits.h>
#include <rt/heap.h>

#define SELECT_MAX FD_MAX
#define SELECT_WORDS (SELECT_MAX / 64)

_Static_assert(POLLIN == EVENT_IN && POLLOUT == EVENT_OUT && POLLERR == EVENT_ERROR &&
               POLLHUP == EVENT_HANG_UP, "events are poll's");

unsigned poll_file(struct file *file)
{
    unsigned events = EVENT_IN | EVENT_OUT;

    if (file->stream)
        events = file->stream->stream_events ? file->stream->stream_events(file) : 0;
    if (events & EVENT_IN)
        events |= POLLRDNORM;
    if (events & EVENT_OUT)
        events |= POLLWRNORM;
    return events;
}

long poll_wait(struct watch *watch, uint64_t deadline_ns)
{
    struct app_wait wait;
    int error = 0;

    for (;;) {
        app_wait_enter(&wait, &vfs_events);
        long ready = watch->ops->watch_look(watch);
        if (ready || error || deadline_ns == 0) {
            app_wait_leave(&wait);
            return ready || error == -ETIMEDOUT ? ready : error;
        }
        error = app_wait(&wait, deadline_ns);
    }
}

int poll_deadline_in(uint64_t address, uint64_t *deadline_ns)
{
    *deadline_ns = WAIT_FOREVER;
    if (!address)
        return 0;
    return clock_deadline_in(address, CLOCK_MONOTONIC, false, deadline_ns);
}

uint64_t poll_deadline_of_ms(int32_t timeout_ms)
{
    if (timeout_ms <= 0)
        return timeout_ms ? WAIT_FOREVER : 0;
    return arch_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
}

/* ---- poll ---- */

struct poll_watch {
    struct watch watch;
    struct linux_pollfd *fds;
    uint64_t count;
};

static int16_t events_of(int fd, int16_t wanted)
{
    struct file *file = fd_get(fd);

    if (!file)
        return POLLNVAL;
    unsigned events = poll_file(file);
    file_put(file);
    return (int16_t)(events & ((uint16_t)wanted | POLLERR | POLLHUP));
}

static long poll_look(struct watch *watch)
{
    struct poll_watch *w = container_of(watch, struct poll_watch, watch);
    long ready = 0;

    for (uint64_t i = 0; i < w->count; i++) {
        struct linux_pollfd *p = &w->fds[i];
        p->revents = p->fd < 0 ? 0 : events_of(p->fd, p->events);
        ready += p->revents != 0;
    }
    return ready;
}

static const struct watch_ops poll_watch_ops = {.watch_look = poll_look};

static long poll_until(uint64_t address, uint64_t count, uint64_t deadline_ns)
{
    struct poll_watch w = {.watch.ops = &poll_watch_ops, .count = count};

    if (count > FD_MAX)
        return -EINVAL;
    size_t bytes = count * sizeof(struct linux_pollfd);
    w.fds = heap_alloc(bytes ? bytes : 1);
    if (!w.fds)
        return -ENOMEM;
    long result = app_copy_in(w.fds, address, bytes);
    if (result == 0)
        result = poll_wait(&w.watch, deadline_ns);
    if (result >= 0) {
        int error = app_copy_out(address, w.fds, bytes);
        if (error)
            result = error;
    }
    heap_free(w.fds);
    return result;
}

/* (fds, count, milliseconds) */
SYSCALL(poll)
{
    return poll_until(args->a[0], args->a[1], poll_deadline_of_ms((int32_t)args->a[2]));
}

/* (fds, count, timespec, mask, bytes of a mask) */
SYSCALL(ppoll)
{
    uint64_t deadline_ns;

    int error = poll_deadline_in(args->a[2], &deadline_ns);
    if (!error)
        error = signals_swap_mask(args->a[3], args->a[4]);
    return error ? error : poll_until(args->a[0], args->a[1], deadline_ns);
}

/* ---- select ---- */

enum { SELECT_READ, SELECT_WRITE, SELECT_EXCEPT, SELECT_SETS };
struct select_watch {
    struct watch watch;
    uint32_t count;                   /* descriptors below it */
    bool bad;
    uint64_t wanted[SELECT_SETS][SELECT_WORDS], ready[SELECT_SETS][SELECT_WORDS];
};

static unsigned select_events(struct select_watch *w, uint32_t fd)
{
    struct file *file = fd_get((int)fd);

    if (!file) {
        w->bad = true;
        return 0;
    }
    unsigned events = poll_file(file);
    file_put(file);
    return events;
}

static long select_look(struct watch *watch)
{
    static const unsigned events_of_set[SELECT_SETS] = {
        EVENT_IN | EVENT_HANG_UP | EVENT_ERROR, EVENT_OUT | EVENT_ERROR, 0,
    };
    struct select_watch *w = container_of(watch, struct select_watch, watch);
    long ready = 0;

    for (uint32_t fd = 0; fd < w->count; fd++) {
        uint64_t bit = UINT64_C(1) << fd % 64;
        uint64_t any = 0;
        for (unsigned set = 0; set < SELECT_SETS; set++) {
            w->ready[set][fd / 64] &= ~bit;
            any |= w->wanted[set][fd / 64] & bit;
        }
        unsigned events = any ? select_events(w, fd) : 0;
        for (unsigned set = 0; set < SELECT_SETS; set++) {
            if ((w->wanted[set][fd / 64] & bit) && (events & events_of_set[set])) {
                w->ready[set][fd / 64] |= bit;
                ready++;
            }
        }
    }
    return w->bad ? -EBADF : ready;
}

static const struct watch_ops select_watch_ops = {.watch_look = select_look};

/* Sets are NULL or as many whole words as the count needs. */
static int copy_sets(const uint64_t *addresses, struct select_watch *w, bool out)
{
    size_t bytes = div_round_up(w->count, 64) * sizeof(uint64_t);
    int error = 0;

    for (unsigned set = 0; set < SELECT_SETS && !error; set++) {
        if (!addresses[set])
            continue;
        if (out)
            error = app_copy_out(addresses[set], w->ready[set], bytes);
        else
            error = app_copy_in(w->wanted[set], addresses[set], bytes);
    }
    return error;
}

static long select_until(const struct syscall_args *args, uint64_t deadline_ns)
{
    int32_t count = (int32_t)args->a[0];

    if (count < 0)
        return -EINVAL;
    struct select_watch *w = heap_zalloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->watch.ops = &select_watch_ops;
    w->count = (uint32_t)MIN(count, SELECT_MAX);
    long result = copy_sets(&args->a[1], w, false);
    if (result == 0)
        result = poll_wait(&w->watch, deadline_ns);
    if (result >= 0) {
        int error = copy_sets(&args->a[1], w, true);
        if (error)
            result = error;
    }
    heap_free(w);
    return result;
}

/* The time that is left goes back to the caller, as Linux does it. */
static long write_time_left(uint64_t address, uint64_t deadline_ns, uint64_t unit_ns, long result)
{
    uint64_t now = arch_now_ns();
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    int64_t words[2] = {(int64_t)(left / NS_PER_S), (int64_t)(left % NS_PER_S / unit_ns)};

    if (address && result >= 0)
        app_copy_out(address, words, sizeof(words));
    return result;
}

/* (count, read, write, except, timeval) */
SYSCALL(select)
{
    uint64_t deadline_ns = WAIT_FOREVER;
    struct linux_timeval t;

    if (args->a[4]) {
        int error = app_copy_in(&t, args->a[4], sizeof(t));
        if (error)
            return error;
        if (t.seconds < 0 || t.microseconds < 0)
            return -EINVAL;
        uint64_t seconds = MIN((uint64_t)t.seconds, UINT64_C(1) << 32);
        deadline_ns = arch_now_ns() + seconds * NS_PER_S + (uint64_t)t.microseconds * NS_PER_US;
    }
    long result = select_until(args, deadline_ns);
    return write_time_left(args->a[4], deadline_ns, NS_PER_US, result);
}

/* (count, read, write, except, timespec, {mask, bytes of a mask}) */
SYSCALL(pselect6)
{
    uint64_t deadline_ns, mask[2] = {0, 8};

    int error = poll_deadline_in(args->a[4], &deadline_ns);
    if (!error && args->a[5])
        error = app_copy_in(mask, args->a[5], sizeof(mask));
    if (!error)
        error = signals_swap_mask(mask[0], mask[1]);
    if (error)
        return error;
    long result = select_until(args, deadline_ns);
    return write_time_left(args->a[4], deadline_ns, 1, result);
}
