// SPDX-License-Identifier: MIT
/* Counters and timers as files: eventfd, timerfd. Both are streams that give one number of 8 bytes. */
#include <abi/at.h>
#include <abi/clock.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/syscalls.h>
#include <abi/wait.h>
#include <rt/heap.h>
#include <rt/timer.h>

#define EFD_SEMAPHORE 1u
#define COUNT_MAX (UINT64_MAX - 1)
/* A shorter period is counted right, but not by an interrupt for each: that would leave time for nothing else. */
#define COUNT_AGAIN_NS (100 * NS_PER_US)

struct counter {
    struct spinlock lock;
    uint64_t count;                   /* lock; also read without */
    bool one_at_a_time;
    bool is_timer;
    int clock;
    uint64_t deadline_ns, period_ns;  /* lock; of a timer: 0 is off, once */
    struct timer timer;
};

/* ---- timers ---- */

static void timer_fired(struct timer *timer)
{
    struct counter *c = container_of(timer, struct counter, timer);
    uint64_t now = arch_now_ns();

    bool irq = spin_lock(&c->lock);
    while (c->deadline_ns && c->deadline_ns <= now) {
        uint64_t times = c->period_ns ? (now - c->deadline_ns) / c->period_ns + 1 : 1;
        c->count += times;
        c->deadline_ns = c->period_ns ? c->deadline_ns + times * c->period_ns : 0;
    }
    if (c->deadline_ns)
        timer_start(timer, MAX(c->deadline_ns, now + COUNT_AGAIN_NS));
    spin_unlock(&c->lock, irq);
    vfs_events_changed();
}

static const struct timer_ops counter_timer_ops = {.fire = timer_fired};

/* ---- reading and writing ---- */

/* 0: nothing to take. */
static uint64_t take(struct counter *c)
{
    bool irq = spin_lock(&c->lock);
    uint64_t value = c->one_at_a_time && c->count ? 1 : c->count;
    c->count -= value;
    spin_unlock(&c->lock, irq);
    return value;
}

static ssize_t counter_read(struct file *file, void *dst, size_t bytes)
{
    struct counter *c = file->private;
    struct app_wait wait;
    uint64_t value;
    int error = 0;

    if (bytes < sizeof(value))
        return -EINVAL;
    while (!(value = take(c)) && !error) {
        if (file->flags & OPEN_NONBLOCK)
            return -EAGAIN;
        app_wait_enter(&wait, &vfs_events);
        if (__atomic_load_n(&c->count, __ATOMIC_SEQ_CST))
            app_wait_leave(&wait);
        else
            error = app_wait(&wait, WAIT_FOREVER);
    }
    if (!value)
        return error;
    vfs_events_changed();
    error = app_copy_out((uint64_t)dst, &value, sizeof(value));
    return error ? error : (ssize_t)sizeof(value);
}

static bool add(struct counter *c, uint64_t value)
{
    bool irq = spin_lock(&c->lock);
    bool fits = value <= COUNT_MAX - c->count;
    if (fits)
        c->count += value;
    spin_unlock(&c->lock, irq);
    return fits;
}

static ssize_t counter_write(struct file *file, const void *src, size_t bytes)
{
    struct counter *c = file->private;
    struct app_wait wait;
    uint64_t value;
    int error = bytes < sizeof(value) ? -EINVAL : app_copy_in(&value, (uint64_t)src, sizeof(value));

    if (!error && (value == UINT64_MAX || c->is_timer))
        error = -EINVAL;
    while (!error && !add(c, value)) {
        if (file->flags & OPEN_NONBLOCK)
            return -EAGAIN;
        app_wait_enter(&wait, &vfs_events);
        if (value <= COUNT_MAX - __atomic_load_n(&c->count, __ATOMIC_SEQ_CST))
            app_wait_leave(&wait);
        else
            error = app_wait(&wait, WAIT_FOREVER);
    }
    if (error)
        return error;
    vfs_events_changed();
    return sizeof(value);
}

static unsigned counter_events(struct file *file)
{
    const struct counter *c = file->private;
    uint64_t count = __atomic_load_n(&c->count, __ATOMIC_SEQ_CST);

    return (count ? EVENT_IN : 0) | (!c->is_timer && count < COUNT_MAX ? EVENT_OUT : 0);
}

static void counter_close(struct inode *inode, struct file *file)
{
    struct counter *c = file->private;

    (void)inode;
    bool irq = spin_lock(&c->lock);
    c->deadline_ns = 0;               /* or a timer that fires now would start itself again */
    spin_unlock(&c->lock, irq);
    timer_cancel_wait(&c->timer);
    heap_free(c);
}

static const struct inode_ops counter_ops = {.close_file = counter_close};
static const struct stream_ops counter_stream = {
    .stream_read = counter_read,
    .stream_write = counter_write,
    .stream_events = counter_events,
};

