// SPDX-License-Identifier: MIT
/*
 * The cache of blocks: reading, failing, dirtying, syncing many at once, forgetting, shrinking, no
 * memory.
 */
#include "block_fixture.h"

#include <block/buf.h>
#include <block/buf_cache.h>
#include <vfs/vfs.h>

/* The probes bring the rest of the kernel with them. */
const struct fs_type *const fs_types[] = {NULL};

static struct buf *must_read(struct faulty *f, uint64_t block)
{
    struct buf *buf = NULL;

    assert_int_equal(buf_read(&f->bdev, block, &buf), 0);
    assert_non_null(buf);
    return buf;
}

static void change(struct buf *buf, char value)
{
    mutex_lock(&buf->lock);
    memset(buf->data, value, buf->bdev->bufs->block_bytes);
    buf_mark_dirty(buf);
    mutex_unlock(&buf->lock);
}

static void write_block(struct faulty *f, uint64_t block, char value)
{
    struct buf *buf = must_read(f, block);

    change(buf, value);
    buf_put(buf);
}

BLOCK_TEST(test_read)
{
    struct faulty *f = open_faulty(MIB(1), false);
    struct buf *buf;

    memset(f->data + 5 * 1024, 55, 1024);
    buf = must_read(f, 5);
    assert_int_equal(((char *)buf->data)[0], 55);
    assert_int_equal(((char *)buf->data)[1023], 55);
    assert_ptr_equal(must_read(f, 5), buf);
    assert_int_equal(f->reads, 1);
    buf_put(buf);
    buf_put(buf);
    assert_int_equal(buf_read(&f->bdev, 1024, &buf), -EINVAL);
    assert_null(buf);
    assert_int_equal(buf_read(&f->bdev, UINT64_MAX, &buf), -EINVAL);
    f->fail_read_at = 1;
    assert_int_equal(buf_read(&f->bdev, 6, &buf), -EIO);
    buf = must_read(f, 6);
    buf_put(buf);
    close_faulty(f);
}

BLOCK_TEST(test_block_bytes)
{
    struct faulty *f = open_faulty(MIB(1), false);
    struct buf *buf = must_read(f, 0);

    assert_int_equal(buf_cache_set_block_bytes(&f->bdev, 4096), -EBUSY);
    buf_put(buf);
    assert_int_equal(buf_cache_set_block_bytes(&f->bdev, 3000), -EINVAL);
    assert_int_equal(buf_cache_set_block_bytes(&f->bdev, 8192), -EINVAL);
    assert_int_equal(buf_cache_set_block_bytes(&f->bdev, 4096), 0);
    memset(f->data + 4096, 9, 4096);
    buf = must_read(f, 1);
    assert_int_equal(((char *)buf->data)[4095], 9);
    change(buf, 10);
    buf_put(buf);
    assert_int_equal(buf_cache_set_block_bytes(&f->bdev, 1024), -EBUSY);
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_int_equal(buf_cache_set_block_bytes(&f->bdev, 1024), 0);
    assert_int_equal(f->data[8191], 10);
    close_faulty(f);
}

BLOCK_TEST(test_write)
{
    struct faulty *f = open_faulty(MIB(1), false);
    struct buf *buf = must_read(f, 3);

    assert_int_equal(buf_write(buf), 0);
    assert_int_equal(f->writes, 0);
    change(buf, 3);
    assert_int_equal(buf_dirty_count(&f->bdev), 1);
    f->fail_write_at = 1;
    assert_int_equal(buf_write(buf), -EIO);
    assert_int_equal(buf_dirty_count(&f->bdev), 1);
    assert_int_equal(buf_write(buf), 0);
    assert_int_equal(buf_dirty_count(&f->bdev), 0);
    assert_int_equal(f->data[3 * 1024], 3);
    buf_put(buf);
    assert_int_equal(buf_get_zeroed(&f->bdev, 3, &buf), 0);
    assert_int_equal(((char *)buf->data)[0], 0);
    change(buf, 4);
    buf_ref(buf);
    buf_put(buf);
    buf_put(buf);
    buf_forget(&f->bdev, 3);
    assert_int_equal(buf_dirty_count(&f->bdev), 0);
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_int_equal(f->data[3 * 1024], 3);
    buf_forget(&f->bdev, 77);
    close_faulty(f);
}

