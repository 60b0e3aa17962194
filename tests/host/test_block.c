// SPDX-License-Identifier: MIT
/*
 * Requests, batches, the registry, raw access, the ram disk; completions in any order; refusals; no
 * memory.
 */
#include "block_fixture.h"

#include <drivers/ram.h>
#include <rt/stack.h>
#include <vfs/vfs.h>

/* The probes bring the rest of the kernel with them. */
const struct fs_type *const fs_types[] = {NULL};

BLOCK_TEST(test_registry)
{
    struct faulty *f = faulty_create("reg0", MIB(1), false);
    struct bdev twin = {
        .ops = f->bdev.ops, .name = "reg0", .dev = DEV_NUMBER(200, 0), .block_bytes = 512
    };
    struct bdev *bdev, *again;

    assert_int_equal(bdev_register(&twin), -EEXIST);
    strcpy(twin.name, "reg1");
    twin.dev = f->bdev.dev;
    assert_int_equal(bdev_register(&twin), -EEXIST);
    assert_int_equal(bdev_open(DEV_NUMBER(199, 1), &bdev), -ENXIO);
    assert_null(bdev);
    assert_int_equal(bdev_open_name("nothing", &bdev), -ENXIO);
    assert_int_equal(bdev_open_name("reg0", &bdev), 0);
    assert_int_equal(bdev_open(f->bdev.dev, &again), 0);
    assert_ptr_equal(bdev, again);
    assert_ptr_equal(bdev_find(f->bdev.dev), bdev);
    assert_ptr_equal(bdev_by_index(0), bdev);
    assert_null(bdev_by_index(1));
    assert_int_equal(bdev_claim(bdev), 0);
    assert_int_equal(bdev_claim(bdev), -EBUSY);
    bdev_release(bdev);
    bdev_close(bdev);
    assert_int_equal(bdev_unregister(bdev), -EBUSY);
    bdev_close(bdev);
    f->bdev.sector_count = 0;
    assert_int_equal(bdev_open_name("reg0", &bdev), -ENXIO);
    faulty_destroy(f);
}

static int one(struct bdev *bdev, enum bio_op op, uint64_t sector, void *data, uint32_t bytes)
{
    struct bio *bio = bio_alloc(bdev, op, sector);

    if (bytes)
        assert_true(bio_add(bio, data, bytes));
    return bio_submit_wait(bio);
}

BLOCK_TEST(test_checks)
{
    struct faulty *f = open_faulty(MIB(1), false);
    char *page = page_alloc(0);
    struct bdev *b = &f->bdev;

    assert_int_equal(one(b, BIO_READ, 2047, page, 512), 0);
    assert_int_equal(one(b, BIO_READ, 2048, page, 512), -EIO);
    assert_int_equal(one(b, BIO_READ, 2047, page, 1024), -EIO);
    assert_int_equal(one(b, BIO_READ, UINT64_MAX, page, 512), -EIO);
    assert_int_equal(one(b, BIO_READ, 0, page, 100), -EINVAL);
    assert_int_equal(one(b, BIO_READ, 0, NULL, 0), -EINVAL);
    assert_int_equal(one(b, BIO_FLUSH, 0, page, 512), -EINVAL);
    assert_int_equal(one(b, BIO_FLUSH, 0, NULL, 0), 0);
    b->block_bytes = 4096;
    assert_int_equal(one(b, BIO_READ, 0, page, 512), -EINVAL);
    assert_int_equal(one(b, BIO_READ, 4, page, 4096), -EINVAL);
    assert_int_equal(one(b, BIO_READ, 8, page, 4096), 0);
    b->read_only = true;
    assert_int_equal(one(b, BIO_WRITE, 8, page, 4096), -EROFS);
    assert_int_equal(f->reads, 2);
    assert_int_equal(f->writes, 0);
    page_free(page, 0);
    close_faulty(f);
}

