// SPDX-License-Identifier: MIT
/* The inode cache, over a filesystem whose reads fail and sleep as they are told. */
#include "fake_fs.h"

#include <rt/sync.h>

VFS_TEST(test_read_once)
{
    struct inode *a, *b;

    fake_start((struct fake){ 0 });
    assert_int_equal(fake.reads, 1);
    assert_int_equal(inode_get(fake.super, 7, &a), 0);
    assert_int_equal(inode_get(fake.super, 7, &b), 0);
    assert_ptr_equal(a, b);
    assert_int_equal(a->refs, 2);
    inode_put(a);
    inode_put(b);
    assert_int_equal(inode_get(fake.super, 7, &b), 0); /* idle, not gone */
    assert_ptr_equal(a, b);
    inode_put(b);
    assert_int_equal(fake.reads, 2);
    fake_end();
}

VFS_TEST(test_failed_read_is_not_kept)
{
    struct inode *inode;

    fake_start((struct fake){ 0 });
    fake.read_errors = 2;
    assert_int_equal(inode_get(fake.super, 7, &inode), -EIO);
    assert_int_equal(try_open("/mnt/7", OPEN_READ), -EIO);
    assert_int_equal(fake.allocated, 1);
    assert_int_equal(inode_get(fake.super, 7, &inode), 0);
    inode_put(inode);
    assert_int_equal(fake.reads, 4);
    fake_end();
}

/* ---- several threads want the same inode ---- */

#define THREADS 6

static struct semaphore done;
static int failed, got;

static void get_seven(void *argument)
{
    struct inode *inode;

    (void)argument;
    if (inode_get(fake.super, 7, &inode)) {
        failed++;
    } else {
        assert_false(inode->is_new);
        assert_true(mode_is_file(inode->mode));
        got++;
        inode_put(inode);
    }
    semaphore_up(&done);
}

static const struct thread_def get_seven_def = { .name = "get", .run = get_seven };

static void get_in_threads(void)
{
    semaphore_init(&done, 0);
    failed = got = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(&get_seven_def, NULL, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_true(semaphore_down(&done, WAIT_FOREVER));
}

VFS_TEST(test_waiting_for_a_read)
{
    fake_start((struct fake){ .slow_reads = true });
    get_in_threads();
    assert_int_equal(got, THREADS);
    assert_int_equal(fake.reads, 2);
    assert_int_equal(fake.most_at_once, 1);
    fake_end();
}

/* Those who waited for a read that failed try themselves, one at a time. */
VFS_TEST(test_waiting_for_a_failing_read)
{
    fake_start((struct fake){ .slow_reads = true });
    fake.read_errors = 3;
    get_in_threads();
    assert_int_equal(failed, 3);
    assert_int_equal(got, THREADS - 3);
    assert_int_equal(fake.reads, 1 + 4);
    assert_int_equal(fake.allocated, 2);
    fake_end();
}

/* ---- bounds ---- */

VFS_TEST(test_idle_bound)
{
    struct inode *inode;

    fake_start((struct fake){ 0 });
    for (uint64_t number = 100; number < 1100; number++) {
        assert_int_equal(inode_get(fake.super, number, &inode), 0);
        inode_put(inode);
    }
    assert_int_equal(fake.super->idle_count, 512);
    assert_int_equal(fake.super->inode_count, 513);
    int reads = fake.reads;
    assert_int_equal(inode_get(fake.super, 1099, &inode), 0);
    inode_put(inode);
    assert_int_equal(fake.reads, reads);
    assert_int_equal(inode_get(fake.super, 100, &inode), 0); /* the oldest went first */
    inode_put(inode);
    assert_int_equal(fake.reads, reads + 1);
    int seen = 0;
    for (inode = inode_next(fake.super, NULL); inode; inode = inode_next(fake.super, inode))
        seen++;
    assert_int_equal(seen, 513);
    /* Frames run short: a worker drops most of them. */
    while (page_alloc(4))
        ;
    thread_yield();
    thread_sleep_ns(NS_PER_MS);
    assert_true(fake.super->idle_count < 512);
    fake_end();
}

VFS_TEST(test_new)
{
    struct inode *inode, *again;

    fake_start((struct fake){ 0 });
    assert_int_equal(inode_new(fake.super, 7, &inode), 0);
    assert_true(inode->is_new);
    inode_put(inode); /* given up: thrown away */
    assert_int_equal(fake.evicts, 0);
    assert_int_equal(fake.allocated, 1);
    assert_int_equal(inode_new(fake.super, 7, &inode), 0);
    inode->nlink = 1;
    inode->is_new = false;
    assert_int_equal(inode_new(fake.super, 7, &again), -EUCLEAN);
    inode_put(inode);
    assert_int_equal(inode_new(fake.super, 7, &again), 0); /* the idle one makes room */
    assert_int_equal(inode_get(fake.super, 7, &inode), -EUCLEAN);
    inode_put(again);
    fake_end();
}

VFS_TEST(test_failed_mount)
{
    fake = (struct fake){ .fail_mount = true };
    assert_int_equal(vfs_mount("fake", "/mnt", "fake", 0, ""), -EINVAL);
    assert_int_equal(fake.allocated, 0);
    fake = (struct fake){ .read_errors = 1 };
    assert_int_equal(vfs_mount("fake", "/mnt", "fake", 0, ""), -EIO);
    assert_int_equal(fake.allocated, 0);
    assert_int_equal(fake.puts, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_once),
        cmocka_unit_test(test_failed_read_is_not_kept),
        cmocka_unit_test(test_waiting_for_a_read),
        cmocka_unit_test(test_waiting_for_a_failing_read),
        cmocka_unit_test(test_new),
        cmocka_unit_test(test_failed_mount),
        cmocka_unit_test(test_idle_bound),
    };

    fixture_boot("");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