/* ---- sync ---- */

BLOCK_TEST(test_sync)
{
    struct faulty *f = open_faulty(MIB(1), false);

    f->shuffle = true;
    for (unsigned i = 0; i < 200; i++)
        write_block(f, i * 37 % 400, (char)(i + 1));
    assert_int_equal(buf_dirty_count(&f->bdev), 200);
    unsigned reads = f->reads;
    f->most_held = 0;
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_int_equal(f->reads, reads);
    assert_in_range(f->writes, 10, 200);
    assert_true(f->most_held >= 8);
    assert_int_equal(buf_dirty_count(&f->bdev), 0);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(f->data[(i * 37 % 400) * 1024 + 512], (char)(i + 1));
    f->writes = 0;
    for (unsigned i = 0; i < 64; i++)
        write_block(f, 500 + i, 7);
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_in_range(f->writes, 2, 8);         /* neighbours go together */
    close_faulty(f);
}

BLOCK_TEST(test_sync_fails)
{
    struct faulty *f = open_faulty(MIB(1), false);

    for (unsigned i = 0; i < 100; i++)
        write_block(f, i * 5, 1);
    f->bad_sector = 2 * 250;                  /* block 250 */
    assert_int_equal(buf_sync(&f->bdev), -EIO);
    assert_int_equal(f->data[99 * 5 * 1024], 1);
    assert_in_range(buf_dirty_count(&f->bdev), 1, 32);
    assert_int_equal(buf_sync(&f->bdev), -EIO);
    f->bad_sector = UINT64_MAX;
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_int_equal(buf_dirty_count(&f->bdev), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(f->data[i * 5 * 1024], 1);
    close_faulty(f);
}

/* A sync that finds a block under another's write waits for it, and tries again if that fails. */

static bool other_done;
static int other_error;

static void other_sync(void *argument)
{
    struct faulty *f = argument;

    other_error = buf_sync(&f->bdev);
    other_done = true;
}
static const struct thread_def other_sync_def = {.name = "other", .run = other_sync};

BLOCK_TEST(test_sync_waits_for_others)
{
    struct faulty *f = open_faulty(MIB(1), false);

    write_block(f, 9, 9);
    f->hold = true;
    spawn(&other_sync_def, f);
    while (!f->held_count)
        thread_yield();
    other_done = false;
    spawn(&other_sync_def, f);
    for (unsigned i = 0; i < 20; i++)
        thread_yield();
    assert_false(other_done);                 /* the second waits for the first one's write */
    f->fail_write_at = 1;
    faulty_release(f, 0);
    while (!f->held_count)                    /* the first fails; the second tries itself */
        thread_yield();
    assert_true(other_done);
    assert_int_equal(other_error, -EIO);
    other_done = false;
    faulty_release(f, 0);
    while (!other_done)
        thread_yield();
    assert_int_equal(other_error, 0);
    assert_int_equal(f->data[9 * 1024], 9);
    f->hold = false;
    close_faulty(f);
}

/*
 * A change waits for the write that is under way; what it makes dirty is written by the next sync.
 */

static void change_nine(void *argument)
{
    struct faulty *f = argument;

    write_block(f, 9, 10);
    other_done = true;
}
static const struct thread_def change_nine_def = {.name = "change", .run = change_nine};

BLOCK_TEST(test_stable)
{
    struct faulty *f = open_faulty(MIB(1), false);

    write_block(f, 9, 9);
    f->hold = true;
    other_done = false;
    spawn(&other_sync_def, f);
    while (!f->held_count)
        thread_yield();
    spawn(&change_nine_def, f);
    for (unsigned i = 0; i < 20; i++)
        thread_yield();
    assert_false(other_done);
    f->hold = false;
    faulty_release(f, 0);
    while (!buf_dirty_count(&f->bdev))
        thread_yield();
    assert_int_equal(f->data[9 * 1024], 9);
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_int_equal(f->data[9 * 1024], 10);
    close_faulty(f);
}

/* ---- refused ---- */

BLOCK_TEST(test_refused)
{
    struct faulty *f = open_faulty(MIB(1), true);
    struct buf *buf;

    write_block(f, 1, 1);
    assert_int_equal(xstack_resize(0), 0);
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(buf_read(&f->bdev, 2, &buf), -EIO);
    assert_int_equal(buf_sync(&f->bdev), -EIO);
    assert_int_equal(buf_dirty_count(&f->bdev), 1);
    arch_set_probe_base(xstack_probe_base(thread_current()->stack));
    assert_int_equal(xstack_resize(4), 0);
    buf = must_read(f, 2);
    buf_put(buf);
    assert_int_equal(buf_sync(&f->bdev), 0);
    close_faulty(f);
}

/* ---- memory ---- */

BLOCK_TEST(test_shrink)
{
    struct faulty *f = open_faulty(MIB(8), false);
    struct hoard hoard = {0};
    struct buf *held = must_read(f, 4000);

    for (unsigned i = 0; i < 3000; i++)
        buf_put(must_read(f, i));
    write_block(f, 5000, 5);
    uint64_t free_before = page_count_free();
    assert_true(f->bdev.bufs->count > 3000);
    hoard_all(&hoard);
    assert_true(hoard.count > free_before + 700);
    assert_in_range(f->bdev.bufs->count, 16, 100);
    assert_ptr_equal(must_read(f, 4000), held);
    buf_put(held);
    buf_put(held);
    unsigned reads = f->reads;
    buf_put(must_read(f, 5000));              /* dirty: still there */
    assert_int_equal(f->reads, reads);
    hoard_release(&hoard);
    assert_int_equal(buf_sync(&f->bdev), 0);
    assert_int_equal(f->data[5000 * 1024], 5);
    close_faulty(f);
}

/*
 * With no memory at all blocks are still read, one after the other; too many at once are -ENOMEM.
 */
BLOCK_TEST(test_floor)
{
    struct faulty *f = open_faulty(MIB(8), false);
    struct hoard hoard = {0};
    struct buf *bufs[64];
    unsigned count = 0;

    hoard_all(&hoard);
    hoard_heap(&hoard);
    for (unsigned i = 0; i < 500; i++) {
        f->data[i * 1024] = (char)i;
        struct buf *buf = must_read(f, i);
        assert_int_equal(*(char *)buf->data, (char)i);
        buf_put(buf);
    }
    while (count < 64 && buf_read(&f->bdev, 1000 + count, &bufs[count]) == 0)
        count++;
    assert_int_equal(count, 16);
    assert_int_equal(buf_read(&f->bdev, 2000, &bufs[16]), -ENOMEM);
    for (unsigned i = 0; i < count; i++) {
        change(bufs[i], 1);
        buf_put(bufs[i]);
    }
    assert_int_equal(buf_read(&f->bdev, 2000, &bufs[16]), -ENOMEM);
    assert_int_equal(buf_sync(&f->bdev), 0);
    buf_put(must_read(f, 2000));
    hoard_release(&hoard);
    close_faulty(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),       cmocka_unit_test(test_block_bytes),
        cmocka_unit_test(test_write),      cmocka_unit_test(test_sync),
        cmocka_unit_test(test_sync_fails), cmocka_unit_test(test_sync_waits_for_others),
        cmocka_unit_test(test_stable),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_shrink),     cmocka_unit_test(test_floor),
    };
    rt_boot(MIB(32), "stack.extra=4");
    host_virtual_time(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
