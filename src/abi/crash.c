// SPDX-License-Identifier: MIT
/*
 * The report of a crash of the app: see crash.h. The backtrace is backtrace.c's.
 */
#include <abi/crash.h>

#include <abi/backtrace.h>
#include <abi/halts.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/signals.h>
#include <rt/log.h>

#define STACK_NEAR KIB(64)
#define VECTOR_PAGE_FAULT 14

static const struct { uint8_t vector, signal; const char *what; } faults[] = {
    {0, SIGFPE, "division by zero or overflow"},
    {1, SIGTRAP, "debug exception"},
    {3, SIGTRAP, "breakpoint"},
    {4, SIGSEGV, "overflow trap"},
    {5, SIGSEGV, "bound range exceeded"},
    {6, SIGILL, "invalid instruction"},
    {12, SIGBUS, "stack segment fault"},
    {13, SIGSEGV, "general protection fault"},
    {16, SIGFPE, "floating-point error"},
    {17, SIGBUS, "alignment check"},
    {19, SIGFPE, "SIMD floating-point error"},
};

static const char *const signal_names[] = {
    "signal 0", "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE",
    "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT",
    "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU",
    "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
};

static const char *const kind_names[] = {
    [VMA_ANONYMOUS] = "anonymous memory", [VMA_IMAGE] = "the program", [VMA_FILE] = "a mapped file",
    [VMA_STACK] = "the main stack", [VMA_BRK] = "the heap (brk)",
    [VMA_VDSO] = "the vDSO",
};

const char *signal_name(int signal)
{
    if (signal > 0 && (size_t)signal < ARRAY_COUNT(signal_names))
        return signal_names[signal];
    return "a real-time signal";
}

static void print_vma(const char *label, const struct vma *vma)
{
    console_printf("  %s 0x%lx-0x%lx %c%c%c %s\n", label, vma->start, vma->end,
                   vma->access & ARCH_READ ? 'r' : '-', vma->access & ARCH_WRITE ? 'w' : '-',
                   vma->access & ARCH_EXEC ? 'x' : '-', kind_names[vma->kind]);
}

/* A guard that a stack pointer is in, or just above, below what is likely its stack. */
static bool is_overflow(const struct vma *vma, uintptr_t address, uintptr_t rsp)
{
    const struct vma *above = vma_next(vma);
    uint64_t distance = rsp > address ? rsp - address : address - rsp;

    return !vma->access && above && above->start == vma->end && (above->access & ARCH_WRITE) &&
           distance <= STACK_NEAR;
}

/* Where @address lies: in a range, or between which. */
static void print_place(uintptr_t address, uintptr_t rsp)
{
    mutex_lock(&app_memory.lock);
    const struct vma *vma = vma_find(&app_memory.vmas, address);
    if (vma && vma->start <= address) {
        print_vma("it lies in", vma);
        if (is_overflow(vma, address, rsp))
            console_printf("  that is just below a stack, which has overflowed\n");
    } else {
        const struct vma *below = vma ? vma->previous : app_memory.vmas.last;
        if (address >= ARCH_APP_END)
            console_printf("  it lies in the kernel's half of the address space\n");
        else if (address < PAGE_BYTES)
            console_printf("  it lies in page 0: a null pointer\n");
        else if (vma && vma->kind == VMA_STACK && vma->start - address <= STACK_NEAR)
            console_printf("  it lies just below the main stack, which has overflowed\n");
        if (below)
            print_vma("nearest below", below);
        if (vma)
            print_vma("nearest above", vma);
    }
    mutex_unlock(&app_memory.lock);
}

static void print_registers(const struct arch_frame *f)
{
    console_printf("  rip %016lx rsp %016lx rbp %016lx flags %lx\n", f->rip, f->rsp, f->rbp,
                   f->rflags);
    console_printf("  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx,
                   f->rdx);
    console_printf("  rsi %016lx rdi %016lx r8  %016lx r9  %016lx\n", f->rsi, f->rdi, f->r8, f->r9);
    console_printf("  r10 %016lx r11 %016lx r12 %016lx r13 %016lx\n", f->r10, f->r11, f->r12,
                   f->r13);
    console_printf("  r14 %016lx r15 %016lx fs  %016lx\n", f->r14, f->r15,
                   thread_current()->arch.fs_base);
}

