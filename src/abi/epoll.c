// SPDX-License-Identifier: MIT
/*
 * epoll: a list of descriptors that is looked through. Events are level-triggered; with EPOLLET one
 * is reported again only after something has changed anywhere, which may be more often than Linux
 * reports it, never less. An entry goes when its descriptor no longer has its file. An epoll file
 * cannot itself be waited for.
 */
#include <abi/at.h>
#include <abi/clock.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/poll.h>
#include <abi/signals.h>
#include <abi/syscalls.h>
#include <rt/heap.h>

#define EPOLL_ADD 1
#define EPOLL_DELETE 2
#define EPOLL_MODIFY 3
#define EPOLLONESHOT (1u << 30)
#define EPOLLET (1u << 31)
#define EVENTS_AT_ONCE 64u

struct epoll_event {
    uint32_t events;
    uint64_t data;
} __attribute__((packed));

struct entry {
    struct list link;
    int fd;
    uint64_t serial;                  /* of its file, which is not referenced and may be gone */
    struct epoll_event event;
    uint64_t seen;                    /* vfs_events_count when it was last reported */
};

struct epoll {
    struct mutex lock;
    struct list entries;              /* lock */
    bool missed;                      /* atomic: somebody could not look, since the lock was taken */
};

static void unlock(struct epoll *e)
{
    mutex_unlock(&e->lock);
    if (__atomic_exchange_n(&e->missed, false, __ATOMIC_SEQ_CST))
        vfs_events_changed();
}

static void epoll_close(struct inode *inode, struct file *file)
{
    struct epoll *e = file->private;
    struct list *link;

    (void)inode;
    while ((link = list_pop_front(&e->entries)))
        heap_free(list_entry(link, struct entry, link));
    heap_free(e);
}

static const struct inode_ops epoll_ops = {.close_file = epoll_close};
static const struct stream_ops epoll_stream;

static long open_epoll(uint64_t flags)
{
    struct file *file;

    if (flags & ~(uint64_t)OPEN_CLOEXEC)
        return -EINVAL;
    struct epoll *e = heap_zalloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    mutex_init(&e->lock);
    list_init(&e->entries);
    int error = vfs_open_anonymous(&epoll_ops, &epoll_stream, MODE_FILE | 0600, OPEN_READ_WRITE, e,
                                   &file);
    if (error) {
        heap_free(e);
        return error;
    }
    return install_file(file, 0, flags & OPEN_CLOEXEC);
}

SYSCALL(epoll_create)
{
    return (int32_t)args->a[0] > 0 ? open_epoll(0) : -EINVAL;
}

SYSCALL(epoll_create1)
{
    return open_epoll(args->a[0]);
}

static int epoll_of(uint64_t fd, struct file **out)
{
    int error = file_of(fd, out);
    if (error || (*out)->stream == &epoll_stream)
        return error;
    file_put(*out);
    return -EINVAL;
}

static struct entry *find_locked(const struct epoll *e, int fd, const struct file *file)
{
    struct entry *x;

    list_for_each(x, &e->entries, link)
        if (x->fd == fd && x->serial == file->serial)
            return x;
    return NULL;
}

static long change_locked(struct epoll *e, uint64_t operation, int fd, const struct file *file,
                          const struct epoll_event *event)
{
    struct entry *x = find_locked(e, fd, file);

    if (operation == EPOLL_ADD && x)
        return -EEXIST;
    if (operation != EPOLL_ADD && !x)
        return -ENOENT;
    if (operation == EPOLL_DELETE) {
        list_remove(&x->link);
        heap_free(x);
        return 0;
    }
    if (!x) {
        x = heap_zalloc(sizeof(*x));
        if (!x)
            return -ENOMEM;
        x->fd = fd;
        x->serial = file->serial;
        list_push_back(&e->entries, &x->link);
    }
    x->event = *event;
    x->seen = UINT64_MAX;
    return 0;
}

