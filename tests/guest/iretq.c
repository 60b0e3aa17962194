// SPDX-License-Identifier: MIT
/*
 * Frames that iretq cannot load, or that lead nowhere. They are the app's doing, so they must arrive as
 * the app's fault: on its home stack, with its registers, whatever part of the frame was wrong. The
 * thread that tries them looks like an app's (it has an FPU area), runs on its own stack, and has
 * another stack for a home. What arrives is seen through x86_watch and sent back to the test.
 *
 * Emulator and hardware differ in the vector and in the RIP that some of them report (docs/): both are
 * taken here.
 */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/page.h>
#include <rt/stack.h>
#include <rt/sync.h>

#define NOWHERE UINT64_C(0x5000)
#define APP_CODE UINT64_C(0x7000)     /* push rax; hlt */
#define APP_STACK UINT64_C(0x9000)    /* below it nothing is mapped */
#define NOT_CANONICAL UINT64_C(0x8000000000000000)

#define GP (1u << VECTOR_PROTECTION)
#define NP (1u << VECTOR_NOT_PRESENT)
#define SS (1u << VECTOR_STACK_SEGMENT)
#define PF (1u << VECTOR_PAGE_FAULT)

struct bad_frame {
    const char *name;
    uint64_t rip, cs, rflags, rsp, ss;
    uint32_t vectors;                 /* that may report it */
};

static const struct bad_frame bad_frames[] = {
    {"rip not canonical", NOT_CANONICAL, 0x08, 0x202, APP_STACK, 0x10, GP},
    {"rip at the end of the app", ARCH_APP_END, 0x08, 0x202, APP_STACK, 0x10, GP},
    {"rip not mapped", NOWHERE, 0x08, 0x202, APP_STACK, 0x10, PF},
    {"rip 0", 0, 0x08, 0x202, APP_STACK, 0x10, PF},
    {"cs null", NOWHERE, 0x00, 0x202, APP_STACK, 0x10, GP},
    {"cs of data", NOWHERE, 0x10, 0x202, APP_STACK, 0x10, GP},
    {"cs of the task state", NOWHERE, 0x18, 0x202, APP_STACK, 0x10, GP},
    {"cs not present", NOWHERE, 0x28, 0x202, APP_STACK, 0x10, NP | GP},
    {"cs beyond the table", NOWHERE, 0x100, 0x202, APP_STACK, 0x10, GP},
    {"cs of ring 3", NOWHERE, 0x0b, 0x202, APP_STACK, 0x10, GP},
    {"cs local", NOWHERE, 0x0c, 0x202, APP_STACK, 0x10, GP},
    {"ss of code", NOWHERE, 0x08, 0x202, APP_STACK, 0x08, GP},
    {"ss of the task state", NOWHERE, 0x08, 0x202, APP_STACK, 0x18, GP},
    {"ss not present", NOWHERE, 0x08, 0x202, APP_STACK, 0x30, NP | SS},
    {"ss beyond the table", NOWHERE, 0x08, 0x202, APP_STACK, 0x100, GP},
    {"ss of ring 3", NOWHERE, 0x08, 0x202, APP_STACK, 0x13, GP},
    {"ss local", NOWHERE, 0x08, 0x202, APP_STACK, 0x14, GP},
    {"ss null", NOWHERE, 0x08, 0x202, APP_STACK, 0x00, PF},
    {"everything wrong", NOT_CANONICAL, 0xffff, ~UINT64_C(0x200), NOT_CANONICAL, 0xffff, GP},
    {"all flags", NOWHERE, 0x08, ~UINT64_C(0), APP_STACK, 0x10, PF},
    {"rsp not canonical, rip not mapped", NOWHERE, 0x08, 0x202, NOT_CANONICAL, 0x10, PF},
    {"rsp not canonical, then a push", APP_CODE, 0x08, 0x202, NOT_CANONICAL, 0x10, GP | SS},
    {"rsp not mapped, then a push", APP_CODE, 0x08, 0x202, APP_STACK, 0x10, PF},
    {"rsp 0, then a push", APP_CODE, 0x08, 0x202, 0, 0x10, PF | GP | SS},
};

/* One try at a time. */
static struct arch_frame attempt, seen;
static uint32_t seen_count;
static bool seen_on_home_stack, seen_irq_on;
static struct stack *home;
static uintptr_t back_rip, back_rsp, back_rbp;

