// SPDX-License-Identifier: MIT
/*
 * Extra stacks: the pool and what a probe does with it.
 *
 * A probe that finds too little stack calls xstack_take(); it gets a stack, on which the probed function
 * then runs, or NULL, and the caller of the probed function gets -EIO. When the function returns the stack
 * goes back by xstack_give(). Both are called by __morestack (src/arch/x86_64/morestack.asm).
 *
 * The pool is words of 48 bits, one bit a free stack, with a count of give-backs in the upper 16: semaphore
 * and free list in one. Each CPU has its own words and steals from others when they are empty.
 */
#pragma once

#include <lib/types.h>
#include <rt/attr.h>

struct stack;
struct thread;

enum probe_index {
#define PROBE(name, need_bytes, what) PROBE_##name,
#include <probes.def>
#undef PROBE
    PROBE_COUNT,
};

struct probe_info {
    const char *name;
    uint32_t need_bytes;
    const char *what;
};
extern const struct probe_info probe_infos[PROBE_COUNT];

/* Set up from stack.extra, stack.extra_size, stack.extra_max, stack.need. -ENOMEM. */
int xstack_init(void);

/* The slow path. Thread context; no lock, no wait, no allocation, nothing printed. */
uintptr_t xstack_take(uint64_t probe);        /* top of the new stack, now in use; 0: refused */
void xstack_give(void);                       /* the innermost stack of this thread goes back */

/**
 * xstack_reserve_private() - give @thread @count stacks of its own, outside the pool's numbers.
 * Errors: -ENOMEM, nothing changed. They go back with xstack_release_private() or at the thread's end.
 */
int xstack_reserve_private(struct thread *thread, uint32_t count);
void xstack_release_private(struct thread *thread);

/* From the timer interrupt: samples who holds how many, reports refusals now and then. */
void xstack_timer(uint64_t now_ns);

/* Number of refusals so far: a caller can tell an -EIO of its own from a device's. */
uint64_t xstack_refusals(void);

/* Gives back all that a dying thread holds. */
void xstack_thread_exit(struct thread *thread);

/* What probes compare with for a stack: its base plus stack.need (all ones with force, 0 with off). */
uint64_t xstack_probe_base(const struct stack *stack);

/**
 * xstack_resize() - change the number of extra stacks to @total while running.
 * Errors: -EBUSY below what is in use and parked; -ENOMEM above stack.extra_max or out of memory.
 */
int xstack_resize(uint32_t total);

struct xstack_totals {
    uint64_t total, free, in_use, parked, reserved, low_water;
    uint64_t requests, switches, refusals, waits;
    uint64_t most_held;
};
void xstack_totals(struct xstack_totals *out);

struct xstack_probe_totals {
    uint64_t requests, switches, refusals;
};
void xstack_probe_totals(unsigned probe, struct xstack_probe_totals *out);

/* Where depth is measured (stack.need=force, debug builds): a line a probe on the console. */
void xstack_print_depths(void);

/* /sys/stack: a NULL-terminated table of attributes. */
extern const struct attr *const xstack_attrs[];
