// SPDX-License-Identifier: MIT
/*
 * A priority queue of nodes that live in other structures: the least key first, equal keys in the order in
 * which they came. A complete binary tree, each node no later than those below it, so inserting and removing
 * any node takes at most log2(count) steps and no memory. The caller locks.
 */
#pragma once

#include <lib/types.h>

struct pqueue_node {
    struct pqueue_node *parent, *child[2];
    uint64_t key, turn;               /* turn: when it was inserted */
};

struct pqueue {
    struct pqueue_node *first;        /* the least; NULL: empty */
    uint64_t count, turns;
};

void pqueue_init(struct pqueue *queue);
/* @node is in no queue. */
void pqueue_insert(struct pqueue *queue, struct pqueue_node *node, uint64_t key);
/* @node is in @queue. */
void pqueue_remove(struct pqueue *queue, struct pqueue_node *node);
