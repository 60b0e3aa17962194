// SPDX-License-Identifier: MIT
/* Mounts, and what makes data reach the disk. */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/syscalls.h>
#include <rt/heap.h>
#include <vfs/write_back.h>

static long sync_file(uint64_t fd, bool data_only)
{
    struct file *file;

    int error = file_of(fd, &file);
    if (error)
        return error;
    error = vfs_sync(file, data_only);
    file_put(file);
    return error;
}

SYSCALL(fsync)
{
    return sync_file(args->a[0], false);
}

SYSCALL(fdatasync)
{
    return sync_file(args->a[0], true);
}

SYSCALL(sync)
{
    (void)args;
    vfs_sync_all();
    return 0;
}

SYSCALL(syncfs)
{
    struct file *file;

    int error = file_of(args->a[0], &file);
    if (error)
        return error;
    struct super *super = file->inode->super;
    if (super->write_back)
        error = write_back_sync(super);
    file_put(file);
    return error;
}

/* The strings of a mount call, each in the heap, NULL where the app gave none. */
struct mount_texts {
    char *source, *target, *type, *options;
};

static int text_in(uint64_t address, bool needed, char **out)
{
    *out = NULL;
    if (!address)
        return needed ? -EFAULT : 0;
    return app_path_in(address, out);
}

static int texts_in(const struct syscall_args *args, struct mount_texts *t)
{
    *t = (struct mount_texts){0};
    int error = text_in(args->a[0], false, &t->source);
    if (!error)
        error = text_in(args->a[1], true, &t->target);
    if (!error)
        error = args->a[2] ? text_in(args->a[2], true, &t->type) : -EINVAL;
    return error ? error : text_in(args->a[4], false, &t->options);
}

static void texts_free(struct mount_texts *t)
{
    heap_free(t->source);
    heap_free(t->target);
    heap_free(t->type);
    heap_free(t->options);
}

/* (source, target, type, flags, options). Remounts, binds and moves are not served. */
SYSCALL(mount)
{
    struct mount_texts t;
    uint64_t flags = args->a[3];

    if ((flags & 0xffff0000u) == MS_MAGIC)
        flags &= 0xffff;
    if (flags & ~(uint64_t)(MS_RDONLY | MS_IGNORED))
        return -EINVAL;
    int error = texts_in(args, &t);
    if (!error)
        error = vfs_mount(t.source ? t.source : "none", t.target, t.type,
                          flags & MS_RDONLY ? MOUNT_READ_ONLY : 0, t.options ? t.options : "");
    texts_free(&t);
    return error;
}

/* (target, flags) */
SYSCALL(umount2)
{
    char *target;

    if (args->a[1] & ~(uint64_t)UMOUNT_KNOWN)
        return -EINVAL;
    int error = app_path_in(args->a[0], &target);
    if (error)
        return error;
    error = vfs_unmount(target, args->a[1] & MNT_DETACH);
    heap_free(target);
    return error;
}