BLOCK_TEST(test_vectors)
{
    struct faulty *f = open_faulty(MIB(1), false);
    char *pages[17];
    struct bio *bio = bio_alloc(&f->bdev, BIO_WRITE, 8);

    for (unsigned i = 0; i < 17; i++) {
        pages[i] = page_alloc(1);
        memset(pages[i], (int)i + 1, 2 * PAGE_BYTES);
    }
    assert_true(bio_add(bio, pages[0], 1024));
    assert_true(bio_add(bio, pages[0] + 1024, 1024));
    assert_int_equal(bio->vec_count, 1);
    for (unsigned i = 1; i < 16; i++)
        assert_true(bio_add(bio, pages[i], 512));
    assert_false(bio_add(bio, pages[16], 512));
    assert_int_equal(bio_bytes(bio), 2048 + 15 * 512);
    assert_int_equal(bio_submit_wait(bio), 0);
    assert_int_equal(f->data[4096 + 2047], 1);
    assert_int_equal(f->data[4096 + 2048], 2);
    assert_int_equal(f->data[4096 + 2048 + 15 * 512 - 1], 16);
    f->bdev.vecs_max = 2;
    bio = bio_alloc(&f->bdev, BIO_READ, 0);
    assert_true(bio_add(bio, pages[0], 512));
    assert_true(bio_add(bio, pages[1], 512));
    assert_false(bio_add(bio, pages[2], 512));
    bio_free(bio);
    for (unsigned i = 0; i < 17; i++)
        page_free(pages[i], 1);
    close_faulty(f);
}

BLOCK_TEST(test_accounting)
{
    struct faulty *direct = open_faulty(MIB(1), false), *stacked = open_faulty(MIB(1), true);
    struct thread_io before = thread_current()->io;
    char *page = page_alloc(0);

    assert_int_equal(one(&direct->bdev, BIO_READ, 0, page, 4096), 0);
    assert_int_equal(one(&direct->bdev, BIO_WRITE, 0, page, 512), 0);
    assert_int_equal(one(&stacked->bdev, BIO_READ, 0, page, 4096), 0);
    assert_int_equal(thread_current()->io.read_sectors - before.read_sectors, 8);
    assert_int_equal(thread_current()->io.write_sectors - before.write_sectors, 1);
    assert_int_equal(stacked->bdev.reads, 1);
    assert_int_equal(stacked->bdev.read_sectors, 8);
    direct->fail_reads = true;
    assert_int_equal(one(&direct->bdev, BIO_READ, 0, page, 4096), -EIO);
    assert_int_equal(direct->bdev.errors, 1);
    page_free(page, 0);
    close_faulty(direct);
    close_faulty(stacked);
}

/* ---- batches ---- */

static void release_later(void *argument)
{
    struct faulty *f = argument;

    while (f->held_count < 3)
        thread_yield();
    faulty_release(f, 2);
    thread_yield();
    faulty_release(f, 0);
    thread_yield();
    faulty_release(f, 0);
}
static const struct thread_def release_later_def = {.name = "release", .run = release_later};

BLOCK_TEST(test_batch_order)
{
    struct faulty *f = open_faulty(MIB(1), false);
    char *page = page_alloc(0);
    struct io_batch batch;

    f->hold = true;
    f->fail_write_at = 2;
    f->error = -EOPNOTSUPP;
    spawn(&release_later_def, f);
    io_batch_init(&batch);
    for (unsigned i = 0; i < 3; i++) {
        struct bio *bio = bio_alloc(&f->bdev, BIO_WRITE, i * 2);
        bio_add(bio, page, 512);
        io_batch_submit(&batch, bio);
    }
    assert_int_equal(f->held_count, 2);       /* the last is kept back until the wait */
    assert_int_equal(io_batch_wait(&batch), -EOPNOTSUPP);
    assert_false(batch.refused);
    assert_int_equal(f->held_count, 0);
    io_batch_init(&batch);
    assert_int_equal(io_batch_wait(&batch), 0);
    page_free(page, 0);
    close_faulty(f);
}

BLOCK_TEST(test_shuffled)
{
    struct faulty *f = open_faulty(MIB(1), false);
    char *pages = page_alloc(4), *back = page_alloc(4);
    struct io_batch batch;

    f->shuffle = true;
    for (unsigned round = 0; round < 2; round++) {
        io_batch_init(&batch);
        for (unsigned i = 0; i < 16; i++) {
            struct bio *bio = bio_alloc(&f->bdev, round ? BIO_READ : BIO_WRITE, i * 9);
            memset(pages + i * PAGE_BYTES, (int)i + 1, PAGE_BYTES);
            bio_add(bio, (round ? back : pages) + i * PAGE_BYTES, PAGE_BYTES);
            io_batch_submit(&batch, bio);
        }
        assert_int_equal(io_batch_wait(&batch), 0);
    }
    assert_memory_equal(pages, back, 16 * PAGE_BYTES);
    assert_true(f->most_held > 8);
    page_free(pages, 4);
    page_free(back, 4);
    close_faulty(f);
}

