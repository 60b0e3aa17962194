// SPDX-License-Identifier: MIT
/*
 * Flushing the TLBs of all processors. One request is under way at a time: its maker writes down the
 * range, sets a bit in `pending` for every other processor that is up, sends them an interrupt, and
 * waits until each has flushed and cleared its bit.
 *
 * Nobody may wait for a request while it is itself waited for, so every busy wait serves the request
 * under way: the wait for the turn to make one, arch_spin_wait() in all spin locks. With interrupts
 * on the interrupt does it. The maker's own bit is never set while it waits.
 *
 * A frame, a page table's too, may be reused once tlb_flush() has returned. Because every processor
 * takes part, with interrupts on or at a place where it says so, one that walks the tables with
 * interrupts off delays the flush: arch_lookup() needs no lock.
 *
 * A processor that starts sets its bit in x86_online and then flushes everything; the maker changes
 * the tables and then reads x86_online. So either the maker waits for it or it sees the change.
 *
 * Source: Intel SDM volume 3, 4.10.
 */
#include <x86.h>

#define INVLPG_MAX 64 /* pages flushed one by one; more flush all */
#define WAIT_MAX_NS (60 * NS_PER_S)

static uint32_t turn;
static uintptr_t request_va;
static size_t request_count;
static uint64_t pending;

static uint64_t own_bit(void) { return UINT64_C(1) << arch_cpu()->index; }

static void flush_here(uintptr_t va, size_t count)
{
    if (count > INVLPG_MAX) {
        write_cr3(read_cr3());
        return;
    }
    for (size_t i = 0; i < count; i++)
        __asm__ volatile("invlpg (%0)" : : "r"(va + i * PAGE_BYTES) : "memory");
}

void tlb_serve(void)
{
    uint64_t bit = own_bit();

    if (!(__atomic_load_n(&pending, __ATOMIC_ACQUIRE) & bit))
        return;
    flush_here(request_va, request_count);
    __atomic_fetch_and(&pending, ~bit, __ATOMIC_SEQ_CST);
}

void arch_spin_wait(void)
{
    arch_relax();
    if (!__atomic_load_n(&pending, __ATOMIC_RELAXED))
        return;
    bool irq = arch_irq_save();
    tlb_serve();
    arch_irq_restore(irq);
}

/* One that never answers spins with interrupts off without serving: a report is better than silence. */
static void wait_for_all(void)
{
    uint64_t start_ns = arch_now_ns();

    while (__atomic_load_n(&pending, __ATOMIC_ACQUIRE)) {
        arch_relax();
        if (arch_now_ns() - start_ns > WAIT_MAX_NS)
            __builtin_trap();
    }
}

static void flush_others(uintptr_t va, size_t count, uint64_t self)
{
    while (__atomic_exchange_n(&turn, 1, __ATOMIC_ACQUIRE))
        arch_spin_wait();
    uint64_t others = __atomic_load_n(&x86_online, __ATOMIC_SEQ_CST) & ~self;
    request_va = va;
    request_count = count;
    __atomic_store_n(&pending, others, __ATOMIC_SEQ_CST);
    for (uint64_t left = others; left; left &= left - 1)
        apic_send(x86_cpus[__builtin_ctzll(left)]->apic_id, APIC_SEND_FIXED | VECTOR_TLB);
    wait_for_all();
    __atomic_store_n(&turn, 0, __ATOMIC_RELEASE);
}

void tlb_flush(uintptr_t va, size_t count)
{
    bool irq = arch_irq_save();
    uint64_t self = own_bit();

    flush_here(va, count);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&x86_online, __ATOMIC_SEQ_CST) & ~self)
        flush_others(va, count, self);
    arch_irq_restore(irq);
}
