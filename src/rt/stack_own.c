// SPDX-License-Identifier: MIT
/*
 * Stacks in memory of the caller's own, plain stacks, the boot stack, and guarded buffers.
 *
 * A plain stack lies where its memory lies and has no guards: a thread opts out of them when it must not cost
 * address space or table pages. Words of a fixed pattern at both ends are checked whenever its thread leaves
 * a CPU and when it ends; that is later and less than a guard page says, so it is never the default, and
 * /sys/stack/threads shows who has one.
 *
 * Stacks outside of the window stand in a small table, so that a report finds them.
 */
#include <rt/stack.h>

#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/spinlock.h>
#include <rt/stack_internal.h>

#define OUTSIDE_MAX 64u
#define CANARY UINT64_C(0x5741524d5354414b)

static struct spinlock outside_lock = SPINLOCK_NAMED("stacks outside the window");
static struct stack outside[OUTSIDE_MAX];             /* filled under the lock, read without; never freed */
static uint32_t outside_count;                        /* places ever used */

/* A place that is not in use, still gone; outside_lock held. */
static struct stack *free_place(void)
{
    for (uint32_t i = 0; i < OUTSIDE_MAX; i++)
        if (outside[i].state == STACK_GONE) {
            if (i >= outside_count)
                __atomic_store_n(&outside_count, i + 1, __ATOMIC_RELEASE);
            return &outside[i];
        }
    return NULL;
}

/* What a stack covers besides itself: its guards, or its canaries. */
static uintptr_t margin(const struct stack *stack)
{
    return stack->guarded ? PAGE_BYTES : STACK_CANARY_BYTES;
}

struct stack *stack_find_outside(uintptr_t address, enum stack_side *side)
{
    uint32_t count = __atomic_load_n(&outside_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++) {
        struct stack *stack = &outside[i];
        if (address < stack->base - margin(stack) || address >= stack->top + margin(stack))
            continue;
        if (side)
            *side = address < stack->base   ? STACK_GUARD_LOW
                    : address >= stack->top ? STACK_GUARD_HIGH
                                            : STACK_INSIDE;
        return stack;
    }
    return NULL;
}

size_t stack_outside_deepest(void)
{
    size_t deepest = 0;
    for (uint32_t i = 0; i < outside_count; i++)
        if (outside[i].state == STACK_LIVE && outside[i].kind <= STACK_OWN)
            deepest = MAX(deepest, stack_measure(&outside[i]));
    return deepest;
}

void stack_forget_outside(struct stack *stack)
{
    ASSERT(stack->kind == STACK_OWN || stack->kind == STACK_HOME, "the boot stack stays");
    stack_measure(stack);
    stack_count_depth(stack);
    stack_note_owner(stack);
    void *memory = stack->memory;
    __atomic_store_n(&stack->state, STACK_GONE, __ATOMIC_RELEASE);
    heap_free(memory);
}

struct stack *stack_register(uintptr_t base, uintptr_t top, bool guarded, enum stack_kind kind,
                             const char *label)
{
    bool irq = spin_lock(&outside_lock);
    struct stack *stack = free_place();
    if (stack) {
        *stack = (struct stack){.base = base, .top = top, .guarded = guarded, .adopted = true,
                                .kind = (uint8_t)kind, .label = label};
        list_init(&stack->link);
        __atomic_store_n(&stack->state, STACK_LIVE, __ATOMIC_RELEASE);
    }
    spin_unlock(&outside_lock, irq);
    return stack;
}

/* ---- plain ---- */

static void canaries_set(uint64_t *words)
{
    for (unsigned i = 0; i < STACK_CANARY_BYTES / sizeof(*words); i++)
        words[i] = CANARY;
}

static bool canaries_intact(const volatile uint64_t *words)
{
    for (unsigned i = 0; i < STACK_CANARY_BYTES / sizeof(*words); i++)
        if (words[i] != CANARY)
            return false;
    return true;
}

bool stack_canaries_hold(const struct stack *stack)
{
    if (stack->guarded)
        return true;
    return canaries_intact((const uint64_t *)(stack->base - STACK_CANARY_BYTES)) &&
           canaries_intact((const uint64_t *)stack->top);
}

static struct stack *make_plain(void *memory, size_t bytes, const char *label, enum stack_kind kind)
{
    uintptr_t base = (uintptr_t)memory + STACK_CANARY_BYTES;
    uintptr_t top = (uintptr_t)memory + bytes - STACK_CANARY_BYTES;
    memset(memory, 0, bytes);
    canaries_set(memory);
    canaries_set((uint64_t *)top);
    return stack_register(base, top, false, kind, label);
}

int stack_make_plain(size_t bytes, const char *label, struct stack **out)
{
    void *memory = heap_alloc(bytes);
    struct stack *stack = memory ? make_plain(memory, bytes, label, STACK_HOME) : NULL;
    if (!stack) {
        heap_free(memory);
        return -ENOMEM;
    }
    stack->adopted = false;
    stack->memory = memory;
    *out = stack;
    return 0;
}

/* ---- the caller's memory ---- */

int stack_adopt(void *memory, size_t bytes, unsigned flags, const char *label, struct stack **out)
{
    if (!bytes || bytes % PAGE_BYTES || (uintptr_t)memory % PAGE_BYTES)
        return -EINVAL;
    if (flags & STACK_PLAIN) {
        *out = make_plain(memory, bytes, label, STACK_OWN);
        return *out ? 0 : -ENOSPC;
    }
    struct stack *stack = stack_slot_take(bytes);
    if (!stack)
        return -ENOMEM;
    stack->adopted = true;
    uintptr_t top = stack->top;
    int err = 0;
    stack->top = stack->base;
    for (size_t at = 0; at < bytes && !err; at += PAGE_BYTES) {
        uint64_t phys;
        if (!arch_lookup((uintptr_t)memory + at, &phys, NULL))
            err = -EINVAL;
        else
            err = arch_map(stack->base + at, phys, 1, ARCH_READ | ARCH_WRITE);
        if (!err)
            stack->top += PAGE_BYTES;
    }
    if (err) {
        stack_unmap(stack);
        return err;
    }
    ASSERT(stack->top == top, "all pages are mapped");
    memset((void *)stack->base, 0, bytes);
    stack_slot_show(stack, STACK_OWN, label);
    *out = stack;
    return 0;
}

/* ---- buffers ---- */

void *guarded_alloc(size_t bytes, bool align_end)
{
    struct stack *stack;
    if (!bytes || stack_map(align_up(bytes, PAGE_BYTES), STACK_BUFFER, "guarded buffer", &stack))
        return NULL;
    return (void *)(align_end ? stack->top - bytes : stack->base);
}

void guarded_free(void *buffer)
{
    enum stack_side side;
    struct stack *stack = buffer ? stack_find((uintptr_t)buffer, &side) : NULL;
    if (!buffer)
        return;
    ASSERT(stack && stack->kind == STACK_BUFFER && side == STACK_INSIDE, "a guarded buffer is freed once");
    stack_unmap(stack);
}