BLOCK_TEST(test_merge)
{
    struct faulty *f = open_faulty(MIB(1), false);
    char *pages = page_alloc(5);
    struct io_batch batch;

    io_batch_init(&batch);
    for (unsigned i = 0; i < 20; i++) {       /* neighbours on the device, not in memory */
        struct bio *bio = bio_alloc(&f->bdev, BIO_WRITE, i);
        char *data = pages + (i * 7 % 32) * PAGE_BYTES;
        memset(data, (int)i + 1, 512);
        bio_add(bio, data, 512);
        io_batch_submit(&batch, bio);
    }
    struct bio *bio = bio_alloc(&f->bdev, BIO_READ, 20);    /* another operation, and then a gap */
    bio_add(bio, pages, 512);
    io_batch_submit(&batch, bio);
    bio = bio_alloc(&f->bdev, BIO_READ, 22);
    bio_add(bio, pages, 512);
    io_batch_submit(&batch, bio);
    assert_int_equal(io_batch_wait(&batch), 0);
    assert_int_equal(f->writes, 2);           /* 16 and 4 */
    assert_int_equal(f->reads, 2);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(f->data[i * 512 + 511], i + 1);
    page_free(pages, 5);
    close_faulty(f);
}

/* ---- refusals: the pool has no stack, and the probe needs more than is left ---- */

BLOCK_TEST(test_refused)
{
    struct faulty *f = open_faulty(MIB(1), true);
    char *page = page_alloc(0);
    struct io_batch batch;
    uint64_t errors = f->bdev.errors, mark = io_refusal_mark();

    assert_int_equal(xstack_resize(0), 0);
    arch_set_probe_base(UINT64_MAX);  /* every probe is short, as with stack.need=force */
    struct bio *bio = bio_alloc(&f->bdev, BIO_READ, 0);
    bio_add(bio, page, 512);
    io_batch_init(&batch);
    io_batch_submit(&batch, bio);
    assert_int_equal(io_batch_wait(&batch), -EIO);
    assert_true(batch.refused);
    assert_true(io_refused_since(mark));
    assert_int_equal(f->reads, 0);
    assert_int_equal(f->bdev.errors, errors);
    assert_int_equal(xstack_resize(4), 0);
    assert_int_equal(one(&f->bdev, BIO_READ, 0, page, 512), 0);
    mark = io_refusal_mark();
    f->fail_reads = true;
    assert_int_equal(one(&f->bdev, BIO_READ, 0, page, 512), -EIO);
    assert_false(io_refused_since(mark));
    arch_set_probe_base(xstack_probe_base(thread_current()->stack));
    page_free(page, 0);
    close_faulty(f);
}

/* ---- raw access ---- */

BLOCK_TEST(test_raw)
{
    struct faulty *f = open_faulty(MIB(1), false);
    char *text = malloc(100 * 1024), *back = malloc(100 * 1024);

    for (unsigned i = 0; i < 100 * 1024; i++)
        text[i] = (char)(i * 31 + i / 777);
    assert_int_equal(bdev_write(&f->bdev, text, 100 * 1024, 1024), 100 * 1024);
    assert_int_equal(bdev_read(&f->bdev, back, 100 * 1024, 1024), 100 * 1024);
    assert_memory_equal(text, back, 100 * 1024);
    assert_int_equal(bdev_read(&f->bdev, back, 512, 100), -EINVAL);
    assert_int_equal(bdev_read(&f->bdev, back, 100, 512), -EINVAL);
    assert_int_equal(bdev_read(&f->bdev, back, 2048, MIB(1) - 512), 512);
    assert_int_equal(bdev_read(&f->bdev, back, 512, MIB(1)), 0);
    assert_int_equal(bdev_write(&f->bdev, text, 512, MIB(1)), -ENOSPC);
    assert_int_equal(bdev_write(&f->bdev, text, 2048, MIB(1) - 512), 512);
    assert_int_equal(bdev_flush(&f->bdev), 0);
    assert_int_equal(f->flushes, 1);
    f->fail_write_at = 2;
    assert_int_equal(bdev_write(&f->bdev, text, 100 * 1024, 0), 32 * 1024);
    f->fail_writes = true;
    assert_int_equal(bdev_write(&f->bdev, text, 1024, 0), -EIO);
    f->fail_flushes = true;
    assert_int_equal(bdev_flush(&f->bdev), -EIO);
    free(text);
    free(back);
    close_faulty(f);
}

