// SPDX-License-Identifier: MIT
/*
 * Several CPUs: that they are who they should be, that no CPU sees a mapping that is gone, that waits
 * for flushes do not deadlock, that interrupts reach the CPU they were sent to. With one CPU the same
 * cases run and show less.
 */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/spinlock.h>
#include <rt/stack.h>

/* App addresses that nobody uses: the tests start no app. */
#define TEST_VA UINT64_C(0x10000000)
#define TEST_VA_STEP UINT64_C(0x40000000)

/* ---- who is there ---- */

static uint32_t seen_index[CPUS_MAX];
static uint64_t seen_tss[CPUS_MAX];

static void note_cpu(struct pinned *self)
{
    bool irq = arch_irq_save();
    seen_index[self->cpu] = arch_cpu()->index;
    seen_tss[self->cpu] = (uintptr_t)&x86_cpu()->tss;
    CHECK(arch_cpu()->self == arch_cpu());
    CHECK(x86_cpu() == x86_cpus[self->cpu]);
    CHECK(arch_cpu() == &cpus[self->cpu]->arch);
    CHECK(x86_cpu()->tss.ist[IST_IRQ - 1] == (uintptr_t)arch_current() + THREAD_FRAME_END);
    for (unsigned ist = IST_PAGE_FAULT; ist <= IST_DEBUG; ist++) {
        struct stack *stack = stack_find(x86_cpu()->tss.ist[ist - 1] - 8, NULL);
        CHECK(stack && stack->kind == STACK_IST);
        CHECK(stack && !arch_lookup(stack->base - 1, NULL, NULL) && !arch_lookup(stack->top, NULL, NULL));
    }
    arch_irq_restore(irq);
}

static void every_cpu(void)
{
    static const struct pinned_ops ops = {.pinned_work = note_cpu};
    static struct arch_cpu_info infos[CPUS_MAX];
    uint32_t found = arch_cpus_find(infos, CPUS_MAX);
    CHECK(found >= cpu_count);
    pinned_on_all(&ops);
    for (uint32_t i = 0; i < cpu_count; i++) {
        console_printf("  cpu %u id %u node %u\n", i, x86_cpus[i]->apic_id, cpus[i]->node);
        CHECK(seen_index[i] == i);
        for (uint32_t j = 0; j < i; j++) {
            CHECK(seen_tss[i] != seen_tss[j] && x86_cpus[i]->apic_id != x86_cpus[j]->apic_id);
            for (unsigned ist = IST_IRQ; ist <= IST_DEBUG; ist++)
                CHECK(x86_cpus[i]->tss.ist[ist - 1] != x86_cpus[j]->tss.ist[ist - 1]);
        }
    }
    CHECK(!arch_lookup(0x8000, NULL, NULL));      /* where they started is not mapped any more */
}

static void memory_nodes(void)
{
    static struct arch_memory_node nodes[64];
    int count = arch_memory_nodes(nodes, ARRAY_COUNT(nodes));
    for (int i = 0; i < count; i++) {
        console_printf("  memory %lx-%lx node %u\n", nodes[i].start, nodes[i].end, nodes[i].node);
        CHECK(nodes[i].start < nodes[i].end && nodes[i].node < 64);
        for (int j = 0; j < i; j++)
            CHECK(nodes[i].end <= nodes[j].start || nodes[j].end <= nodes[i].start);
    }
}

/* ---- stale entries: one CPU changes a mapping, the others look all the time ---- */

/* A state holds while `generation` has its number; a look that began and ended in it must fit it. */
enum { MAPPED_FIRST, MAPPED_READ_ONLY, UNMAPPED, MAPPED_SECOND, UNMAPPED_AGAIN, STATES };

static uint64_t generation, looks, wrong_looks;
static bool looking;

static void check_look(uint64_t state, int read_err, uint64_t value, int write_err)
{
    bool mapped = state == MAPPED_FIRST || state == MAPPED_READ_ONLY || state == MAPPED_SECOND;
    bool writable = state == MAPPED_FIRST || state == MAPPED_SECOND;
    bool ok = read_err == (mapped ? 0 : -EFAULT) && write_err == (writable ? 0 : -EFAULT);
    if (mapped && value != (state == MAPPED_SECOND ? 2 : 1))
        ok = false;
    __atomic_fetch_add(ok ? &looks : &wrong_looks, 1, __ATOMIC_RELAXED);
}

