// SPDX-License-Identifier: MIT
/*
 * Reports. The context is put into `what` and the port moves to the CPU's report stack, where
 * arch_report_body() prints it. If a report fails itself, the next one says only that, and ends.
 */
#include <rt/report.h>

#include <stdarg.h>

#include <lib/format.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/machine.h>
#include <rt/stack.h>
#include <rt/thread.h>
#include <rt/xstack.h>

#define FRAMES_FIRST 40u              /* frames printed from the top, and from the bottom */
#define FRAMES_LAST 24u
#define FRAMES_MAX 4096u              /* a longer chain is taken for a broken one */

struct report {
    unsigned status;
    const char *format;               /* panic */
    va_list *arguments;
    struct arch_frame *frame;         /* fault */
    enum arch_fault_kind kind;
    uintptr_t address;
    uintptr_t rip, rbp;               /* where the backtrace starts */
    bool called;                      /* rip is a return address */
};

static uint32_t reports_begun;
static struct cpu *reporter;

/* ---- backtrace ---- */

static bool readable(uintptr_t address)
{
    return address % 8 == 0 && arch_lookup(address, NULL, NULL) && arch_lookup(address + 15, NULL, NULL);
}

/* @called: @rip is a return address; a call that never returns may be its function's last instruction. */
static void print_frame(unsigned n, uintptr_t rip, bool called)
{
    uint64_t offset;
    const char *name = arch_symbol(rip - called, &offset);
    if (name)
        console_printf("  #%-3u %016lx %s+0x%lx\n", n, (unsigned long)rip, name,
                       (unsigned long)offset + called);
    else
        console_printf("  #%-3u %016lx %s\n", n, (unsigned long)rip,
                       rip < ARCH_APP_END ? "(app)" : "?");
}

/* One step of the walk; false at the end or where the chain makes no sense. */
static bool next_frame(uintptr_t *rip, uintptr_t *rbp)
{
    if (!*rbp || !readable(*rbp))
        return false;
    const uintptr_t *frame = (const uintptr_t *)*rbp;
    uintptr_t caller_rbp = frame[0], return_address = frame[1];
    if (!return_address)
        return false;
    /* Within one stack frames go up; to another stack they may go anywhere. */
    struct stack *here = stack_find(*rbp, NULL), *there = stack_find(caller_rbp, NULL);
    if (caller_rbp && here == there && caller_rbp <= *rbp)
        return false;
    *rip = return_address;
    *rbp = caller_rbp;
    return true;
}

void backtrace_print(uintptr_t rip, uintptr_t rbp, bool called)
{
    uintptr_t at_rip = rip, at_rbp = rbp;
    unsigned total = 1;
    while (total < FRAMES_MAX && next_frame(&at_rip, &at_rbp))
        total++;
    unsigned skip_from = FRAMES_FIRST, skip_to = total > FRAMES_LAST ? total - FRAMES_LAST : 0;
    console_printf("backtrace (%u frames%s):\n", total, total == FRAMES_MAX ? ", cut" : "");
    struct stack *stack = stack_find(rbp, NULL);
    for (unsigned n = 0; n < total; n++) {
        struct stack *now = stack_find(rbp, NULL);
        bool shown = n < skip_from || n >= skip_to;
        if (shown && now && now != stack)
            console_printf("  ---- below: %s stack %016lx-%016lx\n", now->label, (unsigned long)now->base,
                           (unsigned long)now->top);
        if (now)
            stack = now;
        if (shown)
            print_frame(n, rip, called || n);
        else if (n == skip_from)
            console_printf("  ... %u frames ...\n", skip_to - skip_from);
        if (!next_frame(&rip, &rbp))
            break;
    }
}

/* ---- who and where ---- */

static void print_stack(const char *prefix, const struct stack *stack)
{
    bool taken = stack->previous && stack->probe < PROBE_COUNT;
    console_printf("%s%s stack %016lx-%016lx (%lu bytes)%s%s\n", prefix, stack->label,
                   (unsigned long)stack->base, (unsigned long)stack->top,
                   (unsigned long)(stack->top - stack->base), taken ? ", taken at probe " : "",
                   taken ? probe_infos[stack->probe].name : "");
}

static void print_thread(const struct thread *thread)
{
    if (!thread) {
        console_printf("no thread yet: the boot context\n");
        return;
    }
    console_printf("thread %u \"%s\" on CPU %u, %u extra stacks held\n", thread->id, thread->name,
                   this_cpu()->arch.index, thread->held);
    unsigned shown = 0;
    for (const struct stack *s = thread->stack; s && shown < 64; s = s->previous, shown++) {
        if (!arch_lookup((uintptr_t)s, NULL, NULL)) {
            console_printf("  the chain of stacks is broken at %016lx\n", (unsigned long)(uintptr_t)s);
            return;
        }
        print_stack(shown ? "  on " : "stacks: ", s);
    }
}

