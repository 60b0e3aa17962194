// SPDX-License-Identifier: MIT
/* ext2, writing: every kind of change on images of every block size, then e2fsck, debugfs, and a
 * remount. */
#include "test_ext2.h"

static struct image image;

STEP(mount_step) { OK(mount_image(&image, 0)); }
STEP(unmount_step) { OK(vfs_unmount("/m", false)); }

static void make(const char *block, uint64_t bytes, const char *options)
{
    char all[128];
    snprintf(all, sizeof(all), "-b %s %s", block, options);
    image_make(&image, "w", bytes, all, NULL);
    image_attach(&image);
    run(&mount_step, NULL);
}

static void finish(void)
{
    run(&unmount_step, NULL);
    image_detach(&image);
    assert_true(image_is_clean(&image));
    image_remove(&image);
}

static void remount(void)
{
    run(&unmount_step, NULL);
    assert_true(image_is_clean(&image));
    run(&mount_step, NULL);
}

/* ---- one of everything ---- */

STEP(make_all_step)
{
    OK(make_dir("/m/d"));
    OK(make_dir("/m/d/sub"));
    OK(write_pattern("/m/small", 1, 0, 100));
    OK(write_pattern("/m/d/middle", 2, 0, 100000));
    OK(write_pattern("/m/sparse", 3, 5000000, 3000));
    OK(vfs_symlink(NULL, "small", "/m/fast"));
    char target[201];
    memset(target, 'x', 200);
    target[200] = 0;
    OK(vfs_symlink(NULL, target, "/m/slow"));
    OK(vfs_create_node(NULL, "/m/null", MODE_CHAR | 0666, DEV_NUMBER(1, 3)));
    OK(vfs_create_node(NULL, "/m/fifo", MODE_FIFO | 0600, 0));
    OK(vfs_link(NULL, "/m/small", NULL, "/m/d/hard", 0));
    OK(vfs_rename(NULL, "/m/d/middle", NULL, "/m/moved", false));
    OK(vfs_rename(NULL, "/m/d/sub", NULL, "/m/sub2", false));
}

STEP(check_all_step)
{
    char text[256];
    assert_true(has_pattern("/m/small", 1, 0, 100));
    assert_true(has_pattern("/m/d/hard", 1, 0, 100));
    assert_true(has_pattern("/m/moved", 2, 0, 100000));
    assert_true(has_pattern("/m/sparse", 3, 5000000, 3000));
    assert_int_equal(vfs_readlink(NULL, "/m/fast", text, sizeof(text)), 5);
    assert_memory_equal(text, "small", 5);
    assert_int_equal(vfs_readlink(NULL, "/m/slow", text, sizeof(text)), 200);
    struct path path;
    OK(path_walk(NULL, "/m/null", 0, &path));
    assert_int_equal(path.inode->rdev, DEV_NUMBER(1, 3));
    path_put(&path);
    OK(path_walk(NULL, "/m/sub2/..", 0, &path));
    assert_int_equal(path.inode->number, 2);
    assert_int_equal(path.inode->nlink, 5);
    path_put(&path);
    struct file *file = open_file("/m/sparse", OPEN_READ);
    memset(text, 1, sizeof(text));
    assert_int_equal(vfs_read(file, text, sizeof(text), 1000000), sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++)
        assert_int_equal(text[i], 0);
    assert_true(file->inode->blocks < 100);
    file_put(file);
}

STEP(remove_all_step)
{
    static const char *const names[] = { "small", "sparse", "fast",   "slow",
                                         "null",  "fifo",   "d/hard", "moved" };
    char name[40];
    assert_int_equal(vfs_rmdir(NULL, "/m/d"), -ENOTEMPTY);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(name, sizeof(name), "/m/%s", names[i]);
        OK(vfs_unlink(NULL, name));
    }
    OK(vfs_rmdir(NULL, "/m/d"));
    OK(vfs_rmdir(NULL, "/m/sub2"));
}

static void test_everything(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(block_sizes); i++) {
        make(block_sizes[i], MIB(8), PLAIN);
        run(&make_all_step, NULL);
        run(&check_all_step, NULL);
        remount();
        run(&check_all_step, NULL);
        run(&remove_all_step, NULL);
        finish();
    }
}

/* ---- every kind of pointer ---- */

/* Offsets around the borders of direct, single, double and triple indirect blocks. */
static uint32_t block_now;

static uint64_t border(int which)
{
    uint64_t n = block_now / 4;
    uint64_t blocks[] = { 0,
                          11,
                          12,
                          12 + n - 1,
                          12 + n,
                          12 + n + n * n - 1,
                          12 + n + n * n,
                          12 + n + n * n + n * n * 2 };
    return blocks[which] * block_now;
}
#define BORDERS 8

