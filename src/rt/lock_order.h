// SPDX-License-Identifier: MIT
/*
 * The lock-order checker of the debug build (docs/debugging.md). Where SPILLWAY_LOCK_ORDER is not defined all of this
 * is empty: locks have no extra bytes, and no instruction is added.
 *
 * Every lock belongs to a class, named where the lock is made, and has a level: that of the filesystem or loop device
 * whose lock it is, 0 at the disk. Class, level and the nesting given by xxx_lock_nested() make a node. Taking a lock
 * while another is held is an edge; an edge that closes a cycle is reported, whether or not anybody waits at that
 * moment. Levels go down: a lock of a class is never taken while one of a lower level of that class is held.
 *
 *     static struct spinlock ring_lock = SPINLOCK_NAMED("log ring");
 *     spin_init(&cache->lock, "buffer cache");
 *     mutex_init_level(&inode->map_lock, "ext2 block map", level);
 *     mutex_lock(&dir->lock);
 *     mutex_lock_nested(&child->lock, INODE_CHILD);      two of one class: the outer one, then the inner
 *
 * A lock without a name gets a class by where it was first taken. Locks that are not built of rt/sync.h (a page's bit,
 * a gate) call lock_order_take() before they may wait, lock_order_got() and lock_order_drop() themselves.
 */
#pragma once

#include <lib/types.h>

struct cpu;
struct thread;

enum lock_how {
    LOCK_SPIN = 1,                    /* held by the CPU, interrupts off; else by the thread */
    LOCK_TRY = 2,                     /* waits for nobody: makes no edge from what is held */
    LOCK_IRQ_ON = 4,                  /* interrupts were on when it was asked for */
    LOCK_ROLE = 8,                    /* no lock, but what may take locks: allowed in any context */
    LOCK_IN_IRQ = 16,                 /* the checker's: taken in an interrupt */
};

#ifdef SPILLWAY_LOCK_ORDER

struct lock_class {
    const char *name;
};
#define LOCK_CLASS_NAMED(text) {.name = text}

/* The checker's part of a lock. */
struct lock_dep {
    const struct lock_class *lock_class;
    const char *name;                 /* of a static lock, instead: the class is whoever has this name */
    uint16_t node;                    /* of nesting 0, or 0: not known yet */
    uint8_t level;
};
#define LOCK_DEP_NAMED(text) {.name = text}
/* The class of the place where this stands. */
#define LOCK_CLASS_HERE(text)                                                                       \
    ({                                                                                              \
        static const struct lock_class class_here_ = LOCK_CLASS_NAMED(text);                        \
        &class_here_;                                                                               \
    })
#define lock_dep_set(dep, class_of_it, level_of_it)                                                 \
    (*(dep) = (struct lock_dep){.lock_class = (class_of_it), .level = (uint8_t)(level_of_it)})

/* One lock that is held. Code lies in 2 GiB, so 32 bits tell where it was taken. */
struct lock_held {
    const void *lock;
    int32_t where;
    uint16_t node;
    uint16_t how;
};
#define LOCK_THREAD_MAX 128
#define LOCK_CPU_MAX 16
struct lock_thread_list {
    uint32_t count;
    struct lock_held held[LOCK_THREAD_MAX];
};
struct lock_cpu_list {
    uint32_t count;
    struct lock_held held[LOCK_CPU_MAX];
};

#define LOCK_WHERE __builtin_return_address(0)

/*
 * lock_order_take() - what is about to be taken fits the order seen so far, and the context allows it; else the report
 * and the end. @lock is its address, @where the code that takes it. Before waiting. Any context but NMI.
 * lock_order_got() - it is held now. lock_order_drop() - it is about to be given back.
 */
void lock_order_take(struct lock_dep *dep, const void *lock, unsigned how, unsigned nest, const void *where);
void lock_order_got(struct lock_dep *dep, const void *lock, unsigned how, unsigned nest, const void *where);
void lock_order_drop(struct lock_dep *dep, const void *lock, unsigned how, const void *where);
/* The thread holds no lock: at the end of a thread, a system call, a piece of work. @what names it. */
void lock_order_none_held(const char *what);
/* The caller may sleep as far as stacks go: it runs on one of its thread's. */
void lock_order_may_sleep(const char *what);
/* At the start of a probed function: where one may not sleep no probe stands. */
void lock_order_probe(const char *probe);
/* The running thread leaves the CPU without waiting for anything. */
void lock_order_yield(void);
/* What is freed contains no lock that this thread or CPU holds. */
void lock_order_freed(const void *object, size_t bytes);
/* False once a table was too small, or a report or the end has begun. */
bool lock_order_is_on(void);
/* The machine ends: nothing is checked from here on. */
void lock_order_stop(void);
/* For reports: the cycle, if there was one, and the locks held here. */
void lock_order_print(void);
/* Says once if a table was too small and checking has stopped. Thread context, or a machine that is ending. */
void lock_order_warn(void);
/* One line at the end: how much was seen, and whether it was on all the time. */
void lock_order_summary(void);

#else

struct lock_class {};
#define LOCK_CLASS_NAMED(text) {}
struct lock_dep {};
#define LOCK_DEP_NAMED(text) {}
#define LOCK_CLASS_HERE(text) NULL
#define lock_dep_set(dep, class_of_it, level_of_it) ((void)(dep), (void)(level_of_it))
struct lock_thread_list {};
struct lock_cpu_list {};
#define LOCK_WHERE NULL
#define lock_order_take(dep, lock, how, nest, where) ((void)(dep), (void)(nest), (void)(where))
#define lock_order_got(dep, lock, how, nest, where) ((void)(dep), (void)(nest), (void)(where))
#define lock_order_drop(dep, lock, how, where) ((void)(dep))
#define lock_order_none_held(what) ((void)0)
#define lock_order_may_sleep(what) ((void)0)
#define lock_order_probe(probe) ((void)0)
#define lock_order_yield() ((void)0)
#define lock_order_freed(object, bytes) ((void)0)
#define lock_order_is_on() true
#define lock_order_stop() ((void)0)
#define lock_order_print() ((void)0)
#define lock_order_warn() ((void)0)
#define lock_order_summary() ((void)0)

#endif
