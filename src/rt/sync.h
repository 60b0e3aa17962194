// SPDX-License-Identifier: MIT
/*
 * Sleeping locks and waits, first come, first served. All deadlines are absolute, on the arch_now_ns()
 * clock; WAIT_FOREVER never passes. Thread context with interrupts on, unless said otherwise.
 */
#pragma once

#include <lib/list.h>
#include <rt/spinlock.h>
#include <rt/thread.h>

#define WAIT_FOREVER UINT64_MAX

/* ---- wait queue: threads that wait for a condition that somebody else guards ---- */
struct waiter {
    struct list link;
    struct thread *thread;
    bool woken;
};
struct waitq {
    struct spinlock lock;
    struct list waiters;
};
#define WAITQ_INIT(name) {SPINLOCK_NAMED("wait queue " #name), LIST_INIT((name).waiters)}
void waitq_init(struct waitq *q);
/* The class of its spin lock is that of the line that makes it. */
#define waitq_init(q)                                                                               \
    ((waitq_init)(q), lock_dep_set(&(q)->lock.dep, LOCK_CLASS_HERE("wait queue " #q), 0))
/*
 * waitq_enter(), test the condition, then waitq_wait() or nothing, and always waitq_leave():
 * a wake-up after waitq_enter() is not lost.
 */
void waitq_enter(struct waitq *q, struct waiter *w);
bool waitq_wait(struct waitq *q, struct waiter *w, uint64_t deadline_ns);  /* false: the deadline passed */
void waitq_leave(struct waitq *q, struct waiter *w);
unsigned waitq_wake(struct waitq *q, unsigned count);                      /* any context; how many woke */
#define WAITQ_ALL (~0u)

/* ---- mutex: owned, not recursive ---- */
struct mutex {
    struct thread *owner;
    struct waitq queue;
    struct lock_dep dep;
};
#define MUTEX_INIT(name) {.queue = WAITQ_INIT((name).queue), .dep = LOCK_DEP_NAMED(#name)}
void mutex_init(struct mutex *m);
/* All mutexes that a line makes are of one class, called @text, each with its level (rt/lock_order.h). */
#define mutex_init(m) mutex_init_level(m, #m, 0)
#define mutex_init_level(m, text, level) mutex_init_class(m, LOCK_CLASS_HERE(text), level)
#define mutex_init_class(m, class, level) ((mutex_init)(m), mutex_set_class(m, class, level))
/* While nobody waits for it. */
#define mutex_set_class(m, class, level) lock_dep_set(&(m)->dep, class, level)
void mutex_lock(struct mutex *m);
/* A second one of the same class and level, in an order that the caller knows; @nest from 1. */
#ifdef SPILLWAY_LOCK_ORDER
void mutex_lock_nested(struct mutex *m, unsigned nest);
#else
#define mutex_lock_nested(m, nest) ((void)(nest), mutex_lock(m))
#endif
bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);
bool mutex_is_mine(const struct mutex *m);

/* ---- condition variable, used with a mutex ---- */
struct cond {
    struct waitq queue;
};
#define COND_INIT(name) {WAITQ_INIT((name).queue)}
void cond_init(struct cond *c);
bool cond_wait(struct cond *c, struct mutex *m, uint64_t deadline_ns);     /* false: the deadline passed */
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);

/* ---- counting semaphore ---- */
struct semaphore {
    uint32_t count;                   /* guarded by queue.lock */
    struct waitq queue;
};
void semaphore_init(struct semaphore *s, uint32_t count);
bool semaphore_down(struct semaphore *s, uint64_t deadline_ns);
bool semaphore_try_down(struct semaphore *s);                              /* any context */
void semaphore_up(struct semaphore *s);                                    /* any context */

/* ---- completion: something that happens once, then stays so until reset ---- */
struct completion {
    bool done;                        /* guarded by queue.lock */
    struct waitq queue;
};
void completion_init(struct completion *c);
void completion_signal(struct completion *c);                              /* any context */
bool completion_wait(struct completion *c, uint64_t deadline_ns);          /* false: the deadline passed */
