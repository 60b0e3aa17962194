// SPDX-License-Identifier: MIT
/*
 * The graph of the lock-order checker: nodes, edges, and the search for a way back.
 *
 * What is known already is found without a lock: nodes through a hash table that only grows, edges in a matrix of
 * bits. Additions are made under `adding`, a lock of its own kind that is not checked and guards nothing but this
 * file; it is held with interrupts off, and nothing that is called with it held locks, waits or prints. A search
 * visits each node once, with a queue in static memory.
 */
#include <rt/lock_graph.h>

#ifdef SPILLWAY_LOCK_ORDER

#include <arch/arch.h>
#include <lib/string.h>
#include <rt/thread.h>

#define HASH_SLOTS (2 * LOCK_NODES_MAX)

struct lock_node lock_nodes[LOCK_NODES_MAX];
struct lock_edge lock_edges[LOCK_EDGES_MAX];
uint32_t lock_node_count = 1, lock_edge_count = 1;     /* adding; 0 is none */
uint16_t lock_path[LOCK_PATH_MAX];
uint32_t lock_path_length;
uint16_t lock_path_first, lock_path_last;

static uint32_t adding;
static uint16_t slots[HASH_SLOTS];                     /* atomic */
static uint64_t known[LOCK_NODES_MAX][LOCK_NODES_MAX / 64];    /* atomic; known[from] bit to */
static uint16_t first_edge[LOCK_NODES_MAX];            /* adding, as what follows */
static bool any_irq_on;
static uint16_t queue[LOCK_NODES_MAX], came_by[LOCK_NODES_MAX];
static uint32_t queued;
static uint32_t seen[LOCK_NODES_MAX], search_number;

static void begin_adding(void)
{
    while (__atomic_exchange_n(&adding, 1, __ATOMIC_ACQUIRE))
        arch_spin_wait();
}

static void end_adding(void) { __atomic_store_n(&adding, 0, __ATOMIC_RELEASE); }

/* ---- nodes ---- */

/* The slot of a node with this key, or the empty one where it belongs. */
static uint16_t *slot_of(const void *key, unsigned level, unsigned nest)
{
    uint64_t mixed = ((uintptr_t)key * 1024 + level * 8 + nest) * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = (uint32_t)(mixed >> 40);; i++) {
        uint16_t *slot = &slots[i % HASH_SLOTS];
        uint16_t n = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        if (!n || (lock_nodes[n].key == key && lock_nodes[n].level == level && lock_nodes[n].nest == nest))
            return slot;
    }
}

static uint16_t node_find(const void *key, const char *name, unsigned level, unsigned nest)
{
    uint16_t n = __atomic_load_n(slot_of(key, level, nest), __ATOMIC_ACQUIRE);
    if (n)
        return n;
    begin_adding();
    uint16_t *slot = slot_of(key, level, nest);
    n = *slot;
    if (!n && lock_node_count < LOCK_NODES_MAX) {
        n = (uint16_t)lock_node_count++;
        lock_nodes[n] = (struct lock_node){.key = key, .name = name, .level = (uint8_t)level, .nest = (uint8_t)nest};
        __atomic_store_n(slot, n, __ATOMIC_RELEASE);
    }
    end_adding();
    if (!n)
        lock_order_turn_off("nodes");
    return n;
}

uint16_t lock_node_of(struct lock_dep *dep, unsigned nest, const void *where)
{
    const struct lock_class *class = dep->lock_class;
    const char *name = class ? class->name : dep->name;
    if (!dep->node)
        dep->node = node_find(class ? class : name ? (const void *)name : where, name, dep->level, 0);
    if (!dep->node || !nest)
        return dep->node;
    const struct lock_node *node = &lock_nodes[dep->node];
    return node_find(node->key, node->name, node->level, nest);
}

/* ---- searches; adding is held ---- */

static void search_begin(void)
{
    search_number++;
    queued = 0;
}

