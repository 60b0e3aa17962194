// SPDX-License-Identifier: MIT
/*
 * Write-back of a file's dirty pages, many in flight.
 *
 * One round takes up to ROUND_MAX pages, starts their writes, waits, and marks them clean; a page
 * that is locked by somebody is only waited for with empty hands. Like a sync of blocks
 * (buf_sync.c) it answers for what was dirty when it began and for what others were writing then.
 *
 * If a round fails, its pages stay dirty and are tried once more one by one, so one bad page does
 * not keep its neighbours from the disk. A refusal, for want of a stack, ends the write-back at
 * once and is no write error; nor is a shortage of memory.
 */
#include <block/page_cache.h>

#include <lib/errno.h>
#include <rt/assert.h>
#include <rt/page.h>

#define ROUND_MAX 16u
#define TRIES_MAX 4u
#define DIRTY_DIVISOR 8u              /* at most 1/8 of memory dirty … */
#define DIRTY_PAGES_MAX 16384u        /* … and at most 64 MiB, so that a sync ends soon */

struct round {
    struct mapping *mapping;
    uint64_t first, last;             /* indices */
    uint64_t limit;                   /* stamps up to here */
    uint64_t failures;                /* the mapping's, as far as they are known here */
    uint32_t most, count;
    bool refused;
    struct cpage *busy;               /* referenced; dirty, but somebody holds its lock */
    struct list pages;                /* by lru_link; referenced, writing */
};

static bool in_scope(const struct round *round, const struct cpage *page)
{
    return page->stamp <= round->limit && page->index >= round->first && page->index <= round->last;
}

/* page_cache.lock held. The page is dirty and now locked by us. */
static void begin_write_locked(struct round *round, struct cpage *page)
{
    ASSERT(page->dirty && !page->writing, "a dirty page is written by one thread");
    list_remove(&page->dirty_link);
    page->dirty = false;
    page->writing = true;
    round->mapping->dirty_count--;
    list_push_back(&round->mapping->writing, &page->dirty_link);
    list_push_back(&round->pages, &page->lru_link);
    round->count++;
}

static void collect(struct round *round)
{
    struct mapping *mapping = round->mapping;
    struct cpage *page, *next;
    bool irq = spin_lock(&page_cache.lock);

    list_for_each_safe(page, next, &mapping->dirty, dirty_link) {
        if (round->count == round->most)
            break;
        if (!in_scope(round, page))
            continue;
        if (page->locked) {
            if (!round->busy) {
                round->busy = page;
                page->refs++;
            }
            continue;
        }
        page->refs++;
        page->locked = true;
        lock_order_got(&mapping->page_dep, page, LOCK_TRY, 0, LOCK_WHERE);
        begin_write_locked(round, page);
    }
    spin_unlock(&page_cache.lock, irq);
}

/* One page that was busy: waits for its lock, holding nothing else. */
static noinline void collect_busy(struct round *round)
{
    struct mapping *mapping = round->mapping;
    struct cpage *page = round->busy;

    round->busy = NULL;
    cpage_lock(mapping, page);
    bool irq = spin_lock(&page_cache.lock);
    bool dirty = page->mapping == mapping && page->dirty && !page->writing;
    if (dirty)
        begin_write_locked(round, page);
    spin_unlock(&page_cache.lock, irq);
    if (!dirty) {
        cpage_unlock(mapping, page);
        cpage_unref(page);
    }
}

static void end_write(struct round *round, struct cpage *page, int err)
{
    struct mapping *mapping = round->mapping;
    bool again = err && !round->refused && round->most > 1;
    bool irq = spin_lock(&page_cache.lock);

    list_remove(&page->dirty_link);
    page->writing = false;
    if (err) {
        mapping->failures++;
        round->failures++;
        page->dirty = true;
        mapping->dirty_count++;
        if (again) {
            list_push_front(&mapping->dirty, &page->dirty_link);
        } else {
            page->stamp = ++mapping->stamp;
            list_push_back(&mapping->dirty, &page->dirty_link);
        }
        if (!again && !round->refused && err != -ENOMEM)
            mapping->write_error = err;
    } else {
        page_cache.dirty--;
    }
    spin_unlock(&page_cache.lock, irq);
}