BLOCK_TEST(test_control)
{
    struct faulty *f = open_faulty(MIB(1), false);
    uint64_t size = 0;
    int value = 7;

    assert_int_equal(bdev_control(&f->bdev, 0x80081272, (uintptr_t)&size), 0);
    assert_int_equal(size, MIB(1));
    assert_int_equal(bdev_control(&f->bdev, 0x125e, (uintptr_t)&value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(bdev_control(&f->bdev, 0x4c05, 0), -ENOTTY);
    close_faulty(f);
}

BLOCK_TEST(test_ram)
{
    uint64_t free_before = page_count_free();
    struct bdev *ram, *other;
    char *page = page_alloc(0);

    assert_int_equal(ram_disk_create("ram0", MIB(2), &ram), 0);
    assert_int_equal(ram_disk_create("ram0", MIB(2), &other), -EEXIST);
    assert_int_equal(ram_disk_create("ram1", 100, &other), -EINVAL);
    assert_int_equal(ram_disk_create("a name too long for it", MIB(2), &other), -EINVAL);
    assert_int_equal(ram_disk_create("ram1", GIB(100), &other), -ENOMEM);
    assert_int_equal(bdev_open_name("ram0", &ram), 0);
    assert_int_equal(ram_disk_destroy(ram), -EBUSY);
    memset(page, 77, PAGE_BYTES);
    assert_int_equal(one(ram, BIO_WRITE, 7, page, 4096), 0);
    memset(page, 1, PAGE_BYTES);
    assert_int_equal(one(ram, BIO_READ, 7, page, 4096), 0);
    assert_int_equal(page[0], 77);
    assert_int_equal(page[4095], 77);
    assert_int_equal(one(ram, BIO_READ, 15, page, 512), 0);
    assert_int_equal(page[0], 0);
    bdev_close(ram);
    assert_int_equal(ram_disk_destroy(ram), 0);
    page_free(page, 0);
    assert_true(page_count_free() + 16 >= free_before);
}

/* ---- memory out: the requests in reserve go round ---- */

static unsigned ended;

static void reader(void *argument)
{
    struct faulty *f = argument;
    char *page = f->bdev.driver == f ? *(char **)f->data : NULL;

    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(one(&f->bdev, BIO_READ, 1 + i, page, 512), 0);
    ended++;
    while (ended < 8)
        thread_sleep_ns(NS_PER_MS);   /* what a thread gives back would be memory for the others */
}
static const struct thread_def reader_def = {.name = "reader", .run = reader};

BLOCK_TEST(test_reserve)
{
    struct faulty *f = open_faulty(MIB(1), false);
    struct thread *threads[8];
    struct hoard hoard = {0};

    *(char **)f->data = page_alloc(0);
    f->shuffle = true;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(thread_prepare(&reader_def, f, &threads[i]), 0);
    hoard_all(&hoard);
    hoard_heap(&hoard);
    for (unsigned i = 0; i < 8; i++)
        thread_start(threads[i]);
    while (ended < 8)
        thread_sleep_ns(NS_PER_MS);
    assert_int_equal(f->reads, 80);
    assert_in_range(f->most_held, 2, 4);
    hoard_release(&hoard);
    close_faulty(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry),    cmocka_unit_test(test_checks),
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_accounting),
        cmocka_unit_test(test_batch_order), cmocka_unit_test(test_shuffled),
        cmocka_unit_test(test_merge),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_raw),         cmocka_unit_test(test_control),
        cmocka_unit_test(test_ram),         cmocka_unit_test(test_reserve),
    };
    rt_boot(MIB(32), "stack.extra=4");
    host_virtual_time(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
