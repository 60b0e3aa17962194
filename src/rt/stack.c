// SPDX-License-Identifier: MIT
/*
 * The stack window is cut into arenas, one for each power-of-two slot size; an address gives arena and
 * slot by shifting, so a fault handler finds a stack without a lock. Slots are handed out in order and
 * reused first-out-first-in, so that the last owner of a stack that is gone stays known for long. Guard pages
 * are simply never mapped. A slot's descriptor is never freed and never leaves the table.
 */
#include <rt/stack.h>

#include <arch/arch.h>
#include <arch/stack_pages.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/node.h>
#include <rt/page.h>
#include <rt/spinlock.h>
#include <rt/stack_grow_cpu.h>
#include <rt/stack_internal.h>
#include <rt/thread.h>

#define SLOT_SHIFT_MIN 14u            /* 4 to 8 KiB of stack and two guards */
#define ARENA_COUNT 16u
#define ARENA_BYTES (ARCH_STACK_WINDOW_BYTES / ARENA_COUNT)
#define CHUNK_SLOTS (PAGE_BYTES / sizeof(struct stack *))
#define CHUNKS_MAX 1024u

struct arena {
    struct spinlock lock;
    struct stack ***chunks;           /* [CHUNKS_MAX] of pages of CHUNK_SLOTS pointers */
    uint64_t next_slot;
    struct list unused;               /* descriptors of slots that are free again; lock */
};
static struct arena arenas[ARENA_COUNT] = {[0 ... ARENA_COUNT - 1] = {.lock = SPINLOCK_NAMED("stack arena")}};

static unsigned shift_of(unsigned arena_index) { return SLOT_SHIFT_MIN + arena_index; }

static unsigned arena_for(size_t bytes)
{
    unsigned shift = log2_ceil(bytes + 2 * PAGE_BYTES);
    return shift <= SLOT_SHIFT_MIN ? 0 : shift - SLOT_SHIFT_MIN;
}

static uintptr_t slot_base(unsigned arena_index, uint64_t slot)
{
    return arch_stack_window + arena_index * ARENA_BYTES + (slot << shift_of(arena_index));
}

static struct stack **slot_entry(struct arena *arena, uint64_t slot)
{
    struct stack **chunk = NULL;
    struct stack ***chunks = __atomic_load_n(&arena->chunks, __ATOMIC_ACQUIRE);
    if (chunks && slot / CHUNK_SLOTS < CHUNKS_MAX)
        chunk = __atomic_load_n(&chunks[slot / CHUNK_SLOTS], __ATOMIC_ACQUIRE);
    return chunk ? &chunk[slot % CHUNK_SLOTS] : NULL;
}

/* Makes room for @slot in the table; arena->lock held. */
static int table_grow(struct arena *arena, unsigned arena_index, uint64_t slot)
{
    if (slot / CHUNK_SLOTS >= CHUNKS_MAX || (slot + 1) << shift_of(arena_index) > ARENA_BYTES)
        return -ENOMEM;
    if (!arena->chunks) {
        void *chunks = page_alloc_zeroed(log2_ceil(CHUNKS_MAX * sizeof(void *) / PAGE_BYTES));
        if (!chunks)
            return -ENOMEM;
        __atomic_store_n(&arena->chunks, chunks, __ATOMIC_RELEASE);
    }
    struct stack ***chunk = &arena->chunks[slot / CHUNK_SLOTS];
    if (*chunk)
        return 0;
    void *page = page_alloc_zeroed(0);
    if (!page)
        return -ENOMEM;
    __atomic_store_n(chunk, page, __ATOMIC_RELEASE);
    return 0;
}

static struct arena *arena_of(const struct stack *stack)
{
    return &arenas[(stack->base - arch_stack_window) / ARENA_BYTES];
}

