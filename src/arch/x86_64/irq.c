// SPDX-License-Identifier: MIT
/*
 * Interrupts: which vector is whose. Devices get vectors by arch_irq_attach() and raise them by
 * message (MSI): a write to the local APIC's address; there is no sharing and no line to route. Each
 * processor has a table of its own; a device's interrupt goes to the one that attached it. The old
 * interrupt controllers are moved out of the way and masked.
 *
 * Sources: Intel SDM volume 3, 10.11; Intel 8259A.
 */
#include <x86.h>

#include <lib/errno.h>

#define MSI_ADDRESS UINT64_C(0xfee00000)
#define MSI_APIC_SHIFT 12

/* For entry.asm. On the interrupt stack; returns the thread to switch to, or NULL. */
struct arch_thread *x86_interrupt(struct arch_frame *frame);

static void device_interrupt(uint32_t vector)
{
    struct x86_cpu *x86 = x86_cpu();

    __atomic_store_n(&x86->handling, vector, __ATOMIC_SEQ_CST);
    struct irq *irq = __atomic_load_n(&x86->irqs[vector - VECTOR_DEVICE_FIRST], __ATOMIC_SEQ_CST);
    if (irq)
        irq->ops->handle(irq);
    __atomic_store_n(&x86->handling, 0, __ATOMIC_RELEASE);
}

static void dispatch(uint64_t vector)
{
    if (vector == VECTOR_TIMER)
        apic_timer_interrupt();
    else if (vector == VECTOR_TLB)
        tlb_serve();
    else if (vector >= VECTOR_DEVICE_FIRST && vector <= VECTOR_DEVICE_LAST)
        device_interrupt((uint32_t)vector);
    /* The others are spurious: nobody asked for them, and they want no end of interrupt. */
    if (vector >= VECTOR_DEVICE_FIRST && vector != VECTOR_SPURIOUS)
        apic_end_of_interrupt();
}

struct arch_thread *x86_interrupt(struct arch_frame *frame)
{
    struct arch_cpu *cpu = arch_cpu();

    cpu->irq_depth++;
    dispatch(frame->vector);
    cpu->irq_depth--;
    return arch_upcalls.preempt();
}

int arch_irq_attach(struct irq *irq)
{
    bool on = arch_irq_save();
    struct x86_cpu *x86 = x86_cpu();
    int err = -ENOSPC;

    for (uint32_t i = 0; i < ARRAY_COUNT(x86->irqs) && err; i++) {
        if (__atomic_load_n(&x86->irqs[i], __ATOMIC_ACQUIRE))
            continue;
        irq->vector = VECTOR_DEVICE_FIRST + i;
        irq->cpu_index = arch_cpu()->index;
        __atomic_store_n(&x86->irqs[i], irq, __ATOMIC_SEQ_CST);
        err = 0;
    }
    arch_irq_restore(on);
    return err;
}

void arch_irq_detach(struct irq *irq)
{
    struct x86_cpu *x86 = x86_cpus[irq->cpu_index];
    uint32_t vector = irq->vector;

    __atomic_store_n(&x86->irqs[vector - VECTOR_DEVICE_FIRST], NULL, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&x86->handling, __ATOMIC_SEQ_CST) == vector &&
           arch_cpu()->index != irq->cpu_index)
        arch_spin_wait();
    irq->vector = 0;
}

void arch_irq_message(const struct irq *irq, uint64_t *address, uint32_t *data)
{
    *address = MSI_ADDRESS | (uint64_t)x86_cpus[irq->cpu_index]->apic_id << MSI_APIC_SHIFT;
    *data = irq->vector;
}
