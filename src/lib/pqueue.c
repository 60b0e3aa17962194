// SPDX-License-Identifier: MIT
/*
 * Nodes are counted from 1 at the top, level by level from left to right; the bits of a number below its highest
 * one are the way from the top to that node.
 */
#include <lib/pqueue.h>

#include <lib/bits.h>

static bool before(const struct pqueue_node *a, const struct pqueue_node *b)
{
    return a->key != b->key ? a->key < b->key : a->turn < b->turn;
}

/* The pointer that leads to node @number, and from which node. */
static struct pqueue_node **slot_of(struct pqueue *queue, uint64_t number, struct pqueue_node **parent)
{
    struct pqueue_node **slot = &queue->first;

    *parent = NULL;
    for (unsigned bit = log2_floor(number); bit-- > 0;) {
        *parent = *slot;
        slot = &(*slot)->child[number >> bit & 1];
    }
    return slot;
}

/* The pointer that leads to @node. */
static struct pqueue_node **slot_to(struct pqueue *queue, const struct pqueue_node *node)
{
    struct pqueue_node *parent = node->parent;

    return parent ? &parent->child[parent->child[1] == node] : &queue->first;
}

static void set_child(struct pqueue_node *node, unsigned side, struct pqueue_node *child)
{
    node->child[side] = child;
    if (child)
        child->parent = node;
}

static void swap_with_parent(struct pqueue *queue, struct pqueue_node *node)
{
    struct pqueue_node *parent = node->parent;
    unsigned side = parent->child[1] == node;
    struct pqueue_node *sibling = parent->child[!side];

    *slot_to(queue, parent) = node;
    node->parent = parent->parent;
    set_child(parent, 0, node->child[0]);
    set_child(parent, 1, node->child[1]);
    set_child(node, side, parent);
    set_child(node, !side, sibling);
}

static void rise(struct pqueue *queue, struct pqueue_node *node)
{
    while (node->parent && before(node, node->parent))
        swap_with_parent(queue, node);
}

static void sink(struct pqueue *queue, struct pqueue_node *node)
{
    for (;;) {
        struct pqueue_node *least = node->child[0];
        if (least && node->child[1] && before(node->child[1], least))
            least = node->child[1];
        if (!least || !before(least, node))
            return;
        swap_with_parent(queue, least);
    }
}

void pqueue_init(struct pqueue *queue) { *queue = (struct pqueue){0}; }

void pqueue_insert(struct pqueue *queue, struct pqueue_node *node, uint64_t key)
{
    *node = (struct pqueue_node){.key = key, .turn = queue->turns++};
    *slot_of(queue, ++queue->count, &node->parent) = node;
    rise(queue, node);
}

/* The last node takes the place of the one that goes. */
void pqueue_remove(struct pqueue *queue, struct pqueue_node *node)
{
    struct pqueue_node *parent, **slot = slot_of(queue, queue->count--, &parent), *last = *slot;

    *slot = NULL;
    if (last == node)
        return;
    *slot_to(queue, node) = last;
    last->parent = node->parent;
    set_child(last, 0, node->child[0]);
    set_child(last, 1, node->child[1]);
    rise(queue, last);
    sink(queue, last);
}
