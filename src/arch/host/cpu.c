// SPDX-License-Identifier: MIT
/*
 * The host's CPU: GS holds the per-CPU area as in the kernel, so probes and the switch are the
 * kernel's own code. Floating-point state and FS stay the process's; a thread leaves only by a
 * call, which saves what it must. A fault arrives as SIGSEGV or SIGBUS on a stack of its own, and
 * goes up as a page fault.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <arch/host/host.h>
#include <lib/errno.h>
#include <lib/string.h>

/* Sanitized frames are large: the host's own stacks serve instead of those the runtime maps. */
#define STACK_BYTES KIB(512)

static unsigned char irq_stack[STACK_BYTES] __attribute__((aligned(16)));
static unsigned char report_stacks[2][STACK_BYTES] __attribute__((aligned(16)));

static void on_fault(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct arch_frame frame = {
        .r15 = r[REG_R15],
        .r14 = r[REG_R14],
        .r13 = r[REG_R13],
        .r12 = r[REG_R12],
        .r11 = r[REG_R11],
        .r10 = r[REG_R10],
        .r9 = r[REG_R9],
        .r8 = r[REG_R8],
        .rdi = r[REG_RDI],
        .rsi = r[REG_RSI],
        .rbp = r[REG_RBP],
        .rbx = r[REG_RBX],
        .rdx = r[REG_RDX],
        .rcx = r[REG_RCX],
        .rax = r[REG_RAX],
        .vector = r[REG_TRAPNO],
        .error = r[REG_ERR],
        .rip = r[REG_RIP],
        .rflags = r[REG_EFL],
        .rsp = r[REG_RSP],
    };

    (void)number;
    arch_irq_disable();
    arch_upcalls.kernel_fault(&frame, ARCH_FAULT_PAGE, (uintptr_t)info->si_addr);
}

void host_cpu_init(void)
{
    stack_t stack = { .ss_size = STACK_BYTES };
    struct sigaction action = { .sa_sigaction = on_fault,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

    stack.ss_sp =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL) ||
        sigaction(SIGSEGV, &action, NULL) || sigaction(SIGBUS, &action, NULL)) {
        perror("host: fault handler");
        abort();
    }
}

void arch_cpu_init(struct arch_cpu *cpu, uint32_t index)
{
    cpu->self = cpu;
    cpu->index = index;
    cpu->irq_stack_top = (uintptr_t)(irq_stack + STACK_BYTES);
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, cpu)) {
        perror("host: arch_prctl");
        abort();
    }
}

/* ---- there is one CPU ---- */

uint32_t arch_cpus_find(struct arch_cpu_info *infos, uint32_t max)
{
    if (max)
        infos[0] = (struct arch_cpu_info){ 0, 0 };
    return MIN(max, 1u);
}

int arch_cpu_start(struct arch_cpu *cpu, uint32_t index, const struct arch_cpu_info *info,
                   const struct arch_cpu_stacks *stacks, uintptr_t stack_top)
{
    (void)cpu;
    (void)index;
    (void)info;
    (void)stacks;
    (void)stack_top;
    return -ETIMEDOUT;
}

void arch_ipi_reschedule(uint32_t cpu_index) { (void)cpu_index; }

void arch_stop_others(void) {}

void arch_spin_wait(void) { arch_relax(); }

void arch_use_app_memory(void) {}

void arch_cpu_set_stacks(struct arch_cpu *cpu, const struct arch_cpu_stacks *stacks)
{
    (void)cpu;
    (void)stacks;
}

static noreturn_fn void thread_first(void)
{
    arch_irq_enable();
    arch_upcalls.thread_start(arch_current());
    abort();
}

/* What arch_switch() pops, lowest address first. */
struct switch_frame {
    uint64_t rflags, r15, r14, r13, r12, rbx, rbp, rip, no_return;
};

void arch_thread_init(struct arch_thread *thread, uintptr_t stack_top)
{
    struct switch_frame *frame = (struct switch_frame *)stack_top - 1;

    *frame = (struct switch_frame){ .rflags = 2, .rip = (uintptr_t)thread_first };
    thread->rsp = (uintptr_t)frame;
    thread->preempted = 0;
    thread->home_top = stack_top;
}

void arch_switched(struct arch_thread *prev, struct arch_thread *next)
{
    struct arch_cpu *cpu = arch_cpu();

    prev->probe_base = cpu->probe_base;
    cpu->current = next;
    cpu->probe_base = next->probe_base;
    cpu->home_top = next->home_top;
    arch_upcalls.switched(prev, next);
}

void arch_adopt_thread(struct arch_thread *thread)
{
    struct arch_cpu *cpu = arch_cpu();

    cpu->current = thread;
    cpu->probe_base = thread->probe_base;
    cpu->home_top = thread->home_top;
}

void arch_set_fs_base(uint64_t value) { arch_current()->fs_base = value; }

size_t arch_fpu_bytes(void) { return 512; }

void arch_fpu_init(void *area) { memset(area, 0, arch_fpu_bytes()); }

void arch_fpu_load(void *area) { (void)area; }

void arch_notice(struct arch_thread *thread) { (void)thread; }

void arch_fpu_save(void *area) { memset(area, 0, arch_fpu_bytes()); }

noreturn_fn void arch_enter_app(struct arch_frame *frame)
{
    (void)frame;
    fprintf(stderr, "host: there are no apps here\n");
    abort();
}

/* Calls arch_report_body(@context) on the stack that ends at @top. */
static noreturn_fn void report_on(unsigned char *top, void *context)
{
    arch_stack_recycle(top - STACK_BYTES, STACK_BYTES);
    __asm__ volatile("movq %0, %%rsp\n\t"
                     "xorl %%ebp, %%ebp\n\t"
                     "call arch_report_body\n\t"
                     "ud2"
                     :
                     : "r"(top), "D"(context)
                     : "memory");
    __builtin_unreachable();
}

noreturn_fn void arch_report(void *context)
{
    struct arch_cpu *cpu = arch_cpu();

    arch_irq_disable();
    if (cpu->report_depth >= ARRAY_COUNT(report_stacks))
        arch_machine_exit(202);
    unsigned char *stack = report_stacks[cpu->report_depth++];
    report_on(stack + STACK_BYTES, context);
}
