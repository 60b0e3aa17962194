// SPDX-License-Identifier: MIT
/*
 * Slabs of one page each: a header, then objects of one size, apart for each memory node. Objects never begin
 * at a page boundary, so an address on one belongs to a whole-page allocation, whose order the page allocator
 * knows.
 */
#include <rt/heap.h>

#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/list.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/fail.h>
#include <rt/node.h>
#include <rt/page.h>
#include <rt/spinlock.h>

#define SLAB_MAGIC 0x51ab51abu
#define SLAB_HEADER_BYTES 64u
#define EMPTY_SLABS_KEPT 2u

struct slab {
    uint32_t magic;
    uint16_t class_index;
    uint16_t used;
    void *free;                       /* chain through the first word of free objects */
    struct list link;
    struct slab_class *owner;
};
_Static_assert(sizeof(struct slab) <= SLAB_HEADER_BYTES, "slab header");

/* Sizes from 64 on are multiples of 64, so their objects are aligned to 64. 832: a floating-point area with AVX. */
static const uint16_t class_bytes[] = {16, 32, 64, 128, 192, 256, 384, 512, 768, 832, 1024, 1344, 1984};
#define CLASS_COUNT ARRAY_COUNT(class_bytes)

struct slab_class {
    struct spinlock lock;
    struct list partial;              /* slabs with at least one free object */
    uint32_t empty_count;
};
static struct slab_class classes[NODES_MAX][CLASS_COUNT] = {
    [0 ... NODES_MAX - 1] = {[0 ... CLASS_COUNT - 1] = {.lock = SPINLOCK_NAMED("heap class")}}};
static uint64_t bytes_in_use;

static int class_for(size_t bytes)
{
    for (unsigned i = 0; i < CLASS_COUNT; i++)
        if (bytes <= class_bytes[i])
            return (int)i;
    return -1;
}

static void class_ready(struct slab_class *c)
{
    if (!c->partial.next)
        list_init(&c->partial);
}

static struct slab *slab_new(uint32_t node, unsigned class_index)
{
    struct slab *slab = page_alloc_on(node, 0);
    if (!slab)
        return NULL;
    *slab = (struct slab){.magic = SLAB_MAGIC, .class_index = (uint16_t)class_index,
                          .owner = &classes[node][class_index]};
    size_t bytes = class_bytes[class_index];
    for (size_t at = SLAB_HEADER_BYTES; at + bytes <= PAGE_BYTES; at += bytes) {
        void **object = (void **)((char *)slab + at);
        *object = slab->free;
        slab->free = object;
    }
    return slab;
}

/* An object of one of the class's slabs, @fresh among them if there is one; NULL if they are full. */
static void *class_take(struct slab_class *c, struct slab *fresh)
{
    void **object = NULL;
    bool irq = spin_lock(&c->lock);
    class_ready(c);
    if (fresh) {
        list_push_front(&c->partial, &fresh->link);
        c->empty_count++;
    }
    if (!list_empty(&c->partial)) {
        struct slab *slab = list_first(&c->partial, struct slab, link);
        object = slab->free;
        slab->free = *object;
        if (slab->used++ == 0)
            c->empty_count--;
        if (!slab->free)
            list_remove(&slab->link);
    }
    spin_unlock(&c->lock, irq);
    return object;
}

/* When the slabs of @node are full. */
static noinline void *class_grow(uint32_t node, unsigned class_index)
{
    struct slab *fresh = slab_new(node, class_index);
    void *object = fresh ? class_take(&classes[node][class_index], fresh) : NULL;
    /* No page is left anywhere: what other nodes' slabs have free. */
    for (uint32_t n = node_next(node); !object && n != node; n = node_next(n))
        object = class_take(&classes[n][class_index], NULL);
    return object;
}

static size_t block_bytes(void *p, int class_index)
{
    return class_index >= 0 ? class_bytes[class_index] : (size_t)PAGE_BYTES << page_order(p);
}

void *heap_alloc_on(uint32_t node, size_t bytes)
{
    int class_index = class_for(bytes);
    unsigned order = class_index < 0 ? log2_ceil(div_round_up(bytes, PAGE_BYTES)) : 0;
    if (order > PAGE_ORDER_MAX || fail_now(FAIL_HEAP))
        return NULL;
    void *p = class_index >= 0 ? class_take(&classes[node][class_index], NULL) : page_alloc_on(node, order);
    if (!p && class_index >= 0)
        p = class_grow(node, (unsigned)class_index);
    if (p)
        __atomic_fetch_add(&bytes_in_use, block_bytes(p, class_index), __ATOMIC_RELAXED);
    return p;
}

void *heap_alloc(size_t bytes) { return heap_alloc_on(node_here(), bytes); }

void *heap_zalloc_on(uint32_t node, size_t bytes)
{
    void *p = heap_alloc_on(node, bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *heap_zalloc(size_t bytes) { return heap_zalloc_on(node_here(), bytes); }

void heap_free(void *p)
{
    if (!p)
        return;
    if ((uintptr_t)p % PAGE_BYTES == 0) {
        lock_order_freed(p, block_bytes(p, -1));
        __atomic_fetch_sub(&bytes_in_use, block_bytes(p, -1), __ATOMIC_RELAXED);
        page_free(p, page_order(p));
        return;
    }
    struct slab *slab = (struct slab *)align_down((uintptr_t)p, PAGE_BYTES);
    ASSERT(slab->magic == SLAB_MAGIC && slab->class_index < CLASS_COUNT, "free of a heap object");
    struct slab_class *c = slab->owner;
    lock_order_freed(p, class_bytes[slab->class_index]);
    __atomic_fetch_sub(&bytes_in_use, class_bytes[slab->class_index], __ATOMIC_RELAXED);
    struct slab *surplus = NULL;
    bool irq = spin_lock(&c->lock);
    ASSERT(slab->used > 0 && slab->free != p, "free of an object that is in use");
    bool was_full = !slab->free;
    *(void **)p = slab->free;
    slab->free = p;
    slab->used--;
    if (was_full)
        list_push_back(&c->partial, &slab->link);
    if (slab->used == 0) {
        if (c->empty_count >= EMPTY_SLABS_KEPT) {
            list_remove(&slab->link);
            surplus = slab;
        } else {
            c->empty_count++;
        }
    }
    spin_unlock(&c->lock, irq);
    if (surplus) {
        surplus->magic = 0;
        page_free(surplus, 0);
    }
}

char *heap_strdup(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = heap_alloc(bytes);
    if (copy)
        memcpy(copy, s, bytes);
    return copy;
}

uint64_t heap_bytes_in_use(void) { return bytes_in_use; }

size_t heap_cost(size_t bytes)
{
    int class_index = class_for(bytes);
    if (class_index < 0)
        return (size_t)PAGE_BYTES << log2_ceil(div_round_up(bytes, PAGE_BYTES));
    return PAGE_BYTES / ((PAGE_BYTES - SLAB_HEADER_BYTES) / class_bytes[class_index]);
}
