// SPDX-License-Identifier: MIT
/* The table through which the port calls the runtime. */
#include <arch/arch.h>
#include <rt/app_ops.h>
#include <rt/page.h>
#include <rt/report.h>
#include <rt/sched.h>
#include <rt/stack_grow.h>

static void system_call(struct arch_frame *frame) { app_ops.app_syscall(frame); }

static void app_fault(struct arch_frame *frame, uintptr_t address)
{
    app_ops.app_fault_taken(frame, address);
}

static uint64_t table_page(void)
{
    void *page = page_alloc_zeroed(0);
    return page ? arch_virt_to_phys(page) : 0;
}

static uint64_t cpu_page(uint32_t node)
{
    void *page = page_alloc_zeroed_on(node, 0);
    return page ? arch_virt_to_phys(page) : 0;
}

static void table_page_free(uint64_t phys) { page_free(arch_phys_to_virt(phys), 0); }

const struct arch_upcalls arch_upcalls = {
    .thread_start = thread_entry,
    .switched = sched_switched,
    .cpu_started = cpu_entry,
    .timer = timer_interrupt,
    .preempt = sched_preempt,
    .syscall = system_call,
    .app_fault = app_fault,
    .stack_fault = stack_grow_fault,
    .kernel_fault = report_kernel_fault,
    .table_page = table_page,
    .cpu_page = cpu_page,
    .table_page_free = table_page_free,
};
