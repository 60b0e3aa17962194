// SPDX-License-Identifier: MIT
/* File descriptors: one process, one table. An entry holds a reference to its file. */
#include <rt/assert.h>
#include <vfs/vfs.h>

static struct spinlock lock = SPINLOCK_NAMED("descriptors");
static struct file *files[FD_MAX]; /* lock */
static bool close_on_exec[FD_MAX]; /* lock */

static bool in_range(int fd) { return fd >= 0 && fd < FD_MAX; }

int fd_install(struct file *file, int lowest, bool on_exec)
{
    int found = -EMFILE;

    if (!in_range(lowest))
        return -EINVAL;
    bool irq = spin_lock(&lock);
    for (int fd = lowest; fd < FD_MAX; fd++) {
        if (!files[fd]) {
            files[fd] = file;
            close_on_exec[fd] = on_exec;
            found = fd;
            break;
        }
    }
    spin_unlock(&lock, irq);
    return found;
}

struct file *fd_get(int fd)
{
    struct file *file = NULL;

    if (!in_range(fd))
        return NULL;
    bool irq = spin_lock(&lock);
    file = files[fd];
    if (file)
        file_ref(file);
    spin_unlock(&lock, irq);
    return file;
}

/* Takes what is in the slot out, or puts @file in its place. */
static struct file *exchange(int fd, struct file *file, bool on_exec)
{
    bool irq = spin_lock(&lock);
    struct file *old = files[fd];

    files[fd] = file;
    close_on_exec[fd] = on_exec;
    spin_unlock(&lock, irq);
    return old;
}

int fd_close(int fd)
{
    if (!in_range(fd))
        return -EBADF;
    struct file *file = exchange(fd, NULL, false);
    if (!file)
        return -EBADF;
    file_put(file);
    return 0;
}

int fd_duplicate(int fd, int target, bool on_exec)
{
    struct file *file = fd_get(fd);

    if (!file)
        return -EBADF;
    if (!in_range(target)) {
        file_put(file);
        return -EBADF;
    }
    if (fd == target) {
        file_put(file);
        return target;
    }
    struct file *old = exchange(target, file, on_exec);
    if (old)
        file_put(old);
    return target;
}

void fd_close_all(void)
{
    for (int fd = 0; fd < FD_MAX; fd++)
        fd_close(fd);
}

bool fd_close_on_exec(int fd) { return in_range(fd) && close_on_exec[fd]; }

int fd_set_close_on_exec(int fd, bool on)
{
    int err = -EBADF;

    if (!in_range(fd))
        return err;
    bool irq = spin_lock(&lock);
    if (files[fd]) {
        close_on_exec[fd] = on;
        err = 0;
    }
    spin_unlock(&lock, irq);
    return err;
}
