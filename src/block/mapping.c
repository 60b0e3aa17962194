// SPDX-License-Identifier: MIT
/*
 * One file's pages: getting them locked, reading them, marking them dirty, and the end of the
 * mapping.
 */
#include <block/page_cache.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>

void mapping_init(struct mapping *mapping, const struct mapping_ops *ops)
{
    page_cache_start();
    memset(mapping, 0, sizeof(*mapping));
    mapping->ops = ops;
    list_init(&mapping->pages);
    list_init(&mapping->dirty);
    list_init(&mapping->writing);
    waitq_init(&mapping->waiters);
}

int mapping_get_page(struct mapping *mapping, uint64_t index, struct cpage **out)
{
    struct cpage *page;

    for (;;) {
        page = cpage_find(mapping, index);
        if (page) {
            cpage_lock(mapping, page);
            if (page->mapping == mapping)
                break;
            cpage_unlock(mapping, page);       /* truncated meanwhile */
            cpage_unref(page);
            continue;
        }
        page = cpage_make(mapping->reserve);
        if (!page)
            return -ENOMEM;
        if (cpage_insert(mapping, index, page))
            break;
        cpage_drop(page);
    }
    *out = page;
    return 0;
}

int mapping_read_page(struct mapping *mapping, uint64_t index, struct cpage **out)
{
    struct cpage *page;
    int err = mapping_get_page(mapping, index, &page);

    if (err)
        return err;
    if (!page->uptodate) {
        err = mapping->ops->read_page(mapping, page);
        if (err) {
            cpage_put(page);
            return err;
        }
        __atomic_store_n(&page->uptodate, true, __ATOMIC_RELEASE);
    }
    *out = page;
    return 0;
}

void cpage_wait_stable(struct cpage *page)
{
    ASSERT(page->locked, "a page is changed by who locked it");
    cpage_wait_written(page->mapping, page);
}

void cpage_mark_dirty(struct cpage *page)
{
    struct mapping *mapping = page->mapping;
    bool irq = spin_lock(&page_cache.lock);

    ASSERT(page->locked && !page->writing, "a page under write is stable");
    __atomic_store_n(&page->uptodate, true, __ATOMIC_RELEASE);
    if (!page->dirty) {
        page->dirty = true;
        page->stamp = ++mapping->stamp;
        mapping->dirty_count++;
        page_cache.dirty++;
        list_push_back(&mapping->dirty, &page->dirty_link);
    }
    spin_unlock(&page_cache.lock, irq);
}

void cpage_put(struct cpage *page)
{
    cpage_unlock(page->mapping, page);
    cpage_unref(page);
}

void cpage_pin(struct cpage *page)
{
    bool irq = spin_lock(&page_cache.lock);
    ASSERT(page->locked && page->refs, "a page is pinned by who locked it");
    page->refs++;
    spin_unlock(&page_cache.lock, irq);
}

void mapping_unpin_page(struct mapping *mapping, uint64_t index)
{
    struct cpage *page = cpage_find(mapping, index);
    ASSERT(page, "a pinned page stays in its mapping");
    cpage_unref(page);
    cpage_unref(page);
}

static struct cpage *first_page(struct mapping *mapping)
{
    struct cpage *page = NULL;
    bool irq = spin_lock(&page_cache.lock);

    if (!list_empty(&mapping->pages)) {
        page = list_first(&mapping->pages, struct cpage, link);
        if (page->refs++ == 0)
            list_remove(&page->lru_link);
    }
    spin_unlock(&page_cache.lock, irq);
    return page;
}

void mapping_destroy(struct mapping *mapping, bool discard)
{
    struct cpage *page;

    ASSERT(discard || !mapping->dirty_count, "contents that are not on the disk are not dropped");
    while ((page = first_page(mapping))) {
        cpage_lock(mapping, page);
        if (page->mapping == mapping) {
            cpage_wait_written(mapping, page);
            cpage_detach(mapping, page);
        }
        cpage_unlock(mapping, page);
        cpage_unref(page);
    }
    ASSERT(!mapping->page_count && !mapping->dirty_count, "a mapping ends empty");
}

void mapping_totals(struct mapping_totals *out)
{
    bool irq = spin_lock(&page_cache.lock);
    out->pages = page_cache.cached;
    out->dirty = page_cache.dirty;
    spin_unlock(&page_cache.lock, irq);
}
