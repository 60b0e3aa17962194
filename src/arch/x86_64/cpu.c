// SPDX-License-Identifier: MIT
/*
 * A processor: what it can do, its control registers, its descriptor tables and its stacks. Until
 * arch_cpu_set_stacks() the first one runs on static stacks, which have no guards. The others are
 * taken for as able as the first.
 *
 * Source: Intel SDM volume 3, chapters 2, 3 and 6.
 */
#include <x86.h>

#include <lib/string.h>

#define CR0_MONITOR (UINT64_C(1) << 1)
#define CR0_EMULATE (UINT64_C(1) << 2)
#define CR0_TASK_SWITCHED (UINT64_C(1) << 3)
#define CR0_NUMERIC_ERROR (UINT64_C(1) << 5)
#define CR0_WRITE_PROTECT (UINT64_C(1) << 16)
#define CR0_NOT_WRITE_THROUGH (UINT64_C(1) << 29)
#define CR0_CACHE_DISABLE (UINT64_C(1) << 30)
#define CR4_OSFXSR (UINT64_C(1) << 9)
#define CR4_OSXMMEXCPT (UINT64_C(1) << 10)
#define CR4_FSGSBASE (UINT64_C(1) << 16)
#define CR4_OSXSAVE (UINT64_C(1) << 18)
#define EFER_SYSCALL UINT64_C(1)
#define EFER_NO_EXECUTE (UINT64_C(1) << 11)
/* NT too: iretq faults while it is set. */
#define FMASK_AC_NT_DF_IF_TF UINT64_C(0x44700)

#define GDT_CODE UINT64_C(0x00af9b000000ffff)
#define GDT_DATA UINT64_C(0x00cf93000000ffff)
#define GDT_TSS_AVAILABLE UINT64_C(0x89)
#define TSS_SELECTOR 0x18
#define ABSENT_CODE_SELECTOR 0x28
#define ABSENT_DATA_SELECTOR 0x30
#define GDT_PRESENT (UINT64_C(1) << 47)

#define EARLY_IST_BYTES (2 * PAGE_BYTES)
#define EARLY_STACK_BYTES (2 * PAGE_BYTES)

struct x86_features x86_features;

static struct x86_cpu boot_cpu;
static unsigned char early_irq_stack[EARLY_STACK_BYTES] __attribute__((aligned(16)));
static unsigned char early_report_stack[2 * EARLY_STACK_BYTES] __attribute__((aligned(16)));
static unsigned char early_ist_stacks[8][EARLY_IST_BYTES] __attribute__((aligned(16)));

extern const unsigned char x86_syscall_entry[];

static void find_features(void)
{
    struct cpuid basic = cpuid(1, 0);
    uint32_t max = cpuid(0, 0).eax;

    x86_features.xsave = basic.ecx & (1u << 26);
    x86_features.avx = x86_features.xsave && (basic.ecx & (1u << 28));
    x86_features.rdrand = basic.ecx & (1u << 30);
    x86_features.fsgsbase = max >= 7 && (cpuid(7, 0).ebx & 1);
}

static void set_control_registers(void)
{
    uint64_t cr0, cr4;

    __asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
    cr0 |= CR0_MONITOR | CR0_NUMERIC_ERROR | CR0_WRITE_PROTECT;
    cr0 &= ~(CR0_EMULATE | CR0_TASK_SWITCHED | CR0_NOT_WRITE_THROUGH | CR0_CACHE_DISABLE);
    __asm__ volatile("movq %0, %%cr0" : : "r"(cr0) : "memory");
    __asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
    cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (x86_features.xsave)
        cr4 |= CR4_OSXSAVE;
    if (x86_features.fsgsbase)
        cr4 |= CR4_FSGSBASE;
    __asm__ volatile("movq %0, %%cr4" : : "r"(cr4) : "memory");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SYSCALL | EFER_NO_EXECUTE);
    /* Entry and return use the same two selectors: the app runs in ring 0. */
    wrmsr(MSR_STAR, (uint64_t)KERNEL_CS << 32);
    wrmsr(MSR_LSTAR, (uintptr_t)x86_syscall_entry);
    wrmsr(MSR_FMASK, FMASK_AC_NT_DF_IF_TF);
}

