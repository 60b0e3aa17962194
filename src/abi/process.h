// SPDX-License-Identifier: MIT
/*
 * The app as a process: its threads, and how it ends.
 *
 * Ending: exit_group, a crash, or the last thread's exit sets `ending` and a result. From then on
 * a thread ends itself where it would go back to app code. What it is doing inside a call it
 * finishes first; app.busy counts the threads inside calls, but not those that wait for something
 * only the app could bring about (futex, sleep, poll): these are left asleep. When busy is 0 no
 * thread is inside a file call, nor gets into one.
 */
#pragma once

#include <abi/io.h>
#include <abi/syscalls.h>
#include <arch/arch.h>
#include <lib/list.h>
#include <rt/sync.h>
#include <rt/thread.h>

struct signal_frame {
    uint64_t restorer;                /* where the handler returns to */
    struct linux_ucontext context;
    struct linux_siginfo info;
};
struct signal_info {
    int signal, code;
    bool fault;
    uint64_t address;                 /* of a fault */
};

struct app_thread {
    struct thread *thread;
    struct list link;                 /* app.threads, under app.lock */
    uint32_t tid;
    uint64_t clear_tid;               /* app address to zero and wake at the end, or 0 */
    uint64_t robust_head;
    uint64_t signal_mask, signals_pending;  /* app.lock, down to `waiting`; see signals.h */
    uint64_t signals_wanted;          /* blocked ones that also end its wait: sigtimedwait */
    bool waiting;                     /* in a wait that a signal ends */
    bool mask_is_saved;               /* its own, as the two below */
    uint64_t saved_mask;              /* comes back at the end of the call */
    struct file *waits_with;          /* atomic; the wait it is in has a reference to it, which the end drops */
    void *fpu_copy;                   /* of a signal's frame; NULL until it takes the first */
    uint64_t alt_stack_base, alt_stack_bytes;
    struct arch_frame start;          /* where it enters the app */
    /* of the call that goes on: what would lie on the stack else, above deep I/O */
    struct syscall_args args;
    struct transfer transfer;
    struct signal_frame signal_frame;
};

struct app {
    const char *name;
    struct spinlock lock;             /* threads, counts, signal state, limits */
    struct list threads;
    uint32_t thread_count, pid, umask;
    struct thread_io dead_io;         /* of threads that are gone */
    uint64_t dead_cpu_ns, dead_switches;

    bool ending;                      /* atomic */
    uint32_t busy;                    /* atomic */
    unsigned result;                  /* as app_load_and_run() returns it; set with `ending` */
    struct waitq quiet;               /* woken when `ending` is set, and at busy 0 from then on */

    uint64_t missing_calls;           /* atomic; calls that do not exist */
    uint64_t stack_bytes;             /* of the main thread */
    uint64_t started_ns;
};
extern struct app app;

static inline struct app_thread *app_thread_current(void)
{
    return thread_current()->app;
}

void app_start(const char *name);

/**
 * app_thread_create() - prepare a thread that will enter the app at @start.
 * @fpu_from_current: its floating-point state is a copy of the running thread's; else a fresh one.
 * Started by app_thread_go(), or taken back by app_thread_abandon(). Errors: -ENOMEM.
 */
int app_thread_create(const struct arch_frame *start, uint64_t fs_base, bool fpu_from_current,
                      struct app_thread **out);
void app_thread_go(struct app_thread *thread);
void app_thread_abandon(struct app_thread *thread);

/*
 * The running thread is done; @status counts if it is the main thread and all others are done too.
 */
noreturn_fn void app_thread_exit(int status);

/* The app ends with an exit status, or by a crash (@signal 0: memory ran out). The first caller
 * decides how; true for it. Any thread context; returns. */
bool app_finish(int status);
bool app_finish_crash(int signal);
static inline bool app_ending(void) { return __atomic_load_n(&app.ending, __ATOMIC_SEQ_CST); }

/* Around every call. app_call_end() does not return if the app is ending. */
void app_call_begin(void);
void app_call_end(void);
/* Around a wait, inside a call, that the end of the app need not await. */
void app_idle_begin(void);
void app_idle_end(void);

/* Sleeps until the app is ending and no thread is inside a call. */
void app_wait_quiet(void);
/* After that: files that threads left asleep hold (waits_with), which would keep their mounts busy. */
void app_drop_waits(void);

/* Time on a CPU and I/O of one thread, or of all there were. */
uint64_t thread_cpu_ns(const struct thread *thread);
struct app_usage {
    uint64_t cpu_ns, switches;
    struct thread_io io;
};
void app_usage_of_thread(const struct thread *thread, struct app_usage *out);
void app_usage_of_all(struct app_usage *out);
