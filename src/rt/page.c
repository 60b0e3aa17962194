// SPDX-License-Identifier: MIT
/*
 * A buddy allocator. Free blocks are linked through their own first bytes; one byte a frame says what
 * a block's first frame is: free or taken, and of which order. The byte array is carved out of the start of
 * a region. The port has left the image, the modules and its own tables out of the regions.
 * Each memory node has its own lists, and no block crosses the border of a range of node.h.
 * One lock guards everything; `reserved_pages` frames of the free ones, of any node, are promised to app memory.
 */
#include <rt/page.h>

#include <arch/arch.h>
#include <arch/boot_info.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/fail.h>
#include <rt/node.h>
#include <rt/param.h>
#include <rt/spinlock.h>

#define STATE_TAIL 0x00u              /* inside a block, or not RAM */
#define STATE_FREE 0x40u              /* | order: first frame of a free block */
#define STATE_TAKEN 0x80u             /* | order: first frame of an allocated block */
#define STATE_ORDER 0x1fu
#define BLOCK_ORDER_MAX 18u           /* free memory is kept in blocks up to 1 GiB: few links to write at boot */
#define LOW_MEMORY_END MIB(1)         /* left to the firmware and to starting CPUs */
#define SHRINK_BATCH 32u

static struct spinlock page_lock = SPINLOCK_NAMED("page allocator");
struct node {
    struct list free_lists[BLOCK_ORDER_MAX + 1];
    struct page_node_counts counts;
};
static struct node nodes[NODES_MAX];
static uint8_t *states;               /* by frame number */
static uint64_t frame_count;
static uint64_t free_pages, total_pages, reserved_pages;
static struct list shrinkers = LIST_INIT(shrinkers);
static struct lock_dep shrinking = LOCK_DEP_NAMED("page shrinking");   /* whoever allocates may have to do it */

static uint64_t frame_of(const void *page) { return arch_virt_to_phys(page) >> PAGE_SHIFT; }
static struct list *link_of(uint64_t frame) { return arch_phys_to_virt(frame << PAGE_SHIFT); }

static void block_free(uint64_t frame, unsigned order)
{
    const struct node_range *range = node_range_of(frame);
    const uint64_t range_frames = range->last - range->first;
    struct node *node = &nodes[range->node];
    node->counts.free += UINT64_C(1) << order;
    states[frame] = STATE_TAIL;       /* if it ends inside a larger block, a second free of it is seen */
    while (order < BLOCK_ORDER_MAX) {
        uint64_t buddy = frame ^ (UINT64_C(1) << order);
        if (buddy - range->first >= range_frames || states[buddy] != (STATE_FREE | order))
            break;
        list_remove(link_of(buddy));
        states[buddy] = STATE_TAIL;
        frame &= ~(UINT64_C(1) << order);
        order++;
    }
    states[frame] = (uint8_t)(STATE_FREE | order);
    list_push_front(&node->free_lists[order], link_of(frame));
}

static void *node_take(struct node *node, unsigned order)
{
    unsigned from = order;
    while (from <= BLOCK_ORDER_MAX && list_empty(&node->free_lists[from]))
        from++;
    if (from > BLOCK_ORDER_MAX)
        return NULL;
    struct list *link = list_pop_front(&node->free_lists[from]);
    uint64_t frame = frame_of(link);
    while (from > order) {
        from--;
        uint64_t upper = frame + (UINT64_C(1) << from);
        states[upper] = (uint8_t)(STATE_FREE | from);
        list_push_front(&node->free_lists[from], link_of(upper));
    }
    states[frame] = (uint8_t)(STATE_TAKEN | order);
    node->counts.free -= UINT64_C(1) << order;
    return link;
}

/* The rare case: @node has none. */
static noinline void *take_elsewhere(uint32_t node, unsigned order)
{
    void *block = NULL;
    for (uint32_t n = node_next(node); !block && n != node; n = node_next(n))
        block = node_take(&nodes[n], order);
    if (block)
        nodes[node].counts.elsewhere += UINT64_C(1) << order;
    return block;
}

