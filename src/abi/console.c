// SPDX-License-Identifier: MIT
/*
 * The app's terminal: see console.h. What the app writes is copied first, for the console must not
 * meet a page that is gone.
 *
 * Input: the serial port's interrupt queues the work below, which feeds the line discipline
 * (abi/tty.h), echoes, sends the signals of ^C and the like, and wakes who waits. What finds no room
 * stays in the port, which makes the sender wait; a read makes room and queues the work again. On a
 * machine without that interrupt a timer looks at the port.
 */
#include <abi/console.h>

#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/signals.h>
#include <abi/tty.h>
#include <abi/wait.h>
#include <lib/string.h>
#include <rt/log.h>
#include <rt/timer.h>
#include <rt/work.h>

#define BOUNCE_BYTES 1024
#define TTY_DEV(minor) (UINT64_C(5) << 8 | (minor))
#define LOOK_NS (20 * NS_PER_MS)      /* without the interrupt */
#define TENTH_OF_SECOND_NS (100 * NS_PER_MS)

static struct mutex tty_lock = MUTEX_INIT(tty_lock);
static struct tty tty;                /* tty_lock; tty_is_ready() also without */
static struct waitq readers = WAITQ_INIT(readers);
static struct linux_winsize size = {.rows = 25, .columns = 80};   /* tty_lock */
static struct work input_work;
static struct timer look_timer;

/* ---- input ---- */

/* Takes what the port has and the line discipline has room for. tty_lock held. */
static int take_input(void)
{
    char c;

    while (tty_has_room(&tty) && arch_console_read(&c, 1)) {
        int signal = tty_type(&tty, (uint8_t)c);
        if (signal)
            return signal;
    }
    return 0;
}

static void input_execute(struct work *work)
{
    bool more = true;

    (void)work;
    while (more) {
        mutex_lock(&tty_lock);
        int signal = take_input();
        uint32_t count = tty.echo_count;
        console_write(tty.echo, count);
        tty.echo_count = 0;
        more = signal || count;
        mutex_unlock(&tty_lock);
        if (signal && !app_ending())
            signals_send(0, signal);
    }
    waitq_wake(&readers, WAITQ_ALL);
    vfs_events_changed();
}

static void input_arrived(struct irq *irq)
{
    (void)irq;
    work_queue(&input_work);
}

static void look_again(struct timer *timer)
{
    work_queue(&input_work);
    timer_start(timer, arch_now_ns() + LOOK_NS);
}

static const struct irq_ops input_irq_ops = {.handle = input_arrived};
static const struct timer_ops look_timer_ops = {.fire = look_again};
static const struct work_ops input_work_ops = {.execute = input_execute};
static struct irq input_irq = {.ops = &input_irq_ops};

static void listen(void)
{
    mutex_init(&tty_lock);
    tty_init(&tty);
    work_init(&input_work, &input_work_ops);
    if (arch_console_listen(&input_irq)) {
        timer_init(&look_timer, &look_timer_ops);
        timer_start(&look_timer, arch_now_ns() + LOOK_NS);
    }
    work_queue(&input_work);
}

/* ---- reading ---- */

/* How many characters a read waits for, and how long; canonical: a line, for ever. */
static void read_terms(uint32_t *least, uint64_t *deadline_ns)
{
    const struct linux_termios *t = &tty.termios;
    uint8_t tenths = t->characters[TTY_VTIME];

    *least = 1;
    *deadline_ns = WAIT_FOREVER;
    if (t->local & TTY_ICANON)
        return;
    *least = tenths ? MIN(t->characters[TTY_VMIN], 1) : t->characters[TTY_VMIN];
    if (*least == 0)
        *deadline_ns = arch_now_ns() + tenths * TENTH_OF_SECOND_NS;
}

static bool enough(uint32_t least, size_t bytes)
{
    uint32_t wanted = (uint32_t)MIN((size_t)(least ? least : 1), bytes);

    return tty.termios.local & TTY_ICANON ? tty_is_ready(&tty) : tty_readable(&tty) >= wanted;
}

static struct mutex bounce_lock = MUTEX_INIT(bounce_lock);
/* Not from the heap: a full memory must not mute the app. */
static char bounce[BOUNCE_BYTES];     /* bounce_lock */
static char read_bounce[BOUNCE_BYTES];  /* tty_lock */

/* One read's worth, which is there. */
static ssize_t take(char *dst, size_t bytes)
{
    uint32_t count = tty_take(&tty, read_bounce, (uint32_t)MIN(bytes, sizeof(read_bounce)));
    int error = app_copy_out((uint64_t)dst, read_bounce, count);

    work_queue(&input_work);
    return error ? error : (ssize_t)count;
}

