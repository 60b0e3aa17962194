// SPDX-License-Identifier: MIT
/*
 * Every kind of stack there is, hit from both sides, and overflowed by running on it. The names follow lkdtm's
 * STACK_GUARD_PAGE_LEADING and _TRAILING. tests/qemu/stacks-die.sh says what each report must name.
 */
#include "guest.h"
#include "stacks.h"

#include <arch/boot_info.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/sched.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/xstack.h>
#include <x86.h>

STACK_DECLARE(static_stack, 8192);

/* ---- one of each kind ---- */

static struct stack *home(void) { return thread_current()->home; }

static struct stack *extra(void)
{
    ASSERT(xstack_take(PROBE_vfs_read), "an extra stack is free");
    return thread_current()->stack;
}

static struct stack *private_one(void)
{
    ASSERT(xstack_reserve_private(thread_current(), 1) == 0, "memory for a private stack");
    return list_first(&thread_current()->parked, struct stack, link);
}

static struct stack *with_top(uintptr_t top)
{
    struct stack *stack = stack_find(top - 8, NULL);
    ASSERT(stack && stack->top == top, "the stack is registered");
    return stack;
}

static struct stack *irq(void) { return with_top(this_cpu()->arch.irq_stack_top); }
static struct stack *report(void) { return with_top(x86_cpu()->report_top); }
static struct stack *ist_page_fault(void) { return with_top(x86_cpu()->tss.ist[IST_PAGE_FAULT - 1]); }
static struct stack *ist_double_fault(void) { return with_top(x86_cpu()->tss.ist[IST_DOUBLE_FAULT - 1]); }
static struct stack *ist_nmi(void) { return with_top(x86_cpu()->tss.ist[IST_NMI - 1]); }
static struct stack *ist_mc(void) { return with_top(x86_cpu()->tss.ist[IST_MACHINE_CHECK - 1]); }
static struct stack *ist_exception(void) { return with_top(x86_cpu()->tss.ist[IST_OTHER - 1]); }
static struct stack *ist_debug(void) { return with_top(x86_cpu()->tss.ist[IST_DEBUG - 1]); }
static struct stack *boot(void) { return with_top(boot_info.stack_top); }

static struct stack *ap_idle(void)
{
    ASSERT(cpu_count > 1, "this case needs -c 2");
    return cpus[1]->idle->home;
}

static struct stack *own_static(void)
{
    struct stack *stack;
    ASSERT(stack_adopt(static_stack, sizeof(static_stack), 0, "own static", &stack) == 0, "adopted");
    return stack;
}

static struct stack *own_mapped(void)
{
    struct stack *stack;
    ASSERT(stack_map(8192, STACK_OWN, "own mapped", &stack) == 0, "mapped");
    return stack;
}

static struct stack *buffer(void)
{
    char *start = guarded_alloc(5000, false);
    memset(start, 1, 5000);
    return stack_find((uintptr_t)start, NULL);
}

/* ---- both sides ---- */

static void leading(struct stack *stack) { *(volatile char *)(stack->base - 1) = 1; }
static void trailing(struct stack *stack) { *(volatile char *)stack->top = 1; }

#define BOTH_SIDES(kind)                                                                            \
    static void leading_##kind(void) { leading(kind()); }                                           \
    static void trailing_##kind(void) { trailing(kind()); }
BOTH_SIDES(home)
BOTH_SIDES(extra)
BOTH_SIDES(private_one)
BOTH_SIDES(irq)
BOTH_SIDES(report)
BOTH_SIDES(ist_page_fault)
BOTH_SIDES(ist_double_fault)
BOTH_SIDES(ist_nmi)
BOTH_SIDES(ist_mc)
BOTH_SIDES(ist_exception)
BOTH_SIDES(ist_debug)
BOTH_SIDES(boot)
BOTH_SIDES(ap_idle)
BOTH_SIDES(own_static)
BOTH_SIDES(own_mapped)
BOTH_SIDES(buffer)

/* A buffer that ends at its guard: the first byte too many. */
static void trailing_aligned_buffer(void)
{
    volatile char *start = guarded_alloc(100, true);
    start[99] = 1;
    start[100] = 1;
}

/* ---- overflow by running on it ---- */

static void dig(void *argument)
{
    (void)argument;
    guest_go_deeper(100000);
}
static const struct on_stack_ops dig_ops = {.on_stack = dig};

static void overflow(struct stack *stack)
{
    arch_irq_disable();
    run_on(stack->top - 64, &dig_ops, NULL);
}

#define OVERFLOW(kind) static void overflow_##kind(void) { overflow(kind()); }
OVERFLOW(extra)
OVERFLOW(private_one)
OVERFLOW(irq)
OVERFLOW(report)
OVERFLOW(ist_page_fault)
OVERFLOW(ist_double_fault)
OVERFLOW(ist_nmi)
OVERFLOW(ist_mc)
OVERFLOW(ist_exception)
OVERFLOW(ist_debug)
OVERFLOW(boot)
OVERFLOW(ap_idle)

static const struct thread_def digger_def = {.name = "own-digger", .run = dig};

static void overflow_thread_on(struct stack *stack)
{
    struct thread *thread;
    ASSERT(thread_prepare_on(&digger_def, NULL, stack, &thread) == 0, "a thread on its own stack");
    thread_start(thread);
    thread_sleep_ns(NS_PER_S);
}
static void overflow_own_static(void) { overflow_thread_on(own_static()); }
static void overflow_own_mapped(void) { overflow_thread_on(own_mapped()); }