STEP(borders_step)
{
    for (int i = 0; i < BORDERS; i++)
        assert_int_equal(write_pattern("/m/borders", 5, border(i) + 100, 2000), 2000);
    struct file *file = open_file("/m/borders", OPEN_READ_WRITE);
    OK(vfs_sync(file, false));
    file_put(file);
}

STEP(borders_check_step)
{
    for (int i = 0; i < BORDERS; i++)
        assert_true(has_pattern("/m/borders", 5, border(i) + 100, 2000));
}

/* Cut off border by border from the end. */
STEP(borders_cut_step)
{
    struct file *file = open_file("/m/borders", OPEN_READ_WRITE);
    for (int i = BORDERS - 1; i >= 0; i--) {
        uint64_t blocks = file->inode->blocks;
        OK(vfs_truncate(file, border(i) + 50));
        assert_int_equal(file->inode->size, border(i) + 50);
        assert_true(file->inode->blocks <= blocks);
        if (i)
            assert_true(has_pattern("/m/borders", 5, border(i - 1) + 100,
                                    MIN(2000ull, border(i) - border(i - 1) - 50)));
    }
    OK(vfs_truncate(file, 0));
    assert_int_equal(file->inode->blocks, 0);
    file_put(file);
}

static void test_borders(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(block_sizes); i++) {
        block_now = (uint32_t)atoi(block_sizes[i]);
        make(block_sizes[i], MIB(8), PLAIN);
        run(&borders_step, NULL);
        run(&borders_check_step, NULL);
        remount();
        run(&borders_check_step, NULL);
        run(&borders_cut_step, NULL);
        finish();
    }
}

/* ---- sizes ---- */

static bool is_zero(struct file *file, uint64_t offset, size_t bytes)
{
    uint8_t *data = malloc(bytes);
    memset(data, 1, bytes);
    bool zero = vfs_read(file, data, bytes, offset) == (ssize_t)bytes;
    for (size_t i = 0; i < bytes && zero; i++)
        zero = data[i] == 0;
    free(data);
    return zero;
}

/* What was cut off must not come back when the file grows again, by truncation or by a write behind
 * the end. */
STEP(regrow_step)
{
    OK(write_pattern("/m/regrow", 6, 0, 30000));
    struct file *file = open_file("/m/regrow", OPEN_READ_WRITE);
    OK(vfs_sync(file, false));
    OK(vfs_truncate(file, 10001));
    OK(vfs_truncate(file, 30000));
    assert_true(is_zero(file, 10001, 19999));
    OK(vfs_truncate(file, 5001));
    assert_int_equal(vfs_write(file, "x", 1, 29999), 1);
    assert_true(is_zero(file, 5001, 24998));
    assert_true(has_pattern("/m/regrow", 6, 0, 5001));
    OK(vfs_truncate(file, 5001));
    OK(vfs_sync(file, false));
    file_put(file);
}

STEP(regrow_again_step)
{
    struct file *file = open_file("/m/regrow", OPEN_READ_WRITE);
    OK(vfs_truncate(file, 8000));
    assert_true(is_zero(file, 5001, 2999));
    assert_int_equal(vfs_write(file, "y", 1, 8001), 1);
    assert_true(is_zero(file, 5001, 3000));
    file_put(file);
}

/* Bytes behind the end that some other writer left in the last block are not shown either. */
static void spoil_tail(void)
{
    image_shell(0,
                "b=$(PATH=$PATH:/sbin:/usr/sbin debugfs -R 'bmap /regrow %d' %s 2>/dev/null) && "
                "test -n \"$b\" &&"
                " printf garbage | dd of=%s bs=1 seek=$((b * %u + 5001 %% %u)) conv=notrunc",
                (int)(5001 / block_now), image.path, image.path, block_now, block_now);
}

STEP(large_step)
{
    struct file *file = open_file("/m/large", OPEN_READ_WRITE | OPEN_CREATE);
    assert_int_equal(vfs_write(file, "end", 3, 5000000000u), 3);
    assert_int_equal(vfs_write(file, "x", 1, UINT64_C(1) << 50), -EFBIG);
    OK(vfs_sync(file, false));
    file_put(file);
}

STEP(large_check_step)
{
    struct file *file = open_file("/m/large", OPEN_READ);
    char text[4];
    assert_int_equal(file->inode->size, 5000000003u);
    assert_int_equal(vfs_read(file, text, 4, 5000000000u), 3);
    file_put(file);
}