struct stack *stack_slot_take(size_t bytes)
{
    unsigned arena_index = arena_for(bytes);
    ASSERT(bytes && bytes % PAGE_BYTES == 0 && arena_index < ARENA_COUNT, "a stack is whole pages");
    struct arena *arena = &arenas[arena_index];
    struct stack *fresh = heap_zalloc(sizeof(*fresh));
    if (!fresh)
        return NULL;
    struct stack *stack = NULL;
    bool irq = spin_lock(&arena->lock);
    if (!arena->unused.next)
        list_init(&arena->unused);
    struct list *link = list_pop_front(&arena->unused);
    if (link) {
        stack = list_entry(link, struct stack, link);
    } else if (table_grow(arena, arena_index, arena->next_slot) == 0) {
        stack = fresh;
        fresh = NULL;
        stack->base = slot_base(arena_index, arena->next_slot) + PAGE_BYTES;
        list_init(&stack->link);
        __atomic_store_n(slot_entry(arena, arena->next_slot), stack, __ATOMIC_RELEASE);
        __atomic_store_n(&arena->next_slot, arena->next_slot + 1, __ATOMIC_RELEASE);
    }
    spin_unlock(&arena->lock, irq);
    heap_free(fresh);
    if (!stack)
        return NULL;
    stack->top = stack->base + bytes;
    stack->guarded = stack->mapped = true;
    stack->adopted = stack->free = stack->grows = false;
    stack->node = (uint8_t)node_here();
    stack->previous = NULL;
    stack->deepest = 0;
    stack->memory = NULL;
    return stack;
}

void stack_slot_give(struct stack *stack)
{
    struct arena *arena = arena_of(stack);
    bool irq = spin_lock(&arena->lock);
    list_push_back(&arena->unused, &stack->link);
    spin_unlock(&arena->lock, irq);
}

void stack_slot_show(struct stack *stack, enum stack_kind kind, const char *label)
{
    stack->kind = (uint8_t)kind;
    stack->label = label;
    stack->owner = NULL;
    stack->last_owner_name[0] = 0;
    __atomic_store_n(&stack->state, STACK_LIVE, __ATOMIC_RELEASE);
}

void stack_note_owner(struct stack *stack)
{
    const struct thread *owner = stack->owner;
    if (!owner)
        return;
    stack->last_owner = owner->id;
    str_copy(stack->last_owner_name, owner->name, sizeof(stack->last_owner_name));
    __atomic_store_n(&stack->owner, NULL, __ATOMIC_RELEASE);
}

/* ---- mapping ---- */

/* Maps fresh frames at [from, to); on failure none of them stays. */
static int map_frames(struct stack *stack, uintptr_t from, uintptr_t to)
{
    for (uintptr_t va = from; va < to; va += PAGE_BYTES) {
        void *page = page_alloc_zeroed_on(stack->node, 0);
        if (page && arch_map(va, arch_virt_to_phys(page), 1, ARCH_READ | ARCH_WRITE) == 0)
            continue;
        if (page)
            page_free(page, 0);
        stack->top = va;
        struct list failed = LIST_INIT(failed);
        list_push_back(&failed, &stack->link);
        stack_unmap_all(&failed);
        return -ENOMEM;
    }
    return 0;
}

int stack_map_on(uint32_t node, size_t bytes, enum stack_kind kind, const char *label, struct stack **out)
{
    struct stack *stack = stack_slot_take(bytes);
    if (!stack)
        return -ENOMEM;
    stack->node = (uint8_t)node;
    int err = map_frames(stack, stack->base, stack->top);
    if (err)
        return err;
    stack_slot_show(stack, kind, label);
    *out = stack;
    return 0;
}

int stack_map(size_t bytes, enum stack_kind kind, const char *label, struct stack **out)
{
    return stack_map_on(node_here(), bytes, kind, label, out);
}

int stack_map_growing(size_t bytes, const char *label, struct stack **out)
{
    struct stack *stack = stack_slot_take(bytes);
    if (!stack)
        return -ENOMEM;
    if (!stack->growth && (stack->growth = heap_zalloc(sizeof(*stack->growth)))) {
        stack->growth->stack = stack;
        list_init(&stack->growth->queue_link);
    }
    uint64_t *entries = stack->growth ? arch_stack_entries(stack->base, bytes / PAGE_BYTES) : NULL;
    void *page = entries ? page_alloc_zeroed_on(stack->node, 0) : NULL;
    if (!page) {
        stack_slot_give(stack);
        return -ENOMEM;
    }
    entries[bytes / PAGE_BYTES - 1] = arch_virt_to_phys(page) | ARCH_ENTRY_STACK | ARCH_ENTRY_ACCESSED;
    stack->growth->entries = entries;
    stack->grows = true;
    stack->growth->pages_most = 1;
    stack_slot_show(stack, STACK_HOME, label);
    *out = stack;
    return 0;
}

