// SPDX-License-Identifier: MIT
/*
 * What the tests of ext2 share: a machine with the tree of vfs_start(), images mounted on /m, short
 * forms of calls, patterns. A test runs its steps as threads of the runtime and judges the image
 * between them.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fs/devfs/devfs.h>
#include <fs/ext2/ext2.h>
#include <fs/sysfs/sysfs.h>
#include <fs/tmpfs/tmpfs.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <support/image.h>
#include <support/rt.h>
#include <vfs/vfs.h>

const struct fs_type *const fs_types[] = { &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type,
                                           &ext2_fs_type, NULL };

/* A step is a function that runs in a thread; STEP() defines one, run() runs it and waits. */
#define STEP(step)                                                                                 \
    static void step##_body(void *argument);                                                       \
    static const struct thread_def step = { .name = #step, .run = step##_body };                   \
    static void step##_body(void *argument __attribute__((unused)))

static inline void run(const struct thread_def *def, void *argument) { rt_run(def, argument); }

STEP(start_step)
{
    if (vfs_start() || vfs_create_node(NULL, "/m", MODE_DIR | 0755, 0))
        abort();
}

static inline void machine_boot(const char *parameters)
{
    rt_boot(MIB(192), parameters);
    run(&start_step, NULL);
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        long ok_ = (long)(call);                                                                   \
        if (ok_ < 0)                                                                               \
            print_error("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, errno_name((int)ok_));       \
        assert_true(ok_ >= 0);                                                                     \
    } while (0)

static inline int mount_on(struct image *image, const char *where, unsigned flags)
{
    char source[40];
    snprintf(source, sizeof(source), "/dev/%s", image->bdev.name);
    return vfs_mount(source, where, "ext2", flags, "");
}

static inline int mount_image(struct image *image, unsigned flags)
{
    return mount_on(image, "/m", flags);
}

static inline struct file *open_file(const char *name, unsigned flags)
{
    struct file *file = NULL;
    int err = vfs_open(NULL, name, flags, 0644, &file);
    if (err)
        print_error("open %s: %s\n", name, errno_name(err));
    assert_int_equal(err, 0);
    return file;
}

static inline int make_dir(const char *name)
{
    return vfs_create_node(NULL, name, MODE_DIR | 0755, 0);
}

/* Byte @offset of the file that was made with @seed. */
static inline uint8_t pattern_at(uint64_t seed, uint64_t offset)
{
    uint64_t x =
        (offset / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed * UINT64_C(0xd1342543de82ef95);
    x ^= x >> 29;
    return (uint8_t)(x >> (offset % 8 * 7));
}

static inline void pattern_fill(uint8_t *data, size_t bytes, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = pattern_at(seed, offset + i);
}

/* Writes @bytes of pattern at @offset; what vfs_write said. */
static inline ssize_t write_pattern(const char *name, uint64_t seed, uint64_t offset, size_t bytes)
{
    struct file *file = open_file(name, OPEN_READ_WRITE | OPEN_CREATE);
    uint8_t *data = malloc(bytes);
    pattern_fill(data, bytes, seed, offset);
    ssize_t done = vfs_write(file, data, bytes, offset);
    free(data);
    file_put(file);
    return done;
}

static inline bool has_pattern(const char *name, uint64_t seed, uint64_t offset, size_t bytes)
{
    struct file *file = open_file(name, OPEN_READ);
    uint8_t *data = malloc(bytes);
    ssize_t done = vfs_read(file, data, bytes, offset);
    bool same = done == (ssize_t)bytes;
    for (size_t i = 0; i < bytes && same; i++)
        same = data[i] == pattern_at(seed, offset + i);
    free(data);
    file_put(file);
    return same;
}

/* A small generator with a state of its own, the same everywhere. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return random_next(state) % limit;
}

static inline uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

#define PLAIN "-O none,filetype,sparse_super,large_file"
static const char *const block_sizes[] = { "1024", "2048", "4096" };