static void load_descriptor_tables(struct x86_cpu *x86)
{
    uint64_t tss = (uintptr_t)&x86->tss, limit = sizeof(x86->tss) - 1;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) gdtr = { sizeof(x86->gdt) - 1, (uintptr_t)x86->gdt };

    x86->tss.io_map = sizeof(x86->tss);
    x86->gdt[KERNEL_CS / 8] = GDT_CODE;
    x86->gdt[KERNEL_DS / 8] = GDT_DATA;
    x86->gdt[ABSENT_CODE_SELECTOR / 8] = GDT_CODE & ~GDT_PRESENT;
    x86->gdt[ABSENT_DATA_SELECTOR / 8] = GDT_DATA & ~GDT_PRESENT;
    x86->gdt[TSS_SELECTOR / 8] =
        limit | (tss & 0xffffff) << 16 | GDT_TSS_AVAILABLE << 40 | (tss >> 24 & 0xff) << 56;
    x86->gdt[TSS_SELECTOR / 8 + 1] = tss >> 32;
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%eax\n\t"
                     "movl %%eax, %%ss\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "ltr %3\n\t"
                     "lldt %4" /* none: after a reset it would lie at address 0 */
                     :
                     : "m"(gdtr), "i"(KERNEL_CS), "i"(KERNEL_DS), "r"((uint16_t)TSS_SELECTOR),
                       "r"((uint16_t)0)
                     : "rax", "memory");
}

static void set_early_stacks(struct arch_cpu *cpu, struct x86_cpu *x86)
{
    cpu->irq_stack_top = (uintptr_t)(early_irq_stack + sizeof(early_irq_stack));
    x86->report_top = (uintptr_t)(early_report_stack + sizeof(early_report_stack));
    for (unsigned ist = IST_IRQ; ist <= IST_DEBUG; ist++)
        x86->tss.ist[ist - 1] = (uintptr_t)(early_ist_stacks[ist] + EARLY_IST_BYTES);
}

void cpu_bring_up(struct arch_cpu *cpu)
{
    struct x86_cpu *x86 = cpu->port;

    x86->timer_deadline_ns = UINT64_MAX;
    load_descriptor_tables(x86);
    set_control_registers();
    wrmsr(MSR_GS_BASE, (uintptr_t)cpu);
    wrmsr(MSR_FS_BASE, 0);
    paging_init_cpu();
    traps_load();
    fpu_init_cpu();
    apic_init_cpu();
}

/* The first CPU; arch_cpu_start() does the same for the others. */
void arch_cpu_init(struct arch_cpu *cpu, uint32_t index)
{
    cpu->self = cpu;
    cpu->index = index;
    cpu->port = &boot_cpu;
    set_early_stacks(cpu, &boot_cpu);
    find_features();
    traps_init();
    pic_disable();
    cpu_bring_up(cpu);
    x86_cpus[index] = &boot_cpu;
    x86_online = UINT64_C(1) << index;
    clock_init();
}

void arch_cpu_set_stacks(struct arch_cpu *cpu, const struct arch_cpu_stacks *stacks)
{
    struct x86_cpu *x86 = cpu->port;
    bool irq = arch_irq_save();

    cpu->irq_stack_top = stacks->irq_top;
    x86->report_top = stacks->report_top;
    for (unsigned ist = IST_PAGE_FAULT; ist <= IST_DEBUG; ist++)
        x86->tss.ist[ist - 1] = stacks->ist_top[ist];
    arch_irq_restore(irq);
}

/* `sti` takes effect after the next instruction: no interrupt is lost between it and `hlt`. */
void arch_idle(void) { __asm__ volatile("sti; hlt; cli" ::: "memory"); }

const char *arch_cpu_name(void)
{
    static uint32_t name[13];

    if (cpuid(0x80000000, 0).eax < 0x80000004)
        return "x86-64";
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid part = cpuid(0x80000002 + i, 0);
        memcpy(&name[4 * i], &part, sizeof(part));
    }
    const char *text = (const char *)name;
    while (*text == ' ')
        text++;
    return text;
}

/* Mixes well enough for tables and ports; without rdrand it is no secret. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint64_t arch_random(void)
{
    static uint64_t state;

    for (int tries = 0; x86_features.rdrand && tries < 10; tries++) {
        uint64_t value;
        uint8_t ok;
        __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(ok) : : "cc");
        if (ok)
            return value;
    }
    uint64_t step = rdtsc() | 1;
    return mix(__atomic_add_fetch(&state, step * UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED) ^
               arch_wall_ns());
}
