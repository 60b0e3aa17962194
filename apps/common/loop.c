// SPDX-License-Identifier: MIT
/*
 * Loop devices through /dev/loop-control: see loop.h. Source of the numbers: Linux's public user
 * interface, <linux/loop.h> and loop(4).
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    IOCTL_LOOP_SET_FD = 0x4c00,
    IOCTL_LOOP_CLR_FD = 0x4c01,
    IOCTL_LOOP_SET_STATUS64 = 0x4c04,
    IOCTL_LOOP_CTL_GET_FREE = 0x4c82,
};

struct loop_status {
    uint64_t device, inode, rdevice, offset, size_limit;
    uint32_t number, encrypt_type, encrypt_key_size, flags;
    uint8_t file_name[64], crypt_name[64], encrypt_key[32];
    uint64_t init[2];
};
_Static_assert(sizeof(struct loop_status) == 232, "struct loop_info64 of Linux");
_Static_assert(offsetof(struct loop_status, file_name) == 56, "struct loop_info64 of Linux");

/* Take the first free device for @file_fd. Another program may be quicker: then ask again. */
static int take_device(int control_fd, int file_fd, bool read_only, int *index, int *fd,
                       const char **call)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        char path[32];
        int number = ioctl(control_fd, IOCTL_LOOP_CTL_GET_FREE);

        *call = "LOOP_CTL_GET_FREE";
        if (number < 0)
            return -errno;
        snprintf(path, sizeof(path), "/dev/loop%d", number);
        *call = "open of the loop device";
        *fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (*fd < 0)
            return -errno;
        *call = "LOOP_SET_FD";
        if (ioctl(*fd, IOCTL_LOOP_SET_FD, file_fd) == 0) {
            *index = number;
            return 0;
        }
        int error = errno;
        close(*fd);
        if (error != EBUSY)
            return -error;
    }
    return -EBUSY;
}

int loop_attach(const char *file, bool read_only, int *index, const char **call)
{
    static struct loop_status status; /* only the main thread comes here */
    int file_fd, control_fd, fd = -1, error = 0;
    size_t length = strlen(file);

    *call = "open of next.img";
    file_fd = open(file, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (file_fd < 0)
        return -errno;
    *call = "open of /dev/loop-control";
    control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control_fd < 0) {
        error = -errno;
        goto out_file;
    }
    error = take_device(control_fd, file_fd, read_only, index, &fd, call);
    if (error)
        goto out_control;

    memset(&status, 0, sizeof(status));
    if (length >= sizeof(status.file_name))
        length = sizeof(status.file_name) - 1;
    memcpy(status.file_name, file, length);
    *call = "LOOP_SET_STATUS64";
    if (ioctl(fd, IOCTL_LOOP_SET_STATUS64, &status) != 0) {
        error = -errno;
        ioctl(fd, IOCTL_LOOP_CLR_FD, 0);
    }
    close(fd);
out_control:
    close(control_fd);
out_file:
    close(file_fd);
    return error;
}

int loop_detach(int index)
{
    char path[32];
    int fd, error = 0;

    snprintf(path, sizeof(path), "/dev/loop%d", index);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ioctl(fd, IOCTL_LOOP_CLR_FD, 0) != 0)
        error = -errno;
    close(fd);
    return error;
}
