// SPDX-License-Identifier: MIT
/* The devices that are only memory: null, zero, full, random, urandom. Numbers as on Linux. */
#include <fs/devfs/internal.h>
#include <rt/thread.h>

static ssize_t null_read(struct chardev *dev, struct file *file, void *dst, size_t bytes)
{
    (void)dev;
    (void)file;
    (void)dst;
    (void)bytes;
    return 0;
}

static ssize_t null_write(struct chardev *dev, struct file *file, const void *src, size_t bytes)
{
    (void)dev;
    (void)file;
    (void)src;
    return (ssize_t)bytes;
}

static ssize_t zero_read(struct chardev *dev, struct file *file, void *dst, size_t bytes)
{
    (void)dev;
    (void)file;
    int err = arch_zero(dst, bytes);
    return err ? err : (ssize_t)bytes;
}

static ssize_t full_write(struct chardev *dev, struct file *file, const void *src, size_t bytes)
{
    (void)dev;
    (void)file;
    (void)src;
    (void)bytes;
    return -ENOSPC;
}

static ssize_t random_read(struct chardev *dev, struct file *file, void *dst, size_t bytes)
{
    (void)dev;
    (void)file;
    for (size_t done = 0; done < bytes; done += sizeof(uint64_t)) {
        uint64_t value = arch_random();
        int err = arch_copy((char *)dst + done, &value, MIN(sizeof(value), bytes - done));
        if (err)
            return done ? (ssize_t)done : err;
    }
    return (ssize_t)bytes;
}

static const struct chardev_ops null_ops = { .dev_read = null_read, .dev_write = null_write };
static const struct chardev_ops zero_ops = { .dev_read = zero_read, .dev_write = null_write };
static const struct chardev_ops full_ops = { .dev_read = zero_read, .dev_write = full_write };
static const struct chardev_ops random_ops = { .dev_read = random_read, .dev_write = null_write };

static struct chardev memory_devices[] = {
    { .name = "null", .dev = DEV_NUMBER(1, 3), .ops = &null_ops },
    { .name = "zero", .dev = DEV_NUMBER(1, 5), .ops = &zero_ops },
    { .name = "full", .dev = DEV_NUMBER(1, 7), .ops = &full_ops },
    { .name = "random", .dev = DEV_NUMBER(1, 8), .ops = &random_ops },
    { .name = "urandom", .dev = DEV_NUMBER(1, 9), .ops = &random_ops },
};

int devfs_memory_devices(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(memory_devices); i++) {
        int err = chardev_register(&memory_devices[i]);
        if (err)
            return err;
    }
    return 0;
}