static ssize_t console_read(struct file *file, void *dst, size_t bytes)
{
    struct app_wait wait;
    uint64_t deadline_ns;
    uint32_t least;
    int error = 0;

    if (bytes == 0)
        return 0;
    mutex_lock(&tty_lock);
    read_terms(&least, &deadline_ns);
    for (;;) {
        ssize_t got = -EAGAIN;
        if (enough(least, bytes))
            got = take(dst, bytes);
        mutex_unlock(&tty_lock);
        if (got != -EAGAIN || error)
            return got != -EAGAIN ? got : error == -ETIMEDOUT ? 0 : error;
        if (file->flags & OPEN_NONBLOCK)
            return -EAGAIN;
        app_wait_enter(&wait, &readers);
        if (enough(least, bytes))
            app_wait_leave(&wait);
        else
            error = app_wait(&wait, deadline_ns);
        mutex_lock(&tty_lock);
    }
}

static ssize_t console_write_file(struct file *file, const void *src, size_t bytes)
{
    size_t done = 0;

    (void)file;
    mutex_lock(&bounce_lock);
    while (done < bytes) {
        size_t step = MIN(bytes - done, sizeof(bounce));
        if (app_copy_in(bounce, (uint64_t)src + done, step))
            break;
        console_write(bounce, step);
        done += step;
    }
    mutex_unlock(&bounce_lock);
    return done || bytes == 0 ? (ssize_t)done : -EFAULT;
}

static unsigned console_events(struct file *file)
{
    (void)file;
    return EVENT_OUT | (enough(0, 1) ? EVENT_IN : 0);
}

static const struct stream_ops console_stream_ops = {
    .stream_read = console_read,
    .stream_write = console_write_file,
    .stream_events = console_events,
};

/* ---- settings ---- */

static int set_termios(uint64_t address, bool flush)
{
    struct linux_termios wanted;

    int error = app_copy_in(&wanted, address, sizeof(wanted));
    if (error)
        return error;
    mutex_lock(&tty_lock);
    tty_set(&tty, &wanted, flush);
    mutex_unlock(&tty_lock);
    waitq_wake(&readers, WAITQ_ALL);
    vfs_events_changed();
    return 0;
}

static int set_size(uint64_t address)
{
    struct linux_winsize wanted;

    int error = app_copy_in(&wanted, address, sizeof(wanted));
    if (error)
        return error;
    mutex_lock(&tty_lock);
    bool other = memcmp(&wanted, &size, sizeof(size));
    size = wanted;
    mutex_unlock(&tty_lock);
    if (other)
        signals_send(0, SIGWINCH);
    return 0;
}

static int flush_input(uint64_t which)
{
    enum { INPUT, OUTPUT, BOTH };

    if (which > BOTH)
        return -EINVAL;
    mutex_lock(&tty_lock);
    if (which != OUTPUT)
        tty_flush(&tty);
    mutex_unlock(&tty_lock);
    return 0;
}

static int console_dev_ioctl(struct chardev *dev, struct file *file, unsigned command,
                             uint64_t argument)
{
    static const uint32_t zero;
    uint32_t count = tty_readable(&tty);

    (void)dev;
    (void)file;
    switch (command) {
    case TCGETS:
        return app_copy_out(argument, &tty.termios, sizeof(tty.termios));
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return set_termios(argument, command == TCSETSF);
    case TIOCGWINSZ:
        return app_copy_out(argument, &size, sizeof(size));
    case TIOCSWINSZ:
        return set_size(argument);
    case TIOCGPGRP:
    case TIOCGSID:
        return app_copy_out(argument, &app.pid, sizeof(app.pid));
    case FIONREAD:
        return app_copy_out(argument, &count, sizeof(count));
    case TIOCOUTQ:
        return app_copy_out(argument, &zero, sizeof(zero));
    case TCFLSH:
        return flush_input(argument);
    case TIOCSPGRP:
    case TIOCSCTTY:
    case TCSBRK:
    case TCXONC:
        return 0;
    default:
        return -ENOTTY;
    }
}

static const struct chardev_ops console_chardev_ops = {.dev_ioctl = console_dev_ioctl};

static struct chardev console_devices[] = {
    {.name = "console", .dev = TTY_DEV(1), .ops = &console_chardev_ops,
     .stream = &console_stream_ops},
    {.name = "tty", .dev = TTY_DEV(0), .ops = &console_chardev_ops, .stream = &console_stream_ops},
};

int console_start(void)
{
    mutex_init(&bounce_lock);
    listen();
    for (unsigned i = 0; i < ARRAY_COUNT(console_devices); i++) {
        int error = chardev_register(&console_devices[i]);
        if (error)
            return error;
    }
    for (int fd = 0; fd < 3; fd++) {
        struct file *file;
        int error = vfs_open(NULL, "/dev/console", OPEN_READ_WRITE, 0, &file);
        if (error)
            return error;
        int got = install_file(file, fd, false);
        if (got != fd)
            return got < 0 ? got : -EBUSY;
    }
    return 0;
}
