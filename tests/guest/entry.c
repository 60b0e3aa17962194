// SPDX-License-Identifier: MIT
/*
 * Entry: interrupts while RSP points where nothing is, NMIs that nest, iretq to frames that cannot be
 * loaded. A case sends the next interrupt only when the last one was counted, so "sent" and "counted"
 * are the same number unless one was lost; waits are bounded.
 */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/stack.h>
#include <rt/timer.h>

#define POLLS_MAX UINT64_C(200000000)

#define APIC_COMMAND (PORT_WINDOW_BASE + 0x300)
#define APIC_COMMAND_TARGET (PORT_WINDOW_BASE + 0x310)
#define APIC_SEND_SELF 0x40000u

static uint64_t nmi_counts[CPUS_MAX];

/* ---- a thread whose RSP is nonsense ---- */

/*
 * With rsp = @rsp: @count times gives @command to the local APIC and waits until *@counter has moved.
 * Uses no stack at all; returns how many were not sent because one before did not arrive.
 */
static __attribute__((noipa)) uint64_t raise_without_stack(uint64_t rsp, uint32_t command, const uint64_t *counter,
                                             uint64_t count)
{
    uint64_t saved, before, polls;
    __asm__ volatile("movq %%rsp, %[saved]\n\t"
                     "movq %[rsp], %%rsp\n"
                     "1:\n\t"
                     "movq (%[counter]), %[before]\n\t"
                     "movq %[polls_max], %[polls]\n\t"
                     "movl %[command], (%[apic])\n"
                     "2:\n\t"
                     "cmpq %[before], (%[counter])\n\t"
                     "jne 3f\n\t"
                     "pause\n\t"
                     "decq %[polls]\n\t"
                     "jnz 2b\n\t"
                     "jmp 4f\n"
                     "3:\n\t"
                     "decq %[count]\n\t"
                     "jnz 1b\n"
                     "4:\n\t"
                     "movq %[saved], %%rsp"
                     : [saved] "=&r"(saved), [before] "=&r"(before), [polls] "=&r"(polls),
                       [count] "+&r"(count)
                     : [rsp] "r"(rsp), [command] "r"(command), [counter] "r"(counter),
                       [apic] "r"(APIC_COMMAND), [polls_max] "i"(POLLS_MAX)
                     : "memory", "cc");
    return count;
}

/* Where RSP may point when an interrupt comes. */
static uint64_t bad_rsp(uint64_t which)
{
    const struct stack *home = thread_current()->home;
    const uint64_t places[] = {
        home->base,                     /* full: the next push meets the guard */
        home->base + 24,                /* a frame would straddle the guard's edge */
        home->base - 1024,              /* in the guard below */
        home->top + PAGE_BYTES,         /* in the guard above */
        home->base - 1001,              /* not aligned either */
        UINT64_C(0x10000000),           /* app memory that is not there */
        0,
        8,                              /* pushes wrap around to the last page */
        UINT64_C(0x8000000000000000),   /* not canonical */
        (uintptr_t)bad_rsp,             /* read-only */
    };
    return places[which % ARRAY_COUNT(places)];
}
#define BAD_RSPS 10

/* ---- interrupts and timers, on every CPU at once ---- */

struct counted {
    struct irq irq;
    uint64_t count;
    struct timer timer;
    uint64_t timer_count;
    bool timer_stops;
};
static struct counted counted[CPUS_MAX];
static uint64_t each_count, total_count;

static void count_irq(struct irq *irq) { container_of(irq, struct counted, irq)->count++; }
static const struct irq_ops count_irq_ops = {.handle = count_irq};

static void count_timer(struct timer *timer)
{
    struct counted *c = container_of(timer, struct counted, timer);
    c->timer_count++;
    if (!__atomic_load_n(&c->timer_stops, __ATOMIC_RELAXED))
        timer_start(timer, arch_now_ns() + NS_PER_MS);
}
static const struct timer_ops count_timer_ops = {.fire = count_timer};

static void interrupt_bad_rsps(struct pinned *self)
{
    struct counted *c = &counted[self->cpu];
    *c = (struct counted){.irq = {.ops = &count_irq_ops}};
    CHECK(arch_irq_attach(&c->irq) == 0);
    timer_init(&c->timer, &count_timer_ops);
    timer_start(&c->timer, arch_now_ns() + NS_PER_MS);
    uint32_t command = APIC_SEND_FIXED | APIC_SEND_SELF | c->irq.vector;
    for (uint64_t i = 0; i < BAD_RSPS; i++)
        CHECK(raise_without_stack(bad_rsp(i), command, &c->count, each_count) == 0);
    CHECK(c->count == each_count * BAD_RSPS);
    uint64_t until = arch_now_ns() + 10 * NS_PER_S, ticks = c->timer_count;
    while (*(volatile uint64_t *)&c->timer_count < ticks + 3 && arch_now_ns() < until)
        arch_spin_wait();
    CHECK(c->timer_count >= ticks + 3);
    __atomic_store_n(&c->timer_stops, true, __ATOMIC_RELAXED);
    timer_cancel_wait(&c->timer);
    arch_irq_detach(&c->irq);
    __atomic_fetch_add(&total_count, c->count, __ATOMIC_RELAXED);
}

