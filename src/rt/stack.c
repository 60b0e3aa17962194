// SPDX-License-Identifier: MIT
/*
 * The stack window is cut into arenas, one for each power-of-two slot size; an address gives arena and
 * slot by shifting, so a fault handler finds a stack without a lock. Slots are handed out in order and
 * reused last-out-first; their guard pages are simply never mapped.
 */
#include <rt/stack.h>

#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/spinlock.h>

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
static struct arena arenas[ARENA_COUNT];

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
    if (arena->chunks && slot / CHUNK_SLOTS < CHUNKS_MAX)
        chunk = __atomic_load_n(&arena->chunks[slot / CHUNK_SLOTS], __ATOMIC_ACQUIRE);
    return chunk ? &chunk[slot % CHUNK_SLOTS] : NULL;
}

/* Makes room for @slot in the table; arena->lock held. */
static int table_grow(struct arena *arena, unsigned arena_index, uint64_t slot)
{
    if (slot / CHUNK_SLOTS >= CHUNKS_MAX || (slot + 1) << shift_of(arena_index) > ARENA_BYTES)
        return -ENOMEM;
    if (!arena->chunks) {
        arena->chunks = page_alloc_zeroed(log2_ceil(CHUNKS_MAX * sizeof(void *) / PAGE_BYTES));
        if (!arena->chunks)
            return -ENOMEM;
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

/* A descriptor with base and top set, entered in the table; its pages are not mapped yet. */
static struct stack *slot_take(unsigned arena_index, size_t bytes)
{
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
        stack->base = slot_base(arena_index, arena->next_slot++) + PAGE_BYTES;
    }
    spin_unlock(&arena->lock, irq);
    heap_free(fresh);
    if (stack)
        *stack = (struct stack){.base = stack->base, .top = stack->base + bytes};
    return stack;
}

static struct arena *arena_of(const struct stack *stack, struct stack ***entry)
{
    unsigned arena_index = (unsigned)((stack->base - arch_stack_window) / ARENA_BYTES);
    uint64_t slot = ((stack->base - arch_stack_window) % ARENA_BYTES) >> shift_of(arena_index);
    *entry = slot_entry(&arenas[arena_index], slot);
    return &arenas[arena_index];
}

/* Out of the table: from here on nobody measures it. */
static void slot_hide(struct stack *stack)
{
    struct stack **entry;
    struct arena *arena = arena_of(stack, &entry);
    bool irq = spin_lock(&arena->lock);
    __atomic_store_n(entry, NULL, __ATOMIC_RELEASE);
    spin_unlock(&arena->lock, irq);
}

static void slot_give(struct stack *stack)
{
    struct stack **entry;
    struct arena *arena = arena_of(stack, &entry);
    bool irq = spin_lock(&arena->lock);
    list_push_front(&arena->unused, &stack->link);
    spin_unlock(&arena->lock, irq);
}

static void frames_free(uintptr_t base, uintptr_t end)
{
    uint64_t phys;
    for (uintptr_t va = base; va < end; va += PAGE_BYTES)
        if (arch_lookup(va, &phys, NULL)) {
            arch_unmap(va, 1);
            page_free(arch_phys_to_virt(phys), 0);
        }
}

int stack_map(size_t bytes, enum stack_kind kind, const char *label, struct stack **out)
{
    ASSERT(bytes && bytes % PAGE_BYTES == 0, "a stack is whole pages");
    unsigned arena_index = arena_for(bytes);
    ASSERT(arena_index < ARENA_COUNT, "size of a stack");
    struct stack *stack = slot_take(arena_index, bytes);
    if (!stack)
        return -ENOMEM;
    for (uintptr_t va = stack->base; va < stack->top; va += PAGE_BYTES) {
        void *page = page_alloc_zeroed(0);
        if (page && arch_map(va, arch_virt_to_phys(page), 1, ARCH_READ | ARCH_WRITE) == 0)
            continue;
        if (page)
            page_free(page, 0);
        frames_free(stack->base, va);
        slot_give(stack);
        return -ENOMEM;
    }
    stack->kind = kind;
    stack->label = label;
    list_init(&stack->link);
    struct stack **entry;
    arena_of(stack, &entry);
    __atomic_store_n(entry, stack, __ATOMIC_RELEASE);
    *out = stack;
    return 0;
}

static uint64_t deepest_ever;         /* of stacks that are unmapped by now; atomic */

void stack_unmap(struct stack *stack)
{
    uint64_t deepest = stack_measure(stack), seen = __atomic_load_n(&deepest_ever, __ATOMIC_RELAXED);
    while (deepest > seen && !__atomic_compare_exchange_n(&deepest_ever, &seen, deepest, true,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    slot_hide(stack);
    arch_stack_recycle((void *)stack->base, stack->top - stack->base);
    frames_free(stack->base, stack->top);
    slot_give(stack);
}

struct stack *stack_find(uintptr_t address, enum stack_side *side)
{
    if (address < arch_stack_window || address - arch_stack_window >= ARCH_STACK_WINDOW_BYTES)
        return NULL;
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

bool stack_contains(const void *address)
{
    enum stack_side side;
    return stack_find((uintptr_t)address, &side) && side == STACK_INSIDE;
}

__attribute__((no_sanitize("address"))) size_t stack_measure(struct stack *stack)
{
    const volatile uint64_t *word = (const volatile uint64_t *)stack->base;
    while ((uintptr_t)word < stack->top && !*word)
        word++;
    uint32_t used = (uint32_t)(stack->top - (uintptr_t)word);
    if (used > stack->deepest)
        stack->deepest = used;
    return stack->deepest;
}

/* The lock keeps the stack mapped; a report goes without it, since its holder may be who died. */
size_t stack_deepest(void)
{
    bool report = this_cpu()->spin_depth > 0;
    size_t deepest = __atomic_load_n(&deepest_ever, __ATOMIC_RELAXED);
    for (unsigned a = 0; a < ARENA_COUNT; a++)
        for (uint64_t slot = 0; slot < arenas[a].next_slot; slot++) {
            bool irq = report ? false : spin_lock(&arenas[a].lock);
            struct stack **entry = slot_entry(&arenas[a], slot);
            struct stack *stack = entry ? *entry : NULL;
            if (stack && stack->kind <= STACK_PRIVATE)
                deepest = MAX(deepest, stack_measure(stack));
            if (!report)
                spin_unlock(&arenas[a].lock, irq);
        }
    return deepest;
}
