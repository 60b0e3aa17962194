// SPDX-License-Identifier: MIT
/*
 * Threads: pre-emptive, one small guarded home stack each, the structure itself never on a stack.
 *
 * Life: thread_create() -> ready -> running <-> blocked -> dead. A thread that ends itself is freed by
 * the scheduler once its CPU has left its stack and loaded another IST 1.
 *
 * Blocking: normal code uses rt/sync.h. What is underneath is thread_block(): a thread marks itself
 * blocked under the lock of what it waits for and sleeps; thread_wake() makes it ready again.
 */
#pragma once

#include <arch/arch.h>
#include <lib/list.h>
#include <rt/spinlock.h>
#include <rt/timer.h>

struct stack;
struct thread;

/* What a thread is: a const object, so that the stack proof knows every root. */
struct thread_def {
    const char *name;
    void (*run)(void *argument);
    size_t stack_bytes;               /* 0: stack.size */
    bool wired;                       /* its stack never grows: it runs when pages are short */
    bool plain_stack;                 /* opts out of mapping and guards (rt/stack.h); seen in /sys/stack/threads */
};

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED, THREAD_DEAD };

/* What a thread did to real devices (not to stacked ones), in units of 512 bytes. */
struct thread_io {
    uint64_t read_sectors, write_sectors;
};

struct thread {
    struct arch_thread arch;          /* first: GS holds a pointer to it */
    const struct thread_def *def;
    void *argument;
    uint32_t id;                      /* unique, from 1 */
    char name[24];

    /* cpus[cpu_index]->run_lock */
    enum thread_state state;
    bool wake_pending;                /* woken between marking itself blocked and leaving the CPU */
    bool runnable;                    /* running, or in a ready list (also when blocked, pre-empted) */
    bool on_cpu;                      /* its stack or frame is still in use by a CPU */
    bool idle;
    bool moving;                      /* ready, in no list: its CPU may not run it any more */
    uint32_t cpu_index;               /* whose run_lock guards this part; where it runs or ran last */
    uint64_t affinity;                /* bit n: may run on CPU n */
    struct list run_link;
    struct list all_link;
    struct timer sleep_timer;
    bool timed_out;

    /* its own, touched by the running thread only */
    struct stack *home;
    struct stack *stack;              /* the one in use: home, or the innermost extra stack */
    struct list parked;               /* extra stacks kept for this thread: private ones, claims */
    uint32_t held, held_max;          /* extra stacks in use now, and the most at one time */
    uint64_t refusals;                /* probes of this thread that found no stack */
    uint32_t preempt_off;             /* above 0: not pre-empted */
    struct thread_io io;
    uint64_t cpu_ns, started_ns;
    void *app;                        /* the system-call layer's; NULL for kernel threads */
    uint64_t switches;                /* voluntary and not */
    struct lock_thread_list locks;    /* held, but spin locks: of a debug build */
};

static inline struct thread *thread_current(void) { return (struct thread *)arch_current(); }

/**
 * thread_create() - a new thread, ready to run @def->run(@argument).
 * Context: thread; allocates. Errors: -ENOMEM, nothing is left behind.
 */
int thread_create(const struct thread_def *def, void *argument, struct thread **out);

/* As above but not started; thread_start() makes it ready. thread_discard() undoes the creation. */
int thread_prepare(const struct thread_def *def, void *argument, struct thread **out);
/* The same on a stack of the caller's (stack_map(), stack_adopt()), which stays the caller's: at the thread's
 * end its owner is NULL again. */
int thread_prepare_on(const struct thread_def *def, void *argument, struct stack *stack,
                      struct thread **out);
void thread_start(struct thread *thread);
void thread_discard(struct thread *thread);

noreturn_fn void thread_exit(void);
void thread_yield(void);

/* Give the rest of the slice away until @deadline_ns (arch_now_ns() clock). */
void thread_sleep_until(uint64_t deadline_ns);
void thread_sleep_ns(uint64_t duration_ns);

/*
 * The blocking primitive. Under the spin lock that guards the condition:
 *     thread_prepare_block(); enqueue self; spin_unlock(); thread_block(deadline) -> true if woken,
 *     false if @deadline_ns passed (UINT64_MAX: never). After false the caller takes itself off the
 *     queue under the lock. A wake between prepare and block is not lost.
 */
void thread_prepare_block(void);
bool thread_block(uint64_t deadline_ns);
void thread_cancel_block(void);       /* after thread_prepare_block(): it need not sleep after all */
/* Ready a blocked thread; any context. Waking a thread that is not blocked does nothing. */
void thread_wake(struct thread *thread);

/* Nesting; while off, the thread is not pre-empted (interrupts still come). */
void preempt_disable(void);
void preempt_enable(void);

/* Interrupts on, not in an interrupt, no spin lock held: else a panic that names @what. */
void assert_may_sleep(const char *what);

/* Where @thread may run from its next switch on; bits of CPUs that are not there are ignored. -EINVAL: none left. */
int thread_set_affinity(struct thread *thread, uint64_t cpus_mask);

/* Every other CPU passes through the scheduler soon: for a thread in app code that must stop. */
void thread_kick_all(void);

/* For reports and debuggers: calls visitor->visit(visitor, thread) for each, under the list's lock. */
struct thread_visitor {
    void (*visit)(const struct thread_visitor *visitor, struct thread *thread);
};
void thread_for_each(const struct thread_visitor *visitor);
