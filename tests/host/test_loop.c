// SPDX-License-Identifier: MIT
/*
 * Loop devices on files of tmpfs and on each other: attaching, Linux's ioctls, I/O three deep,
 * refusals.
 */
#include "vfs_fixture.h"

#include <block/bdev.h>
#include <drivers/stacked/loop.h>
#include <lib/errno.h>
#include <rt/xstack.h>

const struct fs_type *const fs_types[] = {&tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, NULL};

#define SET_FD 0x4c00u
#define CLR_FD 0x4c01u
#define SET_STATUS64 0x4c04u
#define GET_STATUS64 0x4c05u
#define SET_CAPACITY 0x4c07u
#define SET_BLOCK_SIZE 0x4c09u
#define CONFIGURE 0x4c0au
#define CTL_ADD 0x4c80u
#define CTL_REMOVE 0x4c81u
#define CTL_GET_FREE 0x4c82u

struct info {
    uint64_t device, inode, rdevice, offset, size_limit;
    uint32_t number, encrypt_type, encrypt_key_size, flags;
    char file_name[64], crypt_name[64];
    uint8_t key[32];
    uint64_t init[2];
};
struct config {
    uint32_t fd, block_size;
    struct info info;
    uint64_t reserved[8];
};

static char buffer[64 * 1024];

/* A file of @bytes in /tmp whose bytes tell where they are. */
static void make_image(const char *name, size_t bytes)
{
    struct file *file = must_open(name, OPEN_READ_WRITE | OPEN_CREATE | OPEN_TRUNCATE);

    for (size_t at = 0; at < bytes; at += sizeof(buffer)) {
        for (size_t i = 0; i < sizeof(buffer); i++)
            buffer[i] = (char)((at + i) / 512 + i);
        assert_true(vfs_write(file, buffer, MIN(sizeof(buffer), bytes - at), at) > 0);
    }
    file_put(file);
}

static bool is_image(const char *data, size_t bytes, size_t at)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != (char)((at + i) / 512 + (at + i) % sizeof(buffer)))
            return false;
    return true;
}

static int control(unsigned command, uint64_t argument)
{
    struct file *file = must_open("/dev/loop-control", OPEN_READ_WRITE);
    int result = vfs_ioctl(file, command, argument);

    file_put(file);
    return result;
}

static int on(const char *device, unsigned command, uint64_t argument)
{
    struct file *file = must_open(device, OPEN_READ);
    int result = vfs_ioctl(file, command, argument);

    file_put(file);
    return result;
}

static int attach(const char *device, const char *backing, unsigned flags)
{
    int fd = fd_install(must_open(backing, flags), 3, false);

    assert_true(fd >= 0);
    int result = on(device, SET_FD, (uint64_t)fd);
    assert_int_equal(fd_close(fd), 0);
    return result;
}

static struct bdev *device(const char *name)
{
    struct bdev *bdev = NULL;

    assert_int_equal(bdev_open_name(name, &bdev), 0);
    return bdev;
}

VFS_TEST(test_attach)
{
    make_image("/tmp/a", 100 * 1024 + 100);
    assert_int_equal(on("/dev/loop0", CLR_FD, 0), -ENXIO);
    assert_int_equal(on("/dev/loop0", SET_FD, 99), -EBADF);
    assert_int_equal(on("/dev/loop0", 0x1234, 0), -ENOTTY);
    assert_int_equal(attach("/dev/loop0", "/tmp", OPEN_READ | OPEN_DIRECTORY), -EINVAL);
    assert_int_equal(attach("/dev/loop0", "/dev/null", OPEN_READ_WRITE), -EINVAL);
    assert_int_equal(attach("/dev/loop0", "/tmp/a", OPEN_WRITE), -EINVAL);
    assert_int_equal(attach("/dev/loop0", "/tmp/a", OPEN_READ_WRITE), 0);
    assert_int_equal(attach("/dev/loop0", "/tmp/a", OPEN_READ_WRITE), -EBUSY);
    struct bdev *loop = device("loop0");
    assert_int_equal(loop->sector_count, 200);
    assert_int_equal(loop->level, 1);
    assert_false(loop->read_only);
    assert_int_equal(bdev_read(loop, buffer, 8192, 512), 8192);
    assert_true(is_image(buffer, 8192, 512));
    assert_int_equal(on("/dev/loop0", CLR_FD, 0), 0);       /* somebody has it open: later */
    assert_int_equal(loop->sector_count, 200);
    bdev_close(loop);
    assert_int_equal(loop->sector_count, 0);
    assert_int_equal(on("/dev/loop0", CLR_FD, 0), -ENXIO);
    assert_int_equal(attach("/dev/loop0", "/tmp/a", OPEN_READ), 0);
    assert_true(loop->read_only);
    assert_int_equal(on("/dev/loop0", CLR_FD, 0), 0);
    assert_int_equal(vfs_unlink(NULL, "/tmp/a"), 0);
}