static void test_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(block_sizes); i++) {
        block_now = (uint32_t)atoi(block_sizes[i]);
        make(block_sizes[i], MIB(8), "-O none,filetype,sparse_super");
        run(&regrow_step, NULL);
        run(&large_step, NULL);
        run(&unmount_step, NULL);
        assert_true(image_is_clean(&image));
        spoil_tail();
        run(&mount_step, NULL);
        run(&regrow_again_step, NULL);
        run(&large_check_step, NULL);
        finish();
    }
}

/* ---- full ---- */

static uint64_t filled;

STEP(fill_step)
{
    filled = 0;
    for (ssize_t done; (done = write_pattern("/m/fill", 7, filled, 7000)) > 0;)
        filled += (uint64_t)done;
    struct file *file = open_file("/m/fill", OPEN_READ_WRITE);
    uint8_t byte = 0;
    assert_int_equal(vfs_write(file, &byte, 1, filled + 100000), -ENOSPC);
    assert_int_equal(file->inode->size, filled);
    OK(vfs_sync(file, false));
    file_put(file);
    /* A block or two may be left that were too few for data and what leads to it. */
    int made = 0;
    for (char name[] = "/m/dir0"; !make_dir(name); name[6]++)
        made++;
    assert_true(made < 4);
    struct path root;
    struct fs_stat stat;
    OK(path_walk(NULL, "/m", 0, &root));
    OK(vfs_statfs(&root, &stat));
    assert_true(stat.blocks_free < 4);
    path_put(&root);
    assert_true(has_pattern("/m/fill", 7, 0, filled));
}

/* Space that a deletion gives back can be used at once, also by the thread that deleted. */
STEP(reuse_step)
{
    assert_true(has_pattern("/m/fill", 7, 0, filled));
    for (uint64_t i = 0; i < 6; i++) {
        OK(vfs_unlink(NULL, "/m/fill"));
        assert_int_equal(write_pattern("/m/fill", 8 + i, 0, filled - 20000), filled - 20000);
        OK(vfs_truncate_path(NULL, "/m/fill", 1000));
        assert_int_equal(write_pattern("/m/fill", 8 + i, 1000, filled - 21000), filled - 21000);
        assert_true(has_pattern("/m/fill", 8 + i, 0, filled - 20000));
    }
}

STEP(unlink_fill_step) { OK(vfs_unlink(NULL, "/m/fill")); }

static uint64_t created;

STEP(inodes_step)
{
    char name[40];
    for (created = 0;; created++) {
        sprintf(name, "/m/i%lu", (unsigned long)created);
        int err = vfs_create_node(NULL, name, MODE_FILE | 0600, 0);
        if (err == -ENOSPC)
            break;
        OK(err);
    }
    assert_true(created > 20);
    for (uint64_t i = 0; i < created; i += 2) {
        sprintf(name, "/m/i%lu", (unsigned long)i);
        OK(vfs_unlink(NULL, name));
    }
    for (uint64_t i = 0; i < created; i += 2) {
        sprintf(name, "/m/j%lu", (unsigned long)i);
        OK(vfs_create_node(NULL, name, MODE_FILE | 0600, 0));
    }
    assert_int_equal(vfs_create_node(NULL, "/m/last", MODE_FILE | 0600, 0), -ENOSPC);
}

static void test_full(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(block_sizes); i++) {
        make(block_sizes[i], MIB(3), "-N 96 " PLAIN);
        run(&fill_step, NULL);
        remount();
        run(&reuse_step, NULL);
        remount();
        run(&unlink_fill_step, NULL);
        run(&inodes_step, NULL);
        finish();
    }
}

/* ---- directories ---- */

#define MANY 700
STEP(many_step)
{
    char name[300], other[300];
    OK(make_dir("/m/many"));
    for (int i = 0; i < MANY; i++) {
        sprintf(name, "/m/many/%0*d", 1 + i * 37 % 255, i);
        name[8 + 255] = 0;
        OK(vfs_create_node(NULL, name, MODE_FILE | 0600, 0));
    }
    for (int i = 0; i < MANY; i += 3) {
        sprintf(name, "/m/many/%0*d", 1 + i * 37 % 255, i);
        sprintf(other, "/m/many/r%d", i);
        name[8 + 255] = 0;
        OK(vfs_rename(NULL, name, NULL, other, false));
    }
    for (int i = 1; i < MANY; i += 3) {
        sprintf(name, "/m/many/%0*d", 1 + i * 37 % 255, i);
        name[8 + 255] = 0;
        OK(vfs_unlink(NULL, name));
    }
    memset(name, 'n', sizeof(name));
    memcpy(name, "/m/many/", 8);
    name[8 + 256] = 0;
    assert_int_equal(vfs_create_node(NULL, name, MODE_FILE | 0600, 0), -ENAMETOOLONG);
}

