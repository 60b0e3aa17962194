// SPDX-License-Identifier: MIT
/*
 * The sorted map of an app's ranges, against a plain array of pages: every operation is done on both, and they
 * are compared. The file under test is included: src/abi is not part of the host library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <abi/vma.c>
#include <arch/arch.h>
#include <lib/string.h>
#include "support/rt.h"

#define PAGES 512
#define BASE UINT64_C(0x100000)

static struct vma_map map;
static uint8_t model[PAGES];          /* 0: free, else the range's kind + 1 */
static uint64_t dice = 99;

static unsigned roll(unsigned sides)
{
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(dice >> 33) % sides;
}

static uintptr_t address_of(unsigned page)
{
    return BASE + (uint64_t)page * PAGE_BYTES;
}

static void check_links(void)
{
    const struct vma *previous = NULL;
    uint64_t count = 0, bytes = 0;
    for (const struct vma *vma = map.head[0]; vma; vma = vma_next(vma)) {
        assert_ptr_equal(vma->previous, previous);
        assert_true(vma->start < vma->end);
        assert_true(!previous || previous->end <= vma->start);
        count++;
        bytes += vma->end - vma->start;
        previous = vma;
    }
    assert_ptr_equal(map.last, previous);
    assert_int_equal(map.count, count);
    assert_int_equal(map.bytes, bytes);
    for (unsigned level = 1; level < VMA_LEVELS; level++)
        for (const struct vma *vma = map.head[level]; vma; vma = vma->next[level])
            assert_true(vma->levels > level);
}

static void check_against_model(void)
{
    check_links();
    for (unsigned page = 0; page < PAGES; page++) {
        const struct vma *vma = vma_find(&map, address_of(page));
        bool inside = vma && vma->start <= address_of(page);
        assert_int_equal(inside, model[page] != 0);
        if (inside)
            assert_int_equal(vma->kind + 1, model[page]);
    }
}

static void cut(uintptr_t address)
{
    struct vma *spare = vma_alloc(&map, address, address + PAGE_BYTES);
    assert_non_null(spare);
    vma_split(&map, address, &spare);
    vma_free(spare);
}

static void unmap(unsigned page, unsigned count)
{
    uintptr_t start = address_of(page), end = address_of(page + count);
    cut(start);
    cut(end);
    for (struct vma *vma = vma_find(&map, start); vma && vma->start < end;) {
        struct vma *next = vma_next(vma);
        vma_remove(&map, vma);
        vma_free(vma);
        vma = next;
    }
    memset(model + page, 0, count);
}

static void map_range(unsigned page, unsigned count, unsigned kind)
{
    unmap(page, count);
    struct vma *vma = vma_alloc(&map, address_of(page), address_of(page + count));
    assert_non_null(vma);
    vma->access = ARCH_READ;
    vma->kind = (uint8_t)kind;
    vma_insert(&map, vma);
    vma = vma_merge(&map, vma);
    assert_true(vma->start <= address_of(page) && vma->end >= address_of(page + count));
    memset(model + page, (int)kind + 1, count);
}

/* What vma_find_gap() must give: the highest run of @count free pages in [@low, @high). */
static uintptr_t model_gap(unsigned count, unsigned low, unsigned high)
{
    unsigned run = 0;
    for (unsigned page = high; page-- > low;) {
        run = model[page] ? 0 : run + 1;
        if (run == count)
            return address_of(page);
    }
    return 0;
}

static void random_operations(void *argument)
{
    (void)argument;
    for (unsigned round = 0; round < 4000; round++) {
        unsigned page = roll(PAGES), count = 1 + roll(round % 2 ? 8 : 40);
        if (count > PAGES - page)
            count = PAGES - page;
        if (roll(3))
            map_range(page, count, roll(3));
        else
            unmap(page, count);
        check_against_model();
        unsigned low = roll(PAGES / 2), high = low + 1 + roll(PAGES - low), want = 1 + roll(20);
        uintptr_t gap = vma_find_gap(&map, (uint64_t)want * PAGE_BYTES, address_of(low), address_of(high));
        assert_int_equal(gap, model_gap(want, low, high));
    }
    unmap(0, PAGES);
    assert_int_equal(map.count, 0);
}

static const struct thread_def random_def = {.name = "random", .run = random_operations};

static void test_random(void **state)
{
    (void)state;
    rt_run(&random_def, NULL);
}

/* Neighbours that are alike join, whether pages of them were touched or not; others do not. */
static void joining(void *argument)
{
    (void)argument;
    map_range(0, 2, VMA_ANONYMOUS);
    vma_find(&map, address_of(0))->flags |= VMA_TOUCHED;
    map_range(4, 2, VMA_ANONYMOUS);
    map_range(2, 2, VMA_ANONYMOUS);
    assert_int_equal(map.count, 1);
    assert_true(vma_find(&map, address_of(5))->flags & VMA_TOUCHED);
    map_range(6, 1, VMA_BRK);
    assert_int_equal(map.count, 2);
    cut(address_of(3));
    assert_int_equal(map.count, 3);
    assert_true(vma_find(&map, address_of(3))->flags & VMA_TOUCHED);
    unmap(0, PAGES);
}

static const struct thread_def joining_def = {.name = "joining", .run = joining};

static void test_joining(void **state)
{
    (void)state;
    rt_run(&joining_def, NULL);
}

/* Many ranges: found in few steps, so this ends in no time; and given back to the last. */
static void many_ranges(void *argument)
{
    enum { COUNT = 20000 };
    (void)argument;
    for (unsigned i = 0; i < COUNT; i++) {
        uintptr_t start = BASE + (uint64_t)(i * 7919u % COUNT) * 2 * PAGE_BYTES;
        struct vma *vma = vma_alloc(&map, start, start + PAGE_BYTES);
        assert_non_null(vma);
        vma_insert(&map, vma);
    }
    assert_int_equal(map.count, COUNT);
    check_links();
    for (unsigned i = 0; i < COUNT; i++) {
        uintptr_t start = BASE + (uint64_t)i * 2 * PAGE_BYTES;
        struct vma *vma = vma_find(&map, start);
        assert_int_equal(vma->start, start);
        vma_remove(&map, vma);
        vma_free(vma);
    }
    assert_int_equal(map.count, 0);
}

static const struct thread_def many_def = {.name = "many", .run = many_ranges};

static void test_many(void **state)
{
    (void)state;
    rt_run(&many_def, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_joining),
        cmocka_unit_test(test_many),
    };
    rt_boot(MIB(64), NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