VFS_TEST(test_status)
{
    struct info info = {.offset = 1024, .size_limit = 8192 + 100, .file_name = "/tmp/a"}, got;

    make_image("/tmp/a", 100 * 1024);
    assert_int_equal(attach("/dev/loop1", "/tmp/a", OPEN_READ_WRITE), 0);
    assert_int_equal(on("/dev/loop1", SET_STATUS64, (uintptr_t)&info), 0);
    assert_int_equal(on("/dev/loop1", GET_STATUS64, (uintptr_t)&got), 0);
    assert_int_equal(got.offset, 1024);
    assert_int_equal(got.size_limit, 8192 + 100);
    assert_int_equal(got.number, 1);
    assert_int_equal(got.flags, 0);
    assert_string_equal(got.file_name, "/tmp/a");
    assert_true(got.inode);
    struct bdev *loop = device("loop1");
    assert_int_equal(loop->sector_count, 16);
    assert_int_equal(bdev_read(loop, buffer, 4096, 4096), 4096);
    assert_true(is_image(buffer, 4096, 5120));
    info.size_limit = 0;
    info.offset = 200 * 1024;
    assert_int_equal(on("/dev/loop1", SET_STATUS64, (uintptr_t)&info), 0);
    assert_int_equal(loop->sector_count, 0);
    info.offset = UINT64_MAX;
    assert_int_equal(on("/dev/loop1", SET_STATUS64, (uintptr_t)&info), -EOVERFLOW);
    info = (struct info){.encrypt_type = 1};
    assert_int_equal(on("/dev/loop1", SET_STATUS64, (uintptr_t)&info), -EINVAL);
    info = (struct info){0};
    assert_int_equal(on("/dev/loop1", SET_STATUS64, (uintptr_t)&info), 0);
    assert_int_equal(on("/dev/loop1", SET_BLOCK_SIZE, 4096), 0);
    assert_int_equal(on("/dev/loop1", SET_BLOCK_SIZE, 3000), -EINVAL);
    assert_int_equal(bdev_read(loop, buffer, 512, 0), -EINVAL);
    bdev_close(loop);
    struct file *file = must_open("/tmp/a", OPEN_READ_WRITE);
    assert_int_equal(vfs_truncate(file, 200 * 1024), 0);
    assert_int_equal(loop->sector_count, 200);
    assert_int_equal(on("/dev/loop1", SET_CAPACITY, 0), 0);
    assert_int_equal(loop->sector_count, 400);
    file_put(file);
    assert_int_equal(on("/dev/loop1", CLR_FD, 0), 0);
}

VFS_TEST(test_configure)
{
    struct config config = {.info = {.flags = 1 | 4, .offset = 512}, .block_size = 1024};

    make_image("/tmp/a", 100 * 1024);
    config.fd = (uint32_t)fd_install(must_open("/tmp/a", OPEN_READ_WRITE), 3, false);
    struct bdev *loop = device("loop2");
    assert_int_equal(on("/dev/loop2", CONFIGURE, (uintptr_t)&config), 0);
    assert_int_equal(fd_close((int)config.fd), 0);
    assert_true(loop->read_only);
    assert_int_equal(loop->block_bytes, 1024);
    assert_int_equal(loop->sector_count, 198);
    assert_int_equal(bdev_write(loop, buffer, 1024, 0), -EROFS);
    assert_int_equal(bdev_read(loop, buffer, 1024, 1024), 1024);
    assert_true(is_image(buffer, 1024, 1536));
    bdev_close(loop);                         /* autoclear */
    assert_int_equal(loop->sector_count, 0);
    config.info.flags = 8;
    assert_int_equal(on("/dev/loop2", CONFIGURE, (uintptr_t)&config), -EBADF);
    config.fd = (uint32_t)fd_install(must_open("/tmp/a", OPEN_READ_WRITE), 3, false);
    assert_int_equal(on("/dev/loop2", CONFIGURE, (uintptr_t)&config), -EINVAL);
    assert_int_equal(fd_close((int)config.fd), 0);
}

