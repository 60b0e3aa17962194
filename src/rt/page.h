// SPDX-License-Identifier: MIT
/*
 * Page frames: a buddy allocator over all of RAM, addressed through the direct map. When frames run
 * low it asks the registered shrinkers for clean pages; it never writes and never waits for I/O.
 *
 * With several memory nodes (node.h) an allocation prefers the node of its CPU, or the one it names, and takes from
 * another before it asks the shrinkers.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

#define PAGE_ORDER_MAX 10             /* 4 MiB blocks */

/* Takes over boot_info's regions, minus kernel, modules and what the port has used. */
void page_init(void);
/**
 * page_alloc() - 2^@order contiguous frames, as an address in the direct map, not zeroed.
 * Context: thread or interrupts off; never sleeps. Errors: NULL.
 */
void *page_alloc(unsigned order);
void *page_alloc_zeroed(unsigned order);
/* The same, preferring @node, below node_count. */
void *page_alloc_on(uint32_t node, unsigned order);
void *page_alloc_zeroed_on(uint32_t node, unsigned order);
void *page_try_alloc(void);           /* one frame, without asking the caches: for the switch of threads */
void page_free(void *pages, unsigned order);
/* The order of an allocated block, from its first address. */
unsigned page_order(const void *pages);
uint64_t page_count_total(void);
/* The node that a frame of RAM belongs to. */
uint32_t page_node(const void *page);
struct page_node_counts {
    uint64_t total, free;             /* frames */
    uint64_t elsewhere;               /* frames that were to come from this node and came from another, ever */
};
void page_node_counts(uint32_t node, struct page_node_counts *out);
uint64_t page_count_free(void);

/*
 * App memory is reserved before it is used, so that a fault never fails: page_reserve() takes @count
 * frames out of what others may allocate, page_alloc_reserved() draws one of them. -ENOMEM.
 */
int page_reserve(uint64_t count);
void page_unreserve(uint64_t count);
void *page_alloc_reserved(void);      /* zeroed; consumes one reservation */
void page_free_reserved(void *page);  /* gives the frame back and the reservation with it */

/* Caches that can give clean pages back. shrink() must not sleep, allocate or take a lock that is held
 * around an allocation other than by trylock; returns the number of frames freed. */
struct shrinker;
struct shrinker_ops {
    uint64_t (*shrink)(struct shrinker *shrinker, uint64_t pages_wanted);
};
struct shrinker {
    const struct shrinker_ops *ops;
    struct list link;
};
void page_register_shrinker(struct shrinker *shrinker);