static noinline int write_round(struct round *round)
{
    struct mapping *mapping = round->mapping;
    uint64_t mark = io_refusal_mark();
    struct io_batch batch;
    struct cpage *page;
    int err = 0;

    io_batch_init(&batch);
    list_for_each(page, &round->pages, lru_link) {
        if (mapping->ops->page_cleans)
            mapping->ops->page_cleans(mapping, page);
        if (!err)
            err = mapping->ops->write_page(mapping, page, &batch);
        cpage_unlock(mapping, page);
    }
    if (err == -EIO && io_refused_since(mark))
        round->refused = true;
    int io_err = io_batch_wait(&batch);
    round->refused |= batch.refused;
    if (io_err)
        err = io_err;
    while (!list_empty(&round->pages)) {
        page = list_last(&round->pages, struct cpage, lru_link);
        list_remove(&page->lru_link);
        end_write(round, page, err);
        cpage_unref(page);
    }
    round->count = 0;
    waitq_wake(&mapping->waiters, WAITQ_ALL);
    return err;
}

/* Writes what is dirty and not newer than round->limit; the first error. */
static int write_all(struct round *round)
{
    int err = 0;

    round->most = ROUND_MAX;
    while (!round->refused) {
        collect(round);
        if (round->count == 0 && !round->busy)
            break;
        if (round->count == 0)
            collect_busy(round);
        int round_err = round->count ? write_round(round) : 0;
        if (round_err && (round->most == 1 || round->refused) && !err)
            err = round_err;
        if (round_err)
            round->most = 1;
        if (round->busy) {
            cpage_unref(round->busy);
            round->busy = NULL;
        }
    }
    return err;
}

static struct cpage *others_page(struct round *round)
{
    struct cpage *page, *found = NULL;
    bool irq = spin_lock(&page_cache.lock);

    list_for_each(page, &round->mapping->writing, dirty_link) {
        if (in_scope(round, page)) {
            found = page;
            page->refs++;
            break;
        }
    }
    spin_unlock(&page_cache.lock, irq);
    return found;
}

static noinline void wait_for_others(struct round *round)
{
    struct cpage *page;

    while ((page = others_page(round))) {
        cpage_wait_written(round->mapping, page);
        cpage_unref(page);
    }
}

int mapping_write_back(struct mapping *mapping, uint64_t first, uint64_t last)
{
    struct round round = {.mapping = mapping, .first = first, .last = last};

    list_init(&round.pages);
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        bool irq = spin_lock(&page_cache.lock);
        round.limit = mapping->stamp;
        round.failures = mapping->failures;
        spin_unlock(&page_cache.lock, irq);
        int err = write_all(&round);
        if (err)
            return err;
        wait_for_others(&round);
        if (__atomic_load_n(&mapping->failures, __ATOMIC_ACQUIRE) == round.failures)
            return 0;
    }
    return -EIO;
}

int mapping_take_error(struct mapping *mapping)
{
    bool irq = spin_lock(&page_cache.lock);
    int err = mapping->write_error;

    mapping->write_error = 0;
    spin_unlock(&page_cache.lock, irq);
    return err;
}

static uint64_t dirty_limit(void)
{
    return MIN(page_count_total() / DIRTY_DIVISOR, (uint64_t)DIRTY_PAGES_MAX);
}

bool mapping_dirty_excess(void)
{
    return __atomic_load_n(&page_cache.dirty, __ATOMIC_RELAXED) > dirty_limit();
}

bool mapping_dirty_many(void)
{
    return __atomic_load_n(&page_cache.dirty, __ATOMIC_RELAXED) > dirty_limit() / 2;
}
