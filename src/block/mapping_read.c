// SPDX-License-Identifier: MIT
/*
 * Copying a file's contents out of the cache. A page that is up to date is copied without its lock,
 * so readers wait neither for each other nor for write-back. Read-ahead is for files right above a
 * disk: there several requests are under way at once; above a stacked device it would only cost
 * stack and time.
 */
#include <block/page_cache.h>

#include <lib/errno.h>
#include <lib/list.h>
#include <rt/assert.h>
#include <rt/page.h>

#define SCARCE_DIVISOR 32u            /* no read-ahead with less than 1/32 of memory free */

/* A new page for @index, locked, if it is missing and memory is plenty; NULL. */
static struct cpage *page_ahead(struct mapping *mapping, uint64_t index)
{
    struct cpage *page = cpage_find(mapping, index);

    if (page) {
        cpage_unref(page);
        return NULL;
    }
    page = cpage_make(false);
    if (page && !cpage_insert(mapping, index, page)) {
        cpage_drop(page);
        page = NULL;
    }
    return page;
}

/* Starts reading of pages that are missing, from @first on; what fails is simply not there. */
static noinline void read_ahead(struct mapping *mapping, uint64_t first, uint64_t last)
{
    struct list pages = LIST_INIT(pages);
    struct io_batch batch;
    struct list *link;
    int err = 0;

    if (page_count_free() < page_count_total() / SCARCE_DIVISOR)
        return;
    io_batch_init(&batch);
    for (uint64_t index = first; index <= last && !err; index++) {
        struct cpage *page = page_ahead(mapping, index);
        if (!page)
            break;
        list_push_back(&pages, &page->dirty_link);
        err = mapping->ops->start_read(mapping, page, &batch);
    }
    int io_err = io_batch_wait(&batch);
    while ((link = list_pop_front(&pages))) {
        struct cpage *page = list_entry(link, struct cpage, dirty_link);
        if (!err && !io_err)
            __atomic_store_n(&page->uptodate, true, __ATOMIC_RELEASE);
        cpage_put(page);
    }
}

/* The page, referenced and up to date, not locked. */
static int get_uptodate(struct mapping *mapping, uint64_t index, struct cpage **out)
{
    struct cpage *page = cpage_find(mapping, index);
    int err;

    if (page && __atomic_load_n(&page->uptodate, __ATOMIC_ACQUIRE)) {
        *out = page;
        return 0;
    }
    if (page)
        cpage_unref(page);
    err = mapping_read_page(mapping, index, out);
    if (!err)
        cpage_unlock(mapping, *out);
    return err;
}

static void look_ahead(struct mapping *mapping, uint64_t index, uint64_t end_index)
{
    struct cpage *page;

    if (!mapping->read_ahead || !mapping->ops->start_read || index != mapping->read_next)
        return;
    page = cpage_find(mapping, index);
    if (page)
        cpage_unref(page);
    else
        read_ahead(mapping, index, MIN(index + mapping->read_ahead, end_index) - 1);
}

ssize_t mapping_read(struct mapping *mapping, void *dst, size_t bytes, uint64_t offset,
                     uint64_t size)
{
    size_t done = 0;
    int err = 0;

    if (offset >= size)
        return 0;
    bytes = MIN(bytes, size - offset);
    while (done < bytes) {
        uint64_t index = (offset + done) >> PAGE_SHIFT;
        uint32_t start = (offset + done) % PAGE_BYTES;
        size_t part = MIN(bytes - done, (size_t)(PAGE_BYTES - start));
        struct cpage *page;

        look_ahead(mapping, index, (size + PAGE_BYTES - 1) >> PAGE_SHIFT);
        err = get_uptodate(mapping, index, &page);
        if (err)
            break;
        err = arch_copy((char *)dst + done, (char *)page->data + start, part);
        cpage_unref(page);
        if (err)
            break;
        mapping->read_next = index + 1;
        done += part;
    }
    return done ? (ssize_t)done : err;
}
