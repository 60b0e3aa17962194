// SPDX-License-Identifier: MIT
/*
 * The I/O APIC, for the one device that cannot write its interrupts to memory: the serial port.
 * Lines of the old PC bus are edge-triggered and active high; a firmware that says otherwise of
 * such a line is not believed.
 *
 * Source: Intel 82093AA.
 */
#include <x86.h>

#include <lib/errno.h>

#define IOAPIC_WINDOW (PORT_WINDOW_BASE + PAGE_BYTES)   /* behind the local APIC */
#define SELECT 0u
#define DATA 0x10u
#define REG_VERSION 1u
#define REG_ENTRY 0x10u               /* two for each input */
#define TARGET_SHIFT 24

static uint32_t mapped_phys;

static void write_reg(uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)(IOAPIC_WINDOW + SELECT) = reg;
    *(volatile uint32_t *)(IOAPIC_WINDOW + DATA) = value;
}

static uint32_t input_count(void)
{
    *(volatile uint32_t *)(IOAPIC_WINDOW + SELECT) = REG_VERSION;
    return (*(volatile uint32_t *)(IOAPIC_WINDOW + DATA) >> 16 & 0xff) + 1;
}

int ioapic_route(uint32_t line, struct irq *irq)
{
    struct acpi_route route;

    if (!acpi_isa_route(line, &route) || route.phys % PAGE_BYTES ||
        (mapped_phys && mapped_phys != route.phys))
        return -ENODEV;
    if (!mapped_phys && arch_map(IOAPIC_WINDOW, route.phys, 1,
                                 ARCH_READ | ARCH_WRITE | ARCH_UNCACHED))
        return -ENOMEM;
    mapped_phys = route.phys;
    if (route.input >= input_count())
        return -ENODEV;
    int err = arch_irq_attach(irq);
    if (err)
        return err;
    write_reg(REG_ENTRY + 2 * route.input + 1,
              x86_cpus[irq->cpu_index]->apic_id << TARGET_SHIFT);
    write_reg(REG_ENTRY + 2 * route.input, irq->vector);
    return 0;
}