VFS_TEST(test_control)
{
    make_image("/tmp/a", 4096);
    for (int i = 0; i < 70; i++) {
        char name[24];
        assert_int_equal(control(CTL_GET_FREE, 0), i);
        snprintf(name, sizeof(name), "/dev/loop%d", i);
        assert_int_equal(attach(name, "/tmp/a", OPEN_READ_WRITE), 0);
    }
    assert_int_equal(control(CTL_ADD, 69), -EEXIST);
    assert_int_equal(control(CTL_ADD, 200), 200);
    assert_int_equal(control(CTL_ADD, 256), -ENOSPC);
    assert_int_equal(control(CTL_REMOVE, 69), -EBUSY);
    assert_int_equal(control(CTL_REMOVE, 150), -ENODEV);
    assert_int_equal(control(CTL_REMOVE, 200), 0);
    assert_int_equal(try_open("/dev/loop200", OPEN_READ), -ENOENT);
    assert_int_equal(control(CTL_ADD, (uint64_t)-1), 70);
    assert_int_equal(control(0x1234, 0), -ENOTTY);
    for (int i = 0; i < 70; i++) {
        char name[24];
        snprintf(name, sizeof(name), "/dev/loop%d", i);
        assert_int_equal(on(name, CLR_FD, 0), 0);
    }
    for (uint64_t i = 8; i <= 70; i++)
        assert_int_equal(control(CTL_REMOVE, i), 0);
}

VFS_TEST(test_onto_itself)
{
    make_image("/tmp/a", 64 * 1024);
    assert_int_equal(attach("/dev/loop0", "/dev/loop0", OPEN_READ_WRITE), -ELOOP);
    assert_int_equal(attach("/dev/loop0", "/tmp/a", OPEN_READ_WRITE), 0);
    assert_int_equal(attach("/dev/loop1", "/dev/loop0", OPEN_READ_WRITE), 0);
    assert_int_equal(attach("/dev/loop2", "/dev/loop1", OPEN_READ_WRITE), 0);
    assert_int_equal(on("/dev/loop0", CLR_FD, 0), 0);
    assert_int_equal(attach("/dev/loop0", "/dev/loop2", OPEN_READ_WRITE), -ELOOP);
    assert_int_equal(attach("/dev/loop0", "/dev/loop1", OPEN_READ_WRITE), -ELOOP);
    assert_int_equal(on("/dev/loop2", CLR_FD, 0), 0);
    assert_int_equal(on("/dev/loop1", CLR_FD, 0), 0);
}

/* ---- three deep ---- */

static void stack_three(void)
{
    make_image("/tmp/a", 64 * 1024);
    assert_int_equal(attach("/dev/loop0", "/tmp/a", OPEN_READ_WRITE), 0);
    assert_int_equal(attach("/dev/loop1", "/dev/loop0", OPEN_READ_WRITE), 0);
    assert_int_equal(attach("/dev/loop2", "/dev/loop1", OPEN_READ_WRITE), 0);
}

static void unstack_three(void)
{
    assert_int_equal(on("/dev/loop2", CLR_FD, 0), 0);
    assert_int_equal(on("/dev/loop1", CLR_FD, 0), 0);
    assert_int_equal(on("/dev/loop0", CLR_FD, 0), 0);
    assert_int_equal(vfs_unlink(NULL, "/tmp/a"), 0);
}

