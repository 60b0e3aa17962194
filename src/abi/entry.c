// SPDX-License-Identifier: MIT
/*
 * Where the runtime enters this layer: system calls and faults of the app. Calls that do not exist
 * are named once each and counted.
 */
#include <rt/app_ops.h>

#include <abi/crash.h>
#include <abi/halts.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/signals.h>
#include <abi/syscalls.h>
#include <rt/log.h>

#define NUMBERS_NAMED 512

/* Those that are made again after a signal. */
enum {
    CALL_READ = 0, CALL_WRITE = 1, CALL_READV = 19, CALL_WRITEV = 20, CALL_FCNTL = 72,
    CALL_FLOCK = 73, CALL_FUTEX = 202,
};

#define VECTOR_PAGE_FAULT 14
#define FAULT_PRESENT 1u
#define FAULT_WRITE 2u
#define FAULT_FETCH 16u

/* One bit a number below NUMBERS_NAMED, set when it was named; atomic. */
static uint64_t named[NUMBERS_NAMED / 64];

SYSCALL(quietly_missing)
{
    (void)args;
    return -ENOSYS;
}

SYSCALL(nothing_to_do)
{
    (void)args;
    return 0;
}

SYSCALL(no_attributes)
{
    (void)args;
    return -EOPNOTSUPP;
}

static noinline long missing_call(uint64_t number)
{
    __atomic_add_fetch(&app.missing_calls, 1, __ATOMIC_RELAXED);
    uint64_t slot = number < NUMBERS_NAMED ? number : NUMBERS_NAMED - 1;
    uint64_t bit = UINT64_C(1) << slot % 64;
    if (__atomic_fetch_or(&named[slot / 64], bit, __ATOMIC_RELAXED) & bit)
        return -ENOSYS;
    const char *name = number < syscall_count ? syscall_table[number].name : NULL;
    if (name)
        log_warn("app: the system call %s (%llu) does not exist here; it gives ENOSYS", name,
                 (unsigned long long)number);
    else
        log_warn("app: system call %llu does not exist here; it gives ENOSYS",
                 (unsigned long long)number);
    return -ENOSYS;
}

/* Whether a call that a signal has ended may simply be made again. */
static int64_t restart_of(const struct arch_frame *frame, uint64_t number)
{
    if ((int64_t)frame->rax != -EINTR)
        return -1;
    switch (number) {
    case CALL_FUTEX:
        return frame->r10 ? -1 : (int64_t)number;
    case CALL_READ:
    case CALL_WRITE:
    case CALL_READV:
    case CALL_WRITEV:
    case CALL_FCNTL:
    case CALL_FLOCK:
        return (int64_t)number;
    default:
        return -1;
    }
}

/* Until none is left; from then on interrupts are off, so that the next one meets app code. */
static void deliver_late(struct app_thread *t, struct arch_frame *frame)
{
    arch_irq_disable();
    while (signals_ready(t)) {
        arch_irq_enable();
        app_call_begin();
        signals_deliver(t, frame, -1);
        app_call_end();
        arch_irq_disable();
    }
}

static void app_syscall(struct arch_frame *frame)
{
    struct app_thread *t = app_thread_current();
    struct syscall_args *args = &app_thread_current()->args;
    uint64_t number = frame->rax;

    args->a[0] = frame->rdi;
    args->a[1] = frame->rsi;
    args->a[2] = frame->rdx;
    args->a[3] = frame->r10;
    args->a[4] = frame->r8;
    args->a[5] = frame->r9;
    args->frame = frame;
    app_call_begin();
    if (number < syscall_count && syscall_table[number].invoke) {
        const struct syscall_entry *entry = &syscall_table[number];
        frame->rax = (uint64_t)entry->invoke(args);
    } else {
        frame->rax = (uint64_t)missing_call(number);
    }
    if (signals_ready(t) || t->mask_is_saved)
        signals_deliver(t, frame, restart_of(frame, number));
    app_call_end();
    deliver_late(t, frame);
}

/*
 * What the app tried. A locked read-modify-write may be reported as a read; where the page is
 * present a plain read cannot fault, so that was a write.
 */
static unsigned fault_access(const struct arch_frame *frame)
{
    if (frame->error & FAULT_FETCH)
        return ARCH_EXEC;
    if (frame->error & (FAULT_WRITE | FAULT_PRESENT))
        return ARCH_WRITE;
    return ARCH_READ;
}

static void app_fault_taken(struct arch_frame *frame, uintptr_t address)
{
    app_call_begin();
    halts_fix_frame(frame);
    int error = frame->vector == ARCH_VECTOR_NOTICE ? 0 : -EFAULT;
    if (frame->vector == VECTOR_PAGE_FAULT)
        error = memory_populate(address, 1, fault_access(frame));
    if (error && !crash_to_handler(frame, address, error))
        crash_report(frame, address, error);
    struct app_thread *t = app_thread_current();
    if (signals_ready(t))
        signals_deliver(t, frame, -1);
    app_call_end();
    deliver_late(t, frame);
}

static bool app_must_stop(void)
{
    return thread_current()->app != NULL && app_ending();
}

/* Without the lock: a signal that comes at this moment brings an interrupt of its own. */
static bool app_has_notice(struct thread *thread)
{
    return signals_ready(thread->app);
}

const struct app_ops app_ops = {
    .app_syscall = app_syscall,
    .app_fault_taken = app_fault_taken,
    .app_must_stop = app_must_stop,
    .app_has_notice = app_has_notice,
};
