// SPDX-License-Identifier: MIT
/*
 * The page tree of a file. Six bits of the index choose a slot at each level; the root is the
 * highest level. All walks are loops: the height is at most 9, for the 51 bits that a page index
 * has. The caller locks.
 */
#include <fs/tmpfs/internal.h>
#include <rt/assert.h>
#include <rt/heap.h>

#define SLOT_BITS 6u
#define SLOTS 64u
#define HEIGHT_MAX 9u

struct node {
    void *slots[SLOTS];
};
_Static_assert(sizeof(struct node) == 512, "fits a heap size");

static unsigned slot_of(uint64_t index, unsigned level)
{
    return (unsigned)(index >> (level * SLOT_BITS)) & (SLOTS - 1);
}

static bool fits(uint64_t index, unsigned height)
{
    return height && !(index >> (height * SLOT_BITS));
}

static bool is_empty(const struct node *node)
{
    for (unsigned i = 0; i < SLOTS; i++)
        if (node->slots[i])
            return false;
    return true;
}

void *page_tree_find(const struct page_tree *tree, uint64_t index)
{
    void *at = tree->root;

    if (!fits(index, tree->height))
        return NULL;
    for (unsigned level = tree->height; at && level-- > 0;)
        at = ((struct node *)at)->slots[slot_of(index, level)];
    return at;
}

/* Adds levels on top until the index fits. */
static int grow(struct page_tree *tree, uint64_t index)
{
    while (!fits(index, tree->height)) {
        ASSERT(tree->height < HEIGHT_MAX, "a file offset has 63 bits");
        if (tree->root) {
            struct node *node = heap_zalloc(sizeof(*node));
            if (!node)
                return -ENOMEM;
            node->slots[0] = tree->root;
            tree->root = node;
        }
        tree->height++;
    }
    return 0;
}

/* Frees the nodes on the way to @index that hold nothing. */
static void prune(struct page_tree *tree, uint64_t index)
{
    struct node *path[HEIGHT_MAX];
    struct node *node = tree->root;
    unsigned lowest = tree->height;

    while (node && lowest) {
        path[--lowest] = node;
        node = lowest ? node->slots[slot_of(index, lowest)] : NULL;
    }
    for (unsigned level = lowest; level < tree->height; level++) {
        if (!is_empty(path[level]))
            return;
        heap_free(path[level]);
        if (level + 1 < tree->height)
            path[level + 1]->slots[slot_of(index, level + 1)] = NULL;
    }
    tree->root = NULL;
    tree->height = 0;
}

int page_tree_insert(struct page_tree *tree, uint64_t index, void *page)
{
    int err = grow(tree, index);
    void **slot = &tree->root;

    if (err)
        return err;
    for (unsigned level = tree->height; level-- > 0;) {
        if (!*slot)
            *slot = heap_zalloc(sizeof(struct node));
        if (!*slot) {
            prune(tree, index);
            return -ENOMEM;
        }
        slot = &((struct node *)*slot)->slots[slot_of(index, level)];
    }
    ASSERT(!*slot, "an index has one page");
    *slot = page;
    return 0;
}

void *page_tree_remove(struct page_tree *tree, uint64_t index)
{
    struct node *node = tree->root;
    void *page;

    if (!fits(index, tree->height))
        return NULL;
    for (unsigned level = tree->height - 1; node && level > 0; level--)
        node = node->slots[slot_of(index, level)];
    if (!node)
        return NULL;
    page = node->slots[slot_of(index, 0)];
    node->slots[slot_of(index, 0)] = NULL;
    prune(tree, index);
    return page;
}

void *page_tree_next(const struct page_tree *tree, uint64_t *index)
{
    while (fits(*index, tree->height)) {
        const struct node *node = tree->root;
        unsigned level = tree->height - 1;

        for (; level > 0 && node->slots[slot_of(*index, level)]; level--)
            node = node->slots[slot_of(*index, level)];
        void *page = node->slots[slot_of(*index, level)];
        if (page)
            return page;
        /* Nothing below this slot: on to the first index of the next one. */
        uint64_t span = UINT64_C(1) << (level * SLOT_BITS);
        *index = align_down(*index, span) + span;
    }
    return NULL;
}
