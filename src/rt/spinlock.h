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

struct spinlock {
    uint32_t next, serving;
};
#define SPINLOCK_INIT {0, 0}

bool spin_lock(struct spinlock *lock);
/* One try; false: somebody has it, and interrupts are as they were. */
bool spin_try_lock(struct spinlock *lock, bool *irq);
void spin_unlock(struct spinlock *lock, bool irq);
bool spin_is_locked(const struct spinlock *lock);