static void print_registers(const struct arch_frame *f)
{
    console_printf("rip %016lx rsp %016lx rbp %016lx flags %08lx\n", f->rip, f->rsp, f->rbp, f->rflags);
    console_printf("rax %016lx rbx %016lx rcx %016lx rdx  %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    console_printf("rsi %016lx rdi %016lx r8  %016lx r9   %016lx\n", f->rsi, f->rdi, f->r8, f->r9);
    console_printf("r10 %016lx r11 %016lx r12 %016lx r13  %016lx\n", f->r10, f->r11, f->r12, f->r13);
    console_printf("r14 %016lx r15 %016lx vector %lu error %lx\n", f->r14, f->r15, f->vector, f->error);
}

static void print_last_owner(const struct stack *stack)
{
    if (!stack->owner && stack->last_owner_name[0])
        console_printf("last owner: thread %u \"%s\"\n", stack->last_owner, stack->last_owner_name);
}

/* A guard hit: which stack, which side, how far. Returns the status. */
static unsigned describe_page_fault(const struct report *r)
{
    enum stack_side side;
    struct stack *stack = stack_find_any(r->address, &side);
    const char *access = r->frame->error & 16 ? "fetch" : r->frame->error & 2 ? "write" : "read";
    if (stack && stack->state == STACK_GONE) {
        console_printf("spillway: GUARD HIT: freed stack: %s at %016lx, where the %s stack was\n", access,
                       (unsigned long)r->address, stack->label ? stack->label : "next");
        print_last_owner(stack);
        return EXIT_GUARD;
    }
    if (!stack || side == STACK_INSIDE) {
        console_printf("spillway: PANIC: kernel page fault: %s at %016lx%s%s\n", access,
                       (unsigned long)r->address, r->address < PAGE_BYTES ? " (null pointer)" : "",
                       stack && stack->grows ? " (a page that a stack does not have)" : "");
        if (stack)
            print_stack("in: ", stack);
        return EXIT_PANIC;
    }
    bool low = side == STACK_GUARD_LOW;
    console_printf("spillway: GUARD HIT: %s %s: %s at %016lx, %lu bytes %s the %s%s\n",
                   stack->kind == STACK_BUFFER ? "buffer" : "stack", low ? "overflow" : "underflow",
                   access, (unsigned long)r->address,
                   (unsigned long)(low ? stack->base - r->address : r->address - stack->top + 1),
                   low ? "below" : "above", stack->label, stack->kind == STACK_BUFFER ? "" : " stack");
    print_stack("hit: ", stack);
    print_last_owner(stack);
    if (stack->owner)
        console_printf("owner: thread %u \"%s\"\n", stack->owner->id, stack->owner->name);
    if (stack->previous && stack->probe < PROBE_COUNT)
        console_printf("probe: %s (%s): declared need %u bytes\n", probe_infos[stack->probe].name,
                       probe_infos[stack->probe].what, probe_infos[stack->probe].need_bytes);
    return EXIT_GUARD;
}

/* Not a page that a growing stack lacks: that would be no reason for a double fault. */
static bool in_a_guard(uintptr_t address)
{
    enum stack_side side;
    return stack_find(address, &side) && side != STACK_INSIDE;
}

static unsigned describe_fault(const struct report *r)
{
    static const char *const kinds[] = {"page fault", "double fault", "NMI", "machine check",
                                        "exception"};
    /* A push into a guard page with no IST entry free, or a fault while delivering one. */
    if (r->kind == ARCH_FAULT_PAGE || (r->kind == ARCH_FAULT_DOUBLE && in_a_guard(r->address)))
        return describe_page_fault(r);
    console_printf("spillway: PANIC: %s, vector %lu, error %lx\n", kinds[r->kind], r->frame->vector,
                   r->frame->error);
    return EXIT_PANIC;
}

noreturn_fn void arch_report_body(void *context)
{
    struct report *r = context;
    arch_irq_disable();
    struct cpu *nobody = NULL;
    /* The first CPU to get here reports; others that die at the same time wait to be stopped. */
    if (!__atomic_compare_exchange_n(&reporter, &nobody, this_cpu(), false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE) && nobody != this_cpu())
        for (;;)
            arch_spin_wait();
    lock_order_stop();
    this_cpu()->spin_depth++;             /* nothing below may sleep or be pre-empted */
    uint32_t nth = reports_begun++;
    if (nth > 0) {
        if (nth == 1)
            console_printf("spillway: PANIC: a fault inside a report\n");
        if (nth == 1 && r->frame)
            print_registers(r->frame);
        if (nth <= 2)
            machine_end(EXIT_PANIC);
        arch_machine_exit(EXIT_PANIC);
    }
    log_stop_others();
    log_flush();
    unsigned status = EXIT_PANIC;
    if (r->frame) {
        status = describe_fault(r);
    } else {
        char text[256];
        struct strbuf sb;
        strbuf_init(&sb, text, sizeof(text));
        strbuf_vprintf(&sb, r->format, *r->arguments);
        console_printf("spillway: PANIC: %s\n", text);
    }
    lock_order_print();
    print_thread(thread_current());
    if (r->frame)
        print_registers(r->frame);
    backtrace_print(r->rip, r->rbp, r->called);
    machine_end(status);
}

noreturn_fn void report_kernel_fault(struct arch_frame *frame, enum arch_fault_kind kind,
                                     uintptr_t address)
{
    struct report r = {.frame = frame, .kind = kind, .address = address, .rip = frame->rip,
                       .rbp = frame->rbp};
    /* A call to nowhere: its return address is on top of the stack. */
    if (kind == ARCH_FAULT_PAGE && (frame->error & 16) && readable(frame->rsp)) {
        r.rip = *(const uintptr_t *)frame->rsp;
        r.called = true;
    }
    arch_report(&r);
}

noreturn_fn void panic(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    struct report r = {.format = format, .arguments = &arguments, .called = true,
                       .rip = (uintptr_t)__builtin_return_address(0),
                       .rbp = *(uintptr_t *)__builtin_frame_address(0)};
    arch_report(&r);
}

noreturn_fn void assertion_failed(const char *file, int line, const char *function, const char *condition,
                                  const char *what)
{
    panic("%s:%d: %s: assertion failed: %s (%s)", file, line, function, condition, what);
}