/* (epoll, operation, fd, event) */
SYSCALL(epoll_ctl)
{
    struct epoll_event event = {0};
    struct file *file, *epoll;

    if (args->a[1] < EPOLL_ADD || args->a[1] > EPOLL_MODIFY)
        return -EINVAL;
    long error = epoll_of(args->a[0], &epoll);
    if (error)
        return error;
    error = file_of(args->a[2], &file);
    if (error)
        goto out_epoll;
    if (args->a[1] != EPOLL_DELETE)
        error = app_copy_in(&event, args->a[3], sizeof(event));
    uint32_t type = file->inode->mode & MODE_TYPE;
    if (!error && file->stream == &epoll_stream)
        error = -EINVAL;
    if (!error && !file->stream && (type == MODE_FILE || type == MODE_DIR))
        error = -EPERM;
    if (!error) {
        struct epoll *e = epoll->private;
        mutex_lock(&e->lock);
        error = change_locked(e, args->a[1], (int)args->a[2], file, &event);
        unlock(e);
        if (!error && args->a[1] != EPOLL_DELETE)
            vfs_events_changed();     /* it may be ready, and others wait already */
    }
    file_put(file);
out_epoll:
    file_put(epoll);
    return error;
}

/* ---- waiting ---- */

struct epoll_watch {
    struct watch watch;
    struct epoll *epoll;
    uint32_t most;
    struct epoll_event ready[EVENTS_AT_ONCE];
};

/* What @x has to report now. */
static uint32_t events_of(struct entry *x, struct file *file, uint64_t changes)
{
    uint32_t wanted = x->event.events | EVENT_ERROR | EVENT_HANG_UP;
    uint32_t events = poll_file(file) & wanted;

    if (!events || ((x->event.events & EPOLLET) && x->seen == changes))
        return 0;
    x->seen = changes;
    if (x->event.events & EPOLLONESHOT)
        x->event.events = 0;
    return events;
}

static bool is_spent(const struct entry *x)
{
    return x->event.events == 0;
}

static long epoll_look(struct watch *watch)
{
    struct epoll_watch *w = container_of(watch, struct epoll_watch, watch);
    struct epoll *e = w->epoll;
    struct entry *x, *next;
    uint64_t changes = __atomic_load_n(&vfs_events_count, __ATOMIC_SEQ_CST);
    long count = 0;

    if (!mutex_trylock(&e->lock)) {
        __atomic_store_n(&e->missed, true, __ATOMIC_SEQ_CST);
        if (!mutex_trylock(&e->lock))
            return 0;                 /* who has the lock looks at `missed` once it is free */
    }
    list_for_each_safe(x, next, &e->entries, link) {
        struct file *file = fd_get(x->fd);
        bool same = file && file->serial == x->serial;
        if (same && !is_spent(x) && count < w->most) {
            uint32_t events = events_of(x, file, changes);
            if (events)
                w->ready[count++] = (struct epoll_event){events, x->event.data};
        } else if (!same) {
            list_remove(&x->link);
            heap_free(x);
        }
        if (file)
            file_put(file);
    }
    unlock(e);
    return count;
}

static const struct watch_ops epoll_watch_ops = {.watch_look = epoll_look};

static long wait_for(uint64_t fd, uint64_t events_address, uint64_t most, uint64_t deadline_ns)
{
    struct file *file;

    if ((int32_t)most <= 0 || (uint32_t)most > INT32_MAX / sizeof(struct epoll_event))
        return -EINVAL;
    if (events_address >= APP_LIMIT ||
        APP_LIMIT - events_address < (uint32_t)most * sizeof(struct epoll_event))
        return -EFAULT;               /* also when nothing comes; a hole shows when something does */
    int error = epoll_of(fd, &file);
    if (error)
        return error;
    struct epoll_watch *w = heap_zalloc(sizeof(*w));
    long result = -ENOMEM;
    if (w) {
        w->watch.ops = &epoll_watch_ops;
        w->epoll = file->private;
        w->most = (uint32_t)MIN(most, (uint64_t)EVENTS_AT_ONCE);
        result = poll_wait(&w->watch, deadline_ns);
    }
    if (result > 0) {
        error = app_copy_out(events_address, w->ready, (size_t)result * sizeof(w->ready[0]));
        if (error)
            result = error;
    }
    heap_free(w);
    file_put(file);
    return result;
}

/* (epoll, events, most, milliseconds) */
SYSCALL(epoll_wait)
{
    return wait_for(args->a[0], args->a[1], args->a[2], poll_deadline_of_ms((int32_t)args->a[3]));
}

/* (epoll, events, most, milliseconds, mask, bytes of a mask) */
SYSCALL(epoll_pwait)
{
    int error = signals_swap_mask(args->a[4], args->a[5]);
    return error ? error : sys_epoll_wait(args);
}
