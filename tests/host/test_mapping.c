// SPDX-License-Identifier: MIT
/*
 * The page cache, under a small filesystem of this test's own: one file of up to 1024 pages that
 * lie one behind the other on a device that fails and reorders as it is told.
 */
#include "block_fixture.h"

#include <block/mapping.h>
#include <block/page_cache.h>
#include <vfs/vfs.h>

/* The probes bring the rest of the kernel with them. */
const struct fs_type *const fs_types[] = {NULL};

#define PAGES 1024u

struct tiny {
    struct mapping mapping;
    struct faulty *f;
    unsigned read_calls, ahead_calls;
};

static int start(struct mapping *mapping, struct cpage *page, enum bio_op op,
                 struct io_batch *batch)
{
    struct tiny *tiny = container_of(mapping, struct tiny, mapping);
    struct bio *bio = bio_alloc(&tiny->f->bdev, op, page->index * 8);

    if (!bio)
        return -ENOMEM;
    assert_true(page->locked);
    bio_add(bio, page->data, PAGE_BYTES);
    io_batch_submit(batch, bio);
    return 0;
}

static int tiny_read_page(struct mapping *mapping, struct cpage *page)
{
    struct io_batch batch;

    container_of(mapping, struct tiny, mapping)->read_calls++;
    io_batch_init(&batch);
    int err = start(mapping, page, BIO_READ, &batch);
    int io_err = io_batch_wait(&batch);
    return io_err ? io_err : err;
}

static int tiny_write_page(struct mapping *mapping, struct cpage *page, struct io_batch *batch)
{
    assert_true(page->writing);
    return start(mapping, page, BIO_WRITE, batch);
}

static int tiny_start_read(struct mapping *mapping, struct cpage *page, struct io_batch *batch)
{
    container_of(mapping, struct tiny, mapping)->ahead_calls++;
    return start(mapping, page, BIO_READ, batch);
}

static const struct mapping_ops tiny_ops = {
    .read_page = tiny_read_page, .write_page = tiny_write_page, .start_read = tiny_start_read};

static struct tiny *tiny_open(bool stacked)
{
    struct tiny *tiny = calloc(1, sizeof(*tiny));

    tiny->f = open_faulty(PAGES * PAGE_BYTES, stacked);
    for (unsigned i = 0; i < PAGES; i++)
        memset(tiny->f->data + i * PAGE_BYTES, (char)(i % 100), PAGE_BYTES);
    mapping_init(&tiny->mapping, &tiny_ops);
    return tiny;
}

static void tiny_close(struct tiny *tiny)
{
    mapping_destroy(&tiny->mapping, false);
    close_faulty(tiny->f);
    free(tiny);
}

static void fill(struct tiny *tiny, uint64_t index, char value)
{
    struct cpage *page;

    assert_int_equal(mapping_get_page(&tiny->mapping, index, &page), 0);
    cpage_wait_stable(page);
    memset(page->data, value, PAGE_BYTES);
    cpage_mark_dirty(page);
    cpage_put(page);
}

static char on_disk(struct tiny *tiny, uint64_t index)
{
    return tiny->f->data[index * PAGE_BYTES + 1234];
}

/* The first byte of page @index, or an error. */
static int peek(struct tiny *tiny, uint64_t index)
{
    char c;
    ssize_t n = mapping_read(&tiny->mapping, &c, 1, index * PAGE_BYTES, PAGES * PAGE_BYTES);

    return n == 1 ? c : (int)n;
}

/* ---- reading ---- */

BLOCK_TEST(test_read)
{
    struct tiny *tiny = tiny_open(false);
    char *back = malloc(5 * PAGE_BYTES);

    assert_int_equal(mapping_read(&tiny->mapping, back, 5 * PAGE_BYTES, 100, PAGES * PAGE_BYTES),
                     5 * PAGE_BYTES);
    assert_memory_equal(back, tiny->f->data + 100, 5 * PAGE_BYTES);
    assert_int_equal(tiny->read_calls, 6);
    assert_int_equal(mapping_read(&tiny->mapping, back, 5 * PAGE_BYTES, 100, 300), 200);
    assert_int_equal(mapping_read(&tiny->mapping, back, 10, 300, 300), 0);
    assert_int_equal(mapping_read(&tiny->mapping, back, 10, UINT64_MAX, 300), 0);
    assert_int_equal(mapping_read(&tiny->mapping, back, 0, 0, 300), 0);
    assert_int_equal(tiny->read_calls, 6);
    tiny->f->fail_read_at = 2;
    assert_int_equal(mapping_read(&tiny->mapping, back, 3 * PAGE_BYTES, 20 * PAGE_BYTES,
                                  PAGES * PAGE_BYTES),
                     PAGE_BYTES);
    tiny->f->fail_reads = true;
    assert_int_equal(peek(tiny, 21), -EIO);
    tiny->f->fail_reads = false;
    assert_int_equal(peek(tiny, 21), 21);
    assert_int_equal(mapping_take_error(&tiny->mapping), 0);
    free(back);
    tiny_close(tiny);
}

