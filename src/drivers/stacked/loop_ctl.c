// SPDX-License-Identifier: MIT
/*
 * Linux's ioctls for loop devices, and /dev/loop-control. Structures of the app are copied to and
 * from the heap: the app may unmap them meanwhile.
 *
 * Differences: a loop on itself is ELOOP (Linux: EBADF); partitions are not scanned, so asking for
 * it is EINVAL; LOOP_CHANGE_FD and the 32-bit LOOP_SET_STATUS are not there (ENOTTY).
 * Sources: Linux UAPI, linux/loop.h; loop(4).
 */
#include <drivers/stacked/loop_internal.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <lib/bits.h>
#include <rt/heap.h>

#define LOOP_SET_FD 0x4c00u
#define LOOP_CLR_FD 0x4c01u
#define LOOP_SET_STATUS64 0x4c04u
#define LOOP_GET_STATUS64 0x4c05u
#define LOOP_SET_CAPACITY 0x4c07u
#define LOOP_SET_DIRECT_IO 0x4c08u
#define LOOP_SET_BLOCK_SIZE 0x4c09u
#define LOOP_CONFIGURE 0x4c0au
#define LOOP_CTL_ADD 0x4c80u
#define LOOP_CTL_REMOVE 0x4c81u
#define LOOP_CTL_GET_FREE 0x4c82u

#define CONTROL_DEV DEV_NUMBER(10, 237)

struct loop_info64 {
    uint64_t device, inode, rdevice, offset, size_limit;
    uint32_t number, encrypt_type, encrypt_key_bytes, flags;
    char file_name[LOOP_NAME_BYTES], crypt_name[64];
    uint8_t encrypt_key[32];
    uint64_t init[2];
};
_Static_assert(sizeof(struct loop_info64) == 232, "Linux ABI");

struct loop_config {
    uint32_t fd, block_bytes;
    struct loop_info64 info;
    uint64_t reserved[8];
};
_Static_assert(sizeof(struct loop_config) == 304, "Linux ABI");

static int fetch(uint64_t address, void *to, size_t bytes)
{
    return arch_copy(to, (const void *)(uintptr_t)address, bytes);
}

static void take_name(struct loop *loop, const struct loop_info64 *info)
{
    memcpy(loop->name, info->file_name, LOOP_NAME_BYTES);
    loop->name[LOOP_NAME_BYTES - 1] = 0;
}

static int check_info(const struct loop_info64 *info)
{
    if (info->encrypt_type || (info->flags & LO_FLAGS_PARTSCAN))
        return -EINVAL;
    if (info->offset > INT64_MAX || info->size_limit > INT64_MAX)
        return -EOVERFLOW;
    return 0;
}

static int configure(struct loop *loop, struct file *file, const struct loop_config *config)
{
    struct loop_setup setup = {.offset = config->info.offset, .size_limit = config->info.size_limit,
                               .block_bytes = config->block_bytes};
    int err = check_info(&config->info);

    if (err)
        return err;
    if (config->info.flags & ~(LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO))
        return -EINVAL;
    setup.flags = config->info.flags & (LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR);
    err = loop_bind(loop, file, &setup);
    if (!err)
        take_name(loop, &config->info);
    return err;
}

static int set_status(struct loop *loop, const struct loop_info64 *info)
{
    int err = check_info(info);

    if (err)
        return err;
    if (loop->bdev.claimed && (loop->offset != info->offset || loop->size_limit != info->size_limit))
        return -EBUSY;
    loop->offset = info->offset;
    loop->size_limit = info->size_limit;
    loop->flags = (loop->flags & ~LO_FLAGS_AUTOCLEAR) | (info->flags & LO_FLAGS_AUTOCLEAR);
    take_name(loop, info);
    return loop_resize(loop);
}

static void get_status(const struct loop *loop, struct loop_info64 *info)
{
    const struct inode *inode = loop->file->inode;

    memset(info, 0, sizeof(*info));
    info->device = inode->super->dev;
    info->inode = inode->number;
    info->rdevice = (inode->mode & MODE_TYPE) == MODE_BLOCK ? inode->rdev : 0;
    info->offset = loop->offset;
    info->size_limit = loop->size_limit;
    info->number = loop->index;
    info->flags = loop->flags;
    memcpy(info->file_name, loop->name, LOOP_NAME_BYTES);
}

