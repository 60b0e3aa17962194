// SPDX-License-Identifier: MIT
/*
 * The app's terminal: see console.h. What the app writes is copied first, for the console must not
 * meet a page that is gone. Input is not read from the serial line yet: a read finds the end of
 * the file.
 */
#include <abi/console.h>

#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <lib/string.h>
#include <rt/log.h>

#define BOUNCE_BYTES 1024
#define TTY_DEV(minor) (UINT64_C(5) << 8 | (minor))

static ssize_t console_dev_read(struct chardev *dev, struct file *file, void *dst, size_t bytes)
{
    (void)dev;
    (void)file;
    (void)dst;
    (void)bytes;
    return 0;
}

static struct mutex bounce_lock = MUTEX_INIT(bounce_lock);
/* Not from the heap: a full memory must not mute the app. */
static char bounce[BOUNCE_BYTES];     /* bounce_lock */

static ssize_t console_dev_write(struct chardev *dev, struct file *file, const void *src,
                                 size_t bytes)
{
    size_t done = 0;

    (void)dev;
    (void)file;
    mutex_lock(&bounce_lock);
    while (done < bytes) {
        size_t step = MIN(bytes - done, sizeof(bounce));
        if (arch_copy(bounce, (const char *)src + done, step))
            break;
        console_write(bounce, step);
        done += step;
    }
    mutex_unlock(&bounce_lock);
    return done || bytes == 0 ? (ssize_t)done : -EFAULT;
}

/* What a terminal on a serial line says of itself: cooked mode, echo, 115200 baud, 8 bits. */
static const struct linux_termios console_termios = {
    .input = 02400, .output = 05, .control = 010002 | 060 | 0200, .local = 0105073,
    .characters = {3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26},
};

static int console_dev_ioctl(struct chardev *dev, struct file *file, unsigned command,
                             uint64_t argument)
{
    static const struct linux_winsize size = {.rows = 25, .columns = 80};
    static const uint32_t zero;

    (void)dev;
    (void)file;
    switch (command) {
    case TCGETS:
        return app_copy_out(argument, &console_termios, sizeof(console_termios));
    case TIOCGWINSZ:
        return app_copy_out(argument, &size, sizeof(size));
    case TIOCGPGRP:
        return app_copy_out(argument, &app.pid, sizeof(app.pid));
    case FIONREAD:
        return app_copy_out(argument, &zero, sizeof(zero));
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
    case TIOCSPGRP:
    case TIOCSWINSZ:
        return 0;
    default:
        return -ENOTTY;
    }
}

static const struct chardev_ops console_chardev_ops = {
    .dev_read = console_dev_read,
    .dev_write = console_dev_write,
    .dev_ioctl = console_dev_ioctl,
};

static struct chardev console_devices[] = {
    {.name = "console", .dev = TTY_DEV(1), .ops = &console_chardev_ops},
    {.name = "tty", .dev = TTY_DEV(0), .ops = &console_chardev_ops},
};

bool console_is(const struct file *file)
{
    return (file->inode->mode & MODE_TYPE) == MODE_CHAR &&
           (file->inode->rdev == TTY_DEV(0) || file->inode->rdev == TTY_DEV(1));
}

/* The end of the file is something to read. */
bool console_input_ready(void)
{
    return true;
}

int console_start(void)
{
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
