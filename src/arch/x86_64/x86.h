// SPDX-License-Identifier: MIT
/*
 * What the files of this port share: registers, instructions, the port's own per-CPU data. Only
 * boot/ sees it besides; everything else goes through <arch/arch.h>.
 *
 * Address space, all of it in ring 0, one set of tables for ever:
 *
 *     0000000000001000  the app                    (page 0 is never mapped)
 *     ffff800000000000  direct map of all RAM      read-write, not executable; the image's text
 *                                                  and constants are read-only here too
 *     ffffc00000000000  stack window, 1 TiB
 *     ffffd00000000000  window for device registers, 64 GiB
 *     ffffe00000000000  the port's own device registers (local APIC); 1 GiB above, the screen
 *     ffffffff80000000  KERNEL_BASE: the image, its virtual address minus this is its physical one
 */
#pragma once

#include <arch/arch.h>
#include <arch/boot_info.h>

#define KERNEL_BASE UINT64_C(0xffffffff80000000)
#define DIRECT_MAP_BASE UINT64_C(0xffff800000000000)
#define STACK_WINDOW_BASE UINT64_C(0xffffc00000000000)
#define IO_WINDOW_BASE UINT64_C(0xffffd00000000000)
#define PORT_WINDOW_BASE UINT64_C(0xffffe00000000000)
#define SCREEN_WINDOW_BASE (PORT_WINDOW_BASE + GIB(1))

/* Vectors. 0x20-0x2f are where the old interrupt controller's spurious ones would land. */
enum {
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_NOT_PRESENT = 11,
    VECTOR_STACK_SEGMENT = 12,
    VECTOR_PROTECTION = 13,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_MACHINE_CHECK = 18,
    VECTOR_PIC_FIRST = 0x20,
    VECTOR_DEVICE_FIRST = 0x30,
    VECTOR_DEVICE_LAST = 0xef,
    VECTOR_TIMER = 0xf0,
    VECTOR_RESCHEDULE = 0xf1, /* nothing to do but what follows every interrupt */
    VECTOR_TLB = 0xf2,
    VECTOR_SPURIOUS = 0xff,
};

enum {
    IST_IRQ = 1,
    IST_PAGE_FAULT,
    IST_DOUBLE_FAULT,
    IST_NMI,
    IST_MACHINE_CHECK,
    IST_OTHER,
    IST_DEBUG
};

/* How far an IST stack's top moves while a handler runs on it: a fault inside must not hit it. */
#define IST_SHIFT 2048

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[n - 1] is IST n */
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} __attribute__((packed));

#define GDT_ENTRIES 7 /* null, code, data, task state (two), code and data that are not present */

#define X86_CPUS_MAX 64
#define APIC_ID_MAX 254u /* 255 is everybody */

/*
 * The port's part of a CPU; arch_cpu()->port. Touched by its own CPU, interrupts off; @apic_id, and
 * irqs[] and @handling atomically, by others too.
 */
struct x86_cpu {
    struct tss tss; /* first: entry.asm */
    uint64_t gdt[GDT_ENTRIES];
    uintptr_t report_top;
    uint32_t apic_id;
    uint32_t app_tlb;  /* tlb.c; atomic */
    uint64_t timer_deadline_ns;
    uint32_t handling; /* the device vector whose handler runs here, or 0 */
    struct irq *irqs[VECTOR_DEVICE_LAST + 1 - VECTOR_DEVICE_FIRST];
};

_Static_assert(sizeof(struct x86_cpu) <= PAGE_BYTES, "smp.c gives it one page");
_Static_assert(offsetof(struct arch_cpu, port) == CPU_PORT, "layout");
_Static_assert(offsetof(struct x86_cpu, tss.ist[IST_NMI - 1]) == X86_NMI_SLOT, "layout");
_Static_assert(IST_SHIFT == X86_IST_SHIFT, "layout");

/* smp.c: by index; the ones that are up have a bit in x86_online. */
extern struct x86_cpu *x86_cpus[X86_CPUS_MAX];
extern uint64_t x86_online;

static inline struct x86_cpu *x86_cpu(void) { return arch_cpu()->port; }

struct x86_features {
    bool xsave, avx, fsgsbase, rdrand, huge_pages;
    uint32_t fpu_bytes;
};
extern struct x86_features x86_features;

