// SPDX-License-Identifier: MIT
/* What the tests of block share: test bodies that run as threads, and short forms. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <arch/host/host.h>
#include <block/bdev.h>
#include <lib/errno.h>
#include <lib/format.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/sync.h>
#include <rt/xstack.h>
#include <support/faulty.h>
#include <support/rt.h>

/* A test body runs as a thread of the runtime. */
#define BLOCK_TEST(test)                                                                          \
    static void test##_body(void *argument);                                                      \
    static void test(void **state)                                                                \
    {                                                                                             \
        static const struct thread_def def = {.name = #test, .run = test##_body};                 \
        (void)state;                                                                              \
        rt_run(&def, NULL);                                                                       \
    }                                                                                             \
    static void test##_body(void *argument __attribute__((unused)))

/* Another thread beside the test's. It must have ended before the test does. */
__attribute__((unused)) static void spawn(const struct thread_def *def, void *argument)
{
    assert_int_equal(thread_create(def, argument, NULL), 0);
}

/* A faulty device, open. */
__attribute__((unused)) static struct faulty *open_faulty(uint64_t bytes, bool stacked)
{
    static unsigned count;
    char name[BDEV_NAME_BYTES];
    struct bdev *bdev;

    snprintf(name, sizeof(name), "bad%u", count++);
    struct faulty *f = faulty_create(name, bytes, stacked);
    assert_int_equal(bdev_open(f->bdev.dev, &bdev), 0);
    assert_ptr_equal(bdev, &f->bdev);
    return f;
}

__attribute__((unused)) static void close_faulty(struct faulty *f)
{
    bdev_close(&f->bdev);
    faulty_destroy(f);
}

/* All frames, and then those given back in pieces: for tests of what happens when memory is out. */
struct hoard {
    void *first;
    uint64_t count;
};

__attribute__((unused)) static void hoard_all(struct hoard *hoard)
{
    void *page;

    while ((page = page_alloc(0))) {
        *(void **)page = hoard->first;
        hoard->first = page;
        hoard->count++;
    }
}

/* Small objects too: what is left of slabs. */
__attribute__((unused)) static void hoard_heap(struct hoard *hoard)
{
    static const size_t sizes[] = {1984, 1344, 1024, 768, 512, 384, 256, 192, 128, 64};
    (void)hoard;
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++)
        while (heap_alloc(sizes[i]))
            ;                         /* lost for good: such a test is the last of its process */
}

__attribute__((unused)) static void hoard_release(struct hoard *hoard)
{
    while (hoard->first) {
        void *page = hoard->first;
        hoard->first = *(void **)page;
        page_free(page, 0);
    }
    hoard->count = 0;
}
