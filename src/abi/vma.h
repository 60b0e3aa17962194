// SPDX-License-Identifier: MIT
/*
 * The app's mappings: ranges of pages with one access and one kind each, sorted by address. A skip
 * list, so that finding, inserting and removing take logarithmic time without recursion; the lowest
 * level, with `previous`, is a plain sorted list to walk along.
 *
 * Ranges never overlap. Whoever changes or reads the map holds app_memory.lock.
 */
#pragma once

#include <lib/types.h>

#define VMA_LEVELS 10

enum vma_kind { VMA_ANONYMOUS, VMA_IMAGE, VMA_FILE, VMA_STACK, VMA_BRK, VMA_VDSO };

/* Every page of the range is reserved or present; else each page is reserved at its first touch. */
#define VMA_ACCOUNTED 1u
#define VMA_NORESERVE 2u              /* never accounted, whatever its access becomes */
#define VMA_TOUCHED 4u                /* some page may be present; without it no scan is needed */

struct file;

/* A file that is mapped; memory.h's lock. Ranges that were cut apart share it. */
struct file_map {
    struct file *file;
    bool shared;                      /* the file's own pages; else copies */
    bool may_write;
    uint32_t refs;                    /* ranges; at 0 it is left to memory_release_maps() */
    struct file_map *next;            /* of all */
};

struct vma {
    uintptr_t start, end;             /* page-aligned; end is exclusive */
    struct file_map *map;             /* NULL: no file */
    uint64_t map_page;                /* of the file, at start */
    uint8_t access;                   /* ARCH_*; 0 for PROT_NONE */
    uint8_t flags, kind, levels;
    struct vma *previous;
    struct vma *next[];               /* one a level */
};

struct vma_map {
    struct vma *head[VMA_LEVELS];
    struct vma *last;
    uint64_t count, bytes;
    uint64_t dice;                    /* state of the generator that picks the levels */
};

/* A range that is in no map yet, of no file. NULL: out of memory. */
struct vma *vma_alloc(struct vma_map *map, uintptr_t start, uintptr_t end);
void vma_free(struct vma *vma);

/* The first range that ends above @address, or NULL. */
struct vma *vma_find(const struct vma_map *map, uintptr_t address);
static inline struct vma *vma_next(const struct vma *vma) { return vma->next[0]; }

void vma_insert(struct vma_map *map, struct vma *vma);
void vma_remove(struct vma_map *map, struct vma *vma);
/* Moves an end; the new range must not touch another's. */
void vma_set_end(struct vma_map *map, struct vma *vma, uintptr_t end);

/**
 * vma_split() - cut the range that spans @address there, so that one starts at it.
 * @spare: from vma_alloc(), used and set to NULL if a cut was needed.
 */
void vma_split(struct vma_map *map, uintptr_t address, struct vma **spare);
/*
 * Joins @vma with its neighbours where everything is alike; returns the range that holds it then.
 */
struct vma *vma_merge(struct vma_map *map, struct vma *vma);

/* The highest free range of @bytes that lies in [@low, @high): its start, or 0. */
uintptr_t vma_find_gap(const struct vma_map *map, uint64_t bytes, uintptr_t low, uintptr_t high);
