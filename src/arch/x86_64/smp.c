// SPDX-License-Identifier: MIT
/*
 * Several processors: starting them, and the interrupts they send one another.
 *
 * A processor starts in real mode at a page below 1 MiB that the starter chooses (boot/trampoline.asm
 * is copied there). It enters 64-bit mode with the kernel's tables, for which that page is mapped at
 * its physical address as long as the start lasts, and goes on at x86_ap_entry in the image. There it
 * takes x86_starting, by an exchange: a processor that comes late finds nothing and halts. One that
 * does not come up in time gets another INIT and is then certain not to run.
 *
 * Source: Intel SDM volume 3, 8.4 and 10.6.
 */
#include <x86.h>

#include <lib/errno.h>
#include <lib/string.h>

#define LOW_MEMORY_END 0xa0000u
#define TRAMPOLINE_PREFERRED 0x8000u
#define INIT_WAIT_NS (10 * NS_PER_MS)
#define START_WAIT_NS (200 * NS_PER_US)
#define ANSWER_WAIT_NS (20 * NS_PER_MS)
#define ONLINE_WAIT_NS (5 * NS_PER_S)
#define STOP_WAIT_NS (100 * NS_PER_MS)

struct x86_cpu *x86_cpus[X86_CPUS_MAX];
uint64_t x86_online;

/* Who is sure first decides: the starter that it has waited enough, or the started that it is up. */
enum { START_WAITED_FOR, START_GIVEN_UP, START_DONE };
static uint32_t start_state;

/* For trampoline.asm. */
struct arch_cpu *x86_starting;
uintptr_t x86_starting_stack;
noreturn_fn void x86_ap_main(struct arch_cpu *cpu);

/* What trampoline.asm begins with. */
struct trampoline {
    uint8_t jump[2];
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint32_t cr3;
    uint32_t entry_offset;
    uint16_t entry_selector;
} __attribute__((packed));

extern const unsigned char boot_trampoline[], boot_trampoline_end[], boot_trampoline_gdt[],
    boot_trampoline_64[];

/* The processor whose NMI stops all others: its index + 1. */
static uint32_t stopper;

static bool is_online(uint32_t index)
{
    return __atomic_load_n(&x86_online, __ATOMIC_SEQ_CST) >> index & 1;
}

/* ---- the start, on the processor that starts another ---- */

/* A page of free low memory; the page allocator hands out none of it. 0 if there is none. */
static uint32_t find_low_page(void)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < boot_info.region_count; i++) {
        const struct boot_region *r = &boot_info.regions[i];
        uint64_t preferred = MAX(r->start, (uint64_t)TRAMPOLINE_PREFERRED);
        if (preferred + PAGE_BYTES <= MIN(r->end, (uint64_t)LOW_MEMORY_END))
            return (uint32_t)preferred;
        if (r->start + PAGE_BYTES <= MIN(r->end, (uint64_t)LOW_MEMORY_END))
            found = (uint32_t)r->start;
    }
    return found;
}

static void place_trampoline(uint32_t page)
{
    struct trampoline *t = arch_phys_to_virt(page);

    memcpy(t, boot_trampoline, (size_t)(boot_trampoline_end - boot_trampoline));
    t->gdt_base = page + (uint32_t)(boot_trampoline_gdt - boot_trampoline);
    t->cr3 = (uint32_t)read_cr3(); /* made below 4 GiB: paging_boot.c */
    t->entry_offset = page + (uint32_t)(boot_trampoline_64 - boot_trampoline);
    t->entry_selector = KERNEL_CS;
}

static bool wait_online(uint32_t index, uint64_t wait_ns)
{
    uint64_t start_ns = arch_now_ns();

    while (!is_online(index)) {
        if (arch_now_ns() - start_ns > wait_ns)
            return false;
        arch_spin_wait();
    }
    return true;
}

static void wait_ns(uint64_t duration_ns)
{
    uint64_t start_ns = arch_now_ns();

    while (arch_now_ns() - start_ns < duration_ns)
        arch_spin_wait();
}

/* Only processors of the last century need the long pause; an emulated one does not. */
static bool is_virtual(void) { return cpuid(1, 0).ecx >> 31; }