static void look(struct pinned *self)
{
    (void)self;
    while (__atomic_load_n(&looking, __ATOMIC_ACQUIRE)) {
        uint64_t value = 0, before = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
        int read_err = arch_copy(&value, (void *)TEST_VA, sizeof(value));
        int write_err = arch_zero((void *)(TEST_VA + 64), 8);
        if (before == __atomic_load_n(&generation, __ATOMIC_SEQ_CST) && before)
            check_look(before % STATES, read_err, value, write_err);
    }
}

/* Between two states the number is 0: nobody judges while the mapping changes. */
static void enter_state(uint64_t number)
{
    __atomic_store_n(&generation, number, __ATOMIC_SEQ_CST);
    for (uint64_t until = arch_now_ns() + 30 * NS_PER_US; arch_now_ns() < until;)
        arch_spin_wait();
    __atomic_store_n(&generation, 0, __ATOMIC_SEQ_CST);
}

static void change_once(uint64_t round, uint64_t first, uint64_t second)
{
    CHECK(arch_map(TEST_VA, first, 1, ARCH_READ | ARCH_WRITE) == 0);
    enter_state(round * STATES + MAPPED_FIRST);
    arch_protect(TEST_VA, 1, ARCH_READ);
    enter_state(round * STATES + MAPPED_READ_ONLY);
    arch_unmap(TEST_VA, 1);
    enter_state(round * STATES + UNMAPPED);
    CHECK(arch_map(TEST_VA, second, 1, ARCH_READ | ARCH_WRITE) == 0);
    enter_state(round * STATES + MAPPED_SECOND);
    arch_unmap(TEST_VA, 1);
    arch_trim_tables(TEST_VA, 1);
    enter_state(round * STATES + UNMAPPED_AGAIN);
}

static void no_stale_entry(void)
{
    static const struct pinned_ops ops = {.pinned_work = look};
    uint64_t *first = page_alloc_zeroed(0), *second = page_alloc_zeroed(0);
    struct pinned *others[CPUS_MAX] = {NULL};
    uint64_t rounds = guest_number(200);
    first[0] = 1;
    second[0] = 2;
    looks = wrong_looks = 0;
    looking = true;
    CHECK(thread_set_affinity(thread_current(), 1) == 0);
    for (uint32_t i = 1; i < cpu_count; i++)
        others[i] = pinned_start(i, &ops);
    uint64_t begun = arch_now_ns();
    for (uint64_t round = 1; round <= rounds && arch_now_ns() - begun < 4 * NS_PER_S; round++)
        change_once(round, arch_virt_to_phys(first), arch_virt_to_phys(second));
    __atomic_store_n(&looking, false, __ATOMIC_RELEASE);
    for (uint32_t i = 1; i < cpu_count; i++)
        pinned_wait(others[i]);
    CHECK(thread_set_affinity(thread_current(), UINT64_MAX) == 0);
    CHECK(wrong_looks == 0);
    CHECK(cpu_count == 1 || looks > 100);
    console_printf("  %lu looks, %lu wrong\n", looks, wrong_looks);
    page_free(first, 0);
    page_free(second, 0);
}

/* ---- flushes from everywhere at once, also by holders of a lock that others wait for ---- */

static struct spinlock everybodys_lock;
static uint64_t shared_count;

static void change_own_range(uintptr_t va, void *page)
{
    CHECK(arch_map(va, arch_virt_to_phys(page), 1, ARCH_READ | ARCH_WRITE) == 0);
    *(volatile uint64_t *)va = va;
    bool irq = spin_lock(&everybodys_lock);
    shared_count++;
    arch_unmap(va, 1);
    spin_unlock(&everybodys_lock, irq);
    CHECK(arch_zero((void *)va, 8) == -EFAULT);
    CHECK(*(uint64_t *)page == va);
    arch_trim_tables(va, 1);
}

