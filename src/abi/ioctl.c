// SPDX-License-Identifier: MIT
/*
 * ioctl: controls of devices go to the device with their argument as it is; those that every file
 * knows are here.
 */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/syscalls.h>

static int any_file_ioctl(struct file *file, int fd, unsigned command, uint64_t argument)
{
    int32_t value;

    switch (command) {
    case FIOCLEX:
    case FIONCLEX:
        return fd_set_close_on_exec(fd, command == FIOCLEX);
    case FIONBIO: {
        int error = app_copy_in(&value, argument, sizeof(value));
        if (error)
            return error;
        file->flags = (file->flags & ~OPEN_NONBLOCK) | (value ? OPEN_NONBLOCK : 0);
        return 0;
    }
    case FIONREAD:
        if (!mode_is_file(file->inode->mode))
            return -ENOTTY;
        value = (int32_t)(file->inode->size - file->position);
        return app_copy_out(argument, &value, sizeof(value));
    default:
        return -ENOTTY;
    }
}

SYSCALL(ioctl)
{
    struct file *file;

    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    error = vfs_ioctl(file, (unsigned)args->a[1], args->a[2]);
    if (error == -ENOTTY)
        error = any_file_ioctl(file, (int)args->a[0], (unsigned)args->a[1], args->a[2]);
    file_put(file);
    return error;
}