static void search_from(uint16_t node, uint32_t edge)
{
    if (seen[node] == search_number)
        return;
    seen[node] = search_number;
    came_by[node] = (uint16_t)edge;
    queue[queued++] = node;
}

/* The first node reached that is @wanted or, if that is 0, that is held with interrupts on; 0: there is none. */
static uint16_t search(uint16_t wanted)
{
    for (uint32_t i = 0; i < queued; i++) {
        uint16_t node = queue[i];
        if (wanted ? node == wanted : lock_nodes[node].irq_on_at != 0)
            return node;
        for (uint16_t e = first_edge[node]; e; e = lock_edges[e].next)
            search_from(lock_edges[e].to, e);
    }
    return 0;
}

/* Fills lock_path with the way to @node. */
static void note_path(uint16_t node)
{
    lock_path_last = node;
    lock_path_length = 0;
    while (came_by[node]) {
        if (lock_path_length < LOCK_PATH_MAX)
            lock_path[lock_path_length++] = came_by[node];
        node = lock_edges[came_by[node]].from;
    }
    lock_path_first = node;
}

static bool leads_back(uint16_t from, uint16_t to)
{
    search_begin();
    search_from(to, 0);
    if (!search(from))
        return false;
    note_path(from);
    return true;
}

static enum lock_finding find_irq_inversion(void)
{
    if (!any_irq_on)
        return LOCK_FITS;
    search_begin();
    for (uint16_t n = 1; n < lock_node_count; n++)
        if (lock_nodes[n].in_irq_at)
            search_from(n, 0);
    uint16_t found = search(0);
    if (found)
        note_path(found);
    return found ? LOCK_IRQ_INVERSION : LOCK_FITS;
}

/* ---- additions ---- */

/* adding is held, and the edge is not there yet. */
static enum lock_finding add_edge(uint16_t from, int32_t from_where, uint16_t to, int32_t to_where)
{
    if (leads_back(from, to))
        return LOCK_CYCLE;
    const struct thread *thread = thread_current();
    uint16_t n = (uint16_t)lock_edge_count++;
    struct lock_edge *edge = &lock_edges[n];
    edge->from = from;
    edge->to = to;
    edge->from_where = from_where;
    edge->to_where = to_where;
    if (thread) {
        edge->thread = thread->id;
        str_copy(edge->thread_name, thread->name, sizeof(edge->thread_name));
    }
    edge->next = first_edge[from];
    first_edge[from] = n;
    __atomic_fetch_or(&known[from][to / 64], UINT64_C(1) << to % 64, __ATOMIC_RELAXED);
    return find_irq_inversion();
}

bool lock_graph_knows(uint16_t from, uint16_t to)
{
    return __atomic_load_n(&known[from][to / 64], __ATOMIC_RELAXED) >> to % 64 & 1;
}

enum lock_finding lock_graph_add(uint16_t from, int32_t from_where, uint16_t to, int32_t to_where)
{
    enum lock_finding finding = LOCK_FITS;
    begin_adding();
    bool fresh = !lock_graph_knows(from, to), full = fresh && lock_edge_count == LOCK_EDGES_MAX;
    if (fresh && !full)
        finding = add_edge(from, from_where, to, to_where);
    end_adding();
    if (full)
        lock_order_turn_off("edges");
    return finding;
}

enum lock_finding lock_graph_irq(uint16_t node, bool irq_on, int32_t where)
{
    int32_t *at = irq_on ? &lock_nodes[node].irq_on_at : &lock_nodes[node].in_irq_at;
    if (__atomic_load_n(at, __ATOMIC_RELAXED))
        return LOCK_FITS;
    begin_adding();
    __atomic_store_n(at, where, __ATOMIC_RELAXED);
    any_irq_on |= irq_on;
    enum lock_finding finding = find_irq_inversion();
    end_adding();
    return finding;
}

#endif
