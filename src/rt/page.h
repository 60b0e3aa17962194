// SPDX-License-Identifier: MIT
/*
 * Page frames: a buddy allocator over all of RAM, addressed through the direct map. When frames run
 * low it asks the registered shrinkers for clean pages; it never writes and never waits for I/O.
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
void *page_try_alloc(void);           /* one frame, without asking the caches: for the switch of threads */
void page_free(void *pages, unsigned order);
/* The order of an allocated block, from its first address. */
unsigned page_order(const void *pages);
uint64_t page_count_total(void);
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
