// SPDX-License-Identifier: MIT
/*
 * The port's part of a thread: its first frame, and what a switch carries along (FS base, FPU,
 * probe base, IST 1). The switch itself is in context.asm.
 *
 * FS belongs to the app. Where wrfsbase exists the app may use it, so the base is read back at
 * every switch.
 */
#include <x86.h>

/* What arch_switch() pops, lowest address first. */
struct switch_frame {
    uint64_t rflags, r15, r14, r13, r12, rbx, rbp, rip, no_return;
};

static noreturn_fn void thread_first(void)
{
    arch_irq_enable();
    arch_upcalls.thread_start(arch_current());
    __builtin_trap();
}

void arch_thread_init(struct arch_thread *thread, uintptr_t stack_top)
{
    struct switch_frame *frame = (struct switch_frame *)stack_top - 1;

    *frame = (struct switch_frame){ .rflags = 2, .rip = (uintptr_t)thread_first };
    thread->rsp = (uintptr_t)frame;
    thread->preempted = 0;
    thread->home_top = stack_top;
}

static uint64_t read_fs_base(const struct arch_thread *thread)
{
    uint64_t value;

    if (!x86_features.fsgsbase)
        return thread->fs_base; /* only arch_set_fs_base() changes it */
    __asm__ volatile("rdfsbase %0" : "=r"(value));
    return value;
}

static void write_fs_base(uint64_t value)
{
    if (x86_features.fsgsbase)
        __asm__ volatile("wrfsbase %0" : : "r"(value));
    else
        wrmsr(MSR_FS_BASE, value);
}

void arch_set_fs_base(uint64_t value)
{
    bool irq = arch_irq_save();

    arch_current()->fs_base = value;
    write_fs_base(value);
    arch_irq_restore(irq);
}

static void load_current(struct arch_cpu *cpu, struct arch_thread *thread)
{
    struct x86_cpu *x86 = cpu->port;

    cpu->current = thread;
    cpu->probe_base = thread->probe_base;
    cpu->home_top = thread->home_top;
    x86->tss.ist[IST_IRQ - 1] = (uintptr_t)thread + THREAD_FRAME_END;
    tlb_follow(x86, thread);
}

void arch_adopt_thread(struct arch_thread *thread)
{
    bool irq = arch_irq_save();

    load_current(arch_cpu(), thread);
    arch_irq_restore(irq);
}

void arch_switched(struct arch_thread *prev, struct arch_thread *next)
{
    struct arch_cpu *cpu = arch_cpu();

    prev->probe_base = cpu->probe_base;
    if (prev->fpu) {
        fpu_save(prev->fpu);
        prev->fs_base = read_fs_base(prev);
    }
    load_current(cpu, next);
    if (next->fpu) {
        fpu_restore(next->fpu);
        write_fs_base(next->fs_base);
    }
    arch_upcalls.switched(prev, next);
}