bool stack_is_local(const struct stack *stack)
{
    uint64_t phys;
    for (uintptr_t va = stack->base; va < stack->top; va += PAGE_BYTES)
        if (arch_lookup(va, &phys, NULL) && page_node(arch_phys_to_virt(phys)) != stack->node)
            return false;
    return true;
}

/* Takes the frames of @stack out of the tables; they are free to use after the next flush. */
static void collect_frames(struct stack *stack, struct list *frames)
{
    uint64_t phys;
    for (uintptr_t va = stack->base; va < stack->top && !stack->adopted; va += PAGE_BYTES)
        if (arch_lookup(va, &phys, NULL))
            list_push_back(frames, (struct list *)arch_phys_to_virt(phys));
    if (stack->base < stack->top)
        arch_unmap_start(stack->base, (stack->top - stack->base) / PAGE_BYTES);
}

void stack_unmap_all(struct list *stacks)
{
    struct list frames = LIST_INIT(frames), *link;
    struct stack *stack;
    list_for_each(stack, stacks, link) {
        if (stack->state != STACK_GONE) {
            stack_measure(stack);
            stack_count_depth(stack);
            stack_note_owner(stack);
            __atomic_store_n(&stack->state, STACK_GONE, __ATOMIC_RELEASE);
        }
        if (stack->grows)
            stack_grow_forget(stack);
        arch_stack_recycle((void *)stack->base, stack->top - stack->base);
        collect_frames(stack, &frames);
    }
    arch_flush_all();
    while ((link = list_pop_front(&frames)))
        page_free(link, 0);
    while ((link = list_pop_front(stacks)))
        stack_slot_give(list_entry(link, struct stack, link));
}

void stack_unmap(struct stack *stack)
{
    if (!stack->mapped) {
        stack_forget_outside(stack);
        return;
    }
    struct list one = LIST_INIT(one);
    list_remove(&stack->link);
    list_push_back(&one, &stack->link);
    stack_unmap_all(&one);
}

/* ---- finding ---- */

struct stack *stack_find_any(uintptr_t address, enum stack_side *side)
{
    if (address < arch_stack_window || address - arch_stack_window >= ARCH_STACK_WINDOW_BYTES)
        return stack_find_outside(address, side);
    uint64_t offset = address - arch_stack_window;
    unsigned arena_index = (unsigned)(offset / ARENA_BYTES);
    struct stack **entry =
        slot_entry(&arenas[arena_index], (offset % ARENA_BYTES) >> shift_of(arena_index));
    struct stack *stack = entry ? __atomic_load_n(entry, __ATOMIC_ACQUIRE) : NULL;
    if (stack && side)
        *side = address < stack->base   ? STACK_GUARD_LOW
                : address >= stack->top ? STACK_GUARD_HIGH
                                        : STACK_INSIDE;
    return stack;
}

struct stack *stack_find(uintptr_t address, enum stack_side *side)
{
    struct stack *stack = stack_find_any(address, side);
    return stack && __atomic_load_n(&stack->state, __ATOMIC_ACQUIRE) != STACK_GONE ? stack : NULL;
}

bool stack_contains(const void *address)
{
    enum stack_side side;
    return stack_find((uintptr_t)address, &side) && side == STACK_INSIDE;
}

void stack_for_each(const struct stack_visitor *visitor)
{
    for (unsigned a = 0; a < ARENA_COUNT; a++) {
        uint64_t slots = __atomic_load_n(&arenas[a].next_slot, __ATOMIC_ACQUIRE);
        for (uint64_t slot = 0; slot < slots; slot++) {
            struct stack **entry = slot_entry(&arenas[a], slot);
            struct stack *stack = entry ? __atomic_load_n(entry, __ATOMIC_ACQUIRE) : NULL;
            if (stack && __atomic_load_n(&stack->state, __ATOMIC_ACQUIRE) != STACK_GONE)
                visitor->see(visitor, stack);
        }
    }
}

/* ---- depth ---- */

static uint64_t deepest_ever;         /* of uses that are over; atomic */

