// SPDX-License-Identifier: MIT
/*
 * Calling a handler. On the app's stack (or its alternate one) is laid what Linux lays there:
 *
 *   floating-point state, 64-byte aligned
 *   struct signal_frame: return address (the action's restorer), ucontext, siginfo     <- rsp
 *
 * The restorer calls rt_sigreturn, which takes it all back. What the app may have changed in it
 * goes through the same checks as if it had loaded the registers itself.
 *
 * Source: Linux asm/sigcontext.h, asm/ucontext.h, asm-generic/siginfo.h: layouts only.
 */
#include <abi/signals.h>

#include <abi/copy.h>
#include <abi/crash.h>
#include <abi/memory.h>
#include <abi/syscalls.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <rt/heap.h>

#define RED_ZONE_BYTES 128
#define FPU_ALIGN 64
#define FLAGS_OF_APP 0x240dd5u        /* status flags, DF, TF, AC, ID */
#define FLAGS_ALWAYS 0x202u
#define SYSCALL_INSTRUCTION_BYTES 2

static bool on_alt_stack(const struct app_thread *t, uint64_t rsp)
{
    return t->alt_stack_bytes && rsp - t->alt_stack_base - 1 < t->alt_stack_bytes;
}

static uint64_t stack_for(const struct app_thread *t, const struct linux_sigaction *action,
                          uint64_t rsp)
{
    if ((action->flags & SA_ONSTACK) && t->alt_stack_bytes && !on_alt_stack(t, rsp))
        return t->alt_stack_base + t->alt_stack_bytes;
    return rsp - RED_ZONE_BYTES;
}

static void save_registers(struct linux_sigcontext *c, const struct arch_frame *f)
{
    c->r8 = f->r8, c->r9 = f->r9, c->r10 = f->r10, c->r11 = f->r11;
    c->r12 = f->r12, c->r13 = f->r13, c->r14 = f->r14, c->r15 = f->r15;
    c->rdi = f->rdi, c->rsi = f->rsi, c->rbp = f->rbp, c->rbx = f->rbx;
    c->rdx = f->rdx, c->rax = f->rax, c->rcx = f->rcx, c->rsp = f->rsp;
    c->rip = f->rip, c->flags = f->rflags;
    c->cs = LINUX_USER_CS, c->ss = LINUX_USER_DS;
}

static void load_registers(struct arch_frame *f, const struct linux_sigcontext *c)
{
    f->r8 = c->r8, f->r9 = c->r9, f->r10 = c->r10, f->r11 = c->r11;
    f->r12 = c->r12, f->r13 = c->r13, f->r14 = c->r14, f->r15 = c->r15;
    f->rdi = c->rdi, f->rsi = c->rsi, f->rbp = c->rbp, f->rbx = c->rbx;
    f->rdx = c->rdx, f->rax = c->rax, f->rcx = c->rcx, f->rsp = c->rsp;
    f->rip = c->rip;
    f->rflags = (c->flags & FLAGS_OF_APP) | FLAGS_ALWAYS;
}

/* Where the state goes while it is copied: the thread's own area is written at every switch. */
static void *fpu_copy(struct app_thread *t)
{
    if (!t->fpu_copy)
        t->fpu_copy = heap_zalloc(arch_fpu_bytes());
    return t->fpu_copy;
}

static int put_frame(struct app_thread *t, const struct linux_sigaction *action,
                     struct arch_frame *frame, const struct signal_info *info)
{
    struct signal_frame *s = &t->signal_frame;
    size_t fpu_bytes = arch_fpu_bytes();
    void *fpu = fpu_copy(t);

