// SPDX-License-Identifier: MIT
/*
 * Exceptions. Where one came from decides:
 *
 *   the app              the frame moves to the top of the thread's home stack (empty then), and
 *                        the runtime is called there with interrupts on
 *   arch_copy/arch_zero  resumes with -EFAULT
 *   iretq to the app     the app's frame was bad: the app's fault
 *   other kernel code    the runtime's report, on the vector's IST stack
 *
 * The app runs in ring 0, so the code selector tells nothing. A fault is the app's if the thread is
 * an app's, it was not executing the kernel's text, and was not on a stack of the kernel.
 *
 * A fault inside a handler would be delivered to the same IST stack and overwrite the outer frame.
 * So each handler moves the top of its IST stack down by IST_SHIFT while it runs. An NMI may come
 * between any two instructions, also between a fault and its handler's move; so its handler moves the
 * tops of all of them, and may fault itself. A fault's iretq lets the next NMI in: that one finds its
 * own top moved. Moving the NMI's top back and leaving its stack cannot be one instruction, so the
 * NMI's way out (entry.asm) carries the last words to a safe place first; an NMI that comes between
 * the two takes over the way out that it has interrupted. The address of the fault (CR2) of
 * who was interrupted is put back.
 *
 * Source: Intel SDM volume 3, chapter 6.
 */
#include <x86.h>

#include <lib/string.h>

#define GATE_INTERRUPT UINT64_C(0x8e)
#define VECTORS 256
#define STUB_BYTES 16

struct gate {
    uint64_t low, high;
};

static struct gate idt[VECTORS] __attribute__((aligned(4096)));

extern const unsigned char x86_nmi_last_pop[], x86_nmi_iretq[], x86_notice_entry[];
extern const unsigned char x86_stubs[], x86_copy_start[], x86_copy_end[], x86_copy_fault[],
    arch_iretq[];
extern const unsigned char kernel_text_start[], kernel_text_end[], kernel_data_start[],
    kernel_end[];

struct resume {
    struct arch_frame *frame;
    uint64_t address;
};

/* For entry.asm. */
struct resume x86_exception(struct arch_frame *frame);
void x86_app_fault(struct arch_frame *frame, uintptr_t address);
void x86_system_call(struct arch_frame *frame);

static unsigned ist_of(uint64_t vector)
{
    switch (vector) {
    case VECTOR_PAGE_FAULT:
        return IST_PAGE_FAULT;
    case VECTOR_DOUBLE_FAULT:
        return IST_DOUBLE_FAULT;
    case VECTOR_NMI:
        return IST_NMI;
    case VECTOR_MACHINE_CHECK:
        return IST_MACHINE_CHECK;
    case VECTOR_DEBUG:
        return IST_DEBUG;
    default:
        return vector < 32 ? IST_OTHER : IST_IRQ;
    }
}

void traps_init(void)
{
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t stub = (uintptr_t)x86_stubs + vector * STUB_BYTES;
        idt[vector].low = (stub & 0xffff) | (uint64_t)KERNEL_CS << 16 |
                          (uint64_t)ist_of(vector) << 32 | GATE_INTERRUPT << 40 |
                          (stub >> 16 & 0xffff) << 48;
        idt[vector].high = stub >> 32;
    }
}

void traps_load(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };

    __asm__ volatile("lidt %0" : : "m"(idtr));
}

static bool in_kernel_text(uint64_t rip)
{
    return rip >= (uintptr_t)kernel_text_start && rip < (uintptr_t)kernel_text_end;
}

/* Stacks of the kernel lie in the stack window or, early and idle's, in the image. */
static bool on_kernel_stack(uint64_t rsp)
{
    return rsp - arch_stack_window <= ARCH_STACK_WINDOW_BYTES ||
           (rsp >= (uintptr_t)kernel_data_start && rsp <= (uintptr_t)kernel_end);
}

/* Before the scheduler is there, there is no current thread. */
static bool is_app_thread(void)
{
    const struct arch_thread *thread = arch_current();

    return thread && thread->fpu;
}

static bool is_apps(const struct arch_frame *frame)
{
    return is_app_thread() && !in_kernel_text(frame->rip) && !on_kernel_stack(frame->rsp);
}

static bool is_access_fault(uint64_t vector)
{
    return vector == VECTOR_PAGE_FAULT || vector == VECTOR_PROTECTION ||
           vector == VECTOR_STACK_SEGMENT;
}

/*
 * A fault at the iretq of arch_restore_frame: the general registers are the app's already, and rsp
 * points at the five words that could not be loaded. Those take the place of what the CPU saved.
 */
static bool is_bad_iretq(struct arch_frame *frame)
{
    const uint64_t *target = (const uint64_t *)frame->rsp;

    if (frame->rip != (uintptr_t)arch_iretq || !is_app_thread() || in_kernel_text(target[0]) ||
        on_kernel_stack(target[3]))
        return false;
    frame->rip = target[0];
    frame->cs = target[1];
    frame->rflags = target[2];
    frame->rsp = target[3];
    frame->ss = target[4];
    return true;
}

