// SPDX-License-Identifier: MIT
/*
 * Pipes: a ring of bytes between two files, one that reads and one that writes. Descriptors are
 * duplicated by sharing a file, so an end is gone when its file is closed. A write of at most
 * PIPE_ATOMIC_BYTES goes in as a whole or waits.
 *
 * The counts are free-running; they change under the lock, and are read without it by who wants to
 * know whether to wait.
 */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/signals.h>
#include <abi/syscalls.h>
#include <abi/wait.h>
#include <lib/bits.h>
#include <rt/heap.h>
#include <rt/page.h>

#define PIPE_ORDER 4                  /* 64 KiB, as on Linux; a page when memory is in pieces */
#define PIPE_ATOMIC_BYTES 4096u

struct pipe {
    struct mutex lock;
    struct waitq queue;               /* readers and writers: woken at every change */
    char *ring;
    unsigned order;
    uint32_t bytes;                   /* of the ring, a power of two */
    uint64_t put, taken;              /* lock; bytes so far */
    uint32_t readers, writers;        /* lock; 0 or 1 */
};

static uint64_t filled(const struct pipe *pipe)
{
    return __atomic_load_n(&pipe->put, __ATOMIC_ACQUIRE) -
           __atomic_load_n(&pipe->taken, __ATOMIC_ACQUIRE);
}

static void changed(struct pipe *pipe)
{
    waitq_wake(&pipe->queue, WAITQ_ALL);
    vfs_events_changed();
}

static bool is_open(const uint32_t *end)
{
    return __atomic_load_n(end, __ATOMIC_ACQUIRE);
}

/* Copies @bytes out of the ring or into it, in at most two parts. @app is an app address. */
static int copy(struct pipe *pipe, uint64_t at, char *app, size_t bytes, bool out)
{
    uint32_t start = (uint32_t)at & (pipe->bytes - 1);
    size_t first = MIN(bytes, (size_t)(pipe->bytes - start));
    int error = out ? app_copy_out((uint64_t)app, pipe->ring + start, first)
                    : app_copy_in(pipe->ring + start, (uint64_t)app, first);

    if (error || first == bytes)
        return error;
    return out ? app_copy_out((uint64_t)(app + first), pipe->ring, bytes - first)
               : app_copy_in(pipe->ring, (uint64_t)(app + first), bytes - first);
}

/* -EAGAIN: it is empty, and may be filled. */
static ssize_t read_some(struct pipe *pipe, char *dst, size_t bytes)
{
    mutex_lock(&pipe->lock);
    bytes = MIN(bytes, (size_t)filled(pipe));
    ssize_t result = bytes ? copy(pipe, pipe->taken, dst, bytes, true) : 0;
    if (bytes && result == 0) {
        __atomic_store_n(&pipe->taken, pipe->taken + bytes, __ATOMIC_RELEASE);
        result = (ssize_t)bytes;
    } else if (bytes == 0 && pipe->writers) {
        result = -EAGAIN;
    }
    mutex_unlock(&pipe->lock);
    if (result > 0)
        changed(pipe);
    return result;
}

static ssize_t pipe_read(struct file *file, void *dst, size_t bytes)
{
    struct pipe *pipe = file->private;
    struct app_wait wait;
    int error = 0;

    if (bytes == 0)
        return 0;
    while (!error) {
        ssize_t got = read_some(pipe, dst, bytes);
        if (got != -EAGAIN || (file->flags & OPEN_NONBLOCK))
            return got;
        app_wait_enter(&wait, &pipe->queue);
        if (filled(pipe) || !is_open(&pipe->writers))
            app_wait_leave(&wait);
        else
            error = app_wait(&wait, WAIT_FOREVER);
    }
    return error;
}

/* -EAGAIN: there is room for less than @least bytes. */
static ssize_t write_some(struct pipe *pipe, const char *src, size_t bytes, size_t least)
{
    mutex_lock(&pipe->lock);
    size_t room = pipe->bytes - (size_t)filled(pipe);
    size_t part = room < least ? 0 : MIN(bytes, room);
    ssize_t result = -EPIPE;
    if (pipe->readers && part == 0)
        result = -EAGAIN;
    else if (pipe->readers)
        result = copy(pipe, pipe->put, (char *)(uintptr_t)src, part, false);
    if (result == 0) {
        __atomic_store_n(&pipe->put, pipe->put + part, __ATOMIC_RELEASE);
        result = (ssize_t)part;
    }
    mutex_unlock(&pipe->lock);
    if (result > 0)
        changed(pipe);
    return result;
}

static ssize_t pipe_write(struct file *file, const void *src, size_t bytes)
{
    struct pipe *pipe = file->private;
    const char *from = src;
    size_t done = 0, atomic = bytes <= PIPE_ATOMIC_BYTES ? bytes : 1;
    struct app_wait wait;
    ssize_t error = 0;

    while (!error && done < bytes) {
        ssize_t put = write_some(pipe, from + done, bytes - done, atomic);
        if (put > 0) {
            done += (size_t)put;
            continue;
        }
        error = put;
        if (error != -EAGAIN || (file->flags & OPEN_NONBLOCK))
            break;
        app_wait_enter(&wait, &pipe->queue);
        error = 0;
        if (pipe->bytes - filled(pipe) >= atomic || !is_open(&pipe->readers))
            app_wait_leave(&wait);
        else
            error = app_wait(&wait, WAIT_FOREVER);
    }
    if (error == -EPIPE)
        signals_raise(SIGPIPE);
    return done ? (ssize_t)done : error;
}

