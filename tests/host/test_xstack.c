// SPDX-License-Identifier: MIT
/*
 * Probes, the switch and the pool, with the real thunks and the real switch assembly. The probed functions of
 * this test take the place of the kernel's: each calls the next probe, as deep as it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include <arch/arch.h>
#include <lib/errno.h>
#include <lib/format.h>
#include <rt/cpu.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/xstack.h>
#include <rt/xstack_counts.h>
#include <rt/xstack_pool.h>
#include <support/rt.h>

#define POOL 6u

/* The thunks under test, with signatures of this test's own: six register arguments. */
long vfs_read(long depth, long a, long b, long c, long d, long e);
long vfs_write(long depth);
long vfs_sync(long depth);
long vfs_lookup(long depth);
long bdev_submit_stacked(long depth);
long vfs_read_body(long depth, long a, long b, long c, long d, long e);
long vfs_write_body(long depth);
long vfs_sync_body(long depth);
long vfs_lookup_body(long depth);
long bdev_submit_stacked_body(long depth);

static uint32_t held_at_bottom;
static struct semaphore at_bottom, go_on;
static bool pause_at_bottom;

/* Alternates between two probes, and checks that all six arguments arrive. */
__attribute__((noipa)) long vfs_read_body(long depth, long a, long b, long c, long d, long e)
{
    assert_int_equal(a * 1 + b * 10 + c * 100 + d * 1000 + e * 10000, 54321);
    if (depth == 0) {
        held_at_bottom = thread_current()->held;
        if (pause_at_bottom) {
            semaphore_up(&at_bottom);
            assert_true(semaphore_down(&go_on, WAIT_FOREVER));
        }
        return -77;
    }
    return vfs_write(depth - 1);
}
__attribute__((noipa)) long vfs_write_body(long depth)
{
    assert_ptr_equal(stack_find(arch_stack_pointer(), NULL), thread_current()->stack);
    return vfs_read(depth, 1, 2, 3, 4, 5);
}
__attribute__((noipa)) long vfs_sync_body(long depth) { return depth; }
__attribute__((noipa)) long vfs_lookup_body(long depth) { return depth; }
__attribute__((noipa)) long bdev_submit_stacked_body(long depth) { return depth; }

static void force(bool on)
{
    params.stack_need = on ? PARAM_NEED_FORCE : 0;
    arch_set_probe_base(xstack_probe_base(thread_current()->stack));
}

static struct xstack_totals totals(void)
{
    struct xstack_totals t;
    xstack_totals(&t);
    assert_int_equal(t.free + t.in_use + t.parked, t.total);
    return t;
}

static void untaken_body(void *argument)
{
    (void)argument;
    force(false);
    uint64_t requests = totals().requests;
    assert_int_equal(vfs_sync(42), 42);
    assert_int_equal(totals().requests, requests);
}

static void nest_body(void *argument)
{
    (void)argument;
    force(true);
    struct xstack_totals before = totals();
    assert_int_equal(vfs_read(2, 1, 2, 3, 4, 5), -77);      /* read write read write read: five */
    assert_int_equal(held_at_bottom, 5);
    struct xstack_totals after = totals();
    assert_int_equal(after.switches - before.switches, 5);
    assert_int_equal(after.free, POOL);
    assert_int_equal(after.most_held, 5);
    assert_ptr_equal(thread_current()->stack, thread_current()->home);
    force(false);
}

static void refuse_body(void *argument)
{
    (void)argument;
    force(true);
    struct xstack_totals before = totals();
    assert_int_equal(vfs_read(3, 1, 2, 3, 4, 5), -EIO);     /* needs seven of six */
    struct xstack_totals after = totals();
    assert_int_equal(after.refusals - before.refusals, 1);
    assert_int_equal(after.switches - before.switches, POOL);
    assert_int_equal(after.free, POOL);
    assert_int_equal(after.low_water, 0);
    assert_int_equal(xstack_sum_of(refusals, PROBE_vfs_read), 1);
    force(false);
}

static void private_body(void *argument)
{
    (void)argument;
    struct thread *self = thread_current();
    uint64_t in_use = totals().in_use;
    assert_int_equal(xstack_reserve_private(self, 3), 0);
    assert_int_equal(totals().reserved, 3);
    force(true);
    pause_at_bottom = false;
    assert_int_equal(vfs_read(1, 1, 2, 3, 4, 5), -77);      /* three, all private */
    assert_int_equal(totals().in_use, in_use);
    assert_int_equal(vfs_read(4, 1, 2, 3, 4, 5), -77);      /* nine: three private, six of the pool */
    assert_int_equal(totals().free, POOL);
    force(false);
    xstack_release_private(self);
    assert_int_equal(totals().reserved, 0);
}

