// SPDX-License-Identifier: MIT
/* Inside the lock-order checker: the graph of what was taken while what was held. Users see rt/lock_order.h. */
#pragma once

#include <rt/lock_order.h>

#ifdef SPILLWAY_LOCK_ORDER

#define LOCK_NODES_MAX 1024u          /* node 0 is none */
#define LOCK_EDGES_MAX 16384u
#define LOCK_PATH_MAX 64u

/* Where a node was seen in a state that must not meet the other one; 0: not yet. */
struct lock_node {
    const void *key;                  /* its class, or the code that took a lock without one first */
    const char *name;                 /* NULL: by key */
    uint8_t level, nest;
    int32_t in_irq_at;                /* spin lock taken in an interrupt */
    int32_t irq_on_at;                /* spin lock held with interrupts on */
};

struct lock_edge {
    uint16_t from, to;
    uint16_t next;                    /* of the edges that leave `from`; 0: the last */
    uint32_t thread;
    int32_t from_where, to_where;     /* first time: where the outer one was taken, and the inner one */
    char thread_name[20];
};

extern struct lock_node lock_nodes[LOCK_NODES_MAX];
extern struct lock_edge lock_edges[LOCK_EDGES_MAX];
extern uint32_t lock_node_count, lock_edge_count;

/* What an addition has led to. */
enum lock_finding {
    LOCK_FITS,
    LOCK_CYCLE,                       /* there is a way back already */
    LOCK_IRQ_INVERSION,               /* a way from a lock taken in interrupts to one held with interrupts on */
};

/* The way that a search found, its last edge first, and its ends; valid once the checker is off. */
extern uint16_t lock_path[LOCK_PATH_MAX];
extern uint32_t lock_path_length;
extern uint16_t lock_path_first, lock_path_last;

/* The node of a lock; 0: the table is full. Interrupts off. */
uint16_t lock_node_of(struct lock_dep *dep, unsigned nest, const void *where);
/* Whether that was noted before; any context, no lock. */
bool lock_graph_knows(uint16_t from, uint16_t to);
/* Notes that this thread takes @to, at @to_where, while @from is held. Interrupts off. */
enum lock_finding lock_graph_add(uint16_t from, int32_t from_where, uint16_t to, int32_t to_where);
/* Notes that @node was taken in an interrupt, or (@irq_on) is held with interrupts on. Interrupts off. */
enum lock_finding lock_graph_irq(uint16_t node, bool irq_on, int32_t where);
/* No more checking; @table is what was too small, or NULL. True for the first to call it. */
bool lock_order_turn_off(const char *table);

#endif
