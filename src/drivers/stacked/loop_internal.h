// SPDX-License-Identifier: MIT
/*
 * What the parts of the loop driver share: loop.c (I/O), loop_attach.c (contents), loop_ctl.c
 * (ioctls).
 */
#pragma once

#include <drivers/stacked/loop.h>

#define LOOP_MAJOR 7u
#define LOOP_MAX 256u
#define LOOP_NAME_BYTES 64u

/* Source: Linux UAPI, linux/loop.h (values only). */
#define LO_FLAGS_READ_ONLY 1u
#define LO_FLAGS_AUTOCLEAR 4u
#define LO_FLAGS_PARTSCAN 8u
#define LO_FLAGS_DIRECT_IO 16u

struct loop {
    struct bdev bdev;
    uint32_t index;
    bool registered;                  /* loop_lock */
    uint32_t flags;                   /* loop_lock; LO_FLAGS_* */
    uint64_t size_limit;              /* loop_lock; bytes, 0: none */
    uint64_t offset;                  /* written with loop_lock; bytes */
    struct spinlock file_lock;        /* file, which is written with loop_lock as well */
    struct file *file;                /* referenced; NULL: nothing is attached */
    char name[LOOP_NAME_BYTES];       /* loop_lock; as the app told it */
};

extern const struct bdev_ops loop_bdev_ops;

/* Guards which contents loops have; not held across I/O, and not needed for it. */
extern struct mutex loop_lock;

/* The file, referenced, or NULL. */
struct file *loop_file(struct loop *loop);

/* All below with loop_lock held. */
struct loop *loop_by_index(uint32_t index);           /* registered ones; NULL */
int loop_make(uint32_t index, struct loop **out);     /* -EEXIST, -ENOMEM, -ENOSPC */
int loop_remove(uint32_t index);                      /* -ENODEV, -EBUSY */
int loop_find_free(struct loop **out);                /* makes one if all are taken */

struct loop_setup {
    uint64_t offset, size_limit;
    uint32_t flags, block_bytes;
};
/* -EBUSY, -EINVAL, -EBADF, -ELOOP. Takes a reference to @file. */
int loop_bind(struct loop *loop, struct file *file, const struct loop_setup *setup);
/* Recomputes the size from the file's; -EINVAL an offset that is no file offset. */
int loop_resize(struct loop *loop);
/* Takes the contents away; the caller puts the file, without the lock. */
struct file *loop_unbind(struct loop *loop);
/* The same if nobody has the device open; else NULL, and it happens at the last close. */
struct file *loop_clear(struct loop *loop);

/* The ioctls; takes loop_lock. */
int loop_ioctl(struct bdev *bdev, unsigned command, uint64_t argument);
/* Registers /dev/loop-control. */
int loop_control_start(void);
