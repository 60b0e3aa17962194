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
 * App memory is used by app threads, and by others only through arch_copy() or after
 * arch_use_app_memory(). A processor that runs another thread, idle above all, is spared a flush of it:
 * who asks for the flush marks the processor stale instead, and it flushes everything before it runs a
 * thread that may use app memory (tlb_follow()). Whether it is asked or marked is decided by one word of
 * the processor, changed by locked instructions where both could change it; the tables are changed
 * before. Tables that are taken out are another matter: a processor may read them although no thread
 * uses what they map, so before they are freed all processors flush (tlb_flush_everywhere()).
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

/* ---- who has to ---- */

enum { APP_TLB_USED, APP_TLB_SPARED, APP_TLB_STALE }; /* x86_cpu.app_tlb */

/* The own processor alone goes from used to spared and leaves stale; others go from spared to stale. */
void tlb_follow(struct x86_cpu *x86, const struct arch_thread *thread)
{
    uint32_t now = __atomic_load_n(&x86->app_tlb, __ATOMIC_RELAXED);

    if (!x86_uses_app_memory(thread)) {
        if (now == APP_TLB_USED)
            __atomic_store_n(&x86->app_tlb, APP_TLB_SPARED, __ATOMIC_RELEASE);
    } else if (now != APP_TLB_USED) {
        if (__atomic_exchange_n(&x86->app_tlb, APP_TLB_USED, __ATOMIC_SEQ_CST) == APP_TLB_STALE) {
            arch_cpu_add(offsetof(struct arch_cpu, counts.flushes_late), 1);
            write_cr3(read_cr3());
        }
    }
}

void arch_use_app_memory(void)
{
    bool irq = arch_irq_save();

    arch_current()->uses_app_memory = true;
    tlb_follow(x86_cpu(), arch_current());
    arch_irq_restore(irq);
}

/* Whether the processor flushes by itself before it uses app memory. */
static bool spared(struct x86_cpu *x86)
{
    uint32_t now = __atomic_load_n(&x86->app_tlb, __ATOMIC_SEQ_CST);

    return now == APP_TLB_STALE ||
           (now == APP_TLB_SPARED &&
            (__atomic_compare_exchange_n(&x86->app_tlb, &now, APP_TLB_STALE, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
             now == APP_TLB_STALE));
}

static uint64_t without_spared(uint64_t others)
{
    uint64_t asked = others;

    for (uint64_t left = others; left; left &= left - 1) {
        if (!spared(x86_cpus[__builtin_ctzll(left)]))
            continue;
        asked &= ~(left & -left);
        arch_cpu_add(offsetof(struct arch_cpu, counts.flushes_deferred), 1);
    }
    return asked;
}

/* ---- asking ---- */

static void flush_others(uintptr_t va, size_t count, uint64_t asked)
{
    while (__atomic_exchange_n(&turn, 1, __ATOMIC_ACQUIRE))
        arch_spin_wait();
    asked &= __atomic_load_n(&x86_online, __ATOMIC_SEQ_CST);
    request_va = va;
    request_count = count;
    __atomic_store_n(&pending, asked, __ATOMIC_SEQ_CST);
    for (uint64_t left = asked; left; left &= left - 1) {
        apic_send(x86_cpus[__builtin_ctzll(left)]->apic_id, APIC_SEND_FIXED | VECTOR_TLB);
        arch_cpu_add(offsetof(struct arch_cpu, counts.flush_interrupts), 1);
    }
    wait_for_all();
    __atomic_store_n(&turn, 0, __ATOMIC_RELEASE);
}

static void flush(uintptr_t va, size_t count, bool app_only)
{
    bool irq = arch_irq_save();

    flush_here(va, count);
    arch_cpu_add(offsetof(struct arch_cpu, counts.flushes), 1);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    uint64_t asked = __atomic_load_n(&x86_online, __ATOMIC_SEQ_CST) & ~own_bit();
    if (app_only)
        asked = without_spared(asked);
    if (asked)
        flush_others(va, count, asked);
    arch_irq_restore(irq);
}

void tlb_flush(uintptr_t va, size_t count)
{
    flush(va, count, va < ARCH_APP_END && count <= (ARCH_APP_END - va) / PAGE_BYTES);
}

void tlb_flush_everywhere(void) { flush(0, SIZE_MAX, false); }
