// SPDX-License-Identifier: MIT
/* sysfs and devfs, and device nodes in other filesystems. */
#include "vfs_fixture.h"

#include <block/bdev.h>

const struct fs_type *const fs_types[] = { &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, NULL };

/* ---- sysfs ---- */

static uint64_t shown = 5;
static int shows;

static void show_number(const struct attr *attr, struct strbuf *out)
{
    shows++;
    strbuf_printf(out, "%llu\n", (unsigned long long)(shown + attr->key));
}

static int store_number(const struct attr *attr, const char *text)
{
    uint64_t value;
    int err = parse_u64(text, false, &value);

    if (!err)
        shown = value - attr->key;
    return err;
}

static void show_long(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    for (unsigned i = 0; i < 2000; i++)
        strbuf_printf(out, "line %u\n", i);
}

static const struct attr_ops number_ops = { .show = show_number, .store = store_number };
static const struct attr_ops constant_ops = { .show = show_number };
static const struct attr_ops long_ops = { .show = show_long };
static const struct attr number_attr = { "number", &number_ops, 0 },
                         plus_attr = { "plus", &constant_ops, 10 };
static const struct attr long_attr = { "long", &long_ops, 0 };
static const struct attr *const group[] = { &number_attr, &plus_attr, &long_attr, NULL };

/* ---- long texts ---- */

static void show_lines(const struct attr *attr, struct strbuf *out)
{
    for (uint64_t i = 0; i < attr->key; i++)
        strbuf_printf(out, "%lu is the number of this line\n", (unsigned long)i);
}

static const struct attr_ops lines_ops = { .show = show_lines };
static const struct attr whole_attr = { "whole", &lines_ops, 20000 },
                         cut_attr = { "cut", &lines_ops, 100000 };
static const struct attr *const lines_group[] = { &whole_attr, &cut_attr, NULL };

/* Lines 0, 1, … of a text read in odd pieces; their count, and what the last line says is missing. */
static uint64_t lines_of(const char *name, uint64_t *more)
{
    static char text[3000000];
    struct file *file = must_open(name, OPEN_READ);
    size_t length = 0;
    ssize_t n;
    uint64_t count = 0;

    while ((n = vfs_read(file, text + length, 4001, length)) > 0)
        length += (size_t)n;
    file_put(file);
    text[length] = 0;
    *more = 0;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        if (strncmp(line, "... ", 4) == 0) {
            *more = strtoull(line + 4, NULL, 10);
            assert_string_equal(strchr(line + 4, ' '), " more lines\n");
        } else {
            assert_int_equal(strtoull(line, NULL, 10), count++);
            assert_memory_equal(end - 5, " line", 5);
        }
    }
    return count;
}

VFS_TEST(test_sysfs_long)
{
    uint64_t more, free_before = page_count_free();

    assert_int_equal(sysfs_add_group("lines", lines_group), 0);
    assert_int_equal(lines_of("/sys/lines/whole", &more), 20000);
    assert_int_equal(more, 0);
    uint64_t count = lines_of("/sys/lines/cut", &more);
    assert_true(count > 50000 && more > 0);
    assert_int_equal(count + more, 100000);
    assert_true(free_before - page_count_free() < 64);
}

