// SPDX-License-Identifier: MIT
/*
 * ioctl and poll. Device controls go to the device with their argument as it is. Poll: files and
 * devices are always ready; the console says itself (abi/console.h).
 */
#include <abi/at.h>
#include <abi/clock.h>
#include <abi/console.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <rt/heap.h>

#define POLL_STEP_NS (10 * NS_PER_MS)

SYSCALL(ioctl)
{
    struct file *file;

    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    error = vfs_ioctl(file, (unsigned)args->a[1], args->a[2]);
    file_put(file);
    return error;
}

static int16_t events_of(int fd, int16_t wanted)
{
    const int16_t in = POLLIN | POLLRDNORM, out = POLLOUT | POLLWRNORM;

    struct file *file = fd_get(fd);
    if (!file)
        return POLLNVAL;
    int16_t ready = out;
    if (!console_is(file) || console_input_ready())
        ready |= in;
    file_put(file);
    return ready & wanted;
}

static long poll_once(struct linux_pollfd *fds, uint64_t count)
{
    long ready = 0;
    for (uint64_t i = 0; i < count; i++) {
        fds[i].revents = fds[i].fd < 0 ? 0 : events_of(fds[i].fd, fds[i].events);
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* The console is looked at every POLL_STEP_NS: nothing else could become ready. */
static long poll_until(uint64_t address, uint64_t count, uint64_t deadline_ns)
{
    if (count > FD_MAX)
        return -EINVAL;
    size_t bytes = count * sizeof(struct linux_pollfd);
    struct linux_pollfd *fds = heap_alloc(bytes ? bytes : 1);
    if (!fds)
        return -ENOMEM;
    long result = app_copy_in(fds, address, bytes);
    while (result == 0) {
        uint64_t now = arch_now_ns();
        result = poll_once(fds, count);
        if (result || now >= deadline_ns || app_ending())
            break;
        app_idle_begin();
        thread_sleep_until(deadline_ns - now < POLL_STEP_NS ? deadline_ns : now + POLL_STEP_NS);
        app_idle_end();
    }
    if (result >= 0) {
        int error = app_copy_out(address, fds, bytes);
        if (error)
            result = error;
    }
    heap_free(fds);
    return result;
}

/* (fds, count, milliseconds) */
SYSCALL(poll)
{
    int32_t timeout_ms = (int32_t)args->a[2];
    uint64_t deadline_ns = WAIT_FOREVER;

    if (timeout_ms >= 0)
        deadline_ns = arch_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    return poll_until(args->a[0], args->a[1], deadline_ns);
}

/* (fds, count, timespec, mask, bytes of a mask) */
SYSCALL(ppoll)
{
    uint64_t deadline_ns = WAIT_FOREVER;

    int error = 0;
    if (args->a[2])
        error = clock_deadline_in(args->a[2], CLOCK_MONOTONIC, false, &deadline_ns);
    return error ? error : poll_until(args->a[0], args->a[1], deadline_ns);
}