BLOCK_TEST(test_read_ahead)
{
    struct tiny *tiny = tiny_open(false);
    char *back = malloc(64 * PAGE_BYTES);

    tiny->mapping.read_ahead = 8;
    tiny->f->shuffle = true;
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(mapping_read(&tiny->mapping, back + i * PAGE_BYTES, PAGE_BYTES,
                                      i * PAGE_BYTES, 60 * PAGE_BYTES),
                         i < 60 ? PAGE_BYTES : 0);
    assert_memory_equal(back, tiny->f->data, 60 * PAGE_BYTES);
    assert_int_equal(tiny->f->reads, 8);      /* of eight pages, as neighbours */
    assert_int_equal(tiny->read_calls, 0);
    assert_int_equal(peek(tiny, 500), 0);     /* somewhere else: one page only */
    assert_int_equal(tiny->f->reads, 9);
    tiny->f->fail_read_at = 2;                /* one of those ahead: read again when it is wanted */
    for (unsigned i = 501; i < 520; i++)
        assert_int_equal(peek(tiny, i), (int)(i % 100));
    free(back);
    tiny_close(tiny);
}

/* Many readers of one page: one reads, the others wait; if it fails, each tries itself. */

static unsigned readers_done, readers_failed;
static void one_reader(void *argument)
{
    int c = peek(argument, 7);

    assert_true(c == 7 || c == -EIO);
    readers_failed += c < 0;
    readers_done++;
}
static const struct thread_def one_reader_def = {.name = "reader", .run = one_reader};

BLOCK_TEST(test_readers)
{
    struct tiny *tiny = tiny_open(false);

    tiny->f->hold = true;
    for (unsigned i = 0; i < 5; i++)
        spawn(&one_reader_def, tiny);
    for (unsigned i = 0; i < 50; i++)
        thread_yield();
    assert_int_equal(tiny->f->held_count, 1);
    tiny->f->fail_read_at = 1;
    while (readers_done < 5) {
        if (tiny->f->held_count)
            faulty_release(tiny->f, 0);
        thread_yield();
    }
    assert_int_equal(readers_failed, 1);
    assert_int_equal(tiny->f->reads, 2);
    tiny_close(tiny);
}

/* ---- writing ---- */

BLOCK_TEST(test_write_back)
{
    struct tiny *tiny = tiny_open(false);
    struct mapping_totals totals;

    tiny->f->shuffle = true;
    for (unsigned i = 0; i < 100; i++)
        fill(tiny, i * 7, 1);
    mapping_totals(&totals);
    assert_int_equal(totals.pages, 100);
    assert_int_equal(totals.dirty, 100);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, 6), 0);
    assert_int_equal(tiny->f->writes, 1);
    assert_int_equal(mapping_write_back(&tiny->mapping, 7, 7), 0);
    assert_int_equal(tiny->f->writes, 2);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(tiny->f->writes, 100);
    assert_int_equal(tiny->f->most_held, 16);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(on_disk(tiny, i * 7), 1);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(tiny->f->writes, 100);
    mapping_totals(&totals);
    assert_int_equal(totals.dirty, 0);
    tiny_close(tiny);
}

/* One bad page: the others reach the disk, it stays dirty, and the error is told once. */
BLOCK_TEST(test_bad_page)
{
    struct tiny *tiny = tiny_open(false);

    for (unsigned i = 0; i < 40; i++)
        fill(tiny, i, 2);
    tiny->f->bad_sector = 8 * 5 + 3;
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), -EIO);
    assert_int_equal(tiny->mapping.dirty_count, 1);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(on_disk(tiny, i), i == 5 ? 5 : 2);
    assert_int_equal(mapping_take_error(&tiny->mapping), -EIO);
    assert_int_equal(mapping_take_error(&tiny->mapping), 0);
    assert_int_equal(peek(tiny, 5), 2);
    tiny->f->bad_sector = UINT64_MAX;
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(on_disk(tiny, 5), 2);
    assert_int_equal(mapping_take_error(&tiny->mapping), 0);
    tiny_close(tiny);
}

static unsigned others_done;
static int other_error;
static void other_write_back(void *argument)
{
    other_error = mapping_write_back(&((struct tiny *)argument)->mapping, 0, UINT64_MAX);
    others_done++;
}
static const struct thread_def other_write_back_def = {.name = "other", .run = other_write_back};

static void other_fill(void *argument)
{
    fill(argument, 3, 4);
    others_done++;
}
static const struct thread_def other_fill_def = {.name = "fill", .run = other_fill};

