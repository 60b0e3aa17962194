// SPDX-License-Identifier: MIT
/* Deaths with other CPUs around: one report, whole, whoever else was doing whatever else. */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/spinlock.h>
#include <rt/stack.h>
#include <rt/thread.h>

static uint32_t gathered;

/* All begin together. */
static void gather(void)
{
    __atomic_fetch_add(&gathered, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&gathered, __ATOMIC_SEQ_CST) < cpu_count)
        arch_relax();
}

static void panic_together(struct pinned *self)
{
    gather();
    panic("CPU %u is one of %u that panic", self->cpu, cpu_count);
}

static void panic_everywhere(void)
{
    static const struct pinned_ops ops = {.pinned_work = panic_together};
    pinned_on_all(&ops);
}

static void talk(struct pinned *self)
{
    for (uint64_t n = 0;; n++) {
        console_printf("CPU %u line %lu\n", self->cpu, n);
        log_error("CPU %u entry %lu", self->cpu, n);
    }
}

static void panic_while_talking(void)
{
    static const struct pinned_ops ops = {.pinned_work = talk};
    for (uint32_t i = 1; i < cpu_count; i++)
        pinned_start(i, &ops);
    thread_sleep_ns(50 * NS_PER_MS);
    panic("the others were talking");
}

static struct spinlock never_free;

static void wait_for_ever(struct pinned *self)
{
    (void)self;
    spin_lock(&never_free);
}

/* With interrupts off on all other CPUs only an NMI reaches them. */
static void panic_while_others_spin(void)
{
    static const struct pinned_ops ops = {.pinned_work = wait_for_ever};
    thread_set_affinity(thread_current(), 1);
    never_free.next = 1;              /* taken, by nobody: this thread may still sleep */
    for (uint32_t i = 1; i < cpu_count; i++)
        pinned_start(i, &ops);
    thread_sleep_ns(50 * NS_PER_MS);
    panic("the others spin");
}

static void hit_guard(struct pinned *self)
{
    (void)self;
    *(volatile char *)(thread_current()->home->base - 1) = 1;
}

/* The last CPU's own IST stacks, report stack and tables. */
static void guard_on_last_cpu(void)
{
    static const struct pinned_ops ops = {.pinned_work = hit_guard};
    pinned_wait(pinned_start(cpu_count - 1, &ops));
}

static void unexpected_nmi(void)
{
    apic_send(x86_cpus[cpu_count - 1]->apic_id, APIC_SEND_NMI);
    thread_sleep_ns(NS_PER_S);
}

const struct guest_case guest_smp_deaths[] = {
    {"panic-everywhere", panic_everywhere},
    {"panic-while-talking", panic_while_talking},
    {"panic-while-others-spin", panic_while_others_spin},
    {"guard-on-last-cpu", guard_on_last_cpu},
    {"unexpected-nmi", unexpected_nmi},
    {NULL, NULL},
};
