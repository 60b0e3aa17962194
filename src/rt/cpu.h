// SPDX-License-Identifier: MIT
/* The per-CPU area, reached through GS. Guard of each field: the owner CPU with interrupts off. */
#pragma once

#include <arch/arch.h>
#include <lib/list.h>
#include <lib/pqueue.h>
#include <rt/spinlock.h>
#include <rt/xstack.h>

struct thread;
struct timer;

#define CPUS_MAX 64

struct cpu {
    struct arch_cpu arch;             /* first */
    struct thread *idle;
    struct spinlock run_lock;
    struct list ready;                /* run_lock */
    bool need_resched;
    uint32_t ready_count;             /* run_lock; read without it to find the busiest */
    uint32_t node;                    /* memory node */
    bool online;                      /* its idle thread runs; atomic */
    uint64_t slice_end_ns;
    struct spinlock timer_lock;
    struct pqueue timers;             /* timer_lock; by deadline */
    uint64_t first_ns;                /* deadline of the first timer; written under timer_lock */
    uint64_t armed_ns;                /* what the CPU's timer is set to; UINT64_MAX: nothing */
    uint64_t sampled_ns;
    struct timer *firing;             /* the timer whose fire() runs here; atomic */
    struct spinlock work_lock;
    struct list work;                 /* work_lock */
    bool worker_waits;                /* work_lock; for work, not inside some execute() */
    struct thread *worker;
    uint32_t spin_depth;              /* spin locks held here */
    uint64_t to_tell;                 /* CPUs that have something to run; told when spin_depth is 0 again */
    struct lock_cpu_list locks;       /* which: of a debug build */
    struct xstack_counts xstack;      /* xstack_counts.h */
};

extern struct cpu *cpus[CPUS_MAX];
extern uint32_t cpu_count;
/* The same CPU as long as interrupts are off or the thread is bound to it; else a hint. */
static inline struct cpu *this_cpu(void) { return (struct cpu *)arch_cpu(); }

/* The sum over all CPUs of the counter at @offset in struct cpu. */
static inline uint64_t cpu_sum_at(size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0, count = cpu_count; i < count; i++)
        sum += __atomic_load_n((const uint64_t *)((const char *)cpus[i] + offset), __ATOMIC_RELAXED);
    return sum;
}

/* /sys/smp */
extern const struct attr *const smp_attrs[];

/* Makes CPU 0's area and turns the boot context into its idle thread. */
void sched_init(void);
/* Maps the guarded interrupt, IST and report stacks of a CPU in memory node @node. -ENOMEM. */
int cpu_map_stacks(uint32_t node, struct arch_cpu_stacks *stacks);
/* Starts all other processors that the firmware lists, at most @most in all; how many run then. */
uint32_t cpu_start_all(uint32_t most);
/* The boot context becomes the idle loop; never returns. */
noreturn_fn void sched_idle_loop(void);