    if (!fpu)
        return -ENOMEM;
    arch_fpu_save(fpu);
    uint64_t fpu_at = align_down(stack_for(t, action, frame->rsp) - fpu_bytes, FPU_ALIGN);
    uint64_t at = align_down(fpu_at - sizeof(*s), 16) - 8;
    *s = (struct signal_frame){.restorer = action->restorer};
    s->context.stack = (struct linux_sigaltstack){
        .base = t->alt_stack_base,
        .flags = t->alt_stack_bytes ? on_alt_stack(t, frame->rsp) : SS_DISABLE,
        .bytes = t->alt_stack_bytes,
    };
    save_registers(&s->context.registers, frame);
    s->context.registers.fpu = fpu_at;
    s->context.registers.error = frame->error;
    s->context.registers.trap = frame->vector & 0xff;
    s->context.registers.address = info->address;
    s->context.mask = t->mask_is_saved ? t->saved_mask : t->signal_mask;
    s->context.registers.old_mask = s->context.mask;
    s->info.signal = info->signal;
    s->info.code = info->code;
    if (info->fault)
        s->info.address = info->address;
    else
        s->info.pid = (int32_t)app.pid;
    int error = app_copy_out(fpu_at, fpu, fpu_bytes);
    if (!error)
        error = app_copy_out(at, s, sizeof(*s));
    if (error)
        return error;
    frame->rsp = at;
    frame->rip = action->handler;
    frame->rdi = (uint64_t)info->signal;
    frame->rsi = at + offsetof(struct signal_frame, info);
    frame->rdx = at + offsetof(struct signal_frame, context);
    frame->rax = 0;
    frame->rflags = FLAGS_ALWAYS;
    return 0;
}

/* The handler is the next that runs; false: the app is ending for want of a stack for it. */
static bool call_handler(struct app_thread *t, const struct linux_sigaction *action,
                         struct arch_frame *frame, const struct signal_info *info)
{
    if (put_frame(t, action, frame, info)) {
        crash_by_signal(SIGSEGV, "there is no stack for a signal's handler");
        return false;
    }
    uint64_t mask = t->signal_mask | action->mask;
    if (!(action->flags & SA_NODEFER))
        mask |= signal_bit(info->signal);
    t->mask_is_saved = false;
    signals_set_mask(t, mask);
    return true;
}

static void restart_or_not(struct arch_frame *frame, int64_t *restart, bool again)
{
    if (*restart >= 0 && again) {
        frame->rax = (uint64_t)*restart;
        frame->rip -= SYSCALL_INSTRUCTION_BYTES;
    }
    *restart = -1;
}

void signals_deliver(struct app_thread *t, struct arch_frame *frame, int64_t restart)
{
    struct linux_sigaction action;
    bool to_thread;

    while (!app_ending()) {
        int signal = signals_take(t, ~t->signal_mask, &to_thread);
        if (!signal)
            break;
        signals_action(signal, &action);
        if (action.handler <= SIG_IGN) {
            /* blocked when it came: what it does now is done by sending it again */
            signals_raise(signal);
            continue;
        }
        restart_or_not(frame, &restart, action.flags & SA_RESTART);
        struct signal_info info = {.signal = signal, .code = to_thread ? SI_TKILL : SI_USER};
        if (!call_handler(t, &action, frame, &info))
            return;
    }
    restart_or_not(frame, &restart, true);
    if (t->mask_is_saved) {
        t->mask_is_saved = false;
        signals_set_mask(t, t->saved_mask);
    }
}

bool signals_fault(struct arch_frame *frame, int signal, int code, uintptr_t address)
{
    struct app_thread *t = app_thread_current();
    struct signal_info info = {.signal = signal, .code = code, .fault = true, .address = address};
    struct linux_sigaction action;

    if (!signal || (t->signal_mask & signal_bit(signal)))
        return false;
    signals_action(signal, &action);
    return action.handler > SIG_IGN && call_handler(t, &action, frame, &info);
}

SYSCALL(rt_sigreturn)
{
    struct app_thread *t = app_thread_current();
    struct linux_ucontext *context = &t->signal_frame.context;
    struct arch_frame *frame = args->frame;

    int error = app_copy_in(context, frame->rsp, sizeof(*context));
    if (!error && context->registers.fpu) {
        void *fpu = fpu_copy(t);
        error = fpu ? app_copy_in(fpu, context->registers.fpu, arch_fpu_bytes()) : -ENOMEM;
        if (!error)
            arch_fpu_load(fpu);
    }
    if (error) {
        crash_by_signal(SIGSEGV, "a handler returned with a stack that cannot be read");
        return error;
    }
    signals_set_mask(t, context->mask);
    load_registers(frame, &context->registers);
    return (long)frame->rax;
}
