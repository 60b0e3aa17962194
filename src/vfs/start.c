// SPDX-License-Identifier: MIT
/*
 * The tree that every app finds: a tmpfs with the usual directories, devfs and sysfs in their
 * places.
 */
#include <vfs/internal.h>

static const char *const directories[] = {
    "/dev", "/sys", "/tmp", "/app", "/mnt", "/proc", "/etc", "/root",
};

int vfs_start(void)
{
    int err = inode_shrinker_start();

    if (!err)
        err = anonymous_start();
    if (!err)
        err = mount_root_start("tmpfs");
    for (unsigned i = 0; !err && i < ARRAY_COUNT(directories); i++)
        err = vfs_create_node(NULL, directories[i], MODE_DIR | 0755, 0);
    if (!err)
        err = vfs_mount("devfs", "/dev", "devfs", 0, "");
    if (!err)
        err = vfs_mount("sysfs", "/sys", "sysfs", 0, "");
    if (!err)
        mount_make_permanent();
    return err;
}