/* ---- instructions ---- */

#define MSR_APIC_BASE 0x1bu
#define MSR_PAT 0x277u
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_FMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr"
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t read_cr2(void)
{
    uint64_t value;
    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}

static inline void write_cr2(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr2" : : "r"(value));
}

static inline uint64_t read_cr3(void)
{
    uint64_t value;
    __asm__ volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}

static inline void write_cr3(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

/* ---- between the files ---- */

/* paging_boot.c: all usable RAM, sorted; boot/regions.c makes it. */
struct boot_ram {
    struct boot_region regions[BOOT_REGIONS_MAX];
    uint32_t count;
};
extern struct boot_ram boot_ram;
void paging_init(void);
void paging_init_cpu(void); /* what the bits of an entry mean, for the CPU that calls */

/* console.c */
void console_init(void);

/*
 * screen.c. screen_find(), before paging_init(), decides what boot_info.screen is and whether it can be
 * used; after it screen_init(). From screen_alone() on only this CPU runs, as after arch_stop_others():
 * what is written is painted at once. screen_distrust() is for a report whose painting failed.
 */
void screen_find(void);
void screen_init(void);
void screen_write(const char *text, size_t bytes);
void screen_alone(void);
void screen_distrust(void);

/* fpu.c */
void fpu_init_cpu(void);
void fpu_save(void *area);
void fpu_restore(const void *area);

/* traps.c */
void traps_init(void);
void traps_load(void);

/* For the tests in the kernel, which set x86_watch: they see first, and true means that was all. */
struct x86_watch_ops {
    bool (*nmi_taken)(struct arch_frame *frame);
    bool (*app_fault_seen)(struct arch_frame *frame, uintptr_t address);
};
extern const struct x86_watch_ops *x86_watch;

/* acpi.c: before paging_init(), while the first 4 GiB are mapped. */
#define ACPI_MEMORY_MAX 64
void acpi_init(void);
/* Which input of which I/O APIC a line of the old PC bus ends at; false: no I/O APIC is known. */
struct acpi_route {
    uint32_t phys, input;
};
bool acpi_isa_route(uint32_t line, struct acpi_route *out);

/* ioapic.c: interrupts of an old PC line reach @irq. -ENODEV, -ENOMEM, -ENOSPC. */
int ioapic_route(uint32_t line, struct irq *irq);

/* What the machine has, as far as the firmware says; without a word of it, what every old PC has. */
struct acpi_parts {
    bool vga, cmos_clock;
    uint16_t timer_port; /* a counter of 24 bits, 3579545 Hz; 0: none */
};
extern struct acpi_parts acpi_parts;

/* cpu.c: what every processor does to itself; @cpu's stacks are set. */
void cpu_bring_up(struct arch_cpu *cpu);

/* smp.c: does not return where this CPU has to stop. */
void smp_nmi(void);

/* tlb.c: on all CPUs before it returns, or, where only app memory is concerned, before they use it. */
void tlb_flush(uintptr_t va, size_t count);
void tlb_flush_everywhere(void); /* on all CPUs, everything */
void tlb_serve(void);            /* the interrupt */
void tlb_follow(struct x86_cpu *x86, const struct arch_thread *thread); /* it runs from now on */
static inline bool x86_uses_app_memory(const struct arch_thread *thread)
{
    return thread->fpu || thread->uses_app_memory;
}

/* copy.asm */
int x86_copy(void *dst, const void *src, size_t bytes);
int x86_zero(void *dst, size_t bytes);

/* apic.c, clock.c */
#define APIC_SEND_FIXED 0x4000u /* | vector */
#define APIC_SEND_NMI 0x4400u
#define APIC_SEND_INIT 0x4500u
#define APIC_SEND_START 0x4600u /* | number of the page to start at */
void apic_send(uint32_t apic_id, uint32_t command);
void pic_disable(void);
void apic_init_cpu(void);
void apic_timer_interrupt(void);
void apic_end_of_interrupt(void);
void apic_timer_start(uint32_t count);
uint32_t apic_timer_left(void);
void clock_init(void);
/* Local-APIC timer ticks in @ns, at least 1, at most what its counter holds. */
uint32_t clock_apic_ticks(uint64_t ns);

/* thread.c: from IST 1 to the thread that runs. */
void x86_set_current(struct arch_thread *thread);
