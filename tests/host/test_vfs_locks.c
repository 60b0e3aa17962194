// SPDX-License-Identifier: MIT
/*
 * Locking of directories: many threads move, make and remove names in a small tree, over a tmpfs
 * whose directory operations sleep, so that every lock is contended. A deadlock ends the host port
 * with a message; afterwards the tree must be a tree, with the right numbers of links.
 */
#include "vfs_fixture.h"

#include <arch/host/host.h>
#include <fs/tmpfs/internal.h>
#include <rt/sync.h>

const struct fs_type *const fs_types[] = { &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, NULL };

#define THREADS 8
#define ROUNDS 300
#define DIRS 6
#define NAMES 5

/* ---- tmpfs directories that sleep ---- */

static uint32_t seed = 12345;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % below;
}

static void nap(void)
{
    if (any(3) == 0)
        thread_sleep_ns(any(50) * NS_PER_US);
}

static const struct inode_ops slow_ops;

static int slow_lookup(struct inode *dir, const char *name, size_t length, struct inode **out)
{
    assert_true(mutex_is_mine(&dir->lock));
    nap();
    return tmpfs_dir_ops.lookup(dir, name, length, out);
}

static int slow_create(struct inode *dir, const char *name, size_t length, uint32_t mode,
                       uint64_t dev, const char *target, struct inode **out)
{
    assert_true(mutex_is_mine(&dir->lock));
    assert_true(dir->nlink > 0);
    nap();
    int err = tmpfs_dir_ops.create(dir, name, length, mode, dev, target, out);
    if (!err && mode_is_dir(mode))
        (*out)->ops = &slow_ops;
    return err;
}

static int slow_link(struct inode *dir, const char *name, size_t length, struct inode *target)
{
    assert_true(mutex_is_mine(&dir->lock) && mutex_is_mine(&target->lock));
    nap();
    return tmpfs_dir_ops.link(dir, name, length, target);
}

static int slow_unlink(struct inode *dir, const char *name, size_t length, struct inode *victim)
{
    assert_true(mutex_is_mine(&dir->lock) && mutex_is_mine(&victim->lock));
    nap();
    return tmpfs_dir_ops.unlink(dir, name, length, victim);
}

static int slow_rmdir(struct inode *dir, const char *name, size_t length, struct inode *victim)
{
    assert_true(mutex_is_mine(&dir->lock) && mutex_is_mine(&victim->lock));
    nap();
    return tmpfs_dir_ops.rmdir(dir, name, length, victim);
}

static int slow_rename(struct inode *old_dir, const char *old_name, size_t old_length,
                       struct inode *moved, struct inode *new_dir, const char *new_name,
                       size_t new_length, struct inode *replaced)
{
    assert_true(mutex_is_mine(&old_dir->lock) && mutex_is_mine(&new_dir->lock));
    assert_true(mutex_is_mine(&moved->lock) && (!replaced || mutex_is_mine(&replaced->lock)));
    nap();
    return tmpfs_dir_ops.rename(old_dir, old_name, old_length, moved, new_dir, new_name, new_length,
                                replaced);
}

static int slow_readdir(struct inode *dir, uint64_t offset, struct dir_sink *sink)
{
    assert_true(mutex_is_mine(&dir->lock));
    nap();
    return tmpfs_dir_ops.readdir(dir, offset, sink);
}

static const struct inode_ops slow_ops = {
    .lookup = slow_lookup,
    .create = slow_create,
    .link = slow_link,
    .unlink = slow_unlink,
    .rmdir = slow_rmdir,
    .rename = slow_rename,
    .readdir = slow_readdir,
};

/* ---- what the threads do ---- */

static int results[200];

/* A path of up to three directories and a last name, any of which may not be there. */
static void random_path(char *path, size_t bytes)
{
    int depth = (int)any(4), length = snprintf(path, bytes, "/mnt");

    for (int i = 0; i < depth; i++)
        length +=
            snprintf(path + length, bytes - (size_t)length, any(8) ? "/d%u" : "/d%u/..", any(DIRS));
    snprintf(path + length, bytes - (size_t)length, any(2) ? "/d%u" : "/f%u", any(NAMES));
}