static enum arch_fault_kind kind_of(uint64_t vector)
{
    switch (vector) {
    case VECTOR_PAGE_FAULT:
        return ARCH_FAULT_PAGE;
    case VECTOR_DOUBLE_FAULT:
        return ARCH_FAULT_DOUBLE;
    case VECTOR_NMI:
        return ARCH_FAULT_NMI;
    case VECTOR_MACHINE_CHECK:
        return ARCH_FAULT_MACHINE_CHECK;
    default:
        return ARCH_FAULT_OTHER;
    }
}

/* What the app resumes with is always these selectors and a sane flags register. */
static struct arch_frame *to_home_stack(const struct arch_frame *frame)
{
    struct arch_frame *copy = (struct arch_frame *)arch_current()->home_top - 1;

    memcpy(copy, frame, sizeof(*copy));
    copy->cs = KERNEL_CS;
    copy->ss = KERNEL_DS;
    copy->rflags |= 0x202;
    return copy;
}

void arch_notice(struct arch_thread *thread)
{
    struct arch_frame *copy = (struct arch_frame *)thread->home_top - 1;

    memcpy(copy, &thread->frame, sizeof(*copy));
    copy->vector = ARCH_VECTOR_NOTICE;
    copy->error = 0;
    copy->rflags |= 0x202;
    thread->frame.rip = (uintptr_t)x86_notice_entry;
    thread->frame.rsp = (uintptr_t)copy;
    thread->frame.rflags = 2;
    thread->frame.cs = KERNEL_CS;
    thread->frame.ss = KERNEL_DS;
}

const struct x86_watch_ops *x86_watch;

/* Of an NMI's way out two instructions are left at most; what they load is where this one returns. */
static void take_over(struct arch_frame *frame)
{
    const uint64_t *words = (const uint64_t *)frame->rsp;

    if (frame->rip == (uintptr_t)x86_nmi_last_pop)
        frame->rax = *words++;
    else if (frame->rip != (uintptr_t)x86_nmi_iretq)
        return;
    frame->rip = words[0];
    frame->cs = words[1];
    frame->rflags = words[2];
    frame->rsp = words[3];
    frame->ss = words[4];
}

/* entry.asm moves the NMI's own stack back up. */
static struct resume nmi(struct arch_frame *frame, uint64_t address)
{
    struct tss *tss = &x86_cpu()->tss;
    const struct x86_watch_ops *watch = x86_watch;

    take_over(frame);
    for (unsigned ist = IST_PAGE_FAULT; ist <= IST_DEBUG; ist++)
        tss->ist[ist - 1] -= IST_SHIFT;
    smp_nmi();
    if (!watch || !watch->nmi_taken(frame))
        arch_upcalls.kernel_fault(frame, ARCH_FAULT_NMI, address);
    for (unsigned ist = IST_PAGE_FAULT; ist <= IST_DEBUG; ist++)
        tss->ist[ist - 1] += ist == IST_NMI ? 0 : IST_SHIFT;
    write_cr2(address);
    return (struct resume){ frame, 0 };
}

struct resume x86_exception(struct arch_frame *frame)
{
    uint64_t address = read_cr2();
    uint64_t vector = frame->vector;
    struct tss *tss = &x86_cpu()->tss;
    unsigned slot = ist_of(vector) - 1;
    bool maskable = vector != VECTOR_MACHINE_CHECK && vector != VECTOR_DOUBLE_FAULT;

    if (vector == VECTOR_NMI)
        return nmi(frame, address);
    if (vector == VECTOR_PAGE_FAULT && arch_upcalls.stack_fault(address, frame->error))
        return (struct resume){ frame, 0 };
    tss->ist[slot] -= IST_SHIFT;
    if (is_access_fault(vector) && frame->rip >= (uintptr_t)x86_copy_start &&
        frame->rip < (uintptr_t)x86_copy_end) {
        frame->rip = (uintptr_t)x86_copy_fault;
        tss->ist[slot] += IST_SHIFT;
        return (struct resume){ frame, 0 };
    }
    if (maskable && (is_apps(frame) || is_bad_iretq(frame))) {
        struct arch_frame *copy = to_home_stack(frame);
        tss->ist[slot] += IST_SHIFT;
        return (struct resume){ copy, address };
    }
    arch_upcalls.kernel_fault(frame, kind_of(vector), address);
}

void x86_app_fault(struct arch_frame *frame, uintptr_t address)
{
    const struct x86_watch_ops *watch = x86_watch;

    if (!watch || !watch->app_fault_seen(frame, address))
        arch_upcalls.app_fault(frame, address);
}

void x86_system_call(struct arch_frame *frame) { arch_upcalls.syscall(frame); }