VFS_TEST(test_deep)
{
    stack_three();
    struct bdev *loop = device("loop2");
    assert_int_equal(loop->level, 3);
    assert_int_equal(loop->sector_count, 128);
    assert_int_equal(bdev_read(loop, buffer, 64 * 1024, 0), 64 * 1024);
    assert_true(is_image(buffer, 64 * 1024, 0));
    memset(buffer, 'x', 4096);
    assert_int_equal(bdev_write(loop, buffer, 4096, 8192), 4096);
    assert_int_equal(bdev_flush(loop), 0);
    struct file *file = must_open("/tmp/a", OPEN_READ_WRITE);
    assert_int_equal(vfs_read(file, buffer, 3, 8190), 3);
    assert_memory_equal(buffer + 2, "x", 1);
    assert_int_equal(vfs_truncate(file, 10000), 0);          /* shorter than the device */
    assert_int_equal(bdev_read(loop, buffer, 512, 16384), -EIO);
    assert_int_equal(bdev_read(loop, buffer, 512, 512), 512);
    file_put(file);
    bdev_close(loop);
    unstack_three();
}

/*
 * A refusal at any depth comes up as one, and nothing has happened; when there are stacks again it
 * works.
 */
VFS_TEST(test_refused)
{
    struct io_batch batch;
    unsigned refused = 0, total;
    char *page = page_alloc(0);

    stack_three();
    struct bdev *loop = device("loop2");
    uint64_t errors = loop->errors;
    arch_set_probe_base(UINT64_MAX);          /* every probe is short, as with stack.need=force */
    for (total = 0; total < 12; total++) {
        /*
         * The extra stacks decide how deep it comes: their own bases let every probe on them pass.
         */
        assert_int_equal(xstack_resize(total), 0);
        struct bio *bio = bio_alloc(loop, BIO_READ, 8);
        bio_add(bio, page, PAGE_BYTES);
        io_batch_init(&batch);
        io_batch_submit(&batch, bio);
        int err = io_batch_wait(&batch);
        if (!err)
            break;
        assert_int_equal(err, -EIO);
        assert_true(batch.refused);
        refused++;
    }
    arch_set_probe_base(xstack_probe_base(thread_current()->stack));
    assert_true(refused >= 1);
    assert_true(total < 12);
    assert_true(is_image(page, PAGE_BYTES, 4096));
    assert_int_equal(loop->errors, errors);   /* a refusal is not the device's */
    page_free(page, 0);
    bdev_close(loop);
    assert_int_equal(xstack_resize(8), 0);
    unstack_three();
}

/* ---- for the kernel itself ---- */

VFS_TEST(test_attach_file)
{
    struct bdev *loop, *second;

    make_image("/tmp/a", 64 * 1024);
    struct file *file = must_open("/tmp/a", OPEN_READ_WRITE);
    assert_int_equal(loop_attach_file(file, true, &loop), 0);
    assert_int_equal(loop_attach_file(file, false, &second), 0);
    file_put(file);
    assert_ptr_not_equal(loop, second);
    assert_true(loop->read_only);
    assert_false(second->read_only);
    assert_int_equal(loop_detach(second), 0);
    assert_int_equal(loop_detach(second), -ENXIO);
    assert_int_equal(bdev_open(loop->dev, &second), 0);
    assert_int_equal(bdev_read(loop, buffer, 512, 512), 512);
    bdev_close(loop);
    assert_int_equal(loop_detach(loop), -ENXIO);
    struct file *dir = must_open("/tmp", OPEN_READ | OPEN_DIRECTORY);
    assert_int_equal(loop_attach_file(dir, true, &loop), -EINVAL);
    file_put(dir);
}

static void start_loops(void *argument)
{
    (void)argument;
    if (loop_start())
        abort();
}

int main(void)
{
    static const struct thread_def def = {.name = "loops", .run = start_loops};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attach),      cmocka_unit_test(test_status),
        cmocka_unit_test(test_configure),   cmocka_unit_test(test_control),
        cmocka_unit_test(test_onto_itself), cmocka_unit_test(test_deep),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_attach_file),
    };
    fixture_boot("stack.extra=8");
    rt_run(&def, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