BLOCK_TEST(test_stable)
{
    struct tiny *tiny = tiny_open(false);

    fill(tiny, 3, 3);
    others_done = 0;
    tiny->f->hold = true;
    spawn(&other_write_back_def, tiny);
    while (!tiny->f->held_count)
        thread_yield();
    spawn(&other_fill_def, tiny);
    for (unsigned i = 0; i < 20; i++)
        thread_yield();
    assert_int_equal(others_done, 0);
    assert_int_equal(peek(tiny, 3), 3);       /* readers do not wait for the write */
    faulty_release(tiny->f, 0);
    while (others_done < 2)
        thread_yield();
    assert_int_equal(tiny->mapping.dirty_count, 1);
    assert_int_equal(on_disk(tiny, 3), 3);
    tiny->f->hold = false;
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(on_disk(tiny, 3), 4);
    tiny_close(tiny);
}

/* Like test_buf's: who syncs answers for a page that somebody else was writing. */
BLOCK_TEST(test_waits_for_others)
{
    struct tiny *tiny = tiny_open(false);

    fill(tiny, 3, 3);
    others_done = 0;
    tiny->f->hold = true;
    spawn(&other_write_back_def, tiny);
    while (!tiny->f->held_count)
        thread_yield();
    spawn(&other_write_back_def, tiny);
    for (unsigned i = 0; i < 20; i++)
        thread_yield();
    assert_int_equal(others_done, 0);
    tiny->f->fail_write_at = 1;
    faulty_release(tiny->f, 0);
    while (others_done < 2) {
        if (tiny->f->held_count)
            faulty_release(tiny->f, 0);
        thread_yield();
    }
    assert_int_equal(tiny->mapping.dirty_count, 0);
    assert_int_equal(on_disk(tiny, 3), 3);
    tiny->f->hold = false;
    tiny_close(tiny);
}

/* ---- refused ---- */

BLOCK_TEST(test_refused)
{
    struct tiny *tiny = tiny_open(true);

    fill(tiny, 1, 50);
    fill(tiny, 2, 51);
    assert_int_equal(xstack_resize(0), 0);
    arch_set_probe_base(UINT64_MAX);
    assert_int_equal(peek(tiny, 9), -EIO);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), -EIO);
    arch_set_probe_base(xstack_probe_base(thread_current()->stack));
    assert_int_equal(xstack_resize(4), 0);
    assert_int_equal(mapping_take_error(&tiny->mapping), 0);
    assert_int_equal(tiny->mapping.dirty_count, 2);
    assert_int_equal(tiny->f->reads + tiny->f->writes, 0);
    assert_int_equal(peek(tiny, 9), 9);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(on_disk(tiny, 2), 51);
    tiny_close(tiny);
}

/* ---- cutting off ---- */

BLOCK_TEST(test_truncate)
{
    struct tiny *tiny = tiny_open(false);

    for (unsigned i = 0; i < 600; i++)
        assert_int_equal(peek(tiny, i), (int)(i % 100));
    fill(tiny, 700, 7);
    tiny->f->fail_reads = true;
    assert_int_equal(mapping_truncate(&tiny->mapping, 900 * PAGE_BYTES + 5), -EIO);
    assert_int_equal(tiny->mapping.page_count, 601);
    tiny->f->fail_reads = false;
    assert_int_equal(mapping_truncate(&tiny->mapping, 10 * PAGE_BYTES + 100), 0);
    assert_int_equal(tiny->mapping.page_count, 11);
    assert_int_equal(tiny->mapping.dirty_count, 1);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(tiny->f->data[10 * PAGE_BYTES + 99], 10);
    assert_int_equal(tiny->f->data[10 * PAGE_BYTES + 100], 0);
    assert_int_equal(tiny->f->data[11 * PAGE_BYTES - 1], 0);
    assert_int_equal(on_disk(tiny, 700), 0);
    assert_int_equal(mapping_truncate(&tiny->mapping, 10 * PAGE_BYTES + 200), 0);
    assert_int_equal(tiny->mapping.dirty_count, 0);   /* zero already */
    assert_int_equal(mapping_truncate(&tiny->mapping, 0), 0);
    assert_int_equal(tiny->mapping.page_count, 0);
    tiny_close(tiny);
}

static void other_truncate(void *argument)
{
    other_error = mapping_truncate(&((struct tiny *)argument)->mapping, 0);
    others_done++;
}
static const struct thread_def other_truncate_def = {.name = "truncate", .run = other_truncate};