VFS_TEST(test_sysfs)
{
    char text[64];
    struct file *file;

    assert_int_equal(sysfs_add_group("block/test", group), 0);
    assert_int_equal(sysfs_add_group("block/test", group), -EEXIST);
    assert_int_equal(sysfs_add_group("block/test/number", group), -EEXIST);
    assert_string_equal(names_in("/sys"), "stack memory smp block ");
    assert_string_equal(names_in("/sys/block/test"), "number plus long ");
    assert_non_null(strstr(names_in("/sys/stack"), "total "));
    assert_string_equal(text_of("/sys/block/test/../test/number"), "5\n");
    assert_string_equal(text_of("/sys/block/test/plus"), "15\n");
    assert_int_equal(try_open("/sys/block/test/plus", OPEN_WRITE), -EACCES);
    file = must_open("/sys/block/test/number", OPEN_WRITE | OPEN_TRUNCATE);
    assert_int_equal(vfs_write(file, "77\n", 3, 0), 3);
    assert_int_equal(vfs_write(file, "x", 1, 0), -EINVAL);
    file_put(file);
    assert_string_equal(text_of("/sys/block/test/number"), "77\n");
    /* Read in pieces: one text; from the start again: a new one. */
    file = must_open("/sys/block/test/number", OPEN_READ);
    shows = 0;
    assert_int_equal(vfs_read(file, text, 1, 0), 1);
    shown = 99;
    assert_int_equal(vfs_read(file, text + 1, 10, 1), 2);
    assert_memory_equal(text, "77\n", 3);
    assert_int_equal(vfs_read(file, text, 10, 3), 0);
    assert_int_equal(shows, 1);
    assert_int_equal(vfs_read(file, text, 10, 0), 3);
    assert_memory_equal(text, "99\n", 3);
    file_put(file);
    /* Longer than a page. */
    file = must_open("/sys/block/test/long", OPEN_READ);
    assert_int_equal(vfs_read(file, text, 10, 18890 - 9), 9);
    assert_int_equal(vfs_read(file, text, 7, 0), 7);
    assert_memory_equal(text, "line 0\n", 7);
    uint64_t size = 0;
    for (ssize_t n; (n = vfs_read(file, text, sizeof(text), size)) > 0;)
        size += (uint64_t)n;
    assert_int_equal(size, 10 * 7 + 90 * 8 + 900 * 9 + 1000 * 10);
    file_put(file);
}

/* ---- devfs ---- */

VFS_TEST(test_memory_devices)
{
    char text[64];
    struct file *file = must_open("/dev/zero", OPEN_READ_WRITE);

    memset(text, 'x', sizeof(text));
    assert_int_equal(vfs_read(file, text, 9, 0), 9);
    assert_memory_equal(text, "\0\0\0\0\0\0\0\0\0x", 10);
    assert_int_equal(vfs_write(file, text, 9, 0), 9);
    file_put(file);
    file = must_open("/dev/null", OPEN_READ_WRITE | OPEN_TRUNCATE | OPEN_CREATE);
    assert_int_equal(vfs_read(file, text, 9, 0), 0);
    assert_int_equal(vfs_write(file, text, 9, 0), 9);
    assert_int_equal(vfs_sync(file, false), -EINVAL);
    file_put(file);
    file = must_open("/dev/full", OPEN_READ_WRITE);
    assert_int_equal(vfs_write(file, text, 9, 0), -ENOSPC);
    file_put(file);
    file = must_open("/dev/urandom", OPEN_READ);
    memset(text, 0, sizeof(text));
    assert_int_equal(vfs_read(file, text, 61, 0), 61);
    int zeroes = 0;
    for (unsigned i = 0; i < 61; i++)
        zeroes += !text[i];
    assert_true(zeroes < 10);
    assert_int_equal(text[61] | text[62] | text[63], 0);
    file_put(file);
    assert_int_equal(try_open("/dev/none", OPEN_READ), -ENOENT);
    assert_int_equal(try_open("/dev/tty", OPEN_READ), -ENOENT);
}

static char device_data[8192];

static void ram_submit(struct bdev *bdev, struct bio *bio)
{
    char *at = device_data + bio->sector * SECTOR_BYTES;

    (void)bdev;
    for (uint32_t i = 0; i < bio->vec_count; i++) {
        if (bio->op == BIO_READ)
            memcpy(bio->vecs[i].data, at, bio->vecs[i].bytes);
        else if (bio->op == BIO_WRITE)
            memcpy(at, bio->vecs[i].data, bio->vecs[i].bytes);
        at += bio->vecs[i].bytes;
    }
    bio_complete(bio, 0);
}

static int ram_ioctl(struct bdev *bdev, unsigned command, uint64_t argument)
{
    (void)bdev;
    return command == 0x1234 ? (int)argument : -ENOTTY;
}

static const struct bdev_ops ram_ops = { .submit = ram_submit, .bdev_ioctl = ram_ioctl };
static struct bdev ram = {
    .ops = &ram_ops,
    .name = "rd0",
    .dev = DEV_NUMBER(200, 7),
    .sector_count = 16,
    .block_bytes = 512,
};