static bool fault_seen(struct arch_frame *frame, uintptr_t address)
{
    (void)address;
    seen = *frame;
    seen_count++;
    seen_irq_on = arch_irq_enabled();
    seen_on_home_stack = stack_find(arch_stack_pointer(), NULL) == home &&
                         (uintptr_t)(frame + 1) == home->top;
    frame->rip = back_rip;
    frame->rsp = back_rsp;
    frame->rbp = back_rbp;
    frame->rflags = 0x202;
    return true;
}

static bool no_nmi(struct arch_frame *frame)
{
    (void)frame;
    return false;
}
static const struct x86_watch_ops watch = {.nmi_taken = no_nmi, .app_fault_seen = fault_seen};

/*
 * Goes to the app with `attempt`; returns here, by fault_seen(), with all other registers lost. noipa: gcc
 * must not conclude that this leaves what fault_seen() writes as it was.
 */
static __attribute__((noipa)) void enter_and_come_back(void)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, %0\n\t"
                     "movq %%rsp, %1\n\t"
                     "movq %%rbp, %2\n\t"
                     "movq %3, %%rdi\n\t"
                     "jmp arch_enter_app\n"
                     "1:"
                     : "=m"(back_rip), "=m"(back_rsp), "=m"(back_rbp)
                     : "i"(&attempt)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
                       "r13", "r14", "r15", "memory", "cc");
}

static bool same_registers(void)
{
    return !memcmp(&seen, &attempt, offsetof(struct arch_frame, vector));
}

static void try_frame(const struct bad_frame *bad)
{
    memset(&attempt, 0, sizeof(attempt));
    for (uint64_t i = 0; i < offsetof(struct arch_frame, vector) / 8; i++)
        ((uint64_t *)&attempt)[i] = UINT64_C(0x1111111111111111) * (i + 1);
    attempt.rip = bad->rip;
    attempt.cs = bad->cs;
    attempt.rflags = bad->rflags;
    attempt.rsp = bad->rsp;
    attempt.ss = bad->ss;
    seen_count = 0;
    enter_and_come_back();
    bool ok = seen_count == 1 && seen_on_home_stack && seen_irq_on && same_registers() &&
              seen.vector < 32 && (bad->vectors >> seen.vector & 1) && seen.rip == bad->rip &&
              seen.rsp == bad->rsp && seen.cs == KERNEL_CS && seen.ss == KERNEL_DS;
    if (!ok)
        console_printf("  %s: %u faults, vector %lu, rip %lx, rsp %lx%s%s\n", bad->name, seen_count,
                       seen.vector, seen.rip, seen.rsp, seen_on_home_stack ? "" : ", not on the home stack",
                       same_registers() ? "" : ", registers differ");
    CHECK(ok);
}

static struct semaphore done;

static void try_all(void *argument)
{
    (void)argument;
    uint64_t rounds = guest_number(20);
    for (uint64_t round = 0; round < rounds; round++)
        for (unsigned i = 0; i < ARRAY_COUNT(bad_frames); i++)
            try_frame(&bad_frames[i]);
    console_printf("  %lu bad frames of %lu kinds\n", rounds * ARRAY_COUNT(bad_frames),
                   ARRAY_COUNT(bad_frames));
    bool irq = arch_irq_save();
    thread_current()->arch.fpu = NULL;    /* no app's any more, and not the heap's */
    arch_irq_restore(irq);
    semaphore_up(&done);
}

static void bad_iretq_frames(void)
{
    static const struct thread_def def = {.name = "looks like an app", .run = try_all};
    static unsigned char fpu[PAGE_BYTES] __attribute__((aligned(64)));
    struct thread *thread;
    unsigned char *code = page_alloc_zeroed(0);
    code[0] = 0x50;
    code[1] = 0xf4;
    CHECK(arch_fpu_bytes() <= sizeof(fpu));
    CHECK(arch_map(APP_CODE, arch_virt_to_phys(code), 1, ARCH_READ | ARCH_EXEC) == 0);
    CHECK(stack_map(2 * PAGE_BYTES, STACK_HOME, "home", &home) == 0);
    CHECK(thread_prepare(&def, NULL, &thread) == 0);
    arch_fpu_init(fpu);
    thread->arch.fpu = fpu;
    thread->arch.home_top = home->top;
    semaphore_init(&done, 0);
    x86_watch = &watch;
    thread_start(thread);
    CHECK(semaphore_down(&done, arch_now_ns() + 60 * NS_PER_S));
    x86_watch = NULL;
    stack_unmap(home);
    arch_unmap(APP_CODE, 1);
    arch_trim_tables(APP_CODE, 1);
    page_free(code, 0);
}

const struct guest_case guest_iretq_checks[] = {
    {"bad-iretq-frames", bad_iretq_frames},
    {NULL, NULL},
};
