// SPDX-License-Identifier: MIT
/* Cutting a file's cached contents off at its new size. */
#include <block/page_cache.h>

#include <lib/string.h>
#include <rt/assert.h>

static bool is_zero(const char *data, size_t bytes)
{
    while (bytes && !*data) {
        data++;
        bytes--;
    }
    return bytes == 0;
}

/*
 * Contents behind the end of the file are zero, on the disk too, so that a file that grows reads
 * zeroes.
 */
static int zero_tail(struct mapping *mapping, uint64_t size)
{
    uint32_t start = size % PAGE_BYTES;
    struct cpage *page;
    int err;

    if (!start)
        return 0;
    err = mapping_read_page(mapping, size >> PAGE_SHIFT, &page);
    if (err)
        return err;
    char *tail = (char *)page->data + start;
    if (!is_zero(tail, PAGE_BYTES - start)) {
        cpage_wait_stable(page);
        memset(tail, 0, PAGE_BYTES - start);
        cpage_mark_dirty(page);
    }
    cpage_put(page);
    return 0;
}

#define SCAN_MAX 256u                 /* pages looked at with the lock held */

/*
 * Some page at or behind @first, referenced; NULL: none among those looked at. Pages that were
 * looked at move to the end of the list, so *left (at first the number of pages) says when all have
 * been seen.
 */
static struct cpage *page_behind(struct mapping *mapping, uint64_t first, uint64_t *left)
{
    struct cpage *found = NULL;
    bool irq = spin_lock(&page_cache.lock);

    *left = MIN(*left, mapping->page_count);
    for (uint32_t i = 0; i < SCAN_MAX && *left && !found; i++) {
        struct cpage *page = list_first(&mapping->pages, struct cpage, link);
        (*left)--;
        list_remove(&page->link);
        list_push_back(&mapping->pages, &page->link);
        if (page->index >= first) {
            found = page;
            if (page->refs++ == 0)
                list_remove(&page->lru_link);
        }
    }
    spin_unlock(&page_cache.lock, irq);
    return found;
}

static void drop(struct mapping *mapping, struct cpage *page)
{
    cpage_lock(mapping, page);
    if (page->mapping == mapping) {
        cpage_wait_written(mapping, page);
        if (mapping->ops->page_leaves)
            mapping->ops->page_leaves(mapping, page);
        cpage_detach(mapping, page);
    }
    cpage_unlock(mapping, page);
    cpage_unref(page);
}

int mapping_truncate(struct mapping *mapping, uint64_t size)
{
    uint64_t first = (size + PAGE_BYTES - 1) >> PAGE_SHIFT;
    uint64_t left = UINT64_MAX;
    int err = zero_tail(mapping, size);

    if (err)
        return err;
    while (left) {
        struct cpage *page = page_behind(mapping, first, &left);
        if (page)
            drop(mapping, page);
    }
    return 0;
}
