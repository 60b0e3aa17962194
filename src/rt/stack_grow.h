// SPDX-License-Identifier: MIT
/*
 * Home stacks that grow: stack.grow=fault or prefill. See stack_grow.c for the rules and docs/growth.md for
 * what it costs and saves.
 */
#pragma once

#include <lib/types.h>

struct cpu;
struct stack;
struct thread;

enum stack_growth { STACK_GROW_OFF, STACK_GROW_FAULT, STACK_GROW_PREFILL };

#define STACK_GROW_PAGES_MAX 16u      /* stack.size is at most 64 KiB */

/* Whether home stacks of @bytes grow. */
bool stack_grow_wanted(size_t bytes);

/* A page fault at @address: true if a stack has grown and the instruction shall be tried again. On the fault's
 * own stack, interrupts off; no lock, no locked instruction, no wait. */
bool stack_grow_fault(uintptr_t address, uint64_t error);

/* The CPU has left @prev's stack and will go on with @next: takes back, fills the pool. Interrupt stack. */
void stack_switched(struct thread *prev, struct thread *next);

/* Whether this CPU has pages enough to run @thread. Interrupts off. */
bool stack_grow_may_run(const struct cpu *cpu, const struct thread *thread);
/* In the idle loop, interrupts off: fills the pool, or sees to it that somebody finds pages. */
void stack_grow_idle(void);

/* A stack that grows is about to be unmapped: nobody else has its entries when this returns. May sleep. */
void stack_grow_forget(struct stack *stack);
/* Its thread is gone: counts how many pages it had. Any context. */
void stack_grow_ended(const struct stack *stack);
/* Frees all kept pages that are not in use. Sleeps; not from a worker. */
void stack_grow_reclaim(void);

struct stack_growth_counts {
    uint64_t faults, reinstated, prefilled, untouched, taken_back, freed, kept_used, pool_low, batches;
};
/* Of all CPUs together. */
void stack_grow_counts(struct stack_growth_counts *out);
/* Threads that ended, by the most pages their stacks had. */
uint64_t stack_grow_ended_with(unsigned pages);
/* Frames that @stack has now: mapped, and kept. */
unsigned stack_grow_pages(const struct stack *stack, unsigned *kept);
/* Pages in the pools of all CPUs, and what a CPU needs to run a thread. */
uint64_t stack_grow_pooled(void);
uint32_t stack_grow_need(void);
