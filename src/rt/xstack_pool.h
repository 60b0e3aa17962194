// SPDX-License-Identifier: MIT
/* The pool's own structures, shared by xstack.c (the probe's path) and xstack_sys.c (making, resizing,
 * /sys/stack). What every probe counts is per CPU (xstack_counts.h); the counters here change rarely, as atomics
 * without order. `resize_lock` guards total and the table of stacks. */
#pragma once

#include <rt/cpu.h>
#include <rt/sync.h>
#include <rt/xstack.h>

#define XSTACK_WORD_BITS 48u
#define XSTACK_WORD_MASK ((UINT64_C(1) << XSTACK_WORD_BITS) - 1)
#define XSTACK_WORD_GIVE (UINT64_C(1) << XSTACK_WORD_BITS)

struct xstack_word {
    uint64_t value;
} __attribute__((aligned(64)));

struct xstack_pool {
    struct xstack_word *words;
    struct stack **stacks;            /* by pool index; NULL: no stack there now */
    uint32_t words_used;              /* words from here on never had a stack: not scanned */
    uint32_t word_count, capacity;    /* capacity = word_count * 48, at least stack.extra_max */
    uint32_t first_free[CPUS_MAX];    /* resize_lock: the CPU's first word that may lack a stack */
    bool measure;                     /* measure and clean a stack at every give: debug builds, force */
    uint64_t total;                   /* resize_lock */
    uint32_t made[CPUS_MAX];          /* resize_lock; stacks in the words of each CPU */
    uint64_t resizes;                 /* odd: one is under way, and total is not what it was or will be */
    uint64_t most_in_use, most_held, reserved;
    uint64_t *in_use_seen;            /* [capacity + 1]: XSTACK_SEEN_MAX and more; below: struct xstack_counts */
    uint64_t holders_ns[XSTACK_HOLDERS_MAX];   /* time integral, by the timer */
    uint64_t holders_sampled_ns;
    uint64_t refusals_reported, report_ns;
    uint64_t deepest[PROBE_COUNT];    /* where it is measured */
    struct mutex resize_lock;
};
extern struct xstack_pool xstack_pool;

struct stack *xstack_pool_take(void);
/* Only from the words of @cpu: for a shrink that keeps the numbers of the CPUs even. */
struct stack *xstack_pool_take_of(uint32_t cpu);
void xstack_pool_give(struct stack *stack);
/* How many stacks are free, if that can be told: all words were seen twice with the same value, so there was a moment
 * when all had it. False: others took and gave in every one of a few tries. */
bool xstack_pool_free(uint64_t *free);
