// SPDX-License-Identifier: MIT
#include "rt.h"

#include <stdio.h>
#include <stdlib.h>

#include <arch/boot_info.h>
#include <arch/host/host.h>
#include <lib/format.h>
#include <rt/app_ops.h>
#include <rt/cpu.h>
#include <rt/lock_order.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/sched.h>
#include <rt/work.h>
#include <rt/xstack.h>

/* No app runs on the host port. */
static void no_app(struct arch_frame *frame) { (void)frame, abort(); }
static void no_app_fault(struct arch_frame *frame, uintptr_t address) { (void)frame, (void)address, abort(); }
static bool never_stops(void) { return false; }
static bool never_has_notice(struct thread *thread) { (void)thread; return false; }
const struct app_ops app_ops = {
    .app_syscall = no_app, .app_fault_taken = no_app_fault, .app_must_stop = never_stops,
    .app_has_notice = never_has_notice};

void rt_boot(uint64_t memory_bytes, const char *parameters)
{
    char line[512];
    snprintf(line, sizeof(line), "stack.size=64K stack.extra_size=64K %s", parameters ? parameters : "");
    host_boot(memory_bytes, line);
    arch_cpu_init(&sched_boot_cpu()->arch, 0);
    params_parse(boot_info.command_line);
    page_init();
    sched_init();
    struct arch_cpu_stacks stacks = {0};
    if (cpu_map_stacks(this_cpu()->node, &stacks) || xstack_init() || work_start())
        abort();
    arch_irq_enable();
}

static void wait_idle(void)
{
    arch_irq_disable();
    if (list_empty(&this_cpu()->ready))
        arch_idle();
    arch_irq_enable();
    thread_yield();
}

struct counted {
    const struct thread_def *def;
    void *argument;
    bool done;
};

static void run_counted(void *argument)
{
    struct counted *c = argument;
    c->def->run(c->argument);
    c->done = true;
}

void rt_run(const struct thread_def *def, void *argument)
{
    struct counted c = {.def = def, .argument = argument};
    struct thread_def run_def = {.name = def->name, .run = run_counted, .stack_bytes = def->stack_bytes};
    if (thread_create(&run_def, &c, NULL))
        abort();
    while (!c.done)
        wait_idle();
    rt_settle();
}

static void check_lock_order(void)
{
    if (!lock_order_is_on()) {
        fprintf(stderr, "the lock-order checker was turned off: one of its tables is too small\n");
        abort();
    }
}

void rt_settle(void)
{
    check_lock_order();
    for (;;) {
        host_poll();
        if (list_empty(&this_cpu()->ready))
            return;
        thread_yield();
    }
}
