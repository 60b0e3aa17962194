// SPDX-License-Identifier: MIT
/* The sorted map of ranges: see vma.h. Each level up holds about a quarter of the ranges below. */
#include <abi/vma.h>

#include <arch/arch.h>
#include <rt/assert.h>
#include <rt/heap.h>

static unsigned pick_levels(struct vma_map *map)
{
    /* xorshift64*; the map is as balanced as its dice, and nobody outside can choose them badly */
    uint64_t x = map->dice ? map->dice : UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    map->dice = x;
    uint64_t roll = x * UINT64_C(0x2545f4914f6cdd1d);
    unsigned levels = 1;
    while (levels < VMA_LEVELS && (roll >> 62) == 0) {
        levels++;
        roll <<= 2;
    }
    return levels;
}

struct vma *vma_alloc(struct vma_map *map, uintptr_t start, uintptr_t end)
{
    unsigned levels = pick_levels(map);
    struct vma *vma = heap_zalloc(sizeof(*vma) + levels * sizeof(vma->next[0]));
    if (!vma)
        return NULL;
    vma->start = start;
    vma->end = end;
    vma->levels = (uint8_t)levels;
    return vma;
}

void vma_free(struct vma *vma)
{
    if (vma && vma->map)
        vma->map->refs--;
    heap_free(vma);
}

struct vma *vma_find(const struct vma_map *map, uintptr_t address)
{
    struct vma *const *links = map->head;
    for (unsigned level = VMA_LEVELS; level-- > 0;)
        while (links[level] && links[level]->end <= address)
            links = links[level]->next;
    return links[0];
}

/* For every level, the link that leads to the first range with start >= @start. */
static void find_links(struct vma_map *map, uintptr_t start, struct vma **path[VMA_LEVELS],
                       struct vma **previous)
{
    struct vma **links = map->head;
    *previous = NULL;
    for (unsigned level = VMA_LEVELS; level-- > 0;) {
        while (links[level] && links[level]->start < start) {
            *previous = links[level];
            links = links[level]->next;
        }
        path[level] = &links[level];
    }
}

void vma_insert(struct vma_map *map, struct vma *vma)
{
    struct vma **path[VMA_LEVELS];
    struct vma *previous;

    ASSERT(vma->start < vma->end, "ranges are not empty");
    find_links(map, vma->start, path, &previous);
    struct vma *next = *path[0];
    ASSERT(!previous || previous->end <= vma->start, "ranges do not overlap");
    ASSERT(!next || vma->end <= next->start, "ranges do not overlap");
    for (unsigned level = 0; level < vma->levels; level++) {
        vma->next[level] = *path[level];
        *path[level] = vma;
    }
    vma->previous = previous;
    if (next)
        next->previous = vma;
    else
        map->last = vma;
    map->count++;
    map->bytes += vma->end - vma->start;
}

void vma_remove(struct vma_map *map, struct vma *vma)
{
    struct vma **path[VMA_LEVELS];
    struct vma *previous;

    find_links(map, vma->start, path, &previous);
    ASSERT(*path[0] == vma, "the range is in the map");
    for (unsigned level = 0; level < vma->levels; level++)
        *path[level] = vma->next[level];
    if (vma->next[0])
        vma->next[0]->previous = previous;
    else
        map->last = previous;
    map->count--;
    map->bytes -= vma->end - vma->start;
}

void vma_set_end(struct vma_map *map, struct vma *vma, uintptr_t end)
{
    ASSERT(end > vma->start, "ranges are not empty");
    ASSERT(!vma->next[0] || end <= vma->next[0]->start, "ranges do not overlap");
    map->bytes += end - vma->end;
    vma->end = end;
}

void vma_split(struct vma_map *map, uintptr_t address, struct vma **spare)
{
    struct vma *vma = vma_find(map, address);
    if (!vma || vma->start >= address)
        return;
    struct vma *upper = *spare;
    ASSERT(upper, "a spare range for every cut");
    *spare = NULL;
    upper->start = address;
    upper->end = vma->end;
    upper->access = vma->access;
    upper->flags = vma->flags;
    upper->kind = vma->kind;
    upper->map = vma->map;
    if (vma->map) {
        vma->map->refs++;
        upper->map_page = vma->map_page + (address - vma->start) / PAGE_BYTES;
    }
    vma_set_end(map, vma, address);
    vma_insert(map, upper);
}

static bool alike(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->access == b->access && a->kind == b->kind &&
           ((a->flags ^ b->flags) & ~VMA_TOUCHED) == 0 && a->map == b->map &&
           (!a->map || a->map_page + (a->end - a->start) / PAGE_BYTES == b->map_page);
}

static void absorb_next(struct vma_map *map, struct vma *vma)
{
    struct vma *next = vma->next[0];
    uintptr_t end = next->end;
    vma->flags |= next->flags;
    vma_remove(map, next);
    vma_free(next);
    vma_set_end(map, vma, end);
}

struct vma *vma_merge(struct vma_map *map, struct vma *vma)
{
    if (vma->next[0] && alike(vma, vma->next[0]))
        absorb_next(map, vma);
    struct vma *previous = vma->previous;
    if (!previous || !alike(previous, vma))
        return vma;
    absorb_next(map, previous);
    return previous;
}

uintptr_t vma_find_gap(const struct vma_map *map, uint64_t bytes, uintptr_t low, uintptr_t high)
{
    if (high <= low || high - low < bytes)
        return 0;
    /* @above: the first range that reaches beyond the gap's top; @top: where that gap ends */
    struct vma *above = vma_find(map, high - 1);
    uintptr_t top = above && above->start < high ? above->start : high;
    struct vma *below = above ? above->previous : map->last;
    for (;;) {
        uintptr_t bottom = below && below->end > low ? below->end : low;
        if (top > bottom && top - bottom >= bytes)
            return top - bytes;
        if (!below || below->start <= low)
            return 0;
        top = below->start;
        below = below->previous;
    }
}
