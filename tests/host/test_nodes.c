// SPDX-License-Identifier: MIT
/* Memory nodes on the host port: which ranges are believed, whose frames an allocation gets, and that no block
 * crosses a border. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include <arch/boot_info.h>
#include <arch/host/host.h>
#include <lib/errno.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/node.h>
#include <rt/page.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/thread.h>
#include <rt/xstack_pool.h>
#include <support/rt.h>

/* 64 MiB. Node 1 begins and ends in the middle of what would be blocks; node 2 is in two parts; 3 has nothing. */
static const struct arch_memory_node layout[] = {
    {MIB(40), MIB(64), 2},
    {0, MIB(1), 0},
    {MIB(1), 20 * MIB(1) + 3 * PAGE_BYTES + 100, 0},
    {20 * MIB(1) + 3 * PAGE_BYTES + 100, MIB(31) + 7 * PAGE_BYTES, 1},
    {MIB(31) + 7 * PAGE_BYTES, MIB(40), 2},
    {GIB(4), GIB(5), 3},              /* none of it is there */
};

static struct page_node_counts counts(uint32_t node)
{
    struct page_node_counts c;
    page_node_counts(node, &c);
    return c;
}

static uint32_t node_by_layout(const void *page)
{
    uint64_t phys = arch_virt_to_phys(page);
    for (unsigned i = 0; i < ARRAY_COUNT(layout); i++)
        if (phys >= (layout[i].start & ~UINT64_C(4095)) && phys < (layout[i].end & ~UINT64_C(4095)))
            return layout[i].node;
    return UINT32_MAX;
}

/* ---- what is believed ---- */

static void believed_as(const struct arch_memory_node *nodes, int count, uint32_t wanted, const char *why)
{
    static char text[1024];
    host_memory_nodes(nodes, count);
    host_console_capture(text, sizeof(text));
    node_init(MIB(64) >> PAGE_SHIFT);
    host_console_capture(NULL, 0);
    assert_int_equal(node_count, wanted);
    if (why && !strstr(text, why))
        fail_msg("expected \"%s\" in: %s", why, text);
    if (!why)
        assert_string_equal(text, "");
    if (wanted == 1 && why) {
        assert_int_equal(node_ranges[0].first, 0);
        assert_int_equal(node_ranges[0].last, MIB(64) >> PAGE_SHIFT);
    }
}
#define BELIEVED(wanted, why, ...)                                                                  \
    do {                                                                                            \
        static const struct arch_memory_node n[] = {__VA_ARGS__};                                   \
        believed_as(n, (int)ARRAY_COUNT(n), wanted, why);                                           \
    } while (0)

