// SPDX-License-Identifier: MIT
/*
 * Cached pages of a file. A filesystem embeds a mapping in its inode and gives it two operations;
 * reading, writing, write-back and truncation of cached contents are here.
 *
 * Life of a page: not up to date -> up to date -> dirty -> writing -> clean. Its lock is held while
 * it is read, changed or prepared for writing. Pages under write are stable: who wants to change
 * one waits. A read that fails (also for want of a stack) leaves the page not up to date and marks
 * no error: whoever waited for it reads it itself. A write that fails leaves the page dirty; the
 * error is reported at the next fsync, unless it was a refusal, which is returned to its caller
 * only.
 *
 * Lock order: a page's lock before a buf's. Who holds one page's lock takes no other page's.
 */
#pragma once

#include <block/bio.h>
#include <lib/types.h>

struct mapping;

struct cpage {
    struct mapping *mapping;          /* NULL once truncated */
    uint64_t index;                   /* in pages */
    void *data;                       /* one frame */
    uint32_t refs;                    /* this and all below: the page cache's lock */
    bool uptodate, dirty, writing, locked;
    uint64_t stamp;                   /* when it became dirty, in the mapping's count */
    struct list hash_link;
    struct list link;                 /* mapping->pages */
    struct list lru_link;             /* clean and unreferenced; or its writer's list */
    struct list dirty_link;           /* mapping->dirty or mapping->writing */
};

struct mapping_ops {
    /* Fill @page (locked): blocks that do not exist are zeroes. May sleep. */
    int (*read_page)(struct mapping *mapping, struct cpage *page);
    /*
     * Start writing @page (locked, marked writing) with bios in @batch; mapping code waits for
     * them. Blocks that do not exist are left out.
     */
    int (*write_page)(struct mapping *mapping, struct cpage *page, struct io_batch *batch);
    /*
     * Like read_page, but only starts it, with bios in @batch; for read-ahead. NULL: there is none.
     */
    int (*start_read)(struct mapping *mapping, struct cpage *page, struct io_batch *batch);
    /*
     * For files in an address space; or NULL. @page is locked: it is about to be written, or to
     * leave the mapping.
     */
    void (*page_cleans)(struct mapping *mapping, struct cpage *page);
    void (*page_leaves)(struct mapping *mapping, struct cpage *page);
};

struct mapping {
    const struct mapping_ops *ops;
    /* the page cache's lock, down to write_error */
    struct list pages;
    struct list dirty;                /* oldest first */
    struct list writing;
    uint64_t page_count, dirty_count;
    uint64_t stamp;                   /* of the page that became dirty last */
    uint64_t failures;                /* pages whose write failed or was refused */
    int write_error;                  /* of a failed write-back, until an fsync has reported it */
    struct waitq waiters;             /* for page locks and writing pages */
    /* the filesystem's, set after mapping_init() */
    bool reserve;                     /* may use the reserve pages: set it below a loop */
    uint32_t read_ahead;              /* pages, with start_read; 0 above a stacked device */
    uint64_t read_next;               /* the page at which a sequential read would go on; a hint */
    struct lock_dep page_dep;         /* of the locks of its pages: of a debug build */
};

void mapping_init(struct mapping *mapping, const struct mapping_ops *ops);
/* The level of the device below, for the lock-order checker. */
#define mapping_set_level(mapping, level)                                                           \
    lock_dep_set(&(mapping)->page_dep, LOCK_CLASS_HERE("page"), level)
/*
 * Drops all pages; none may be dirty, locked or referenced (unless the inode was deleted:
 * @discard).
 */
void mapping_destroy(struct mapping *mapping, bool discard);

/* The page, locked and referenced, made if need be (then not up to date). -ENOMEM. */
int mapping_get_page(struct mapping *mapping, uint64_t index, struct cpage **out);
/* The page, locked, referenced and up to date. */
int mapping_read_page(struct mapping *mapping, uint64_t index, struct cpage **out);
/* Before a locked page is changed: waits until it is not being written. */
void cpage_wait_stable(struct cpage *page);
void cpage_mark_dirty(struct cpage *page);           /* locked */
void cpage_put(struct cpage *page);                  /* unlocks and drops the reference */
/*
 * For frames in an address space: a locked page gets a reference more, which keeps it cached until
 * mapping_unpin_page().
 */
void cpage_pin(struct cpage *page);
void mapping_unpin_page(struct mapping *mapping, uint64_t index);

/**
 * mapping_read() - copy file contents out, reading pages that are missing, with a little
 * read-ahead.
 * @size: the file's size in bytes; nothing behind it is read.
 * Returns bytes copied (short only at the end of file), -EIO, -ENOMEM, -EFAULT if nothing was.
 */
ssize_t mapping_read(struct mapping *mapping, void *dst, size_t bytes, uint64_t offset,
                     uint64_t size);

/*
 * Write the pages with index in [first, last] that are dirty now, many in flight, and wait for them
 * and for those that others are writing; the first error. The caller holds no page lock.
 */
int mapping_write_back(struct mapping *mapping, uint64_t first, uint64_t last);
/* What an earlier write-back failed with, once; for fsync. */
int mapping_take_error(struct mapping *mapping);
/*
 * The file is now @size bytes: the rest of the last page is zeroed (and made dirty if it was not
 * zero), pages behind are dropped (waits for their writes). On an error, of reading the last page,
 * nothing is done. A reader that still has the old size may bring a page back: call it again after
 * freeing blocks.
 */
int mapping_truncate(struct mapping *mapping, uint64_t size);

/* Statistics over all mappings, in pages. */
struct mapping_totals {
    uint64_t pages, dirty;
};
void mapping_totals(struct mapping_totals *out);
/*
 * A limit on dirty pages, after which a writer must write back itself (not on paths below a loop).
 */
bool mapping_dirty_excess(void);
/* Half of that: time to wake write-back. Also on paths below a loop. */
bool mapping_dirty_many(void);

/* /sys/memory: page_cache, bytes. NULL-terminated. */
extern const struct attr *const page_cache_attrs[];
