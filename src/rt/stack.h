// SPDX-License-Identifier: MIT
/*
 * Mapped stacks. Every stack of the kernel lies in its own slot of the stack window, with an unmapped
 * page on both sides, wired, and can be found again from any address in the slot.
 *
 *     slot: | guard | base ......... top | guard |      grows from top to base
 *
 * Stacks are zeroed when made, so the lowest word that is not zero tells how deep a stack ever got.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

struct thread;

enum stack_kind {
    STACK_HOME, STACK_EXTRA, STACK_PRIVATE, STACK_IDLE, STACK_IRQ, STACK_IST, STACK_REPORT,
};

struct stack {
    uintptr_t base, top;              /* both page-aligned; top is exclusive */
    enum stack_kind kind;
    uint32_t pool_index;              /* extra stacks: which one */
    bool free;                        /* extra stacks: owned by the pool; catches double returns */
    const char *label;                /* "home", "irq", … literal */
    struct thread *owner;             /* who runs or holds it; NULL when free */
    struct stack *previous;           /* extra stacks in use: the stack it was taken on */
    uint16_t probe;                   /* extra stacks in use: the probe that took it */
    uint32_t deepest;                 /* most bytes used, as of the last measurement */
    struct list link;
};

/* Which part of a slot an address lies in. */
enum stack_side { STACK_INSIDE, STACK_GUARD_LOW, STACK_GUARD_HIGH };

/**
 * stack_map() - a new stack of @bytes (a multiple of the page size), zeroed, guarded, wired.
 * Context: thread or boot; never sleeps. Errors: -ENOMEM, nothing is left behind.
 */
int stack_map(size_t bytes, enum stack_kind kind, const char *label, struct stack **out);
/* Nobody may be running on it. Frames go back; the slot is reused. */
void stack_unmap(struct stack *stack);
/* The stack whose slot @address lies in, or NULL. Any context; no lock. */
struct stack *stack_find(uintptr_t address, enum stack_side *side);
/* Whether @address lies in any stack's memory: device buffers must not. */
bool stack_contains(const void *address);
/* Scans for the deepest use since the stack was made, updates and returns stack->deepest. */
size_t stack_measure(struct stack *stack);
/* Deepest use of any home, extra or private stack ever, by measurement. */
size_t stack_deepest(void);