void stack_count_depth(const struct stack *stack)
{
    uint64_t deepest = stack->deepest, seen = __atomic_load_n(&deepest_ever, __ATOMIC_RELAXED);
    if (stack->kind > STACK_OWN)
        return;
    while (deepest > seen && !__atomic_compare_exchange_n(&deepest_ever, &seen, deepest, true,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/*
 * The words from @va to the end of its page, NULL if there is none. They are seen through their frames: touched in its place a stack
 * that grows would grow, and one that is being unmapped would fault. @kept: also a frame that is kept, which
 * is good for reading only.
 */
static volatile uint64_t *page_words(const struct stack *stack, uintptr_t va, bool kept)
{
    uint64_t phys;
    if (!stack->mapped)
        return (volatile uint64_t *)va;
    if (!stack->grows)
        return arch_lookup(va, &phys, NULL) ? arch_phys_to_virt(phys) : NULL;
    uint64_t entry = __atomic_load_n(&stack->growth->entries[(va - stack->base) / PAGE_BYTES], __ATOMIC_RELAXED);
    return entry & (kept ? ARCH_ENTRY_PRESENT | ARCH_ENTRY_KEPT : ARCH_ENTRY_PRESENT)
               ? arch_phys_to_virt((entry & ARCH_ENTRY_FRAME) + va % PAGE_BYTES) : NULL;
}

/* The lowest word that is not zero. */
__attribute__((no_sanitize("address"))) static uintptr_t lowest_used(const struct stack *stack)
{
    for (uintptr_t va = stack->base; va < stack->top;) {
        size_t words = MIN(PAGE_BYTES - va % PAGE_BYTES, stack->top - va) / sizeof(uint64_t);
        const volatile uint64_t *word = page_words(stack, va, true);
        for (size_t i = 0; word && i < words; i++)
            if (word[i])
                return va + i * sizeof(*word);
        va += words * sizeof(*word);
    }
    return stack->top;
}

size_t stack_measure(struct stack *stack)
{
    uint32_t used = (uint32_t)(stack->top - lowest_used(stack));
    if (used > stack->deepest)
        stack->deepest = used;
    return stack->deepest;
}

__attribute__((no_sanitize("address"))) void stack_clean(struct stack *stack)
{
    stack_measure(stack);
    stack_count_depth(stack);
    /* Kept frames may be on their way out; those that are put back are ours again. */
    for (size_t i = 0; stack->grows && i < (stack->top - stack->base) / PAGE_BYTES; i++)
        grow_put_back(&stack->growth->entries[i], __atomic_load_n(&stack->growth->entries[i], __ATOMIC_RELAXED));
    for (uintptr_t va = stack->top - stack->deepest; va < stack->top;) {
        size_t words = MIN(PAGE_BYTES - va % PAGE_BYTES, stack->top - va) / sizeof(uint64_t);
        volatile uint64_t *word = page_words(stack, va, false);
        for (size_t i = 0; word && i < words; i++)
            word[i] = 0;
        va += words * sizeof(*word);
    }
    stack->deepest = 0;
}

struct deepest_visitor {
    struct stack_visitor visitor;
    size_t *deepest;
};

static void see_depth(const struct stack_visitor *visitor, struct stack *stack)
{
    const struct deepest_visitor *v = container_of(visitor, const struct deepest_visitor, visitor);
    if (stack->kind > STACK_OWN)
        return;
    /* With interrupts off no flush ends, so no frame found here is freed and no slot used again. Who unmaps the stack says
       that it is gone before its frames hold anything else. */
    bool irq = arch_irq_save();
    size_t used = MAX((size_t)(stack->top - lowest_used(stack)), (size_t)stack->deepest);
    bool live = __atomic_load_n(&stack->state, __ATOMIC_ACQUIRE) != STACK_GONE;
    arch_irq_restore(irq);
    if (live)
        *v->deepest = MAX(*v->deepest, used);
}

size_t stack_deepest(void)
{
    size_t deepest = 0;
    const struct deepest_visitor v = {.visitor = {.see = see_depth}, .deepest = &deepest};
    stack_for_each(&v.visitor);
    /* Those that went meanwhile have been counted there. */
    deepest = MAX(deepest, (size_t)__atomic_load_n(&deepest_ever, __ATOMIC_ACQUIRE));
    return MAX(deepest, stack_outside_deepest());
}