STEP(many_check_step)
{
    char name[300];
    struct path path;
    for (int i = 0; i < MANY; i++) {
        if (i % 3 == 0)
            sprintf(name, "/m/many/r%d", i);
        else
            sprintf(name, "/m/many/%0*d", 1 + i * 37 % 255, i);
        name[8 + 255] = 0;
        int err = path_walk(NULL, name, 0, &path);
        assert_int_equal(err, i % 3 == 1 ? -ENOENT : 0);
        if (!err)
            path_put(&path);
    }
}

static void test_many(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(block_sizes); i++) {
        make(block_sizes[i], MIB(8), PLAIN);
        run(&many_step, NULL);
        run(&many_check_step, NULL);
        remount();
        run(&many_check_step, NULL);
        finish();
    }
}

/* ---- odds and ends ---- */

/* An open file lives on without a name, also over a sync, and is gone after the last close. */
STEP(orphan_step)
{
    OK(write_pattern("/m/orphan", 9, 0, 50000));
    struct file *file = open_file("/m/orphan", OPEN_READ_WRITE);
    OK(vfs_sync(file, false));
    OK(vfs_unlink(NULL, "/m/orphan"));
    OK(vfs_sync_all());
    uint8_t data[1000];
    assert_int_equal(vfs_read(file, data, sizeof(data), 49000), 1000);
    for (size_t i = 0; i < sizeof(data); i++)
        assert_int_equal(data[i], pattern_at(9, 49000 + i));
    assert_int_equal(vfs_write(file, data, sizeof(data), 300000), 1000);
    OK(vfs_sync(file, false));
    OK(vfs_truncate(file, 20000));
    OK(vfs_sync_all());
    assert_int_equal(vfs_read(file, data, sizeof(data), 19000), 1000);
    file_put(file);
    OK(vfs_sync_all());
}

STEP(attributes_step)
{
    struct path path;
    struct inode_attr attr = { .mask = SET_MODE | SET_UID | SET_GID | SET_MTIME,
                               .mode = 04711,
                               .uid = 70000,
                               .gid = 80000,
                               .mtime = { 1000000007, 5 } };
    OK(write_pattern("/m/a", 1, 0, 10));
    OK(path_walk(NULL, "/m/a", 0, &path));
    OK(vfs_setattr(&path, &attr));
    path_put(&path);
    struct file *file = open_file("/m/a", OPEN_READ);
    OK(vfs_sync(file, false));
    file_put(file);
}

STEP(attributes_check_step)
{
    struct path path;
    OK(path_walk(NULL, "/m/a", 0, &path));
    assert_int_equal(path.inode->mode, MODE_FILE | 04711);
    assert_int_equal(path.inode->uid, 70000);
    assert_int_equal(path.inode->gid, 80000);
    assert_int_equal(path.inode->mtime.seconds, 1000000007);
    path_put(&path);
}

STEP(immutable_step)
{
    struct file *file;
    assert_int_equal(vfs_unlink(NULL, "/m/a"), -EPERM);
    assert_int_equal(vfs_truncate_path(NULL, "/m/a", 0), -EPERM);
    OK(vfs_open(NULL, "/m/a", OPEN_READ_WRITE, 0, &file));
    assert_int_equal(vfs_write(file, "x", 1, 0), -EPERM);
    file_put(file);
}

static void test_odds(void **state)
{
    (void)state;
    make("1024", MIB(4), PLAIN);
    run(&orphan_step, NULL);
    run(&attributes_step, NULL);
    remount();
    run(&attributes_check_step, NULL);
    run(&unmount_step, NULL);
    image_shell(0, "PATH=$PATH:/sbin:/usr/sbin debugfs -w -R 'set_inode_field /a flags 0x10' %s",
                image.path);
    run(&mount_step, NULL);
    run(&immutable_step, NULL);
    finish();
}

/* A file's block of attributes stays with it, and goes with it. */
STEP(unlink_a_step) { OK(vfs_unlink(NULL, "/m/a")); }

static void test_xattr(void **state)
{
    (void)state;
    make("1024", MIB(4), "-I 128 -O none,filetype,ext_attr");
    run(&attributes_step, NULL);
    run(&unmount_step, NULL);
    image_shell(0,
                "PATH=$PATH:/sbin:/usr/sbin; debugfs -w -R 'ea_set /a user.color "
                "a-value-of-some-length' %s && "
                "e2fsck -fn %s",
                image.path, image.path);
    run(&mount_step, NULL);
    run(&attributes_check_step, NULL);
    remount();
    run(&unlink_a_step, NULL);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything), cmocka_unit_test(test_borders),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_full),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_odds),
        cmocka_unit_test(test_xattr),
    };
    machine_boot("stack.extra=4");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
