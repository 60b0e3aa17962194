// SPDX-License-Identifier: MIT
/* Ticket locks that keep interrupts off while held. */
#include <rt/spinlock.h>

#include <rt/assert.h>
#include <rt/cpu.h>

static inline __attribute__((always_inline)) bool lock_it(struct spinlock *lock, unsigned nest, const void *where)
{
    bool irq = arch_irq_save();
    lock_order_take(&lock->dep, lock, LOCK_SPIN | (irq ? LOCK_IRQ_ON : 0), nest, where);
    uint32_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket)
        arch_spin_wait();
    this_cpu()->spin_depth++;
    lock_order_got(&lock->dep, lock, LOCK_SPIN, nest, where);
    return irq;
}

bool spin_lock(struct spinlock *lock) { return lock_it(lock, 0, LOCK_WHERE); }

#ifdef SPILLWAY_LOCK_ORDER
bool spin_lock_nested(struct spinlock *lock, unsigned nest) { return lock_it(lock, nest, LOCK_WHERE); }
#endif

bool spin_try_lock(struct spinlock *lock, bool *irq)
{
    *irq = arch_irq_save();
    uint32_t serving = __atomic_load_n(&lock->serving, __ATOMIC_RELAXED);
    if (__atomic_compare_exchange_n(&lock->next, &serving, serving + 1, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
        this_cpu()->spin_depth++;
        lock_order_got(&lock->dep, lock, LOCK_SPIN | LOCK_TRY, 0, LOCK_WHERE);
        return true;
    }
    arch_irq_restore(*irq);
    return false;
}

void spin_unlock(struct spinlock *lock, bool irq)
{
    struct cpu *cpu = this_cpu();
    lock_order_drop(&lock->dep, lock, LOCK_SPIN, LOCK_WHERE);
    ASSERT(cpu->spin_depth > 0, "unlock of a spin lock that is not held");
    cpu->spin_depth--;
    __atomic_store_n(&lock->serving, lock->serving + 1, __ATOMIC_RELEASE);
    arch_irq_restore(irq);
}

bool spin_is_locked(const struct spinlock *lock)
{
    return __atomic_load_n(&lock->next, __ATOMIC_RELAXED) !=
           __atomic_load_n(&lock->serving, __ATOMIC_RELAXED);
}
