// SPDX-License-Identifier: MIT
/* ext2, writing: every kind of change on images of every block size, then e2fsck, debugfs, and a remount. */
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
    static const char *const names[] = {"small", "sparse", "fast", "slow", "null", "fifo", "d/hard", "moved"};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
    };
    machine_boot("stack.extra=4");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