static int set_block_bytes(struct loop *loop, uint64_t bytes)
{
    if (bytes < SECTOR_BYTES || bytes > PAGE_BYTES || !is_pow2(bytes))
        return -EINVAL;
    if (loop->bdev.claimed)
        return -EBUSY;
    loop->bdev.block_bytes = (uint32_t)bytes;
    return loop_resize(loop);
}

/*
 * loop_lock held. *@file: for those that bind, the file to attach; of those that detach, the file
 * that was attached; the caller puts it. @room has what the app gave and takes what it gets.
 */
static int control(struct loop *loop, struct file **file, unsigned command, uint64_t argument,
                   struct loop_config *room)
{
    if (command == LOOP_SET_FD || command == LOOP_CONFIGURE)
        return configure(loop, *file, room);
    if (!loop->file)
        return -ENXIO;
    switch (command) {
    case LOOP_CLR_FD:
        *file = loop_clear(loop);
        return 0;
    case LOOP_SET_STATUS64:
        return set_status(loop, &room->info);
    case LOOP_GET_STATUS64:
        get_status(loop, &room->info);
        return 0;
    case LOOP_SET_CAPACITY:
        return loop_resize(loop);
    case LOOP_SET_DIRECT_IO:
        return argument ? -EINVAL : 0;
    default:
        return set_block_bytes(loop, argument);
    }
}

static bool known(unsigned command)
{
    return command == LOOP_SET_FD || command == LOOP_CLR_FD || command == LOOP_SET_STATUS64 ||
           command == LOOP_GET_STATUS64 ||
           (command >= LOOP_SET_CAPACITY && command <= LOOP_CONFIGURE);
}

/*
 * Fetches the app's structure; for those that bind also the file, whose last reference must not go
 * with loop_lock held.
 */
static int prepare(unsigned command, uint64_t argument, struct loop_config *room,
                   struct file **file)
{
    int err = 0;

    room->fd = (uint32_t)argument;
    if (command == LOOP_CONFIGURE)
        err = fetch(argument, room, sizeof(*room));
    else if (command == LOOP_SET_STATUS64)
        err = fetch(argument, &room->info, sizeof(room->info));
    if (!err && (command == LOOP_SET_FD || command == LOOP_CONFIGURE)) {
        *file = fd_get((int)room->fd);
        err = *file ? 0 : -EBADF;
    }
    return err;
}

int loop_ioctl(struct bdev *bdev, unsigned command, uint64_t argument)
{
    struct loop_config *room;
    struct file *file = NULL;

    if (!known(command))
        return -ENOTTY;
    room = heap_zalloc(sizeof(*room));
    if (!room)
        return -ENOMEM;
    int err = prepare(command, argument, room, &file);
    if (!err) {
        mutex_lock(&loop_lock);
        err = control(bdev->driver, &file, command, argument, room);
        mutex_unlock(&loop_lock);
    }
    if (file)
        file_put(file);
    if (!err && command == LOOP_GET_STATUS64)
        err = arch_copy((void *)(uintptr_t)argument, &room->info, sizeof(room->info));
    heap_free(room);
    return err;
}

/* ---- /dev/loop-control ---- */

static int add(int index)
{
    struct loop *loop;

    if (index >= 0)
        return loop_make((uint32_t)index, &loop) ?: index;
    for (uint32_t i = 0; i < LOOP_MAX; i++) {
        if (!loop_by_index(i))
            return loop_make(i, &loop) ?: (int)i;
    }
    return -ENOSPC;
}

static int control_ioctl(struct chardev *dev, struct file *file, unsigned command,
                         uint64_t argument)
{
    struct loop *loop;
    int result;

    (void)dev;
    (void)file;
    mutex_lock(&loop_lock);
    switch (command) {
    case LOOP_CTL_ADD:
        result = add((int)argument);
        break;
    case LOOP_CTL_REMOVE:
        result = loop_remove((uint32_t)argument);
        break;
    case LOOP_CTL_GET_FREE:
        result = loop_find_free(&loop);
        if (!result)
            result = (int)loop->index;
        break;
    default:
        result = -ENOTTY;
    }
    mutex_unlock(&loop_lock);
    return result;
}

static const struct chardev_ops control_ops = {.dev_ioctl = control_ioctl};
static struct chardev control_dev = { .name = "loop-control",
                                      .dev = CONTROL_DEV,
                                      .ops = &control_ops };

int loop_control_start(void)
{
    return chardev_register(&control_dev);
}