static void hold_three(void *argument)
{
    force(true);
    *(long *)argument = vfs_read(1, 1, 2, 3, 4, 5);
}

/* Sleeping while holding, exact exhaustion from two threads, resizing under use. */
static void sleep_body(void *argument)
{
    static const struct thread_def def = {.name = "holder", .run = hold_three};
    long results[2] = {0, 0};
    (void)argument;
    semaphore_init(&at_bottom, 0);
    semaphore_init(&go_on, 0);
    pause_at_bottom = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(thread_create(&def, &results[i], NULL), 0);
        assert_true(semaphore_down(&at_bottom, WAIT_FOREVER));
    }
    assert_int_equal(totals().free, 0);
    force(true);
    assert_int_equal(vfs_sync(1), -EIO);
    assert_int_equal(xstack_resize(POOL - 1), -EBUSY);
    assert_int_equal(totals().total, POOL);
    assert_int_equal(xstack_resize(POOL + 1), 0);
    assert_int_equal(vfs_sync(1), 1);
    assert_int_equal(xstack_resize((uint32_t)params.stack_extra_max + 1), -ENOMEM);
    assert_int_equal(totals().total, POOL + 1);
    assert_int_equal(xstack_resize(POOL), 0);
    pause_at_bottom = false;
    semaphore_up(&go_on);
    semaphore_up(&go_on);
    thread_sleep_ns(NS_PER_MS);
    assert_int_equal(results[0], -77);
    assert_int_equal(results[1], -77);
    assert_int_equal(totals().free, POOL);
    assert_int_equal(xstack_resize(0), 0);
    assert_int_equal(vfs_sync(1), -EIO);
    assert_int_equal(xstack_resize(POOL), 0);
    force(false);
}

static void die_holding(void *argument)
{
    (void)argument;
    force(true);
    pause_at_bottom = false;
    held_at_bottom = 0;
    xstack_take(PROBE_vfs_sync);
    xstack_take(PROBE_vfs_sync);
    thread_exit();
}

static void death_body(void *argument)
{
    static const struct thread_def def = {.name = "dies", .run = die_holding};
    (void)argument;
    assert_int_equal(thread_create(&def, NULL, NULL), 0);
    thread_sleep_ns(5 * NS_PER_MS);
    assert_int_equal(totals().free, POOL);
    force(false);
}

static void depth_body(void *argument)
{
    (void)argument;
    force(true);
    assert_int_equal(vfs_sync(9), 9);
    uint64_t deepest = xstack_pool.deepest[PROBE_vfs_sync];
    assert_true(deepest >= 8 && deepest < 2048);
    force(false);
}

static void attrs_body(void *argument)
{
    char text[1024];
    (void)argument;
    for (unsigned i = 0; xstack_attrs[i]; i++) {
        struct strbuf sb;
        strbuf_init(&sb, text, sizeof(text));
        xstack_attrs[i]->ops->show(xstack_attrs[i], &sb);
        assert_false(sb.cut);
        assert_true(sb.length > 1 && text[sb.length - 1] == '\n');
        if (xstack_attrs[i]->ops->store) {
            assert_int_equal(xstack_attrs[i]->ops->store(xstack_attrs[i], "x"), -EINVAL);
            assert_int_equal(xstack_attrs[i]->ops->store(xstack_attrs[i], "99999999"), -ENOMEM);
        }
    }
}

THREAD_TEST(untaken)
THREAD_TEST(nest)
THREAD_TEST(refuse)
THREAD_TEST(private)
THREAD_TEST(sleep)
THREAD_TEST(death)
THREAD_TEST(depth)
THREAD_TEST(attrs)

int main(void)
{
    rt_boot(MIB(64), "stack.extra=6 stack.extra_max=64 stack.need=force");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untaken_test), cmocka_unit_test(nest_test),  cmocka_unit_test(refuse_test),
        cmocka_unit_test(private_test), cmocka_unit_test(sleep_test), cmocka_unit_test(death_test),
        cmocka_unit_test(depth_test),   cmocka_unit_test(attrs_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
