// SPDX-License-Identifier: MIT
/*
 * The write-back thread of a mount, over a filesystem that fails as it is told; the clock is
 * virtual.
 */
#include "fake_fs.h"

#include <arch/host/host.h>
#include <rt/param.h>
#include <rt/sync.h>
#include <rt/xstack.h>

static uint64_t reserved(void)
{
    struct xstack_totals totals;

    xstack_totals(&totals);
    return totals.reserved;
}

VFS_TEST(test_private_stacks)
{
    uint64_t before = reserved();
    uint64_t pages = page_count_free();

    fake_start((struct fake){ .reserve_probes = 7 });
    assert_int_equal(reserved(), before + 7);
    fake_end();
    assert_int_equal(reserved(), before);
    thread_yield();
    /* More than there is memory for: the mount is refused, nothing stays. */
    fake = (struct fake){ .reserve_probes = 1000000 };
    assert_int_equal(vfs_mount("fake", "/mnt", "fake", 0, ""), -ENOMEM);
    assert_int_equal(fake.puts, 1);
    assert_int_equal(fake.allocated, 0);
    assert_int_equal(reserved(), before);
    thread_sleep_ns(NS_PER_S);
    assert_true(page_count_free() + 64 > pages);
}

VFS_TEST(test_rounds)
{
    fake_start((struct fake){ 0 });
    thread_sleep_ns(7 * NS_PER_S);
    assert_in_range(fake.somes, 2, 4);
    int somes = fake.somes;
    for (int i = 0; i < 3; i++) {
        write_back_kick(fake.super);
        thread_sleep_ns(NS_PER_MS);
    }
    assert_int_equal(fake.somes, somes + 3);
    fake.some_errors = 2;
    thread_sleep_ns(9 * NS_PER_S);
    assert_int_equal(fake.some_errors, 0);
    fake_end();
}

VFS_TEST(test_sync_result)
{
    fake_start((struct fake){ 0 });
    assert_int_equal(write_back_sync(fake.super), 0);
    assert_int_equal(fake.syncs, 1);
    assert_ptr_not_equal(fake.sync_thread, thread_current());
    fake.sync_errors = 2;
    assert_int_equal(write_back_sync(fake.super), -EIO);
    assert_int_equal(vfs_sync_all(), -EIO);
    assert_int_equal(vfs_sync_all(), 0);
    fake_end();
}

/* A disk that fails keeps the mount in its place, and nothing is thrown away. */
VFS_TEST(test_unmount_waits_for_the_disk)
{
    fake_start((struct fake){ 0 });
    fake.sync_errors = 1;
    assert_int_equal(vfs_unmount("/mnt", false), -EIO);
    assert_int_equal(fake.puts, 0);
    assert_int_equal(try_open("/mnt/7", OPEN_READ), 0);
    /* The second sync, when it is out of the tree already, may fail as well. */
    fake.syncs = 0;
    assert_int_equal(vfs_unmount("/mnt", false), 0);
    assert_int_equal(fake.syncs, 2);
    assert_int_equal(fake.puts, 1);
    fake_start((struct fake){ 0 });
    fake.sync_errors = 1;
    assert_int_equal(vfs_unmount_all(), -EIO);
    assert_int_equal(fake.puts, 0);
    fake_end();
}

VFS_TEST(test_lazy_unmount_of_a_failing_disk)
{
    fake_start((struct fake){ 0 });
    fake.sync_errors = 2;
    assert_int_equal(vfs_unmount("/mnt", true), 0);
    thread_sleep_ns(NS_PER_S);
    assert_int_equal(fake.puts, 0);
    assert_int_equal(vfs_unmount("/mnt", false), -EINVAL);
    assert_int_equal(vfs_unmount_all(), 0);
    assert_int_equal(fake.puts, 1);
    assert_int_equal(fake.allocated, 0);
}