static void belief_test(void **state)
{
    struct arch_memory_node many[65];
    (void)state;
    believed_as(NULL, 0, 1, NULL);
    believed_as(NULL, -EINVAL, 1, "it is damaged");
    BELIEVED(1, NULL, {0, MIB(64), 0});
    BELIEVED(2, NULL, {MIB(32), MIB(64), 1}, {0, MIB(32), 0});
    BELIEVED(1, "0x1fff000-0x4000000 of node 1 overlaps 0x0-0x2000000 of node 0",
             {MIB(32) - 4096, MIB(64), 1}, {0, MIB(32), 0});
    BELIEVED(1, "overlaps", {0, MIB(64), 0}, {MIB(8), MIB(9), 0});
    BELIEVED(1, "overlaps", {0, MIB(64), 0}, {0, MIB(64), 1});
    BELIEVED(1, "node 1 has 0x2000000-0x2000000,", {0, MIB(64), 0}, {MIB(32), MIB(32), 1});
    BELIEVED(1, "node 1 has 0x2000000-0xffffffffffffffff, which no", {0, MIB(32), 0}, {MIB(32), UINT64_MAX, 1});
    BELIEVED(1, "2048 KiB of RAM, from 0x2000000 on,", {0, MIB(32), 0}, {MIB(34), MIB(64), 1});
    BELIEVED(1, "4096 KiB of RAM, from 0x3c00000 on,", {0, MIB(32), 0}, {MIB(32), MIB(60), 1});
    BELIEVED(1, "are in none of its 1 ranges", {GIB(1), GIB(2), 0});
    BELIEVED(1, "more than 16 nodes", {0, MIB(32), 0}, {MIB(32), MIB(64), 16});
    BELIEVED(16, NULL, {0, MIB(32), 0}, {MIB(32), MIB(64), 15});
    for (unsigned i = 0; i < ARRAY_COUNT(many); i++)
        many[i] = (struct arch_memory_node){MIB(i), MIB(i + 1), i % 2};
    believed_as(many, 65, 1, "it lists 65 ranges of memory; up to 64 can be used");
    believed_as(many, 64, 2, NULL);
    assert_int_equal(node_ranges[63].node, 1);
    /* A hole of less than 1 MiB belongs to the range above it. */
    BELIEVED(2, NULL, {0, MIB(32), 0}, {MIB(32) + 8192, MIB(64), 1});
    assert_int_equal(node_range_of((MIB(32) >> PAGE_SHIFT) + 1)->node, 1);
    host_memory_nodes(layout, ARRAY_COUNT(layout));
    node_init(MIB(64) >> PAGE_SHIFT);   /* what page_init() began with */
    assert_int_equal(node_count, 4);
}

/* ---- whose frames ---- */

/* Takes all that is free in blocks of @order, each from its node; then gives all back. */
static void take_all(uint32_t preferred, unsigned order)
{
    static void *blocks[MIB(64) / PAGE_BYTES];
    uint64_t left[4], free_before = page_count_free();
    unsigned count = 0, last_rank = 0;
    for (uint32_t n = 0; n < node_count; n++)
        left[n] = counts(n).free;
    for (void *block; (block = page_alloc_on(preferred, order)); blocks[count++] = block) {
        uint32_t node = node_by_layout(block);
        assert_int_equal(node, node_by_layout((char *)block + (PAGE_BYTES << order) - 1));
        assert_int_equal(node, page_node(block));
        /* In the fixed order: the preferred one, those above it, those below. */
        unsigned rank = (node + node_count - preferred) % node_count;
        assert_true(rank >= last_rank);
        last_rank = rank;
    }
    for (uint32_t n = 0; n < node_count && order == 0; n++)
        assert_int_equal(counts(n).free, 0);
    while (count)
        page_free(blocks[--count], order);
    assert_int_equal(page_count_free(), free_before);
    for (uint32_t n = 0; n < node_count; n++)
        assert_int_equal(counts(n).free, left[n]);
}

static void frames_body(void *argument)
{
    (void)argument;
    assert_int_equal(node_count, 4);
    assert_int_equal(counts(1).total, (MIB(11) >> PAGE_SHIFT) + 4);
    assert_int_equal(counts(2).total, (MIB(33) >> PAGE_SHIFT) - 7);
    assert_int_equal(counts(3).total, 0);
    assert_int_equal(counts(0).total + counts(1).total + counts(2).total, page_count_total());
    uint64_t free_before = page_count_free();
    for (uint32_t node = 0; node < node_count; node++)
        for (unsigned order = 0; order <= PAGE_ORDER_MAX; order++)
            take_all(node, order);
    assert_int_equal(page_count_free(), free_before);
}

static void fallback_body(void *argument)
{
    (void)argument;
    uint64_t before = counts(3).elsewhere;
    void *page = page_alloc_on(3, 2);
    assert_int_equal(page_node(page), 0);         /* 3, then 0 */
    assert_int_equal(counts(3).elsewhere, before + 4);
    page_free(page, 2);
    /* Reservations are of any node, and are kept whoever asks. */
    uint64_t free_pages = page_count_free();
    assert_int_equal(page_reserve(free_pages - counts(1).free), 0);
    uint64_t of_others = free_pages - counts(1).free;
    void *chain = NULL;
    for (void **p; (p = page_alloc_on(1, 0)); chain = p)
        *p = chain;
    assert_int_equal(page_count_free(), of_others);
    assert_int_equal(counts(1).free, 0);
    page = page_alloc_reserved();
    assert_non_null(page);
    page_free_reserved(page);
    page_unreserve(of_others);
    while (chain) {
        void *next = *(void **)chain;
        page_free(chain, 0);
        chain = next;
    }
    assert_int_equal(page_count_free(), free_pages);
}