/* The report has no room for itself: it begins again on the spare stack, and ends. */
static void overflow_inside_report(void)
{
    x86_cpu()->report_top = report()->base + 512;
    panic("a report that has half a kilobyte of stack");
}

/* ---- plain stacks: noticed when the thread leaves the CPU ---- */

static void write_below(void *argument)
{
    (void)argument;
    *(volatile uint64_t *)(thread_current()->home->base - 8) = 1;
    thread_yield();
}
static void write_above(void *argument)
{
    (void)argument;
    *(volatile uint64_t *)thread_current()->home->top = 1;
    thread_sleep_ns(1000);
}
static const struct thread_def below_def = {.name = "plain-below", .run = write_below, .plain_stack = true};
static const struct thread_def above_def = {.name = "plain-above", .run = write_above, .plain_stack = true};

static void overflow_plain(void)
{
    thread_create(&below_def, NULL, NULL);
    thread_sleep_ns(NS_PER_S);
}
static void underflow_plain(void)
{
    thread_create(&above_def, NULL, NULL);
    thread_sleep_ns(NS_PER_S);
}

/* ---- stacks that are gone ---- */

static void end_at_once(void *argument) { semaphore_up(argument); }
static const struct thread_def guest_def = {.name = "the-last-guest", .run = end_at_once};

static void touch_freed(void)
{
    static struct semaphore done;
    struct stack *stack = own_mapped();
    struct thread *thread;
    semaphore_init(&done, 0);
    ASSERT(thread_prepare_on(&guest_def, &done, stack, &thread) == 0, "a thread on its own stack");
    thread_start(thread);
    semaphore_down(&done, UINT64_MAX);
    while (__atomic_load_n(&stack->owner, __ATOMIC_ACQUIRE))
        thread_yield();
    uintptr_t address = stack->top - 16;
    stack_unmap(stack);
    *(volatile uint64_t *)address = 1;
}

/* ---- #DF: reported, never returned from ---- */

static void no_page_fault_stack(void)
{
    arch_irq_disable();
    x86_cpu()->tss.ist[IST_PAGE_FAULT - 1] = 0x10000;
}

static void double_fault(void)
{
    no_page_fault_stack();
    *(volatile uint64_t *)(uintptr_t)0x20000 = 1;
}

/* The page is one that the stack would get, were there a stack to handle the fault on. */
static void double_fault_in_growth(void)
{
    ASSERT(home()->grows, "this case needs stack.grow");
    no_page_fault_stack();
    *(volatile uint64_t *)home()->base = 1;
    ASSERT(false, "no return from a double fault");
}

static void touch_foreign_growth(void *argument)
{
    *(volatile uint64_t *)((struct stack *)argument)->base = 1;
}
static void grow_another(void)
{
    static const struct thread_def def = {.name = "trespasser", .run = touch_foreign_growth};
    ASSERT(home()->grows, "this case needs stack.grow");
    thread_create(&def, home(), NULL);
    thread_sleep_ns(NS_PER_S);
}

#define SIDES(kind, name)                                                                           \
    {"STACK_GUARD_PAGE_LEADING-" name, leading_##kind}, {"STACK_GUARD_PAGE_TRAILING-" name, trailing_##kind}

const struct guest_case guest_stack_deaths[] = {
    SIDES(home, "home"),
    SIDES(extra, "extra"),
    SIDES(private_one, "private"),
    SIDES(irq, "irq"),
    SIDES(report, "report"),
    SIDES(ist_page_fault, "ist-page-fault"),
    SIDES(ist_double_fault, "ist-double-fault"),
    SIDES(ist_nmi, "ist-nmi"),
    SIDES(ist_mc, "ist-machine-check"),
    SIDES(ist_exception, "ist-exception"),
    SIDES(ist_debug, "ist-debug"),
    SIDES(boot, "boot"),
    SIDES(ap_idle, "ap-idle"),
    SIDES(own_static, "own-static"),
    SIDES(own_mapped, "own-mapped"),
    SIDES(buffer, "buffer"),
    {"STACK_GUARD_PAGE_TRAILING-aligned-buffer", trailing_aligned_buffer},
    {"overflow-extra", overflow_extra},
    {"overflow-private", overflow_private_one},
    {"overflow-irq", overflow_irq},
    {"overflow-report", overflow_report},
    {"overflow-ist-page-fault", overflow_ist_page_fault},
    {"overflow-ist-double-fault", overflow_ist_double_fault},
    {"overflow-ist-nmi", overflow_ist_nmi},
    {"overflow-ist-machine-check", overflow_ist_mc},
    {"overflow-ist-exception", overflow_ist_exception},
    {"overflow-ist-debug", overflow_ist_debug},
    {"overflow-boot", overflow_boot},
    {"overflow-ap-idle", overflow_ap_idle},
    {"overflow-own-static", overflow_own_static},
    {"overflow-own-mapped", overflow_own_mapped},
    {"overflow-inside-report", overflow_inside_report},
    {"overflow-plain", overflow_plain},
    {"underflow-plain", underflow_plain},
    {"touch-freed", touch_freed},
    {"double-fault", double_fault},
    {"double-fault-in-growth", double_fault_in_growth},
    {"grow-another", grow_another},
    {NULL, NULL},
};
