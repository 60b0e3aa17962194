// SPDX-License-Identifier: MIT
/* Stacks on the host port: the cache, who had a stack last, a caller's own, plain ones, guarded buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include <arch/host/host.h>
#include <lib/errno.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/stack_grow.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <support/rt.h>

static struct stack_cache_counts counts(void)
{
    struct stack_cache_counts c;
    stack_cache_counts(UINT32_MAX, &c);
    return c;
}

static void note_base(void *argument)
{
    *(uintptr_t *)argument = thread_current()->home->base;
}

static void cache_body(void *argument)
{
    static const struct thread_def def = {.name = "visitor", .run = note_base};
    uintptr_t bases[4];
    (void)argument;
    uint64_t hits = counts().hits;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(thread_create(&def, &bases[i], NULL), 0);
        thread_sleep_ns(NS_PER_MS);
    }
    assert_ptr_equal((void *)bases[1], (void *)bases[2]);
    assert_ptr_equal((void *)bases[2], (void *)bases[3]);
    assert_true(counts().hits >= hits + 3);
    struct stack *stack = stack_find(bases[3], NULL);
    assert_int_equal(stack->state, STACK_CACHED);
    assert_string_equal(stack->last_owner_name, "visitor");
    stack_cache_drain();
    assert_int_equal(counts().cached, 0);
    assert_null(stack_find(bases[3], NULL));
    assert_ptr_equal(stack_find_any(bases[3], NULL), stack);
    assert_string_equal(stack->last_owner_name, "visitor");
}

static void overfull_body(void *argument)
{
    struct stack *stacks[2 * STACK_CACHE_MAX];
    (void)argument;
    stack_cache_drain();
    struct stack_cache_counts before = counts();
    uint64_t pages = page_count_free();
    for (unsigned i = 0; i < ARRAY_COUNT(stacks); i++)
        assert_int_equal(stack_obtain(params.stack_size, false, &stacks[i]), 0);
    for (unsigned i = 0; i < ARRAY_COUNT(stacks); i++)
        stack_release(stacks[i]);
    thread_sleep_ns(5 * NS_PER_MS);
    assert_int_equal(counts().cached, stack_cache_most());
    assert_int_equal(counts().unmapped - before.unmapped, ARRAY_COUNT(stacks) - stack_cache_most());
    stack_cache_drain();
    assert_true(page_count_free() + 4 >= pages);
}

static void clean_body(void *argument)
{
    struct stack *stack, *again;
    (void)argument;
    assert_int_equal(stack_obtain(params.stack_size, false, &stack), 0);
    memset((void *)(stack->top - 9000), 0xee, 9000);
    stack_release(stack);
    assert_int_equal(stack_obtain(params.stack_size, false, &again), 0);
    assert_ptr_equal(stack, again);
    assert_int_equal(stack_measure(again), 0);
    assert_true(stack_deepest() >= 9000);
    stack_release(again);
}

STACK_DECLARE(declared, 65536);

static void plain_body(void *argument)
{
    struct stack *stack;
    uintptr_t base = 0;
    static const struct thread_def def = {.name = "plain", .run = note_base};
    struct thread *thread;
    (void)argument;
    assert_int_equal(stack_adopt(declared, 100, STACK_PLAIN, "own", &stack), -EINVAL);
    assert_int_equal(stack_adopt(declared, sizeof(declared), STACK_PLAIN, "own", &stack), 0);
    assert_int_equal(thread_prepare_on(&def, &base, stack, &thread), 0);
    thread_start(thread);
    thread_sleep_ns(NS_PER_MS);
    assert_int_equal(base, (uintptr_t)declared + STACK_CANARY_BYTES);
    assert_null(stack->owner);
    enum stack_side side;
    assert_ptr_equal(stack_find(stack->base - 1, &side), stack);
    assert_int_equal(side, STACK_GUARD_LOW);
    assert_true(stack_canaries_hold(stack));
    declared[STACK_CANARY_BYTES - 1] ^= 1;
    assert_false(stack_canaries_hold(stack));
    declared[STACK_CANARY_BYTES - 1] ^= 1;
    *(unsigned char *)stack->top ^= 1;
    assert_false(stack_canaries_hold(stack));
    stack_unmap(stack);
    assert_null(stack_find(base, NULL));
}

static void buffers_body(void *argument)
{
    (void)argument;
    char *low = guarded_alloc(5000, false), *high = guarded_alloc(5000, true);
    assert_non_null(low);
    assert_int_equal((uintptr_t)low % PAGE_BYTES, 0);
    assert_int_equal(((uintptr_t)high + 5000) % PAGE_BYTES, 0);
    assert_false(arch_lookup((uintptr_t)low - 1, NULL, NULL));
    assert_false(arch_lookup((uintptr_t)high + 5000, NULL, NULL));
    memset(low, 1, 5000);
    memset(high, 1, 5000);
    assert_true(stack_contains(low));   /* no memory for a device */
    guarded_free(low);
    guarded_free(high);
    assert_false(stack_contains(low));
    assert_null(guarded_alloc(0, true));
}

static void growth_body(void *argument)
{
    struct stack *stack;
    (void)argument;
    assert_false(stack_grow_wanted(params.stack_size));
    assert_int_equal(stack_grow_need(), 0);
    assert_int_equal(stack_map_growing(8192, "home", &stack), -ENOMEM);
}

THREAD_TEST(cache)
THREAD_TEST(overfull)
THREAD_TEST(clean)
THREAD_TEST(plain)
THREAD_TEST(buffers)
THREAD_TEST(growth)

int main(void)
{
    rt_boot(MIB(64), "stack.extra=2");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_test), cmocka_unit_test(overfull_test), cmocka_unit_test(clean_test),
        cmocka_unit_test(plain_test), cmocka_unit_test(buffers_test),  cmocka_unit_test(growth_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
