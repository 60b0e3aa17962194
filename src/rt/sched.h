// SPDX-License-Identifier: MIT
/* What the parts of the runtime share about scheduling; everybody else uses rt/thread.h and rt/sync.h. */
#pragma once

#include <arch/arch.h>

struct cpu;
struct thread;
struct timer_ops;

extern const struct timer_ops thread_sleep_timer_ops;

struct cpu *sched_boot_cpu(void);
noreturn_fn void cpu_entry(struct arch_cpu *cpu);      /* arch_upcalls.cpu_started */
void sched_thread_ready(struct thread *thread);       /* a new thread, to this CPU's ready list */
void thread_register(struct thread *thread);          /* gives it an id, enters it in the list of all */
void thread_reap_later(struct thread *thread);        /* its CPU has left it; interrupts off */
void thread_entry(struct arch_thread *thread);        /* arch_upcalls.thread_start */

struct arch_thread *sched_preempt(void);              /* arch_upcalls.preempt */
void sched_switched(struct arch_thread *prev, struct arch_thread *next);
void sched_tell(void);                                /* those in to_tell; interrupts off, no spin lock held */
uint64_t sched_slice_end(void);                       /* when this CPU wants its timer for the slice */

void timer_interrupt(void);                           /* arch_upcalls.timer */
void timer_rearm(void);                               /* to the next deadline; interrupts off */