static void interrupts_without_stack(void)
{
    static const struct pinned_ops ops = {.pinned_work = interrupt_bad_rsps};
    each_count = (guest_number(20000) + BAD_RSPS * cpu_count - 1) / (BAD_RSPS * cpu_count);
    total_count = 0;
    pinned_on_all(&ops);
    CHECK(total_count == each_count * BAD_RSPS * cpu_count);
    uint64_t ticks = 0;
    for (uint32_t i = 0; i < cpu_count; i++)
        ticks += counted[i].timer_count;
    console_printf("  %lu interrupts sent and counted, %lu timer ticks\n", total_count, ticks);
}

/* ---- NMIs ---- */

static bool app_fault_none(struct arch_frame *frame, uintptr_t address)
{
    (void)frame;
    (void)address;
    return false;
}

static bool nmi_counted(struct arch_frame *frame)
{
    (void)frame;
    nmi_counts[arch_cpu()->index]++;
    return true;
}
static const struct x86_watch_ops counting_watch = {.nmi_taken = nmi_counted, .app_fault_seen = app_fault_none};

/* With interrupts off, so that nobody else gives the APIC a command between target and command. */
static void nmi_bad_rsps(struct pinned *self)
{
    bool irq = arch_irq_save();
    *(volatile uint32_t *)APIC_COMMAND_TARGET = x86_cpu()->apic_id << 24;
    for (uint64_t i = 0; i < BAD_RSPS; i++)
        CHECK(raise_without_stack(bad_rsp(i), APIC_SEND_NMI, &nmi_counts[self->cpu], each_count) == 0);
    arch_irq_restore(irq);
    __atomic_fetch_add(&total_count, nmi_counts[self->cpu], __ATOMIC_RELAXED);
}

static void nmis_without_stack(void)
{
    static const struct pinned_ops ops = {.pinned_work = nmi_bad_rsps};
    each_count = (guest_number(20000) + BAD_RSPS * cpu_count - 1) / (BAD_RSPS * cpu_count);
    total_count = 0;
    memset(nmi_counts, 0, sizeof(nmi_counts));
    x86_watch = &counting_watch;
    for (uint32_t i = 0; i < cpu_count; i++)     /* interrupts stay off for long: one after the other */
        pinned_wait(pinned_start(i, &ops));
    x86_watch = NULL;
    CHECK(total_count == each_count * BAD_RSPS * cpu_count);
    console_printf("  %lu NMIs sent and counted\n", total_count);
}

/* One CPU sends NMIs to the others, which take interrupts and timers on bad stacks all the while. */
static bool nmis_flow;

static bool send_nmi(uint32_t cpu)
{
    uint64_t before = __atomic_load_n(&nmi_counts[cpu], __ATOMIC_SEQ_CST);
    uint64_t until = arch_now_ns() + 20 * NS_PER_S;
    apic_send(x86_cpus[cpu]->apic_id, APIC_SEND_NMI);
    while (__atomic_load_n(&nmi_counts[cpu], __ATOMIC_SEQ_CST) == before && arch_now_ns() < until)
        arch_spin_wait();
    return __atomic_load_n(&nmi_counts[cpu], __ATOMIC_SEQ_CST) == before + 1;
}

static uint64_t send_nmis_while(const struct pinned_ops *ops)
{
    struct pinned *others[CPUS_MAX];
    uint64_t sent = 0;
    memset(nmi_counts, 0, sizeof(nmi_counts));
    CHECK(thread_set_affinity(thread_current(), 1) == 0);
    nmis_flow = true;
    for (uint32_t i = 1; i < cpu_count; i++)
        others[i] = pinned_start(i, ops);
    for (uint64_t n = 0; cpu_count > 1 && n < guest_number(200); n++, sent++)
        CHECK(send_nmi(1 + (uint32_t)n % (cpu_count - 1)));
    __atomic_store_n(&nmis_flow, false, __ATOMIC_RELEASE);
    for (uint32_t i = 1; i < cpu_count; i++)
        pinned_wait(others[i]);
    CHECK(thread_set_affinity(thread_current(), UINT64_MAX) == 0);
    return sent;
}

static void be_interrupted(struct pinned *self)
{
    do
        interrupt_bad_rsps(self);
    while (__atomic_load_n(&nmis_flow, __ATOMIC_ACQUIRE));
}