/* Whether the start that is waited for becomes @state by this call. */
static bool move_state(uint32_t state)
{
    uint32_t waited_for = START_WAITED_FOR;

    return __atomic_compare_exchange_n(&start_state, &waited_for, state, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static int wake(struct arch_cpu *cpu, uint32_t apic_id, uint32_t page, uintptr_t stack_top)
{
    uint32_t start = APIC_SEND_START | page >> PAGE_SHIFT;

    __atomic_store_n(&start_state, START_WAITED_FOR, __ATOMIC_SEQ_CST);
    x86_starting_stack = stack_top;
    __atomic_store_n(&x86_starting, cpu, __ATOMIC_SEQ_CST);
    apic_send(apic_id, APIC_SEND_INIT);
    wait_ns(is_virtual() ? START_WAIT_NS : INIT_WAIT_NS);
    apic_send(apic_id, start);
    if (wait_online(cpu->index, ANSWER_WAIT_NS))
        return 0;
    /* The second one is for those that missed the first; who is under way already ignores it. */
    apic_send(apic_id, start);
    if (wait_online(cpu->index, ONLINE_WAIT_NS))
        return 0;
    if (!move_state(START_GIVEN_UP))
        return 0;
    apic_send(apic_id, APIC_SEND_INIT);
    wait_ns(INIT_WAIT_NS);
    __atomic_store_n(&x86_starting, NULL, __ATOMIC_SEQ_CST);
    return -ETIMEDOUT;
}

static int start_from(uint32_t page, struct arch_cpu *cpu, uint32_t apic_id, uintptr_t stack_top)
{
    int err = arch_map(page, page, 1, ARCH_READ | ARCH_EXEC);

    if (err)
        return err;
    place_trampoline(page);
    err = wake(cpu, apic_id, page, stack_top);
    arch_unmap(page, 1);
    arch_trim_tables(page, 1);
    return err;
}

int arch_cpu_start(struct arch_cpu *cpu, uint32_t index, const struct arch_cpu_info *info,
                   const struct arch_cpu_stacks *stacks, uintptr_t stack_top)
{
    uint32_t page = find_low_page();
    uint64_t phys = page && index < X86_CPUS_MAX ? arch_upcalls.cpu_page(info->node) : 0;

    if (!phys)
        return -ENOMEM;
    struct x86_cpu *x86 = arch_phys_to_virt(phys);
    x86->apic_id = info->hardware_id;
    cpu->self = cpu;
    cpu->index = index;
    cpu->port = x86;
    arch_cpu_set_stacks(cpu, stacks);
    x86_cpus[index] = x86;
    int err = start_from(page, cpu, info->hardware_id, stack_top);
    if (err) {
        x86_cpus[index] = NULL;
        arch_upcalls.table_page_free(phys);
    }
    return err;
}

/* ---- the start, on the processor that is started ---- */

static noreturn_fn void halt(void)
{
    __atomic_fetch_and(&x86_online, ~(UINT64_C(1) << arch_cpu()->index), __ATOMIC_SEQ_CST);
    for (;;)
        __asm__ volatile("cli; hlt");
}

noreturn_fn void x86_ap_main(struct arch_cpu *cpu)
{
    cpu_bring_up(cpu);
    if (!move_state(START_DONE))
        halt();
    __atomic_fetch_or(&x86_online, UINT64_C(1) << cpu->index, __ATOMIC_SEQ_CST);
    write_cr3(read_cr3()); /* see tlb.c */
    arch_upcalls.cpu_started(cpu);
}

/* ---- between processors ---- */

void arch_ipi_reschedule(uint32_t cpu_index)
{
    if (!is_online(cpu_index))
        return;
    arch_cpu_add(offsetof(struct arch_cpu, counts.reschedules), 1);
    apic_send(x86_cpus[cpu_index]->apic_id, APIC_SEND_FIXED | VECTOR_RESCHEDULE);
}

void smp_nmi(void)
{
    uint32_t who = __atomic_load_n(&stopper, __ATOMIC_SEQ_CST);

    if (who && who != arch_cpu()->index + 1)
        halt();
}

/* Of several that want to stop the others one wins, and the others stop. */
void arch_stop_others(void)
{
    arch_irq_disable();
    uint32_t index = arch_cpu()->index, nobody = 0;
    if (!__atomic_compare_exchange_n(&stopper, &nobody, index + 1, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST)) {
        smp_nmi();
        return;
    }
    uint64_t self = UINT64_C(1) << index;
    uint64_t others = __atomic_load_n(&x86_online, __ATOMIC_SEQ_CST) & ~self;
    for (uint64_t left = others; left; left &= left - 1)
        apic_send(x86_cpus[__builtin_ctzll(left)]->apic_id, APIC_SEND_NMI);
    uint64_t start_ns = arch_now_ns();
    while ((__atomic_load_n(&x86_online, __ATOMIC_SEQ_CST) & ~self) &&
           arch_now_ns() - start_ns < STOP_WAIT_NS)
        arch_relax();
    /* Who did not answer is not waited for any more, by a flush least of all. */
    __atomic_store_n(&x86_online, self, __ATOMIC_SEQ_CST);
    screen_alone();
}