static void flush_much(struct pinned *self)
{
    void *page = page_alloc_zeroed(0);
    CHECK(page);
    for (uint64_t i = 0; i < guest_number(20); i++)
        change_own_range(TEST_VA + self->cpu * TEST_VA_STEP + i % 7 * MIB(2), page);
    page_free(page, 0);
}

static void concurrent_flushes(void)
{
    static const struct pinned_ops ops = {.pinned_work = flush_much};
    uint64_t free_before = page_count_free();
    shared_count = 0;
    pinned_on_all(&ops);
    CHECK(shared_count == guest_number(20) * cpu_count);
    CHECK(page_count_free() + 16 * cpu_count >= free_before);
}

/* ---- interrupts between CPUs ---- */

/* The clock is the same on all CPUs: it never goes back from one to the next that looks. */
static uint64_t last_look_ns;

static void reschedule_all(struct pinned *self)
{
    (void)self;
    for (uint64_t i = 0; i < guest_number(1000); i++) {
        for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
            arch_ipi_reschedule(cpu);
        bool irq = spin_lock(&everybodys_lock);
        uint64_t now_ns = arch_now_ns();
        bool forward = now_ns >= last_look_ns;
        last_look_ns = now_ns;
        shared_count++;
        spin_unlock(&everybodys_lock, irq);
        CHECK(forward);
    }
}

static void ipi_storm(void)
{
    static const struct pinned_ops ops = {.pinned_work = reschedule_all};
    shared_count = 0;
    pinned_on_all(&ops);
    CHECK(shared_count == guest_number(1000) * cpu_count);
}

struct counted_irq {
    struct irq irq;
    uint32_t cpu;
    uint64_t count, elsewhere;
};
static struct counted_irq counted_irqs[CPUS_MAX];

static void count_irq(struct irq *irq)
{
    struct counted_irq *c = container_of(irq, struct counted_irq, irq);
    if (arch_cpu()->index == c->cpu)
        __atomic_fetch_add(&c->count, 1, __ATOMIC_SEQ_CST);
    else
        c->elsewhere++;
}
static const struct irq_ops counted_irq_ops = {.handle = count_irq};

static void attach_here(struct pinned *self)
{
    struct counted_irq *c = &counted_irqs[self->cpu];
    *c = (struct counted_irq){.irq = {.ops = &counted_irq_ops}, .cpu = self->cpu};
    CHECK(arch_irq_attach(&c->irq) == 0);
}

/* As a device does it: what was read from arch_irq_message() goes out. */
static void raise(uint64_t address, uint32_t data)
{
    apic_send((uint32_t)(address >> 12 & 0xff), APIC_SEND_FIXED | data);
}

static bool wait_count(const uint64_t *count, uint64_t wanted, uint64_t wait_ns)
{
    uint64_t until = arch_now_ns() + wait_ns;
    while (__atomic_load_n(count, __ATOMIC_SEQ_CST) != wanted && arch_now_ns() < until)
        arch_spin_wait();
    return __atomic_load_n(count, __ATOMIC_SEQ_CST) == wanted;
}

static void device_interrupts(void)
{
    static const struct pinned_ops ops = {.pinned_work = attach_here};
    pinned_on_all(&ops);
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct counted_irq *c = &counted_irqs[i];
        uint64_t address;
        uint32_t data;
        arch_irq_message(&c->irq, &address, &data);
        for (uint64_t n = 1; n <= 200; n++) {
            raise(address, data);
            CHECK(wait_count(&c->count, n, NS_PER_S));
        }
        arch_irq_detach(&c->irq);
        raise(address, data);
        thread_sleep_ns(NS_PER_MS);
        CHECK(c->count == 200 && c->elsewhere == 0);
    }
}

const struct guest_case guest_smp_checks[] = {
    {"every-cpu", every_cpu},
    {"memory-nodes", memory_nodes},
    {"no-stale-entry", no_stale_entry},
    {"concurrent-flushes", concurrent_flushes},
    {"ipi-storm", ipi_storm},
    {"device-interrupts", device_interrupts},
    {NULL, NULL},
};