static void churn(void *argument)
{
    char a[96], b[96];

    for (unsigned i = 0; i < ROUNDS; i++) {
        int err;
        random_path(a, sizeof(a));
        random_path(b, sizeof(b));
        switch (any(9)) {
        case 0:
        case 1:
            err = make_dir(a);
            break;
        case 2:
            err = try_open(a, OPEN_READ_WRITE | OPEN_CREATE);
            break;
        case 3:
            err = vfs_rmdir(NULL, a);
            break;
        case 4:
            err = vfs_unlink(NULL, a);
            break;
        case 5:
            err = vfs_link(NULL, a, NULL, b, 0);
            break;
        case 6:
            err = vfs_chdir(NULL, a);
            if (!err && vfs_getcwd(b, sizeof(b)) < 0)
                err = -ENOENT;
            break;
        default:
            err = vfs_rename(NULL, a, NULL, b, any(4) == 0);
            break;
        }
        assert_in_range(-err, 0, ARRAY_COUNT(results) - 1);
        results[-err]++;
    }
    semaphore_up(argument);
}

/* ---- the tree afterwards ---- */

static uint64_t inodes_seen;

/* Counts what can be reached: each directory once, with the right parent and number of links. */
static void check_tree(struct super *super)
{
    struct inode *inode, *up;

    for (inode = inode_next(super, NULL); inode; inode = inode_next(super, inode)) {
        struct tmpfs_inode *dir = tmpfs_inode(inode);
        inodes_seen++;
        if (!mode_is_dir(inode->mode) || !inode->nlink)
            continue;
        uint32_t depth = 0;
        for (up = inode; up != super->root; up = tmpfs_inode(up)->parent) {
            assert_non_null(up);
            assert_in_range(depth++, 0, 1000);
        }
        static struct name_sink names;
        names = (struct name_sink){ .sink = { &name_sink_ops }, .room = SIZE_MAX };
        assert_int_equal(tmpfs_dir_ops.readdir(inode, 0, &names.sink), 0);
        uint32_t dirs = 0;
        for (char *name = strtok(names.text, " "); name; name = strtok(NULL, " ")) {
            struct inode *child;
            assert_int_equal(tmpfs_dir_ops.lookup(inode, name, strlen(name), &child), 0);
            assert_true(child->nlink > 0);
            if (mode_is_dir(child->mode)) {
                dirs++;
                assert_ptr_equal(tmpfs_inode(child)->parent, &dir->inode);
            }
            inode_put(child);
        }
        assert_int_equal(inode->nlink, 2 + dirs);
    }
}

static void churn_once(void)
{
    static const struct thread_def def = { .name = "churn", .run = churn };
    struct semaphore ended;
    struct path root;

    memset(results, 0, sizeof(results));
    inodes_seen = 0;
    assert_int_equal(vfs_mount("churn", "/mnt", "tmpfs", 0, ""), 0);
    assert_int_equal(path_walk(NULL, "/mnt", 0, &root), 0);
    root.inode->ops = &slow_ops;
    semaphore_init(&ended, 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(&def, &ended, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(semaphore_down(&ended, WAIT_FOREVER));
    assert_int_equal(vfs_chdir(NULL, "/"), 0);
    check_tree(root.inode->super);
    assert_true(inodes_seen > 1);
    /* All that can happen has happened, and nothing else. */
    static const int expected[] = { 0,       ENOENT, EEXIST, ENOTEMPTY, EISDIR,
                                    ENOTDIR, EINVAL, EBUSY,  EPERM };
    int sum = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(expected); i++)
        sum += results[expected[i]];
    assert_int_equal(sum, THREADS * ROUNDS);
    assert_true(results[0] > 100 && results[EINVAL] > 0 && results[ENOTEMPTY] > 0);
    path_put(&root);
    assert_int_equal(vfs_unmount("/mnt", false), 0);
    thread_sleep_ns(NS_PER_S);
}

VFS_TEST(test_churn)
{
    churn_once();                     /* the runtime keeps what describes the threads' stacks */
    uint64_t heap = heap_bytes_in_use();
    churn_once();
    assert_int_equal(heap_bytes_in_use(), heap);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_churn) };

    fixture_boot("");
    host_virtual_time(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