static void nmis_among_interrupts(void)
{
    static const struct pinned_ops ops = {.pinned_work = be_interrupted};
    each_count = 20;
    total_count = 0;
    x86_watch = &counting_watch;
    uint64_t sent = send_nmis_while(&ops), counts = 0;
    x86_watch = NULL;
    for (uint32_t i = 0; i < cpu_count; i++)
        counts += nmi_counts[i];
    CHECK(counts == sent);
    console_printf("  %lu NMIs, %lu interrupts sent and counted\n", counts, total_count);
}

/* ---- nested: the NMI's handler takes a fault, whose iretq lets the next NMI in ----
 * In a handler x86_zero(), not arch_zero(), which would make whom it interrupts a user of app memory. */

static uint64_t nested_depth[CPUS_MAX], nested_seen;

static bool nmi_with_fault(struct arch_frame *frame)
{
    uint32_t cpu = arch_cpu()->index;
    uint64_t depth = ++nested_depth[cpu];
    struct arch_frame copy = *frame;
    nmi_counts[cpu]++;
    if (depth > 1)
        nested_seen++;
    else
        apic_send(x86_cpu()->apic_id, APIC_SEND_NMI);    /* waits until the fault below has returned */
    CHECK(x86_zero((void *)(uintptr_t)0x1000, 8) == -EFAULT);
    CHECK(!memcmp(&copy, frame, sizeof(copy)));
    nested_depth[cpu]--;
    return true;
}
static const struct x86_watch_ops nesting_watch = {.nmi_taken = nmi_with_fault, .app_fault_seen = app_fault_none};

/* The CR2 of who was interrupted survives the handler's fault. */
static void nest_once(uint64_t rsp, uint32_t cpu)
{
    uint64_t address = UINT64_C(0x123456789000);
    write_cr2(address);
    uint64_t before = nmi_counts[cpu];
    CHECK(raise_without_stack(rsp, APIC_SEND_NMI, &nmi_counts[cpu], 1) == 0);
    for (uint64_t i = 0; *(volatile uint64_t *)&nmi_counts[cpu] < before + 2 && i < POLLS_MAX; i++)
        arch_relax();
    CHECK(nmi_counts[cpu] == before + 2);
    CHECK(read_cr2() == address);
}

static void nest(struct pinned *self)
{
    bool irq = arch_irq_save();
    *(volatile uint32_t *)APIC_COMMAND_TARGET = x86_cpu()->apic_id << 24;
    for (uint64_t i = 0; i < guest_number(1000); i++)
        nest_once(bad_rsp(i), self->cpu);
    arch_irq_restore(irq);
}

static void nested_nmis(void)
{
    static const struct pinned_ops ops = {.pinned_work = nest};
    memset(nmi_counts, 0, sizeof(nmi_counts));
    nested_seen = 0;
    x86_watch = &nesting_watch;
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned_wait(pinned_start(i, &ops));
    x86_watch = NULL;
    CHECK(nested_seen == guest_number(1000) * cpu_count);
    console_printf("  %lu NMIs inside NMIs\n", nested_seen);
}

/* ---- page faults that are interrupted by NMIs that fault: nested #PF ---- */

/* After a fault the next NMI may come at once: the third inside one another has no room for a fourth. */
static bool nmi_faults(struct arch_frame *frame)
{
    const struct stack *stack = stack_find((uintptr_t)frame, NULL);
    struct arch_frame copy = *frame;
    if (stack->top - (uintptr_t)frame < 2 * IST_SHIFT)
        CHECK(x86_zero((void *)(uintptr_t)0x2000, 8) == -EFAULT);
    CHECK(!memcmp(&copy, frame, sizeof(copy)));
    nmi_counts[arch_cpu()->index]++;
    return true;
}
static const struct x86_watch_ops faulting_watch = {.nmi_taken = nmi_faults, .app_fault_seen = app_fault_none};

static void fault_all_the_time(struct pinned *self)
{
    (void)self;
    while (__atomic_load_n(&nmis_flow, __ATOMIC_ACQUIRE)) {
        CHECK(arch_zero((void *)(uintptr_t)0x3000, 8) == -EFAULT);
        total_count++;
    }
}

static void nested_page_faults(void)
{
    static const struct pinned_ops ops = {.pinned_work = fault_all_the_time};
    total_count = 0;
    x86_watch = &faulting_watch;
    uint64_t sent = send_nmis_while(&ops), counts = 0;
    x86_watch = NULL;
    for (uint32_t i = 0; i < cpu_count; i++)
        counts += nmi_counts[i];
    CHECK(counts == sent);
    console_printf("  %lu NMIs that faulted, among %lu faults\n", counts, total_count);
}

const struct guest_case guest_entry_checks[] = {
    {"interrupts-without-stack", interrupts_without_stack},
    {"nmis-without-stack", nmis_without_stack},
    {"nmis-among-interrupts", nmis_among_interrupts},
    {"nested-nmis", nested_nmis},
    {"nested-page-faults", nested_page_faults},
    {NULL, NULL},
};
