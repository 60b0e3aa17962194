// SPDX-License-Identifier: MIT
/*
 * Stacks. Unless somebody asks for less, a stack lies in its own slot of the stack window, with an unmapped
 * page on both sides, and can be found again from any address in the slot, also after it is gone.
 *
 *     slot: | guard | base ......... top | guard |      grows from top to base
 *
 *     stack_map()      a new one, wired                            stack_unmap()  gone when it returns
 *     stack_obtain()   a home stack: from this CPU's cache if it   stack_release()  to the cache, or unmapped
 *                      has one                                                      later; any context
 *     stack_adopt()    the caller's own memory as a stack          stack_unmap()  the memory stays the caller's
 *
 * Stacks are zeroed when made, so the lowest word that is not zero tells how deep a stack ever got.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

struct thread;

enum stack_kind {
    STACK_HOME, STACK_EXTRA, STACK_PRIVATE, STACK_OWN, STACK_IDLE, STACK_IRQ, STACK_IST, STACK_REPORT,
    STACK_BUFFER,                     /* no stack: memory between two guards */
};

/* What a stack that grows has besides (stack_grow.c). */
struct stack_growth_state {
    struct stack *stack;
    uint64_t *entries;                /* page-table entries of base, base + 1 page, … */
    uint64_t turns;                   /* odd: its thread runs; counts up at every start and end of a run */
    struct list queue_link;
    uint32_t pages_most;              /* most frames it ever had */
    uint16_t queued_cpu;              /* in whose list of stacks with kept pages it is */
    bool queued;                      /* atomic */
};

enum stack_state {
    STACK_GONE,                       /* nothing is mapped; what is left is who had it */
    STACK_LIVE,
    STACK_CACHED,                     /* mapped and free, in the cache of a CPU */
};

#define STACK_OWNER_BYTES 24

struct stack {
    uintptr_t base, top;              /* top is exclusive; both page-aligned unless it is plain */
    uint16_t probe;                   /* extra stacks in use: the probe that took it */
    uint8_t kind;                     /* enum stack_kind */
    uint8_t state;                    /* enum stack_state; atomic */
    bool guarded;                     /* an unmapped page on both sides */
    bool mapped;                      /* in a slot of the stack window */
    bool adopted;                     /* the memory is the caller's */
    bool free;                        /* extra stacks: owned by the pool; catches double returns */
    bool grows;                       /* stack_grow.h */
    uint8_t node;                     /* mapped ones: the memory node that its frames were to come from */
    uint32_t pool_index;              /* extra stacks: which one */
    const char *label;                /* "home", "irq", … literal */
    struct thread *owner;             /* who runs or holds it; NULL when free */
    uint32_t deepest;                 /* most bytes used, as of the last measurement */
    uint32_t last_owner;              /* id of the thread that had it last, */
    char last_owner_name[STACK_OWNER_BYTES];  /* and its name; empty: nobody yet */
    struct stack *previous;           /* extra stacks in use: the stack it was taken on */
    struct list link;
    uintptr_t left_at;                /* lowest address in use when its thread went to an extra stack */
    struct stack_growth_state *growth;        /* of a slot that grows or once did; stays with the slot */
    void *memory;                     /* plain stacks of the runtime's own: what to free */
};
_Static_assert(sizeof(struct stack) <= 128, "there may be many");

/* Which part of a slot an address lies in. */
enum stack_side { STACK_INSIDE, STACK_GUARD_LOW, STACK_GUARD_HIGH };

/**
 * stack_map() - a new stack of @bytes (a multiple of the page size), zeroed, guarded, wired.
 * Context: thread or boot; never sleeps. Errors: -ENOMEM, nothing is left behind.
 */