VFS_TEST(test_block_node)
{
    char text[2000];
    uint64_t size = 0;
    int value = 7;

    assert_null(strstr(names_in("/dev"), "rd0"));
    assert_int_equal(bdev_register(&ram), 0);
    assert_non_null(strstr(names_in("/dev"), "null zero full random urandom rd0 "));
    for (unsigned i = 0; i < sizeof(device_data); i++)
        device_data[i] = (char)(i / 100);
    struct file *file = must_open("/dev/rd0", OPEN_READ_WRITE);
    assert_int_equal(vfs_ioctl(file, 0x80081272, (uint64_t)&size), 0);
    assert_int_equal(size, 8192);
    assert_int_equal(vfs_ioctl(file, 0x1268, (uint64_t)&value), 0);
    assert_int_equal(value, 512);
    assert_int_equal(vfs_ioctl(file, 0x125e, (uint64_t)&value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(vfs_ioctl(file, 0x1261, 0), 0);
    assert_int_equal(vfs_ioctl(file, 0x1234, 42), 42);
    assert_int_equal(vfs_ioctl(file, 0x4321, 0), -ENOTTY);
    /* Any offset, any length. */
    assert_int_equal(vfs_read(file, text, sizeof(text), 700), (ssize_t)sizeof(text));
    assert_memory_equal(text, device_data + 700, sizeof(text));
    assert_int_equal(vfs_read(file, text, sizeof(text), 8000), 192);
    assert_int_equal(vfs_read(file, text, 1, 8192), 0);
    memset(text, 'w', sizeof(text));
    assert_int_equal(vfs_write(file, text, 1500, 300), 1500);
    assert_int_equal(device_data[299], 2);
    assert_memory_equal(device_data + 300, text, 1500);
    assert_int_equal(device_data[1800], 18);
    assert_int_equal(vfs_write(file, text, 100, 8150), 42);
    assert_int_equal(vfs_write(file, text, 1, 8192), -ENOSPC);
    assert_int_equal(vfs_sync(file, false), 0);
    file_put(file);
    assert_int_equal(ram.openers, 0);
    ram.read_only = true;
    assert_int_equal(try_open("/dev/rd0", OPEN_WRITE), -EROFS);
    ram.read_only = false;
    /* Nothing attached: can be opened for its ioctls. */
    ram.sector_count = 0;
    file = must_open("/dev/rd0", OPEN_READ_WRITE);
    assert_int_equal(vfs_read(file, text, 1, 0), 0);
    assert_int_equal(vfs_write(file, text, 1, 0), -ENOSPC);
    assert_int_equal(vfs_ioctl(file, 0x1234, 1), 1);
    file_put(file);
    ram.sector_count = 16;
}

/* A node on tmpfs is the same device. */
VFS_TEST(test_nodes_elsewhere)
{
    char text[16];
    struct file *file;

    assert_int_equal(vfs_create_node(NULL, "/tmp/zero", MODE_CHAR | 0666, DEV_NUMBER(1, 5)), 0);
    assert_int_equal(vfs_create_node(NULL, "/tmp/disk", MODE_BLOCK | 0666, ram.dev), 0);
    assert_int_equal(vfs_create_node(NULL, "/tmp/nothing", MODE_CHAR | 0666, DEV_NUMBER(9, 9)), 0);
    file = must_open("/tmp/zero", OPEN_READ);
    assert_int_equal(vfs_read(file, text, 4, 0), 4);
    assert_ptr_not_equal(file->inode, file->path.inode);
    file_put(file);
    file = must_open("/tmp/disk", OPEN_READ);
    assert_int_equal(vfs_read(file, text, 8, 3), 8);
    file_put(file);
    assert_int_equal(try_open("/tmp/nothing", OPEN_READ), -ENXIO);
    assert_int_equal(try_open("/tmp/nothing", OPEN_PATH), 0);
    assert_int_equal(vfs_mount("/tmp/zero", "/mnt", "tmpfs", 0, ""), 0);
    assert_int_equal(vfs_unmount("/mnt", false), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sysfs),
        cmocka_unit_test(test_sysfs_long),
        cmocka_unit_test(test_memory_devices),
        cmocka_unit_test(test_block_node),
        cmocka_unit_test(test_nodes_elsewhere),
    };

    fixture_boot("");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
