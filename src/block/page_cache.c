// SPDX-License-Identifier: MIT
/* All cached pages of all files: the table, the list by age, the reserve, the locks of pages. */
#include <block/page_cache.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <rt/assert.h>
#include <rt/attr.h>
#include <rt/heap.h>
#include <rt/page.h>

#define EARLY_HASH_COUNT 256u
#define PAGES_PER_CHAIN 4u

static struct list early_hash[EARLY_HASH_COUNT];
struct page_cache page_cache = {
    .lock = SPINLOCK_NAMED("page cache"),
    .lru = LIST_INIT(page_cache.lru),
    .free = LIST_INIT(page_cache.free),
};

/* ---- making and freeing ---- */

static struct cpage *page_make(void)
{
    struct cpage *page = heap_zalloc(sizeof(*page));

    if (!page)
        return NULL;
    page->data = page_alloc(0);
    if (!page->data) {
        heap_free(page);
        return NULL;
    }
    list_init(&page->hash_link);
    list_init(&page->link);
    list_init(&page->lru_link);
    list_init(&page->dirty_link);
    return page;
}

static void page_unmake(struct cpage *page)
{
    page_free(page->data, 0);
    heap_free(page);
}

static void detach_locked(struct mapping *mapping, struct cpage *page)
{
    list_remove(&page->hash_link);
    list_remove(&page->link);
    list_remove(&page->lru_link);
    page->mapping = NULL;
    page->uptodate = false;
    mapping->page_count--;
    page_cache.cached--;
}

/*
 * A page that nobody refers to goes into the reserve, or true: the caller frees it without the
 * lock.
 */
static bool retire_locked(struct cpage *page)
{
    if (page_cache.count <= page_cache.floor) {
        list_push_back(&page_cache.free, &page->lru_link);
        return false;
    }
    page_cache.count--;
    return true;
}

static struct cpage *evict_oldest_locked(void)
{
    struct list *link = list_pop_front(&page_cache.lru);

    if (!link)
        return NULL;
    struct cpage *page = list_entry(link, struct cpage, lru_link);
    ASSERT(!page->refs && !page->dirty && !page->writing && !page->locked,
           "an evicted page is idle");
    detach_locked(page->mapping, page);
    return page;
}

static noinline struct cpage *take_kept(bool reserve)
{
    struct cpage *page;
    bool irq = spin_lock(&page_cache.lock);
    struct list *link = reserve ? list_pop_front(&page_cache.free) : NULL;

    page = link ? list_entry(link, struct cpage, lru_link) : evict_oldest_locked();
    spin_unlock(&page_cache.lock, irq);
    return page;
}

struct cpage *cpage_make(bool reserve)
{
    struct cpage *page = page_make();

    if (!page)
        return take_kept(reserve);
    bool irq = spin_lock(&page_cache.lock);
    page_cache.count++;
    spin_unlock(&page_cache.lock, irq);
    return page;
}

void cpage_drop(struct cpage *page)
{
    bool irq = spin_lock(&page_cache.lock);
    bool surplus = retire_locked(page);
    spin_unlock(&page_cache.lock, irq);
    if (surplus)
        page_unmake(page);
}

/* ---- the table ---- */

static struct list *chain(const struct mapping *mapping, uint64_t index)
{
    uint64_t key = ((uint64_t)(uintptr_t)mapping >> 6) * UINT64_C(0x9e3779b97f4a7c15) + index;

    return &page_cache.hash[(key ^ (key >> 29)) & page_cache.hash_mask];
}

static struct cpage *find_locked(struct mapping *mapping, uint64_t index)
{
    struct list *head = chain(mapping, index);
    struct cpage *page;

    list_for_each(page, head, hash_link) {
        if (page->mapping == mapping && page->index == index)
            return page;
    }
    return NULL;
}

struct cpage *cpage_find(struct mapping *mapping, uint64_t index)
{
    bool irq = spin_lock(&page_cache.lock);
    struct cpage *page = find_locked(mapping, index);

    if (page && page->refs++ == 0)
        list_remove(&page->lru_link);
    spin_unlock(&page_cache.lock, irq);
    return page;
}

bool cpage_insert(struct mapping *mapping, uint64_t index, struct cpage *page)
{
    bool irq = spin_lock(&page_cache.lock);
    bool taken = find_locked(mapping, index) != NULL;

    if (!taken) {
        page->mapping = mapping;
        page->index = index;
        page->refs = 1;
        page->locked = true;
        list_push_front(chain(mapping, index), &page->hash_link);
        list_push_back(&mapping->pages, &page->link);
        mapping->page_count++;
        page_cache.cached++;
    }
    spin_unlock(&page_cache.lock, irq);
    if (!taken)
        lock_order_got(&mapping->page_dep, page, LOCK_TRY, 0, LOCK_WHERE);
    return !taken;
}

void cpage_detach(struct mapping *mapping, struct cpage *page)
{
    bool irq = spin_lock(&page_cache.lock);

    ASSERT(page->locked && page->refs && !page->writing, "a page is detached by who locked it");
    if (page->dirty) {
        list_remove(&page->dirty_link);
        page->dirty = false;
        mapping->dirty_count--;
        page_cache.dirty--;
    }
    detach_locked(mapping, page);
    spin_unlock(&page_cache.lock, irq);
}

/* ---- references and locks ---- */

void cpage_unref(struct cpage *page)
{
    bool surplus = false;
    bool irq = spin_lock(&page_cache.lock);

    ASSERT(page->refs, "a reference is put once");
    if (--page->refs == 0 && !page->dirty && !page->writing) {
        if (page->mapping && page->uptodate) {
            list_push_back(&page_cache.lru, &page->lru_link);
        } else {
            if (page->mapping)
                detach_locked(page->mapping, page);
            surplus = retire_locked(page);
        }
    }
    spin_unlock(&page_cache.lock, irq);
    if (surplus)
        page_unmake(page);
}