VFS_TEST(test_eviction)
{
    struct inode *inode;
    struct file *file;

    fake_start((struct fake){ 0 });
    fake.evict_errors = 2;
    file = must_open("/mnt/7", OPEN_READ);
    assert_int_equal(vfs_unlink(NULL, "/mnt/7"), 0);
    assert_int_equal(fake.allocated, 2);
    thread_sleep_ns(NS_PER_S);
    assert_int_equal(fake.evicts, 0); /* still open */
    file_put(file);
    assert_int_equal(fake.evicts, 0); /* not in this thread */
    thread_sleep_ns(NS_PER_S);
    assert_int_equal(fake.evicts, 1);
    assert_int_equal(fake.allocated, 2);
    /* It can't be found any more, and its number may be used again. */
    assert_int_equal(inode_new(fake.super, 7, &inode), 0);
    inode_put(inode);
    thread_sleep_ns(8 * NS_PER_S); /* tried again until it works */
    assert_int_equal(fake.evicts, 3);
    assert_int_equal(fake.allocated, 1);
    /* A sync, and so an unmount, evicts first. */
    assert_int_equal(vfs_unlink(NULL, "/mnt/9"), 0);
    assert_int_equal(write_back_sync(fake.super), 0);
    assert_int_equal(fake.evicts, 4);
    assert_int_equal(vfs_unlink(NULL, "/mnt/11"), 0);
    fake.evict_errors = 2; /* the round it starts, and the sync */
    assert_int_equal(vfs_unmount("/mnt", false), -EIO);
    fake_end();
    assert_int_equal(fake.evicts, 7);
}

/* ---- with no extra stack in the pool ---- */

static ssize_t forced_result;

static void forced_write(void *argument)
{
    forced_result = vfs_write(fake.touch, "y", 1, 0);
    semaphore_up(argument);
}

VFS_TEST(test_progress_without_pool)
{
    static const struct thread_def def = { .name = "forced", .run = forced_write };
    struct xstack_totals totals;
    struct semaphore ended;

    make_file("/touched", "0");
    xstack_totals(&totals);
    /* Threads made from here on go to another stack at every probe. */
    params.stack_need = PARAM_NEED_FORCE;
    fake_start((struct fake){ .reserve_probes = 1 });
    fake.touch = must_open("/touched", OPEN_WRITE);
    assert_int_equal(xstack_resize(0), 0);
    semaphore_init(&ended, 0);
    assert_int_equal(thread_create(&def, &ended, NULL), 0);
    assert_true(semaphore_down(&ended, WAIT_FOREVER));
    assert_int_equal(forced_result, -EIO);
    assert_string_equal(text_of("/touched"), "0");
    assert_int_equal(write_back_sync(fake.super), 0);
    assert_int_equal(fake.touched, 1);
    assert_int_equal(fake.touch_held, 1);
    assert_string_equal(text_of("/touched"), "x");
    file_put(fake.touch);
    fake.touch = NULL;
    fake_end();
    params.stack_need = 0;
    assert_int_equal(xstack_resize((uint32_t)totals.total), 0);
}

/* ---- many at once ---- */

#define THREADS 8
#define ROUNDS 50

static void busy_body(void *argument)
{
    char name[32];

    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof(name), "/mnt/%u", 100 + i % 17);
        if (i % 5 == 0)
            write_back_sync(fake.super);
        else if (i % 5 == 1)
            write_back_kick(fake.super);
        else if (i % 5 == 2)
            assert_int_equal(vfs_unlink(NULL, name), 0);
        else
            assert_int_equal(try_open(name, OPEN_READ), 0);
        if (i % 7 == 0)
            thread_sleep_ns(NS_PER_MS);
    }
    semaphore_up(argument);
}

VFS_TEST(test_many)
{
    static const struct thread_def def = { .name = "busy", .run = busy_body };
    struct semaphore ended;

    fake_start((struct fake){ .slow_reads = true });
    fake.evict_errors = 20;
    semaphore_init(&ended, 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(&def, &ended, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(semaphore_down(&ended, WAIT_FOREVER));
    while (fake.evict_errors)
        thread_sleep_ns(NS_PER_S);
    fake_end();
    assert_true(fake.evicts > 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_private_stacks),
        cmocka_unit_test(test_rounds),
        cmocka_unit_test(test_sync_result),
        cmocka_unit_test(test_unmount_waits_for_the_disk),
        cmocka_unit_test(test_lazy_unmount_of_a_failing_disk),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_progress_without_pool),
        cmocka_unit_test(test_many),
    };

    fixture_boot("stack.extra=4");
    host_virtual_time(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
