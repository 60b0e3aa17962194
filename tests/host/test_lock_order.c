// SPDX-License-Identifier: MIT
/* The graph of the lock-order checker, against a matrix of what reaches what. What it makes of locks is tested in the
 * guest (tests/guest/deaths_locks.c) and by every other test here, which runs with the checker on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>

#include <arch/arch.h>
#include <rt/lock_graph.h>
#include <rt/sync.h>
#include <support/rt.h>

#define NODES 40
#define TRIES 20000

static uint16_t nodes[NODES];
static bool reaches[NODES][NODES];

/* All edges fit that the matrix allows; each that does not comes with the way back. */
static void check_way_back(uint16_t from, uint16_t to)
{
    assert_true(lock_path_length > 0);
    assert_int_equal(lock_edges[lock_path[0]].to, from);
    assert_int_equal(lock_edges[lock_path[lock_path_length - 1]].from, to);
    for (uint32_t i = 1; i < lock_path_length; i++)
        assert_int_equal(lock_edges[lock_path[i]].to, lock_edges[lock_path[i - 1]].from);
}

static void note_edge(int from, int to)
{
    for (int i = 0; i < NODES; i++)
        for (int j = 0; j < NODES; j++)
            if ((i == from || reaches[i][from]) && (j == to || reaches[to][j]))
                reaches[i][j] = true;
}

static void test_cycles(void **state)
{
    static struct lock_dep deps[NODES];
    unsigned refused = 0;
    (void)state;
    for (int i = 0; i < NODES; i++) {
        deps[i] = (struct lock_dep){.lock_class = LOCK_CLASS_HERE("node"), .level = (uint8_t)i};
        nodes[i] = lock_node_of(&deps[i], 0, NULL);
        assert_int_equal(lock_node_of(&deps[i], 0, NULL), nodes[i]);
        assert_int_not_equal(lock_node_of(&deps[i], 1, NULL), nodes[i]);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(nodes[i], nodes[j]);
    }
    srand(1);
    for (int n = 0; n < TRIES; n++) {
        int from = rand() % NODES, to = rand() % NODES;
        if (from == to || (n < TRIES / 2 && rand() % 64))
            continue;
        enum lock_finding finding = lock_graph_add(nodes[from], 0, nodes[to], 0);
        assert_int_equal(finding, reaches[to][from] ? LOCK_CYCLE : LOCK_FITS);
        if (finding == LOCK_FITS) {
            note_edge(from, to);
            continue;
        }
        refused++;
        check_way_back(nodes[from], nodes[to]);
    }
    assert_true(refused > 1000);
    assert_true(lock_edge_count > NODES);
}

/* One lock is taken in interrupts; what it does not reach may be held with interrupts on, what it reaches may not. */
static void test_interrupts(void **state)
{
    int in_irq = 0;
    (void)state;
    while (in_irq < NODES) {
        int count = 0;
        for (int i = 0; i < NODES; i++)
            count += reaches[in_irq][i];
        if (count > NODES / 4 && count < NODES / 2)
            break;
        in_irq++;
    }
    assert_true(in_irq < NODES);
    assert_int_equal(lock_graph_irq(nodes[in_irq], false, 1), LOCK_FITS);
    for (int i = 0; i < NODES; i++)
        if (i != in_irq && !reaches[in_irq][i])
            assert_int_equal(lock_graph_irq(nodes[i], true, 2), LOCK_FITS);
    for (int i = 0; i < NODES; i++)
        if (reaches[in_irq][i]) {
            assert_int_equal(lock_graph_irq(nodes[i], true, 3), LOCK_IRQ_INVERSION);
            assert_int_equal(lock_path_first, nodes[in_irq]);
            assert_true(lock_nodes[lock_path_last].irq_on_at == 3);
        }
}

static struct mutex outer, inner;

static void levels_body(void *argument)
{
    (void)argument;
    for (int level = 5; level > 0; level--) {
        mutex_init_level(&outer, "level", level);
        mutex_set_class(&inner, outer.dep.lock_class, level - 1);
        mutex_lock(&outer);
        mutex_lock(&inner);
        assert_int_equal(thread_current()->locks.count, 2);
        mutex_unlock(&outer);         /* in any order */
        assert_ptr_equal(thread_current()->locks.held[0].lock, &inner);
        mutex_unlock(&inner);
    }
    assert_int_equal(thread_current()->locks.count, 0);
    assert_true(lock_order_is_on());
}

static void test_levels(void **state)
{
    static const struct thread_def def = {.name = "levels", .run = levels_body};
    (void)state;
    mutex_init(&inner);
    rt_run(&def, NULL);
}

/* The last case: it turns the checker off. */
static void test_full(void **state)
{
    static struct lock_class classes[LOCK_NODES_MAX];
    bool full = false;
    (void)state;
    for (unsigned i = 0; i < LOCK_NODES_MAX && !full; i++) {
        struct lock_dep dep = {.lock_class = &classes[i]};
        full = !lock_node_of(&dep, 0, NULL);
    }
    assert_true(full);
    assert_int_equal(lock_node_count, LOCK_NODES_MAX);
    assert_false(lock_order_is_on());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels), cmocka_unit_test(test_cycles), cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_full),
    };
    rt_boot(64 << 20, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