static void add_range(uint64_t start, uint64_t end)
{
    uint64_t frame = start >> PAGE_SHIFT, end_frame = end >> PAGE_SHIFT, last = frame;
    total_pages += end_frame - frame;
    free_pages += end_frame - frame;
    while (frame < end_frame) {
        if (frame == last) {
            const struct node_range *range = node_range_of(frame);
            last = MIN(end_frame, range->last);
            nodes[range->node].counts.total += last - frame;
        }
        unsigned order = BLOCK_ORDER_MAX;
        while ((frame & ((UINT64_C(1) << order) - 1)) || frame + (UINT64_C(1) << order) > last)
            order--;
        block_free(frame, order);
        frame += UINT64_C(1) << order;
    }
}

static uint64_t place_states(uint64_t bytes)
{
    for (uint32_t i = 0; i < boot_info.region_count; i++) {
        uint64_t at = MAX(boot_info.regions[i].start, LOW_MEMORY_END);
        if (at + bytes <= boot_info.regions[i].end)
            return at;
    }
    panic("page: no room for %lu bytes of frame states", (unsigned long)bytes);
}

void page_init(void)
{
    uint64_t usable = 0, end = 0, left = params.mem ? params.mem : UINT64_MAX;
    for (uint32_t i = 0; i < boot_info.region_count; i++) {
        struct boot_region *r = &boot_info.regions[i];
        uint64_t bytes = r->end - r->start;
        if (bytes > left)
            r->end = r->start + align_down(left, PAGE_BYTES);
        left -= MIN(left, bytes);
        usable += r->end - r->start;
        end = MAX(end, r->end);
    }
    ASSERT(usable > 0, "the loader reported usable memory");
    frame_count = end >> PAGE_SHIFT;
    node_init(frame_count);
    uint64_t bytes = align_up(frame_count, PAGE_BYTES);
    uint64_t at = place_states(bytes);
    states = arch_phys_to_virt(at);
    memset(states, STATE_TAIL, frame_count);
    for (unsigned i = 0; i < NODES_MAX * (BLOCK_ORDER_MAX + 1); i++)
        list_init(&nodes[i / (BLOCK_ORDER_MAX + 1)].free_lists[i % (BLOCK_ORDER_MAX + 1)]);
    for (uint32_t i = 0; i < boot_info.region_count; i++) {
        uint64_t start = MAX(boot_info.regions[i].start, LOW_MEMORY_END);
        if (start <= at && at < boot_info.regions[i].end)
            start = at + bytes;
        if (start < boot_info.regions[i].end)
            add_range(start, boot_info.regions[i].end);
    }
}

/* Asks each cache in turn for @wanted clean pages. The list only ever grows, so it needs no lock. */
static uint64_t shrink_caches(uint64_t wanted)
{
    uint64_t got = 0;
    lock_order_got(&shrinking, &shrinkers, LOCK_ROLE, 0, LOCK_WHERE);
    for (struct list *l = shrinkers.next; l != &shrinkers && got < wanted; l = l->next) {
        struct shrinker *shrinker = list_entry(l, struct shrinker, link);
        got += shrinker->ops->shrink(shrinker, wanted - got);
    }
    lock_order_drop(&shrinking, &shrinkers, LOCK_ROLE, LOCK_WHERE);
    return got;
}

static void *try_alloc(uint32_t node, unsigned order)
{
    uint64_t count = UINT64_C(1) << order;
    void *block = NULL;
    bool irq = spin_lock(&page_lock);
    if (free_pages >= reserved_pages + count) {
        block = node_take(&nodes[node], order);
        if (!block)
            block = take_elsewhere(node, order);
    }
    if (block)
        free_pages -= count;
    spin_unlock(&page_lock, irq);
    return block;
}

/* Apart, so that who need not ask the caches saves no registers for it. */
static noinline void *alloc_shrinking(uint32_t node, unsigned order)
{
    void *block = NULL;
    for (unsigned tries = 0; !block && tries < 8; tries++) {
        if (!shrink_caches(MAX((uint64_t)SHRINK_BATCH, UINT64_C(1) << order)))
            break;
        block = try_alloc(node, order);
    }
    return block ? block : try_alloc(node, order);
}

