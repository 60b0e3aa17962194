// SPDX-License-Identifier: MIT
/* Nested mounts: see mounts.h. */
#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "loop.h"

int make_folder(const char *path) { return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0; }

int mount_next(const char *outer, const char *folder, bool read_only, int *loop_index,
               const char **call)
{
    char image[256], device[32];
    int error;

    if (*loop_index < 0) {
        snprintf(image, sizeof(image), "%s/next.img", outer);
        error = loop_attach(image, read_only, loop_index, call);
        if (error)
            return error;
    }
    snprintf(device, sizeof(device), "/dev/loop%d", *loop_index);
    *call = "mount";
    return mount(device, folder, "ext2", read_only ? MS_RDONLY : 0, NULL) < 0 ? -errno : 0;
}