static unsigned read_events(struct file *file)
{
    const struct pipe *pipe = file->private;

    return (filled(pipe) ? EVENT_IN : 0) | (is_open(&pipe->writers) ? 0 : EVENT_HANG_UP);
}

/* As poll(2) has it: writable while PIPE_BUF bytes fit. */
static unsigned write_events(struct file *file)
{
    const struct pipe *pipe = file->private;
    uint64_t room = pipe->bytes - filled(pipe);

    return (room >= MIN(PIPE_ATOMIC_BYTES, pipe->bytes) ? EVENT_OUT : 0) |
           (is_open(&pipe->readers) ? 0 : EVENT_ERROR);
}

static int pipe_ioctl(struct file *file, unsigned command, uint64_t argument)
{
    uint32_t count = (uint32_t)filled(file->private);

    return command == FIONREAD ? app_copy_out(argument, &count, sizeof(count)) : -ENOTTY;
}

static void close_end(struct pipe *pipe, uint32_t *end)
{
    mutex_lock(&pipe->lock);
    __atomic_store_n(end, 0, __ATOMIC_RELEASE);
    bool last = !pipe->readers && !pipe->writers;
    changed(pipe);                    /* with the lock: without it, who closes the other end may free the pipe */
    mutex_unlock(&pipe->lock);
    if (!last)
        return;
    page_free(pipe->ring, pipe->order);
    heap_free(pipe);
}

static void close_read(struct inode *inode, struct file *file)
{
    struct pipe *pipe = file->private;

    (void)inode;
    close_end(pipe, &pipe->readers);
}

static void close_write(struct inode *inode, struct file *file)
{
    struct pipe *pipe = file->private;

    (void)inode;
    close_end(pipe, &pipe->writers);
}

static const struct inode_ops read_end_ops = {.close_file = close_read, .ioctl = pipe_ioctl};
static const struct inode_ops write_end_ops = {.close_file = close_write, .ioctl = pipe_ioctl};
static const struct stream_ops read_end_stream = {
    .stream_read = pipe_read,
    .stream_events = read_events,
};
static const struct stream_ops write_end_stream = {
    .stream_write = pipe_write,
    .stream_events = write_events,
};

long pipe_size(const struct file *file)
{
    if (file->stream != &read_end_stream && file->stream != &write_end_stream)
        return -EBADF;
    return ((const struct pipe *)file->private)->bytes;
}

static struct pipe *pipe_make(void)
{
    struct pipe *pipe = heap_zalloc(sizeof(*pipe));

    if (!pipe)
        return NULL;
    pipe->order = PIPE_ORDER;
    pipe->ring = page_alloc(pipe->order);
    if (!pipe->ring) {
        pipe->order = 0;
        pipe->ring = page_alloc(0);
    }
    if (!pipe->ring) {
        heap_free(pipe);
        return NULL;
    }
    pipe->bytes = PAGE_BYTES << pipe->order;
    mutex_init(&pipe->lock);
    waitq_init(&pipe->queue);
    pipe->readers = pipe->writers = 1;
    return pipe;
}

/* Both ends; closing the first frees the pipe if the second could not be made. */
static int open_ends(unsigned flags, struct file *ends[2])
{
    struct pipe *pipe = pipe_make();
    const uint32_t mode = MODE_FIFO | 0600;

    if (!pipe)
        return -ENOMEM;
    int error = vfs_open_anonymous(&read_end_ops, &read_end_stream, mode, flags | OPEN_READ, pipe,
                                   &ends[0]);
    if (error) {
        page_free(pipe->ring, pipe->order);
        heap_free(pipe);
        return error;
    }
    error = vfs_open_anonymous(&write_end_ops, &write_end_stream, mode, flags | OPEN_WRITE, pipe,
                               &ends[1]);
    if (error) {
        pipe->writers = 0;
        file_put(ends[0]);
    }
    return error;
}

static long make_pipe(uint64_t fds_address, uint64_t flags)
{
    struct file *ends[2];
    int32_t fds[2];

    if (flags & ~(uint64_t)(OPEN_CLOEXEC | OPEN_NONBLOCK))
        return -EINVAL;
    int error = open_ends((unsigned)flags & OPEN_NONBLOCK, ends);
    if (error)
        return error;
    fds[0] = install_file(ends[0], 0, flags & OPEN_CLOEXEC);
    if (fds[0] < 0) {
        file_put(ends[1]);
        return fds[0];
    }
    fds[1] = install_file(ends[1], 0, flags & OPEN_CLOEXEC);
    error = fds[1] < 0 ? fds[1] : app_copy_out(fds_address, fds, sizeof(fds));
    if (error) {
        fd_close(fds[0]);
        if (fds[1] >= 0)
            fd_close(fds[1]);
    }
    return error;
}

SYSCALL(pipe)
{
    return make_pipe(args->a[0], 0);
}

/* (fds, flags); packets (O_DIRECT) are not served */
SYSCALL(pipe2)
{
    return make_pipe(args->a[0], args->a[1]);
}
