// SPDX-License-Identifier: MIT
/* The way to the report stack, and names for addresses. */
#include <x86.h>

#include <lib/string.h>

#define STATUS_PANIC 202
#define SPARE_BYTES (2 * PAGE_BYTES)

/* For a fault inside a report, whose own data may still be on the report stack. */
static unsigned char spare_stack[SPARE_BYTES] __attribute__((aligned(16)));
static uint32_t spare_taken;

noreturn_fn void arch_report(void *context)
{
    struct arch_cpu *cpu = arch_cpu();
    uintptr_t top = x86_cpu()->report_top;

    arch_irq_disable();
    if (cpu->report_depth >= 2)
        arch_machine_exit(STATUS_PANIC);
    if (cpu->report_depth++ == 1) {
        /* One is enough: who reports stops the other processors. */
        while (__atomic_exchange_n(&spare_taken, 1, __ATOMIC_SEQ_CST))
            __asm__ volatile("cli; hlt");
        screen_distrust();
        top = (uintptr_t)(spare_stack + SPARE_BYTES);
    }
    __asm__ volatile("movq %0, %%rsp\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "call arch_report_body\n\t"
                     "ud2"
                     :
                     : "r"(top), "D"(context)
                     : "memory");
    __builtin_unreachable();
}

/* Made by tools/ksyms.sh: count, sorted {address - KERNEL_BASE, offset of the name}, names. */
extern const unsigned char ksyms_blob[] __attribute__((weak));

struct ksym {
    uint32_t address, name;
};

extern const unsigned char kernel_text_start[], kernel_text_end[];

const char *arch_symbol(uintptr_t address, uint64_t *offset)
{
    if (!ksyms_blob || address < (uintptr_t)kernel_text_start ||
        address >= (uintptr_t)kernel_text_end)
        return NULL;
    uint32_t wanted = (uint32_t)(address - KERNEL_BASE), count;
    memcpy(&count, ksyms_blob, sizeof(count));
    const struct ksym *symbols = (const struct ksym *)(ksyms_blob + sizeof(count));
    uint32_t low = 0, high = count; /* the last one at or below is in [low - 1, high) */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbols[middle].address <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    *offset = wanted - symbols[low - 1].address;
    return (const char *)ksyms_blob + symbols[low - 1].name;
}
