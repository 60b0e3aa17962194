// SPDX-License-Identifier: MIT
/* Threads, sleeping locks, timers, work, pages and heap on the host port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include <arch/host/host.h>
#include <lib/errno.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/work.h>
#include <rt/xstack.h>
#include <support/rt.h>

#define THREADS 5
#define ROUNDS 200

static struct mutex lock;
static struct cond changed;
static int shared, order[THREADS], order_count;

static void add_under_lock(void *argument)
{
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&lock);
        int seen = shared;
        thread_yield();
        shared = seen + 1;
        mutex_unlock(&lock);
    }
    semaphore_up(argument);
}

static void mutex_body(void *argument)
{
    static const struct thread_def def = {.name = "adder", .run = add_under_lock};
    struct semaphore done;
    (void)argument;
    mutex_init(&lock);
    semaphore_init(&done, 0);
    shared = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(&def, &done, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_true(semaphore_down(&done, WAIT_FOREVER));
    assert_int_equal(shared, THREADS * ROUNDS);
}

/* ---- one that always wants the mutex again does not keep others from it ---- */

static int hog_turns;
static bool hog_stops;

static void hog(void *argument)
{
    while (!hog_stops) {
        mutex_lock(&lock);
        hog_turns++;
        thread_sleep_ns(NS_PER_MS);
        mutex_unlock(&lock);
    }
    semaphore_up(argument);
}

static void want_once(void *argument)
{
    mutex_lock(&lock);
    order[order_count++] = (int)(intptr_t)argument;
    mutex_unlock(&lock);
}

static void starving_body(void *argument)
{
    static const struct thread_def hog_def = {.name = "hog", .run = hog};
    static const struct thread_def def = {.name = "waiter", .run = want_once};
    struct semaphore done;
    (void)argument;
    mutex_init(&lock);
    semaphore_init(&done, 0);
    hog_turns = order_count = 0;
    hog_stops = false;
    assert_int_equal(thread_create(&hog_def, &done, NULL), 0);
    thread_sleep_ns(NS_PER_MS / 2);
    for (int round = 0; round < 5; round++) {
        int before = hog_turns;
        mutex_lock(&lock);
        /* Each turn lasts a millisecond at least: after so many the patience was over. */
        assert_in_range(hog_turns - before, 0, MUTEX_PATIENCE_NS / NS_PER_MS + 1);
        mutex_unlock(&lock);
    }
    for (intptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(thread_create(&def, (void *)i, NULL), 0);
        thread_yield();
    }
    hog_stops = true;
    assert_true(semaphore_down(&done, WAIT_FOREVER));
    thread_sleep_ns(NS_PER_MS);
    assert_int_equal(order_count, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(order[i], i);
}

/* A mutex that is free goes to who is there, although a waiter was woken for it. */
static void free_mutex_body(void *argument)
{
    static const struct thread_def def = {.name = "waiter", .run = want_once};
    unsigned taken = 0;
    (void)argument;
    mutex_init(&lock);
    for (unsigned i = 0; i < 50; i++) {
        order_count = 0;
        mutex_lock(&lock);
        assert_int_equal(thread_create(&def, NULL, NULL), 0);
        thread_yield();
        mutex_unlock(&lock);
        taken += mutex_trylock(&lock);    /* not if the test itself was kept waiting for longer than the patience */
        if (mutex_is_mine(&lock))
            mutex_unlock(&lock);
        while (!order_count)
            thread_yield();
    }
    assert_true(taken > 0);
}

static void wait_turn(void *argument)
{
    mutex_lock(&lock);
    assert_true(cond_wait(&changed, &lock, WAIT_FOREVER));
    order[order_count++] = (int)(intptr_t)argument;
    mutex_unlock(&lock);
}

static void cond_body(void *argument)
{
    static const struct thread_def def = {.name = "waiter", .run = wait_turn};
    (void)argument;
    mutex_init(&lock);
    cond_init(&changed);
    order_count = 0;
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(&def, (void *)i, NULL), 0);
    thread_sleep_ns(NS_PER_MS);
    cond_signal(&changed);
    thread_sleep_ns(NS_PER_MS);
    assert_int_equal(order_count, 1);
    cond_broadcast(&changed);
    thread_sleep_ns(NS_PER_MS);
    assert_int_equal(order_count, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(order[i], i);          /* first come, first served */
}

static void timeout_body(void *argument)
{
    struct semaphore s;
    struct completion c;
    (void)argument;
    semaphore_init(&s, 0);
    completion_init(&c);
    uint64_t start = arch_now_ns();
    assert_false(semaphore_down(&s, start + 5 * NS_PER_MS));
    assert_true(arch_now_ns() >= start + 5 * NS_PER_MS);
    assert_false(completion_wait(&c, arch_now_ns() + NS_PER_MS));
    completion_signal(&c);
    assert_true(completion_wait(&c, 0));
    semaphore_up(&s);
    assert_true(semaphore_try_down(&s));
    assert_false(semaphore_try_down(&s));
    mutex_init(&lock);
    cond_init(&changed);
    mutex_lock(&lock);
    assert_false(cond_wait(&changed, &lock, arch_now_ns() + NS_PER_MS));
    assert_true(mutex_is_mine(&lock));
    mutex_unlock(&lock);
}

struct counted_work {
    struct work work;
    int runs;
    struct completion ran;
};

static void count_run(struct work *work)
{
    struct counted_work *c = container_of(work, struct counted_work, work);
    thread_sleep_ns(NS_PER_MS);
    if (++c->runs == 2)
        completion_signal(&c->ran);
}

static void work_body(void *argument)
{
    static const struct work_ops ops = {.execute = count_run};
    struct counted_work c = {0};
    (void)argument;
    work_init(&c.work, &ops);
    completion_init(&c.ran);
    assert_true(work_queue(&c.work));
    assert_false(work_queue(&c.work));
    thread_yield();
    assert_true(work_queue(&c.work));           /* it runs: it may be queued again */
    assert_true(completion_wait(&c.ran, arch_now_ns() + NS_PER_S));
}

static void memory_body(void *argument)
{
    (void)argument;
    uint64_t free_before = page_count_free();
    void *blocks[64];
    for (unsigned i = 0; i < 64; i++) {
        blocks[i] = page_alloc(i % 5);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0xaa, PAGE_BYTES << i % 5);
        assert_int_equal((uintptr_t)blocks[i] % (PAGE_BYTES << i % 5), 0);
    }
    for (unsigned i = 0; i < 64; i++)
        page_free(blocks[i], i % 5);
    assert_int_equal(page_count_free(), free_before);
    assert_int_equal(page_reserve(page_count_free() + 1), -ENOMEM);
    assert_int_equal(page_reserve(page_count_free() - 8), 0);
    assert_null(page_alloc(4));
    void *page = page_alloc_reserved();
    assert_int_equal(*(char *)page, 0);
    page_free_reserved(page);
    page_unreserve(free_before - 8);
    assert_int_equal(page_count_free(), free_before);
}