BLOCK_TEST(test_truncate_waits)
{
    struct tiny *tiny = tiny_open(false);

    for (unsigned i = 0; i < 20; i++)
        fill(tiny, i, 1);
    others_done = 0;
    tiny->f->hold = true;
    spawn(&other_write_back_def, tiny);
    while (!tiny->f->held_count)
        thread_yield();
    spawn(&other_truncate_def, tiny);
    for (unsigned i = 0; i < 50; i++)
        thread_yield();
    assert_int_equal(others_done, 0);
    tiny->f->fail_writes = true;              /* it does not matter any more */
    while (others_done < 2) {
        if (tiny->f->held_count)
            faulty_release(tiny->f, tiny->f->held_count - 1);
        thread_yield();
    }
    assert_int_equal(tiny->mapping.page_count, 0);
    assert_int_equal(tiny->mapping.dirty_count, 0);
    tiny->f->hold = false;
    tiny_close(tiny);
}

BLOCK_TEST(test_discard)
{
    struct tiny *tiny = tiny_open(false);
    struct mapping_totals totals;

    for (unsigned i = 0; i < 20; i++)
        fill(tiny, i, 1);
    mapping_destroy(&tiny->mapping, true);
    mapping_totals(&totals);
    assert_int_equal(totals.pages, 0);
    assert_int_equal(totals.dirty, 0);
    assert_int_equal(tiny->f->writes, 0);
    close_faulty(tiny->f);
    free(tiny);
}

/* ---- everything at once ---- */

static unsigned actors;
static void actor(void *argument)
{
    struct tiny *tiny = argument;
    unsigned seed = ++actors;

    for (unsigned i = 0; i < 400; i++) {
        uint64_t index = (unsigned)rand_r(&seed) % 60;
        switch (rand_r(&seed) % 8) {
        case 0:
        case 1:
            fill(tiny, index, 99);
            break;
        case 2:
            mapping_write_back(&tiny->mapping, index, index + 20);
            break;
        case 3:
            assert_int_equal(mapping_truncate(&tiny->mapping, index * PAGE_BYTES), 0);
            break;
        default:
            peek(tiny, index);
        }
    }
    actors--;
}
static const struct thread_def actor_def = {.name = "actor", .run = actor};

BLOCK_TEST(test_together)
{
    struct tiny *tiny = tiny_open(false);

    tiny->f->shuffle = true;
    tiny->mapping.read_ahead = 4;
    for (unsigned i = 0; i < 6; i++)
        spawn(&actor_def, tiny);
    thread_yield();
    for (unsigned i = 0; actors; i++) {
        tiny->f->fail_write_at = i % 7;
        tiny->f->fail_read_at = i % 11;
        thread_sleep_ns(NS_PER_MS);
    }
    tiny->f->fail_write_at = tiny->f->fail_read_at = 0;
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(tiny->mapping.dirty_count, 0);
    tiny_close(tiny);
}

/* ---- memory ---- */

BLOCK_TEST(test_shrink)
{
    struct tiny *tiny = tiny_open(false);
    struct hoard hoard = {0};
    struct cpage *held;

    for (unsigned i = 0; i < PAGES; i++)
        peek(tiny, i);
    fill(tiny, 1, 1);
    assert_int_equal(mapping_read_page(&tiny->mapping, 2, &held), 0);
    assert_int_equal(tiny->mapping.page_count, PAGES);
    hoard_all(&hoard);
    assert_in_range(tiny->mapping.page_count, 2, 16);
    assert_int_equal(*(char *)held->data, 2);
    cpage_put(held);
    assert_int_equal(peek(tiny, 1), 1);
    hoard_release(&hoard);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    tiny_close(tiny);
}

/*
 * With no memory at all: reads go on by replacing pages; writes until the reserve is dirty, then
 * -ENOMEM.
 */
BLOCK_TEST(test_reserve)
{
    struct tiny *tiny = tiny_open(false);
    struct hoard hoard = {0};
    struct cpage *page;
    unsigned count = 0;

    tiny->mapping.reserve = true;
    hoard_all(&hoard);
    hoard_heap(&hoard);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(peek(tiny, i), (int)(i % 100));
    while (mapping_get_page(&tiny->mapping, 100 + count, &page) == 0) {
        memset(page->data, 1, PAGE_BYTES);
        cpage_mark_dirty(page);
        cpage_put(page);
        count++;
    }
    assert_int_equal(count, 16);
    assert_int_equal(peek(tiny, 500), -ENOMEM);
    assert_int_equal(mapping_write_back(&tiny->mapping, 0, UINT64_MAX), 0);
    assert_int_equal(peek(tiny, 500), 0);
    hoard_release(&hoard);
    tiny_close(tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_ahead),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_write_back),
        cmocka_unit_test(test_bad_page),
        cmocka_unit_test(test_stable),
        cmocka_unit_test(test_waits_for_others),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_truncate_waits),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_together),
        cmocka_unit_test(test_shrink),
        cmocka_unit_test(test_reserve),
    };
    rt_boot(MIB(32), "stack.extra=4");
    host_virtual_time(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