int stack_map(size_t bytes, enum stack_kind kind, const char *label, struct stack **out);
/* The same with frames of memory node @node if it has some; the others prefer that of this CPU. */
int stack_map_on(uint32_t node, size_t bytes, enum stack_kind kind, const char *label, struct stack **out);
/* Whether all frames that it has lie in @stack->node. */
bool stack_is_local(const struct stack *stack);
/* The same with its top page alone, and tables for the others: it grows (stack_grow.h). */
int stack_map_growing(size_t bytes, const char *label, struct stack **out);
/* Nobody may be running on it. Frames go back unless they are the caller's; the slot is reused. */
void stack_unmap(struct stack *stack);
/* Many at once, with one flush; @stacks is emptied. */
void stack_unmap_all(struct list *stacks);

/**
 * stack_obtain() - a home stack of @bytes, from the cache of this CPU or new; it grows if stack.grow says so
 * and @wired does not forbid it.
 * Context: thread. Errors: -ENOMEM.
 */
int stack_obtain(size_t bytes, bool wired, struct stack **out);
/* Notes who had it, then: to this CPU's cache, or unmapped by a worker. An adopted one is only free again. */
void stack_release(struct stack *stack);

/* ---- the caller's own memory ---- */

#define STACK_PLAIN 1u                /* stack_adopt(): use the memory where it lies, without guards */
#define STACK_CANARY_BYTES 64u        /* at both ends of plain memory, filled and checked at every switch */

/* A stack in static memory: STACK_DECLARE(name, bytes) at file scope, then stack_adopt(name, sizeof(name), …). */
#define STACK_DECLARE(name, bytes)                                                                  \
    static unsigned char name[((bytes) + 4095u) / 4096u * 4096u] __attribute__((aligned(4096)))

/**
 * stack_adopt() - make a stack of the caller's page-aligned memory (static, or from page_alloc()).
 * Without flags its frames are mapped a second time, between guards, and the thread runs there. With
 * STACK_PLAIN it runs in the memory itself, less STACK_CANARY_BYTES at each end.
 *
 * Context: thread or boot. Errors: -EINVAL not whole pages, or not RAM; -ENOMEM; -ENOSPC too many plain ones.
 */
int stack_adopt(void *memory, size_t bytes, unsigned flags, const char *label, struct stack **out);
/* A plain stack in memory of its own, for threads that opt out (thread_def.plain_stack). */
int stack_make_plain(size_t bytes, const char *label, struct stack **out);
/* A stack that exists already, such as the boot stack; stays for ever. */
struct stack *stack_register(uintptr_t base, uintptr_t top, bool guarded, enum stack_kind kind,
                             const char *label);
/* Whether what lies around a plain stack's memory is untouched; true for all others. */
bool stack_canaries_hold(const struct stack *stack);

/**
 * guarded_alloc() - a zeroed buffer with an unmapped page on both sides.
 * @align_end: its end touches the guard above, so that one byte too many faults; else its start does.
 * Context: thread. Errors: NULL. Not for devices: it has no one physical address.
 */
void *guarded_alloc(size_t bytes, bool align_end);
void guarded_free(void *buffer);

/* ---- finding ---- */

/* The stack whose slot @address lies in, or NULL. Any context; no lock. */
struct stack *stack_find(uintptr_t address, enum stack_side *side);
/* The same; also one that is gone. */
struct stack *stack_find_any(uintptr_t address, enum stack_side *side);
/* Whether @address lies in any stack's memory: device buffers must not. */
bool stack_contains(const void *address);

/* Scans for the deepest use since the stack was made, updates and returns stack->deepest. */
size_t stack_measure(struct stack *stack);
/* Zeroes what was used, so that the next owner starts a new measurement. */
void stack_clean(struct stack *stack);
/* Deepest use of any home, own, extra or private stack ever, by measurement. */
size_t stack_deepest(void);

/* Calls visitor->see(visitor, stack) for every stack in the window that is not gone, without locks. */
struct stack_visitor {
    void (*see)(const struct stack_visitor *visitor, struct stack *stack);
};
void stack_for_each(const struct stack_visitor *visitor);

/* /sys/stack: threads; /sys/stack/cache; /sys/stack/growth. NULL-terminated tables. */
extern const struct attr *const stack_attrs[], *const stack_cache_attrs[], *const stack_growth_attrs[];
