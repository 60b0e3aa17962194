// SPDX-License-Identifier: MIT
/* The priority queue and the timers on it: order, equal times, cancelling, many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include <lib/bits.h>
#include <lib/pqueue.h>
#include <rt/thread.h>
#include <rt/timer.h>
#include <support/rt.h>

#define COUNT 10000u

/* ---- the queue alone ---- */

struct item {
    struct pqueue_node node;
    uint64_t number;                  /* of its insertion */
    bool queued;
};
static struct item items[COUNT];

static uint64_t dice_state = 1;
static uint64_t dice(uint64_t sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (dice_state >> 33) % sides;
}

/* Links and order of the whole tree, by its numbers: node n is below node n / 2. */
static void check_tree(const struct pqueue *queue)
{
    for (uint64_t n = 1; n <= queue->count; n++) {
        const struct pqueue_node *node = queue->first, *parent = NULL;
        for (unsigned bit = log2_floor(n); bit-- > 0; node = node->child[n >> bit & 1]) {
            assert_non_null(node);
            parent = node;
        }
        assert_non_null(node);
        assert_ptr_equal(node->parent, parent);
        assert_true(!parent || parent->key < node->key || (parent->key == node->key && parent->turn < node->turn));
        if (2 * n > queue->count)
            assert_null(node->child[0]);
        if (2 * n + 1 > queue->count)
            assert_null(node->child[1]);
    }
}

static void drain(struct pqueue *queue, uint64_t expected)
{
    uint64_t key = 0, number = 0, count = 0;
    for (; queue->first; count++) {
        struct item *item = container_of(queue->first, struct item, node);
        assert_true(item->queued);
        assert_true(item->node.key > key || (item->node.key == key && item->number >= number));
        key = item->node.key;
        number = item->number;
        item->queued = false;
        pqueue_remove(queue, &item->node);
    }
    assert_int_equal(count, expected);
    assert_int_equal(queue->count, 0);
}

static void order_test(void **state)
{
    struct pqueue queue;
    (void)state;
    pqueue_init(&queue);
    for (uint64_t i = 0; i < COUNT; i++) {      /* few keys: most are equal to others */
        items[i] = (struct item){.number = i, .queued = true};
        pqueue_insert(&queue, &items[i].node, dice(50));
    }
    check_tree(&queue);
    drain(&queue, COUNT);
}

/* Any node may go, and come again with another key: against a plain count of what is in it. */
static void remove_test(void **state)
{
    struct pqueue queue;
    uint64_t queued = 0, number = 0;
    (void)state;
    pqueue_init(&queue);
    for (unsigned i = 0; i < COUNT; i++)
        items[i].queued = false;
    for (unsigned round = 0; round < 20 * COUNT; round++) {
        struct item *item = &items[dice(COUNT)];
        if (item->queued) {
            pqueue_remove(&queue, &item->node);
            queued--;
        } else {
            item->number = number++;
            pqueue_insert(&queue, &item->node, dice(1000000));
            queued++;
        }
        item->queued = !item->queued;
        assert_int_equal(queue.count, queued);
        if (round % 20000 == 0)
            check_tree(&queue);
    }
    drain(&queue, queued);
}

/* Every size from 0 to 64, every node of it removed first. */
static void small_test(void **state)
{
    struct pqueue queue;
    (void)state;
    for (unsigned size = 1; size <= 64; size++)
        for (unsigned gone = 0; gone < size; gone++) {
            pqueue_init(&queue);
            for (unsigned i = 0; i < size; i++) {
                items[i] = (struct item){.number = i, .queued = true};
                pqueue_insert(&queue, &items[i].node, dice(8));
            }
            items[gone].queued = false;
            pqueue_remove(&queue, &items[gone].node);
            check_tree(&queue);
            drain(&queue, size - 1);
        }
}

/* ---- timers ---- */

struct shot {
    struct timer timer;
    unsigned number;                  /* of its start */
    uint64_t deadline_ns;
    bool fired, cancelled;
};
static struct shot shots[COUNT];
static unsigned fired;
static struct shot *last_fired;

static void fire(struct timer *timer)
{
    struct shot *shot = container_of(timer, struct shot, timer);
    assert_false(shot->fired || shot->cancelled || timer->armed);
    assert_true(arch_now_ns() >= shot->deadline_ns);
    if (last_fired)
        assert_true(last_fired->deadline_ns < shot->deadline_ns ||
                    (last_fired->deadline_ns == shot->deadline_ns && last_fired->number < shot->number));
    last_fired = shot;
    shot->fired = true;
    fired++;
}
static const struct timer_ops shot_ops = {.fire = fire};

static void start_shot(struct shot *shot, uint64_t base_ns)
{
    static unsigned starts;
    shot->number = starts++;
    shot->deadline_ns = base_ns + dice(200) * 100 * NS_PER_US;      /* many at the same time */
    timer_start(&shot->timer, shot->deadline_ns);
}

static void timers_body(void *argument)
{
    unsigned cancelled = 0;
    (void)argument;
    /* Nothing fires before this thread sleeps: the host port does not pre-empt. */
    uint64_t base_ns = arch_now_ns() + 100 * NS_PER_MS;
    for (unsigned i = 0; i < COUNT; i++) {
        timer_init(&shots[i].timer, &shot_ops);
        assert_false(timer_cancel(&shots[i].timer));
        start_shot(&shots[i], base_ns);
    }
    for (unsigned i = 0; i < COUNT; i += 5)     /* moved: fires once, in its new place */
        start_shot(&shots[i], base_ns);
    for (unsigned i = 3; i < COUNT; i += 7) {
        assert_true(timer_cancel(&shots[i].timer));
        assert_false(timer_cancel(&shots[i].timer));
        shots[i].cancelled = true;
        cancelled++;
    }
    assert_int_equal(fired, 0);
    thread_sleep_until(base_ns + 21 * NS_PER_MS);
    assert_int_equal(fired, COUNT - cancelled);
    for (unsigned i = 0; i < COUNT; i++)
        assert_true(shots[i].fired != shots[i].cancelled);
}

static void timers_test(void **state)
{
    static const struct thread_def def = {.name = "timers", .run = timers_body};
    (void)state;
    rt_run(&def, NULL);
}

int main(void)
{
    rt_boot(MIB(64), "stack.extra=2");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_test),
        cmocka_unit_test(remove_test),
        cmocka_unit_test(small_test),
        cmocka_unit_test(timers_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
