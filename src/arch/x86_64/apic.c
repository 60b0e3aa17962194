// SPDX-License-Identifier: MIT
/*
 * The local APIC, through its registers in memory (xAPIC), and its one-shot timer. The counter has
 * 32 bits: a far deadline takes several rounds, and one that came early by rounding another short
 * one; the runtime hears of the timer only when the deadline has passed. And interrupts to other
 * processors.
 *
 * Source: Intel SDM volume 3, chapter 10.
 */
#include <x86.h>

#define APIC_ENABLE (UINT64_C(1) << 11)
#define APIC_X2 (UINT64_C(1) << 10)

enum {
    REG_ID = 0x20,
    REG_TASK_PRIORITY = 0x80,
    REG_END = 0xb0,
    REG_SPURIOUS = 0xf0,
    REG_COMMAND = 0x300,
    REG_COMMAND_TARGET = 0x310,
    REG_TIMER = 0x320,
    REG_THERMAL = 0x330,
    REG_COUNTER = 0x340,
    REG_LINT0 = 0x350,
    REG_LINT1 = 0x360,
    REG_ERROR = 0x370,
    REG_TIMER_START = 0x380,
    REG_TIMER_NOW = 0x390,
    REG_TIMER_DIVIDE = 0x3e0,
};

#define SPURIOUS_ENABLE 0x100u
#define ENTRY_MASKED 0x10000u
#define ENTRY_NMI 0x400u
#define DIVIDE_BY_1 0xbu
#define COMMAND_PENDING 0x1000u
#define TARGET_SHIFT 24
#define SEND_TRIES 1000000u

#define PIC1 0x20
#define PIC2 0xa0

static uint32_t apic_read(uint32_t reg) { return *(volatile uint32_t *)(PORT_WINDOW_BASE + reg); }

static void apic_write(uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)(PORT_WINDOW_BASE + reg) = value;
}

/* Vectors 0x20-0x2f, all masked: even a masked controller may raise a spurious one. */
void pic_disable(void)
{
    static const uint8_t words[2][4] = { { 0x11, VECTOR_PIC_FIRST, 4, 1 },
                                         { 0x11, VECTOR_PIC_FIRST + 8, 2, 1 } };

    for (unsigned chip = 0; chip < 2; chip++) {
        uint16_t port = chip ? PIC2 : PIC1;
        arch_out8(port, words[chip][0]);
        for (unsigned i = 1; i < 4; i++)
            arch_out8(port + 1, words[chip][i]);
        arch_out8(port + 1, 0xff);
    }
}

void apic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (base & APIC_X2) { /* back to registers in memory goes through "off" */
        base &= ~(APIC_X2 | APIC_ENABLE);
        wrmsr(MSR_APIC_BASE, base);
    }
    wrmsr(MSR_APIC_BASE, base | APIC_ENABLE);
    apic_write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    apic_write(REG_TASK_PRIORITY, 0);
    apic_write(REG_LINT0, ENTRY_MASKED);
    /* The board's NMI line is the first processor's. */
    apic_write(REG_LINT1, arch_cpu()->index ? ENTRY_MASKED : ENTRY_NMI);
    apic_write(REG_ERROR, ENTRY_MASKED);
    apic_write(REG_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(REG_TIMER, VECTOR_TIMER | ENTRY_MASKED);
    x86_cpu()->apic_id = apic_read(REG_ID) >> 24;
}

void apic_end_of_interrupt(void) { apic_write(REG_END, 0); }

/* The two halves of a command belong together, and to one processor. */
void apic_send(uint32_t apic_id, uint32_t command)
{
    bool irq = arch_irq_save();

    for (uint32_t i = 0; i < SEND_TRIES && (apic_read(REG_COMMAND) & COMMAND_PENDING); i++)
        arch_relax();
    apic_write(REG_COMMAND_TARGET, apic_id << TARGET_SHIFT);
    apic_write(REG_COMMAND, command);
    arch_irq_restore(irq);
}

/* Starts the counter with the timer's interrupt masked: for calibration. */
void apic_timer_start(uint32_t count)
{
    apic_write(REG_TIMER, VECTOR_TIMER | ENTRY_MASKED);
    apic_write(REG_TIMER_START, count);
}

uint32_t apic_timer_left(void) { return apic_read(REG_TIMER_NOW); }

static void arm(uint64_t deadline_ns, uint64_t now_ns)
{
    uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

    apic_write(REG_TIMER, VECTOR_TIMER);
    apic_write(REG_TIMER_START, clock_apic_ticks(wait_ns));
}

void arch_timer_arm(uint64_t deadline_ns)
{
    bool irq = arch_irq_save();

    x86_cpu()->timer_deadline_ns = deadline_ns;
    if (deadline_ns == UINT64_MAX)
        apic_write(REG_TIMER_START, 0);
    else
        arm(deadline_ns, arch_now_ns());
    arch_irq_restore(irq);
}

void apic_timer_interrupt(void)
{
    struct x86_cpu *x86 = x86_cpu();
    uint64_t now_ns = arch_now_ns();

    if (x86->timer_deadline_ns == UINT64_MAX)
        return;
    if (now_ns < x86->timer_deadline_ns) {
        arm(x86->timer_deadline_ns, now_ns);
        return;
    }
    x86->timer_deadline_ns = UINT64_MAX;
    arch_upcalls.timer();
}
