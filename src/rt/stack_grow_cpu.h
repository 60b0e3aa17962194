// SPDX-License-Identifier: MIT
/* What stack_grow.c (faults, switches) and stack_reclaim.c (giving frames back) share. */
#pragma once

#include <rt/spinlock.h>
#include <rt/stack_grow.h>
#include <rt/timer.h>
#include <rt/work.h>

#define GROW_POOL_MAX (2 * STACK_GROW_PAGES_MAX)
#define GROW_BATCH 32u                /* stacks whose kept pages are given back with one pair of flushes */

/* Touched by its own CPU with interrupts off, unless noted. */
struct grow_cpu {
    uint64_t frames[GROW_POOL_MAX];   /* physical, zeroed */
    uint32_t count;
    bool ready;                       /* the rest is set up */
    struct stack_growth_counts counts;
    uint64_t ended[STACK_GROW_PAGES_MAX + 1];
    struct spinlock lock;
    struct list kept;                 /* lock; stacks with kept pages, by queue_link */
    uint32_t kept_count;              /* lock */
    struct work reclaim_work, refill_work;
    struct timer retry;
} __attribute__((aligned(64)));
extern struct grow_cpu grow_cpus[];

/* Sets up a CPU's lists, works and timer. */
void grow_cpu_prepare(struct grow_cpu *g);
/* A kept frame becomes present again, unless it was claimed; false: nothing has changed. Not for the fault. */
bool grow_put_back(uint64_t *entry, uint64_t value);
/* @stack has kept pages: notes it, and lets a worker free them when there are many such stacks. */
void grow_note_kept(struct grow_cpu *g, uint32_t cpu_index, struct stack *stack);