void *page_alloc_on(uint32_t node, unsigned order)
{
    ASSERT(order <= PAGE_ORDER_MAX && node < node_count, "order and node of an allocation");
    lock_order_take(&shrinking, &shrinkers, LOCK_ROLE, 0, LOCK_WHERE);
    if (fail_now(FAIL_PAGE))
        return NULL;
    void *block = try_alloc(node, order);
    return block ? block : alloc_shrinking(node, order);
}

void *page_alloc(unsigned order) { return page_alloc_on(node_here(), order); }

void *page_try_alloc(void) { return try_alloc(node_here(), 0); }

void *page_alloc_zeroed_on(uint32_t node, unsigned order)
{
    void *block = page_alloc_on(node, order);
    if (block)
        memset(block, 0, (size_t)PAGE_BYTES << order);
    return block;
}

void *page_alloc_zeroed(unsigned order) { return page_alloc_zeroed_on(node_here(), order); }

void page_free(void *pages, unsigned order)
{
    uint64_t frame = frame_of(pages);
    bool irq = spin_lock(&page_lock);
    ASSERT(frame < frame_count && states[frame] == (STATE_TAKEN | order), "free of a taken block");
    block_free(frame, order);
    free_pages += UINT64_C(1) << order;
    spin_unlock(&page_lock, irq);
}

unsigned page_order(const void *pages)
{
    uint64_t frame = frame_of(pages);
    ASSERT(frame < frame_count && (states[frame] & STATE_TAKEN), "start of a taken block");
    return states[frame] & STATE_ORDER;
}

uint32_t page_node(const void *page)
{
    uint64_t frame = frame_of(page);
    ASSERT(frame < frame_count, "a frame of RAM");
    return node_range_of(frame)->node;
}

void page_node_counts(uint32_t node, struct page_node_counts *out) { *out = nodes[node].counts; }

uint64_t page_count_total(void) { return total_pages; }
uint64_t page_count_free(void) { return free_pages; }

int page_reserve(uint64_t count)
{
    for (unsigned tries = 0;; tries++) {
        bool irq = spin_lock(&page_lock);
        bool fits = free_pages >= reserved_pages && free_pages - reserved_pages >= count;
        uint64_t missing = fits ? 0 : reserved_pages + count - free_pages;
        if (fits)
            reserved_pages += count;
        spin_unlock(&page_lock, irq);
        if (fits)
            return 0;
        if (tries == 8 || missing > total_pages || !shrink_caches(missing))
            return -ENOMEM;
    }
}

void page_unreserve(uint64_t count)
{
    bool irq = spin_lock(&page_lock);
    ASSERT(reserved_pages >= count, "reservations given back were made");
    reserved_pages -= count;
    spin_unlock(&page_lock, irq);
}

void *page_alloc_reserved(void)
{
    bool irq = spin_lock(&page_lock);
    ASSERT(reserved_pages > 0 && free_pages >= reserved_pages, "reserved frames are there");
    uint32_t node = node_here();
    void *page = node_take(&nodes[node], 0);
    if (!page)
        page = take_elsewhere(node, 0);
    ASSERT(page, "a reserved frame is there");
    reserved_pages--;
    free_pages--;
    spin_unlock(&page_lock, irq);
    memset(page, 0, PAGE_BYTES);
    return page;
}

void page_free_reserved(void *page)
{
    uint64_t frame = frame_of(page);
    bool irq = spin_lock(&page_lock);
    ASSERT(frame < frame_count && states[frame] == STATE_TAKEN, "free of a taken frame");
    block_free(frame, 0);
    free_pages++;
    reserved_pages++;
    spin_unlock(&page_lock, irq);
}

void page_register_shrinker(struct shrinker *shrinker)
{
    bool irq = spin_lock(&page_lock);
    list_push_back(&shrinkers, &shrinker->link);
    spin_unlock(&page_lock, irq);
}