static void print_page_fault(const struct arch_frame *f, int signal, uintptr_t address)
{
    const char *verb = f->error & 16 ? "execute" : f->error & 2 ? "write to" : "read";
    console_printf("app %s: %s: thread %u tried to %s 0x%lx%s\n", app.name, signal_name(signal),
                   thread_current()->id, verb, address,
                   signal == SIGBUS ? ", behind the end of a mapped file, or unreadable there" : "");
    print_place(address, f->rsp);
}

static void print_exception(const struct arch_frame *f, int signal, const char *what)
{
    console_printf("app %s: %s: %s (vector %lu, error 0x%lx) in thread %u\n", app.name,
                   signal_name(signal), what, f->vector, f->error, thread_current()->id);
}

/* The signal of a fault; 0: memory ran out. */
static int signal_of(const struct arch_frame *frame, int error, const char **what)
{
    *what = "exception";
    if (frame->vector == VECTOR_PAGE_FAULT)
        return error == -ENOMEM ? 0 : error == -EFAULT ? SIGSEGV : SIGBUS;
    for (unsigned i = 0; i < ARRAY_COUNT(faults); i++) {
        if (faults[i].vector != frame->vector)
            continue;
        *what = faults[i].what;
        if (frame->vector == ARCH_VECTOR_PRIVILEGE && halts_contain(frame->rip))
            *what = "privileged instruction (hlt)";
        return faults[i].signal;
    }
    return SIGSEGV;
}

static bool is_mapped(uintptr_t address)
{
    mutex_lock(&app_memory.lock);
    const struct vma *vma = vma_find(&app_memory.vmas, address);
    bool mapped = vma && vma->start <= address;
    mutex_unlock(&app_memory.lock);
    return mapped;
}

bool crash_to_handler(struct arch_frame *frame, uintptr_t address, int error)
{
    const char *what;
    int signal = signal_of(frame, error, &what), code = SI_KERNEL;

    if (frame->vector == VECTOR_PAGE_FAULT && signal == SIGBUS)
        code = BUS_ADRERR;
    else if (frame->vector == VECTOR_PAGE_FAULT)
        code = is_mapped(address) ? SEGV_ACCERR : SEGV_MAPERR;
    else if (frame->vector == 0)
        code = FPE_INTDIV;
    bool page_fault = frame->vector == VECTOR_PAGE_FAULT;
    return signals_fault(frame, signal, code, page_fault ? address : frame->rip);
}

void crash_report(const struct arch_frame *frame, uintptr_t address, int error)
{
    bool page_fault = frame->vector == VECTOR_PAGE_FAULT, no_memory = page_fault && error == -ENOMEM;
    const char *what;
    int signal = signal_of(frame, error, &what);

    if (!app_finish_crash(signal))
        app_thread_exit(0);
    log_flush();
    if (no_memory)
        console_printf("app %s: out of memory: no frame for the page at 0x%lx\n", app.name,
                       address);
    else if (page_fault)
        print_page_fault(frame, signal, address);
    else
        print_exception(frame, signal, what);
    print_registers(frame);
    backtrace_app(frame);
    app_thread_exit(0);
}

/* Where the running thread left the app: every way in puts that on top of the home stack. */
static const struct arch_frame *app_frame(void)
{
    return (const struct arch_frame *)thread_current()->arch.home_top - 1;
}

static void end_by_signal(int signal, const char *what)
{
    if (!app_finish_crash(signal))
        return;
    log_flush();
    console_printf("app %s: ended by %s (%d): %s\n", app.name, signal_name(signal), signal, what);
    if (thread_current()->app)        /* a worker brings alarms and ^C, and has not been in the app */
        backtrace_app(app_frame());
}

void crash_by_signal(int signal, const char *what)
{
    app_idle_end();                   /* the end waits until all is said, also for a worker */
    end_by_signal(signal, what);
    app_idle_begin();
}
