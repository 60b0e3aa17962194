// SPDX-License-Identifier: MIT
/*
 * Spin locks. Taking one turns interrupts off, so it may be shared with interrupt handlers; the holder
 * never sleeps and never meets a probe. A ticket lock: first come, first served.
 *
 *     bool irq = spin_lock(&lock);
 *     ...
 *     spin_unlock(&lock, irq);
 */
#pragma once

#include <arch/arch.h>
#include <lib/types.h>
#include <rt/lock_order.h>

struct spinlock {
    uint32_t next, serving;
    struct lock_dep dep;
};
#define SPINLOCK_INIT {.next = 0}
/* At file scope, with the name of its class. */
#define SPINLOCK_NAMED(text) {.dep = LOCK_DEP_NAMED(text)}
/* All locks that this line makes are of one class. */
#define spin_init(lock, text)                                                                       \
    do {                                                                                            \
        struct spinlock *spin_init_ = (lock);                                                       \
        *spin_init_ = (struct spinlock)SPINLOCK_INIT;                                               \
        spin_name(spin_init_, text);                                                                \
    } while (0)
/* The same for locks in zeroed memory, which need nothing else. */
#define spin_name(lock, text) lock_dep_set(&(lock)->dep, LOCK_CLASS_HERE(text), 0)

bool spin_lock(struct spinlock *lock);
/* A second one of the same class, in an order that the caller knows; @nest from 1. */
#ifdef SPILLWAY_LOCK_ORDER
bool spin_lock_nested(struct spinlock *lock, unsigned nest);
#else
#define spin_lock_nested(lock, nest) spin_lock(lock)
#endif
/* One try; false: somebody has it, and interrupts are as they were. */
bool spin_try_lock(struct spinlock *lock, bool *irq);
void spin_unlock(struct spinlock *lock, bool irq);
bool spin_is_locked(const struct spinlock *lock);