static void nothing(void *argument) { (void)argument; }

/* This CPU moves to each node in turn: what it makes follows. */
static void follows_body(void *argument)
{
    static const struct thread_def def = {.name = "nothing", .run = nothing};
    (void)argument;
    for (uint32_t node = 0; node < 3; node++) {
        struct thread *thread;
        this_cpu()->node = node;
        void *page = page_alloc(0), *small = heap_alloc(100), *large = heap_alloc(9000);
        assert_int_equal(page_node(page), node);
        assert_int_equal(page_node(small), node);
        assert_int_equal(page_node(large), node);
        assert_int_equal(thread_create(&def, NULL, &thread), 0);
        struct stack *home = thread->home;
        assert_int_equal(page_node(thread), node);
        assert_true(home->node == node && stack_is_local(home));
        this_cpu()->node = (node + 1) % 3;        /* it ends on another node: not kept there */
        thread_sleep_ns(5 * NS_PER_MS);
        assert_int_equal(home->state, STACK_GONE);
        page_free(page, 0);
        heap_free(small);
        heap_free(large);
        this_cpu()->node = node;
        assert_int_equal(thread_create(&def, NULL, &thread), 0);
        home = thread->home;
        thread_sleep_ns(5 * NS_PER_MS);
        assert_int_equal(home->state, STACK_CACHED);
        stack_cache_drain();
    }
    this_cpu()->node = 0;
}

static void pool_body(void *argument)
{
    uint32_t total = (uint32_t)xstack_pool.total;
    (void)argument;
    assert_int_equal(xstack_resize(0), 0);
    this_cpu()->node = 2;
    assert_int_equal(xstack_resize(total), 0);
    for (uint32_t i = 0; i < xstack_pool.capacity; i++)
        if (xstack_pool.stacks[i])
            assert_true(xstack_pool.stacks[i]->node == 2 && stack_is_local(xstack_pool.stacks[i]));
    assert_int_equal(xstack_pool.made[0], total);
    this_cpu()->node = 3;
    assert_int_equal(xstack_resize(total + 4), 0);
    unsigned elsewhere = 0;
    for (uint32_t i = 0; i < xstack_pool.capacity; i++)
        elsewhere += xstack_pool.stacks[i] && !stack_is_local(xstack_pool.stacks[i]);
    assert_int_equal(elsewhere, 4);
    this_cpu()->node = 0;
    assert_int_equal(xstack_resize(total), 0);
}

/* The heap gives what other nodes' slabs have left when no page is. */
static void heap_body(void *argument)
{
    (void)argument;
    void *first = heap_alloc_on(1, 700), *chain = NULL;
    for (void **p; (p = page_alloc_on(1, 0)); chain = p)
        *p = chain;
    void *second = heap_alloc_on(2, 700);
    assert_non_null(second);
    assert_int_equal(page_node(second), 1);
    heap_free(first);
    heap_free(second);
    while (chain) {
        void *next = *(void **)chain;
        page_free(chain, 0);
        chain = next;
    }
}


THREAD_TEST(frames)
THREAD_TEST(fallback)
THREAD_TEST(follows)
THREAD_TEST(pool)
THREAD_TEST(heap)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_test),  cmocka_unit_test(fallback_test), cmocka_unit_test(follows_test),
        cmocka_unit_test(pool_test),    cmocka_unit_test(heap_test),     cmocka_unit_test(belief_test),
    };
    host_memory_nodes(layout, ARRAY_COUNT(layout));
    rt_boot(MIB(64), "stack.extra=8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
