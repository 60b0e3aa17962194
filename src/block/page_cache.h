// SPDX-License-Identifier: MIT
/*
 * Inside the page cache: what its files share. Everybody else uses block/mapping.h.
 *
 *     page_cache.c        all pages of all files: finding, making, evicting, locking
 *     mapping.c           one file's pages: getting, reading, ending
 *     mapping_read.c      copying out, read-ahead
 *     mapping_write.c     write-back
 *     mapping_truncate.c  cutting off
 *
 * One spin lock, page_cache.lock, guards all lists, flags and counts; it is never held across I/O
 * or an allocation. Pages are found through one table hashed by mapping and index, which needs no
 * memory as it fills. A page is in `lru` while it is clean, up to date and unreferenced.
 *
 * Memory: the cache owns `floor` pages that the shrinker leaves alone, RESERVE_PAGES for each open
 * device. Those that hold nothing yet wait in `free` for mappings with the reserve flag; one that
 * cannot get a frame otherwise replaces the page that was unused longest. So work below a loop goes
 * on.
 */
#pragma once

#include <block/mapping.h>

struct page_cache {
    struct spinlock lock;
    struct list lru;                  /* by lru_link, oldest first */
    struct list free;                 /* by lru_link; reserve pages without contents */
    uint64_t count;                   /* pages there are, free ones too */
    uint64_t floor;
    uint64_t cached, dirty;           /* in mappings; dirty or being written */
    uint64_t hash_mask;
    struct list *hash;
};
extern struct page_cache page_cache;

/* First use; cheap when done already. Thread context. */
void page_cache_start(void);

/* More or fewer pages kept in reserve. -ENOMEM: nothing changed. */
int page_cache_reserve(uint64_t count);
void page_cache_unreserve(uint64_t count);

/* The cached page, referenced, not locked; NULL. */
struct cpage *cpage_find(struct mapping *mapping, uint64_t index);
/* A page without contents, for cpage_insert() or cpage_drop(); NULL: -ENOMEM. */
struct cpage *cpage_make(bool reserve);
/* Puts @page, locked and referenced once, into @mapping; false if another one is there already. */
bool cpage_insert(struct mapping *mapping, uint64_t index, struct cpage *page);
/* Frees a page that was not inserted. */
void cpage_drop(struct cpage *page);

void cpage_lock(struct mapping *mapping, struct cpage *page);         /* may sleep */
void cpage_unlock(struct mapping *mapping, struct cpage *page);
void cpage_unref(struct cpage *page);
/*
 * Takes a locked, referenced page out of its mapping; it lives on until it is unlocked and
 * unreferenced.
 */
void cpage_detach(struct mapping *mapping, struct cpage *page);
/* Sleeps until @page is not being written. */
void cpage_wait_written(struct mapping *mapping, struct cpage *page);