static void heap_body(void *argument)
{
    static const size_t sizes[] = {1, 16, 17, 64, 100, 192, 500, 1024, 1344, 1984, 1985, 4096, 9000};
    void *p[ARRAY_COUNT(sizes) * 40];
    uint64_t before = heap_bytes_in_use();
    (void)argument;
    for (unsigned i = 0; i < ARRAY_COUNT(p); i++) {
        size_t bytes = sizes[i % ARRAY_COUNT(sizes)];
        p[i] = heap_alloc(bytes);
        assert_non_null(p[i]);
        memset(p[i], (int)i, bytes);
        if (bytes >= 64)
            assert_int_equal((uintptr_t)p[i] % 64, 0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(p); i++) {
        size_t bytes = sizes[i % ARRAY_COUNT(sizes)];
        for (size_t k = 0; k < bytes; k++)
            assert_int_equal(((unsigned char *)p[i])[k], (unsigned char)i);
        heap_free(p[i]);
    }
    assert_int_equal(heap_bytes_in_use(), before);
    assert_null(heap_alloc(SIZE_MAX / 2));
}

static void stacks_body(void *argument)
{
    struct stack *a, *b;
    enum stack_side side;
    (void)argument;
    uint64_t free_before;
    assert_int_equal(stack_map(8192, STACK_EXTRA, "test", &a), 0);
    stack_unmap(a);
    free_before = page_count_free();
    assert_int_equal(stack_map(8192, STACK_EXTRA, "test", &a), 0);
    assert_int_equal(stack_map(65536, STACK_EXTRA, "test", &b), 0);
    assert_ptr_equal(stack_find(a->base, &side), a);
    assert_int_equal(side, STACK_INSIDE);
    assert_ptr_equal(stack_find(a->base - 1, &side), a);
    assert_int_equal(side, STACK_GUARD_LOW);
    assert_ptr_equal(stack_find(a->top, &side), a);
    assert_int_equal(side, STACK_GUARD_HIGH);
    assert_true(stack_contains((void *)(b->top - 1)));
    assert_false(stack_contains(&lock));
    assert_int_equal(stack_measure(a), 0);
    *(uint64_t *)(a->top - 512) = 1;
    assert_int_equal(stack_measure(a), 512);
    stack_unmap(a);
    stack_unmap(b);
    assert_null(stack_find(a->base, NULL));
    assert_int_equal(page_count_free() >= free_before - 1, 1);
}

THREAD_TEST(mutex)
THREAD_TEST(starving)
THREAD_TEST(free_mutex)
THREAD_TEST(cond)
THREAD_TEST(timeout)
THREAD_TEST(work)
THREAD_TEST(memory)
THREAD_TEST(heap)
THREAD_TEST(stacks)

int main(void)
{
    rt_boot(MIB(64), "stack.extra=2");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutex_test),
        cmocka_unit_test(starving_test), cmocka_unit_test(free_mutex_test),
        cmocka_unit_test(cond_test),   cmocka_unit_test(timeout_test),
        cmocka_unit_test(work_test),  cmocka_unit_test(memory_test), cmocka_unit_test(heap_test),
        cmocka_unit_test(stacks_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