static bool try_lock(struct cpage *page)
{
    bool irq = spin_lock(&page_cache.lock);
    bool got = !page->locked;

    page->locked = true;
    spin_unlock(&page_cache.lock, irq);
    return got;
}

void cpage_lock(struct mapping *mapping, struct cpage *page)
{
    struct waiter waiter;

    lock_order_take(&mapping->page_dep, page, 0, 0, LOCK_WHERE);
    while (!try_lock(page)) {
        waitq_enter(&mapping->waiters, &waiter);
        if (__atomic_load_n(&page->locked, __ATOMIC_ACQUIRE))
            waitq_wait(&mapping->waiters, &waiter, WAIT_FOREVER);
        waitq_leave(&mapping->waiters, &waiter);
    }
    lock_order_got(&mapping->page_dep, page, 0, 0, LOCK_WHERE);
}

void cpage_unlock(struct mapping *mapping, struct cpage *page)
{
    lock_order_drop(&mapping->page_dep, page, 0, LOCK_WHERE);
    bool irq = spin_lock(&page_cache.lock);

    ASSERT(page->locked, "who unlocks a page has locked it");
    page->locked = false;
    spin_unlock(&page_cache.lock, irq);
    waitq_wake(&mapping->waiters, WAITQ_ALL);
}

void cpage_wait_written(struct mapping *mapping, struct cpage *page)
{
    struct waiter waiter;

    while (__atomic_load_n(&page->writing, __ATOMIC_ACQUIRE)) {
        waitq_enter(&mapping->waiters, &waiter);
        if (__atomic_load_n(&page->writing, __ATOMIC_ACQUIRE))
            waitq_wait(&mapping->waiters, &waiter, WAIT_FOREVER);
        waitq_leave(&mapping->waiters, &waiter);
    }
}

/* ---- memory ---- */

static uint64_t pages_shrink(struct shrinker *shrinker, uint64_t pages_wanted)
{
    struct list gone = LIST_INIT(gone);
    struct list *link;
    uint64_t count = 0;

    (void)shrinker;
    bool irq = spin_lock(&page_cache.lock);
    while (count < pages_wanted && page_cache.count > page_cache.floor) {
        struct cpage *page = evict_oldest_locked();
        if (!page)
            break;
        page_cache.count--;
        list_push_back(&gone, &page->lru_link);
        count++;
    }
    spin_unlock(&page_cache.lock, irq);
    while ((link = list_pop_front(&gone)))
        page_unmake(list_entry(link, struct cpage, lru_link));
    return count;
}

static const struct shrinker_ops page_shrinker_ops = {.shrink = pages_shrink};
static struct shrinker page_shrinker = {.ops = &page_shrinker_ops};

/* The larger table replaces the early one before the first page is in it. */
void page_cache_start(void)
{
    if (__atomic_load_n(&page_cache.hash, __ATOMIC_ACQUIRE))
        return;
    uint64_t count = (uint64_t)PAGE_BYTES / sizeof(struct list);
    unsigned order = 0;
    while (count * PAGES_PER_CHAIN < page_count_total() && order < PAGE_ORDER_MAX) {
        count *= 2;
        order++;
    }
    struct list *hash = page_alloc(order);
    struct list *table = hash ? hash : early_hash;
    if (!hash)
        count = EARLY_HASH_COUNT;
    for (uint64_t i = 0; i < count; i++)
        list_init(&table[i]);

    bool irq = spin_lock(&page_cache.lock);
    bool first = !page_cache.hash;
    if (first) {
        page_cache.hash_mask = count - 1;
        __atomic_store_n(&page_cache.hash, table, __ATOMIC_RELEASE);
    }
    spin_unlock(&page_cache.lock, irq);
    if (first)
        page_register_shrinker(&page_shrinker);
    else if (hash)
        page_free(hash, order);
}

int page_cache_reserve(uint64_t count)
{
    struct list fresh = LIST_INIT(fresh);
    struct list *link;

    page_cache_start();
    for (uint64_t i = 0; i < count; i++) {
        struct cpage *page = page_make();
        if (!page) {
            while ((link = list_pop_front(&fresh)))
                page_unmake(list_entry(link, struct cpage, lru_link));
            return -ENOMEM;
        }
        list_push_back(&fresh, &page->lru_link);
    }
    bool irq = spin_lock(&page_cache.lock);
    page_cache.floor += count;
    page_cache.count += count;
    list_splice_back(&page_cache.free, &fresh);
    spin_unlock(&page_cache.lock, irq);
    return 0;
}

void page_cache_unreserve(uint64_t count)
{
    struct list gone = LIST_INIT(gone);
    struct list *link;

    bool irq = spin_lock(&page_cache.lock);
    ASSERT(page_cache.floor >= count, "pages given back were reserved");
    page_cache.floor -= count;
    while (page_cache.count > page_cache.floor && count--) {
        link = list_pop_front(&page_cache.free);
        if (!link)
            break;
        page_cache.count--;
        list_push_back(&gone, link);
    }
    spin_unlock(&page_cache.lock, irq);
    while ((link = list_pop_front(&gone)))
        page_unmake(list_entry(link, struct cpage, lru_link));
}

/* ---- what others see ---- */

static void show_bytes(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_printf(out, "%lu\n", page_cache.count * (PAGE_BYTES + heap_cost(sizeof(struct cpage))));
}

static const struct attr_ops bytes_ops = {.show = show_bytes};
static const struct attr attr_bytes = {"page_cache", &bytes_ops, 0};
const struct attr *const page_cache_attrs[] = {&attr_bytes, NULL};