static long open_counter(const struct counter *like, uint64_t flags)
{
    struct counter *c = heap_alloc(sizeof(*c));
    struct file *file;

    if (!c)
        return -ENOMEM;
    *c = *like;
    c->lock = (struct spinlock)SPINLOCK_INIT;
    timer_init(&c->timer, &counter_timer_ops);
    int error = vfs_open_anonymous(&counter_ops, &counter_stream, MODE_FILE | 0600,
                                   ((unsigned)flags & OPEN_NONBLOCK) | OPEN_READ_WRITE, c, &file);
    if (error) {
        heap_free(c);
        return error;
    }
    return install_file(file, 0, flags & OPEN_CLOEXEC);
}

static long open_event(uint64_t count, uint64_t flags)
{
    struct counter like = {.count = (uint32_t)count, .one_at_a_time = flags & EFD_SEMAPHORE};

    if (flags & ~(uint64_t)(EFD_SEMAPHORE | OPEN_NONBLOCK | OPEN_CLOEXEC))
        return -EINVAL;
    return open_counter(&like, flags);
}

SYSCALL(eventfd)
{
    return open_event(args->a[0], 0);
}

/* (count, flags) */
SYSCALL(eventfd2)
{
    return open_event(args->a[0], args->a[1]);
}

/* (clock, flags) */
SYSCALL(timerfd_create)
{
    struct counter like = {.is_timer = true, .clock = (int)args->a[0]};

    if (args->a[1] & ~(uint64_t)(OPEN_NONBLOCK | OPEN_CLOEXEC))
        return -EINVAL;
    if (like.clock != CLOCK_REALTIME && like.clock != CLOCK_MONOTONIC &&
        like.clock != CLOCK_BOOTTIME)
        return -EINVAL;
    return open_counter(&like, args->a[1]);
}

static int timer_of(uint64_t fd, struct file **out, struct counter **c)
{
    int error = file_of(fd, out);
    if (error)
        return error;
    *c = (*out)->private;
    if ((*out)->stream == &counter_stream && (*c)->is_timer)
        return 0;
    file_put(*out);
    return -EINVAL;
}

/* {period, time left}; c->lock held */
static void state_locked(const struct counter *c, struct linux_timespec out[2])
{
    uint64_t now = arch_now_ns();
    uint64_t left = c->deadline_ns > now ? c->deadline_ns - now : c->deadline_ns != 0;

    out[0] = (struct linux_timespec){(int64_t)(c->period_ns / NS_PER_S),
                                     (int64_t)(c->period_ns % NS_PER_S)};
    out[1] = (struct linux_timespec){(int64_t)(left / NS_PER_S), (int64_t)(left % NS_PER_S)};
}

static int times_in(const struct counter *c, uint64_t address, bool absolute, uint64_t *period_ns,
                    uint64_t *deadline_ns)
{
    const uint64_t value = address + sizeof(struct linux_timespec);
    uint64_t wait_ns;

    int error = app_check_read(address, 2 * sizeof(struct linux_timespec));
    if (!error)
        error = clock_duration_in(address, period_ns);
    if (!error)
        error = clock_duration_in(value, &wait_ns);
    if (!error)
        error = clock_deadline_in(value, c->clock, absolute, deadline_ns);
    if (!error && wait_ns == 0)
        *deadline_ns = 0;
    return error;
}

/* (fd, flags, new, old): {period, value}; flag 1: the value is a time of the clock */
SYSCALL(timerfd_settime)
{
    struct linux_timespec old[2];
    uint64_t period_ns, deadline_ns;
    struct file *file;
    struct counter *c;

    if (args->a[1] & ~UINT64_C(1))
        return -EINVAL;
    int error = timer_of(args->a[0], &file, &c);
    if (error)
        return error;
    error = times_in(c, args->a[2], args->a[1] & TIMER_ABSTIME, &period_ns, &deadline_ns);
    if (!error) {
        timer_cancel_wait(&c->timer);
        bool irq = spin_lock(&c->lock);
        state_locked(c, old);
        c->count = 0;
        c->period_ns = period_ns;
        c->deadline_ns = deadline_ns;
        if (deadline_ns)
            timer_start(&c->timer, deadline_ns);
        spin_unlock(&c->lock, irq);
        error = args->a[3] ? app_copy_out(args->a[3], old, sizeof(old)) : 0;
    }
    file_put(file);
    return error;
}

/* (fd, value) */
SYSCALL(timerfd_gettime)
{
    struct linux_timespec now[2];
    struct file *file;
    struct counter *c;

    int error = timer_of(args->a[0], &file, &c);
    if (error)
        return error;
    bool irq = spin_lock(&c->lock);
    state_locked(c, now);
    spin_unlock(&c->lock, irq);
    file_put(file);
    return app_copy_out(args->a[1], now, sizeof(now));
}
