// SPDX-License-Identifier: MIT
/* Modules and mounts: what must be in place before the app starts. */
#include <init/setup.h>

#include <arch/boot_info.h>
#include <block/bdev.h>
#include <drivers/stacked/loop.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/page.h>
#include <rt/param.h>
#include <vfs/vfs.h>

char setup_only_module[96];

const char *setup_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The module's bytes become the file /app/NAME; its memory is not used again. */
static int store_module(const struct boot_module *module, const char *path)
{
    struct file *file;
    int err = vfs_open(NULL, path, OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE, 0755, &file);
    if (err)
        return err;
    uint64_t bytes = module->end - module->start, done = 0;
    while (!err && done < bytes) {
        ssize_t n = vfs_write(file, (char *)arch_phys_to_virt(module->start) + done,
                              MIN(bytes - done, MIB(1)), done);
        if (n <= 0)
            err = n ? (int)n : -EIO;
        else
            done += (uint64_t)n;
    }
    file_put(file);
    return err;
}

int setup_modules(void)
{
    for (uint32_t i = 0; i < boot_info.module_count; i++) {
        const struct boot_module *module = &boot_info.modules[i];
        /* PVH gives a module no name: it takes that of app=. The name is the string's first word. */
        char name[64];
        str_copy(name, module->name, sizeof(name));
        char *space = strchr(name, ' ');
        if (space)
            *space = 0;
        const char *base = setup_base_name(*name ? name : params.app ? params.app : "app");
        snprintf(setup_only_module, sizeof(setup_only_module), "/app/%s", base);
        int err = store_module(module, setup_only_module);
        if (err)
            return err;
    }
    if (boot_info.module_count != 1)
        setup_only_module[0] = 0;
    return 0;
}

/* The mounts before this one are left clean. */
noreturn_fn static void mount_failed(const char *spec, const char *what, int err)
{
    console_printf("spillway: mount=%s: %s: %s\n", spec, what, errno_name(-err));
    vfs_unmount_all();
    machine_end(EXIT_SETUP);
}

static bool needs_device(const char *type_name)
{
    for (const struct fs_type *const *type = fs_types; *type; type++)
        if (strcmp((*type)->name, type_name) == 0)
            return (*type)->needs_device;
    return false;                     /* vfs_mount() says that there is no such type */
}

/* mkdir -p */
static int make_directories(char *path)
{
    for (char *at = path + 1;; at++) {
        if (*at && *at != '/')
            continue;
        char was = *at;
        *at = 0;
        int err = vfs_create_node(NULL, path, MODE_DIR | 0755, 0);
        *at = was;
        if (err && err != -EEXIST)
            return err;
        if (!was)
            return 0;
    }
}

/* A regular file as source gets a loop device, whose path replaces @source. */
static int attach_if_file(char *source, size_t size)
{
    struct path path;
    int err = path_walk(NULL, source, WALK_FOLLOW, &path);
    if (err)
        return err;
    bool is_file = mode_is_file(path.inode->mode);
    path_put(&path);
    if (!is_file)
        return 0;
    struct file *file;
    err = vfs_open(NULL, source, OPEN_READ_WRITE, 0, &file);
    if (err)
        return err;
    struct bdev *bdev;
    err = loop_attach_file(file, false, &bdev);
    file_put(file);
    if (!err)
        snprintf(source, size, "/dev/%s", bdev->name);
    return err;
}

static void mount_one(const char *spec)
{
    char *text = heap_alloc(PATH_BYTES_MAX);
    if (!text)
        mount_failed(spec, "memory", -ENOMEM);
    if (str_copy(text, spec, PATH_BYTES_MAX / 2) >= PATH_BYTES_MAX / 2)
        mount_failed(spec, "longer than 2047 bytes", -ENAMETOOLONG);
    char *target = strchr(text, ':');
    *target++ = 0;
    char *type = strchr(target, ':');
    if (type)
        *type++ = 0;
    const char *type_name = type ? type : "ext2";
    char *source = text + PATH_BYTES_MAX / 2;
    str_copy(source, text, PATH_BYTES_MAX / 2);
    int err = make_directories(target);
    if (err)
        mount_failed(spec, "its directory cannot be made", err);
    err = needs_device(type_name) ? attach_if_file(source, PATH_BYTES_MAX / 2) : 0;
    if (err)
        mount_failed(spec, "its source cannot be opened", err);
    err = vfs_mount(source, target, type_name, 0, "");
    if (err)
        mount_failed(spec, err == -ENODEV ? "there is no such type of filesystem" : "failed", err);
    heap_free(text);
}

int setup_mounts(void)
{
    for (uint32_t i = 0; i < params.mount_count; i++)
        mount_one(params.mounts[i]);
    return 0;
}
