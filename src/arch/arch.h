// SPDX-License-Identifier: MIT
/*
 * What the runtime asks of a port, and what a port asks of the runtime. x86_64/ is the machine; host/
 * is the same contract on Linux, where one process is the one CPU, frames are a memory file, and
 * there is no preemption. Both link the same morestack.asm, context.asm and probe_thunks.asm.
 *
 * The port calls up only through `arch_upcalls`, a const table that the runtime defines.
 */
#pragma once

#include <arch/layout.h>
#include <lib/types.h>

#define PAGE_BYTES 4096u
#define PAGE_SHIFT 12

/* ---- contexts -------------------------------------------------------------------------------- */

/* Everything that an interrupt, a fault or a system call saves; iretq resumes it. */
struct arch_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/*
 * The port's part of a thread, first member of struct thread. A thread that is not running resumes
 * by iretq from @frame if @preempted, else by loading @rsp (arch_switch left a return address there).
 */
struct arch_thread {
    uint64_t rsp;
    uint64_t preempted;
    uint64_t probe_base;      /* what probes compare with: base of the stack in use, plus stack.need */
    uint64_t home_top;        /* system calls and app faults start here; 16-byte aligned */
    uint64_t fs_base;         /* the app's thread pointer */
    void *fpu;                /* arch_fpu_bytes() bytes, 64-byte aligned; NULL for kernel threads */
    struct arch_frame frame;  /* IST 1 points at its end while the thread runs */
    uint64_t uses_app_memory; /* arch_use_app_memory() was called; threads with @fpu use it anyway */
} __attribute__((aligned(16)));

/* What a CPU did to others, and they to it; it alone adds to them (arch_cpu_add()), others read. */
struct arch_smp_counts {
    uint64_t reschedules;     /* interrupts sent by arch_ipi_reschedule() */
    uint64_t flushes;         /* flushes of TLBs that this CPU asked for */
    uint64_t flush_interrupts;/* interrupts it sent for them */
    uint64_t flushes_deferred;/* CPUs it need not wait for: they ran nobody who uses app memory */
    uint64_t flushes_late;    /* times this CPU flushed what it had been spared */
};

/* The port's part of a per-CPU area, first member of struct cpu, at GS:0. */
struct arch_cpu {
    struct arch_cpu *self;
    uint64_t probe_base;
    struct arch_thread *current;
    uint64_t scratch[2];
    uint64_t home_top;
    uint64_t irq_stack_top;
    uint32_t index;
    uint32_t irq_depth;       /* above 0 while an interrupt handler runs on this CPU */
    void *port;               /* the port's own data of this CPU */
    uint32_t report_depth;    /* 1 while arch_report_body() runs, 2 when a fault in it calls it again */
    struct arch_smp_counts counts;
};

_Static_assert(offsetof(struct arch_cpu, self) == CPU_SELF, "layout");
_Static_assert(offsetof(struct arch_cpu, probe_base) == CPU_PROBE_BASE, "layout");
_Static_assert(offsetof(struct arch_cpu, current) == CPU_CURRENT, "layout");
_Static_assert(offsetof(struct arch_cpu, scratch[0]) == CPU_SCRATCH0, "layout");
_Static_assert(offsetof(struct arch_cpu, scratch[1]) == CPU_SCRATCH1, "layout");
_Static_assert(offsetof(struct arch_cpu, home_top) == CPU_HOME_TOP, "layout");
_Static_assert(offsetof(struct arch_cpu, irq_stack_top) == CPU_IRQ_STACK_TOP, "layout");
_Static_assert(offsetof(struct arch_cpu, index) == CPU_INDEX, "layout");
_Static_assert(offsetof(struct arch_thread, rsp) == THREAD_RSP, "layout");
_Static_assert(offsetof(struct arch_thread, preempted) == THREAD_PREEMPTED, "layout");
_Static_assert(offsetof(struct arch_thread, frame) == THREAD_FRAME, "layout");
_Static_assert(offsetof(struct arch_thread, frame) + sizeof(struct arch_frame) == THREAD_FRAME_END,
               "layout");
_Static_assert(THREAD_FRAME_END % 16 == 0, "the CPU aligns an IST stack pointer down to 16");
_Static_assert(sizeof(struct arch_frame) == FRAME_BYTES, "layout");
_Static_assert(offsetof(struct arch_frame, rax) == FRAME_RAX, "layout");
_Static_assert(offsetof(struct arch_frame, vector) == FRAME_VECTOR, "layout");
_Static_assert(offsetof(struct arch_frame, rip) == FRAME_RIP, "layout");
_Static_assert(offsetof(struct arch_frame, rsp) == FRAME_RSP, "layout");

/**
 * arch_thread_init() - make @thread start with entry->run(argument) on its home stack.
 * Interrupts are on when it starts. arch_upcalls.thread_start(@thread) is what runs first.
 */
void arch_thread_init(struct arch_thread *thread, uintptr_t stack_top);

/**
 * arch_switch() - leave @prev, go on with @next; returns when @prev is resumed. (context.asm)
 * Saves callee-saved registers on @prev's stack, moves to the CPU's interrupt stack, calls
 * arch_switched(), resumes @next. Context: interrupts off, thread context.
 */
void arch_switch(struct arch_thread *prev, struct arch_thread *next);

/*
 * Called by arch_switch and by the preemption path on the interrupt stack, once nothing of @prev is in
 * registers but FPU and FS base: saves those and probe_base, loads @next's {current, IST 1, probe_base,
 * home_top, FS base, FPU}, then calls arch_upcalls.switched(@prev, @next).
 */
void arch_switched(struct arch_thread *prev, struct arch_thread *next);

/* Stack memory that is used afresh: the host's sanitizer must forget the frames that were there. */
#ifdef SPILLWAY_HOST
void arch_stack_recycle(void *base, size_t bytes);
#else
static inline void arch_stack_recycle(void *base, size_t bytes) { (void)base, (void)bytes; }
#endif

/* The running boot context becomes @thread (the CPU's idle thread): current, IST 1, probe_base. */
void arch_adopt_thread(struct arch_thread *thread);

/**
 * arch_notice() - a thread that an interrupt stopped in app code goes on with arch_upcalls.app_fault(),
 * as after a fault, with ARCH_VECTOR_NOTICE; what it was about to do is in the frame given there.
 * Context: interrupts off, @thread's home stack empty, its state in @thread->frame.
 */
#define ARCH_VECTOR_NOTICE 0x101u
void arch_notice(struct arch_thread *thread);

/* Resume the app in @frame (which lies on the home stack); never returns. */
noreturn_fn void arch_enter_app(struct arch_frame *frame);

/* A thread's @fpu is set before it first runs: from then on every switch loads and saves it. */
size_t arch_fpu_bytes(void);
void arch_fpu_init(void *area);                      /* the state a new program starts with */
void arch_fpu_save(void *area);                      /* the running thread's, for clone */
void arch_fpu_load(void *area);                      /* what an app gave: made valid, then loaded */
void arch_set_fs_base(uint64_t value);               /* the running thread's, kept at its switch */

/* ---- CPU -------------------------------------------------------------------------------------- */

static inline struct arch_cpu *arch_cpu(void)
{
    struct arch_cpu *cpu;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(cpu) : "i"(CPU_SELF));
    return cpu;
}

static inline struct arch_thread *arch_current(void)
{
    struct arch_thread *thread;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(thread) : "i"(CPU_CURRENT));
    return thread;
}

static inline uint64_t arch_probe_base(void)
{
    uint64_t base;
    __asm__ volatile("movq %%gs:%c1, %0" : "=r"(base) : "i"(CPU_PROBE_BASE));
    return base;
}

static inline void arch_set_probe_base(uint64_t base)
{
    __asm__ volatile("movq %0, %%gs:%c1" : : "r"(base), "i"(CPU_PROBE_BASE) : "memory");
}

/* Words of this CPU's area, at @offset, each in one instruction: an interrupt or a move to another CPU comes before or
 * after it. The sum is not atomic for other CPUs, which may only read the word. */
static inline void arch_cpu_add(size_t offset, uint64_t n)
{
    __asm__ volatile("addq %1, %0" : "+m"(*(uint64_t __seg_gs *)offset) : "er"(n) : "cc");
}

static inline uint64_t arch_cpu_load(size_t offset)
{
    uint64_t value;
    __asm__ volatile("movq %1, %0" : "=r"(value) : "m"(*(const uint64_t __seg_gs *)offset));
    return value;
}

static inline void arch_cpu_store(size_t offset, uint64_t value)
{
    __asm__ volatile("movq %1, %0" : "=m"(*(uint64_t __seg_gs *)offset) : "er"(value));
}

static inline uintptr_t arch_stack_pointer(void)
{
    uintptr_t rsp;
    __asm__ volatile("movq %%rsp, %0" : "=r"(rsp));
    return rsp;
}

static inline void arch_relax(void) { __asm__ volatile("pause" ::: "memory"); }

#ifdef SPILLWAY_HOST
extern bool host_irq_enabled;
static inline void arch_irq_enable(void) { host_irq_enabled = true; }
static inline void arch_irq_disable(void) { host_irq_enabled = false; }
static inline bool arch_irq_enabled(void) { return host_irq_enabled; }
#else
static inline void arch_irq_enable(void) { __asm__ volatile("sti" ::: "memory"); }
static inline void arch_irq_disable(void) { __asm__ volatile("cli" ::: "memory"); }
static inline bool arch_irq_enabled(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq; popq %0" : "=r"(flags) :: "memory");
    return flags & 0x200;
}
#endif

/* Turns interrupts off; returns whether they were on, for arch_irq_restore(). */
static inline bool arch_irq_save(void)
{
    bool on = arch_irq_enabled();
    arch_irq_disable();
    return on;
}
static inline void arch_irq_restore(bool on)
{
    if (on)
        arch_irq_enable();
}

/*
 * Wait for an interrupt: called by idle with interrupts off and nothing to run; turns them on and
 * waits atomically, returns with them off. The host port fires due timers and device completions
 * here, and ends the process with a report when nothing could ever wake a thread.
 */
void arch_idle(void);

/* Bind @cpu to this processor: GS, descriptor tables, IST stacks. @stacks stay for ever. */
struct arch_cpu_stacks {
    uintptr_t irq_top;
    uintptr_t ist_top[8];     /* 2 #PF, 3 #DF, 4 NMI, 5 #MC, 6 other exceptions, 7 #DB; 0, 1 unused */
    uintptr_t report_top;
};
void arch_cpu_init(struct arch_cpu *cpu, uint32_t index);                 /* early: static stacks */
void arch_cpu_set_stacks(struct arch_cpu *cpu, const struct arch_cpu_stacks *stacks);

/* ---- several CPUs ------------------------------------------------------------------------------ */

struct arch_cpu_info {
    uint32_t hardware_id;             /* of the local interrupt controller */
    uint32_t node;                    /* memory node: 0, 1, ... without gaps; 0 by default */
};

/* The processors that the firmware lists and that can run, this one first; the count, at most @max. */
uint32_t arch_cpus_find(struct arch_cpu_info *infos, uint32_t max);

/**
 * arch_cpu_start() - start another processor on @stack_top, bound to @cpu, with interrupts off.
 * It calls arch_upcalls.cpu_started(@cpu), which does not return. To be called one CPU at a time.
 * Errors: -ETIMEDOUT it did not come up; -ENOMEM.
 */
int arch_cpu_start(struct arch_cpu *cpu, uint32_t index, const struct arch_cpu_info *info,
                   const struct arch_cpu_stacks *stacks, uintptr_t stack_top);

/* Makes another CPU pass through arch_upcalls.preempt() soon. Any context. */
void arch_ipi_reschedule(uint32_t cpu_index);

/* For a report: all other CPUs stop where they are, for good; of two callers one stops too, and does
 * not return. Interrupts are off from then on. Any context. */
void arch_stop_others(void);

/* One turn of a busy wait with interrupts possibly off: pauses, and serves a TLB flush that another CPU
 * waits for. Every loop that waits for another CPU calls it. */
void arch_spin_wait(void);

/* The memory nodes that the firmware lists: [start, end) of physical memory, in any order, not
 * necessarily page-aligned or RAM, and no truer than the firmware. */
struct arch_memory_node {
    uint64_t start, end;
    uint32_t node;
};
/* Returns how many it lists, of which @nodes got the first @max. -EINVAL: its table is damaged. */
int arch_memory_nodes(struct arch_memory_node *nodes, uint32_t max);

/* ---- memory ------------------------------------------------------------------------------------ */

#define ARCH_READ 1u
#define ARCH_WRITE 2u
#define ARCH_EXEC 4u
#define ARCH_UNCACHED 8u
#define ARCH_COMBINED 16u                             /* not cached, but writes may be combined: a screen */

/* All of physical memory is mapped, read-write and not executable, at a fixed offset. */
extern uint64_t arch_direct_map;
static inline void *arch_phys_to_virt(uint64_t phys) { return (void *)(arch_direct_map + phys); }
static inline uint64_t arch_virt_to_phys(const void *virt)
{
    return (uint64_t)(uintptr_t)virt - arch_direct_map;
}

/* Windows of address space that the runtime hands out. */
extern uintptr_t arch_stack_window;                   /* ARCH_STACK_WINDOW_BYTES of it */
extern uintptr_t arch_io_window;                      /* ARCH_IO_WINDOW_BYTES, for device registers */
#ifdef SPILLWAY_HOST
#define ARCH_STACK_WINDOW_BYTES GIB(4)
#else
#define ARCH_STACK_WINDOW_BYTES GIB(1024)
#endif
#define ARCH_IO_WINDOW_BYTES GIB(64)
#define ARCH_APP_END UINT64_C(0x0000800000000000)     /* app addresses lie below, page 0 excluded */

/**
 * arch_map() - map @count pages at @va to the frames from @phys on, with @access (ARCH_*).
 * Table pages come from arch_upcalls.table_page(). The pages must not be mapped before.
 * Errors: -ENOMEM no table page; nothing stays mapped.
 */
int arch_map(uintptr_t va, uint64_t phys, size_t count, unsigned access);
/*
 * Unmaps what is mapped in the range. When it returns nobody uses an old translation: the TLBs of all CPUs are
 * flushed, but for app memory those of CPUs that run no thread that uses it, which flush before they do.
 */
void arch_unmap(uintptr_t va, size_t count);
void arch_protect(uintptr_t va, size_t count, unsigned access);
/* The frame and access behind @va; false if none. */
bool arch_lookup(uintptr_t va, uint64_t *phys, unsigned *access);
/* Frees table pages that are empty in an unmapped app range. */
void arch_trim_tables(uintptr_t va, size_t count);
/* Tables, of all levels but the root, for [@va, @va + @bytes); @va aligned to 2 MiB. Context: thread. */
size_t arch_count_tables(uintptr_t va, uint64_t bytes);

/*
 * The running thread is going to use app addresses by itself, not through arch_copy(): from now on the CPU
 * it runs on takes part in their flushes. App threads (with an @fpu) do so from their start.
 */
void arch_use_app_memory(void);

/**
 * arch_copy() - memcpy() between kernel memory and app memory that may turn out unmapped.
 * Errors: -EFAULT; an unknown part was copied.
 */
int arch_copy(void *dst, const void *src, size_t bytes);
int arch_zero(void *dst, size_t bytes);               /* the same for memset 0 */

/* ---- time, console, end ------------------------------------------------------------------------ */

uint64_t arch_now_ns(void);                           /* monotonic, the same on all CPUs */
/* What the clock's rate was measured with when the machine started, and what came out; 0: with nothing,
 * it is a guess. */
const char *arch_clock_measured(uint64_t *hz);
uint64_t arch_wall_ns(void);                          /* since 1970, read once from the clock chip */
void arch_timer_arm(uint64_t deadline_ns);            /* this CPU; UINT64_MAX disarms */

/* A shared object with clocks for apps, to be mapped behind a page that arch_vdso_write_data() has filled. */
struct arch_vdso {
    const void *start;
    size_t bytes;
};
extern const struct arch_vdso arch_vdso;
void arch_vdso_write_data(void *page);                /* app memory, present and writable */

void arch_console_write(const char *text, size_t bytes);   /* any context; polls */
/* To the machine's debug port (QEMU's isa-debugcon), where nobody may listen. Any context. */
void arch_debug_write(const char *text, size_t bytes);
/* What was typed since the last call, at most @bytes; 0 if nothing. Never waits. */
size_t arch_console_read(char *text, size_t bytes);
struct irq;
/* From now on @irq is raised when something was typed that has not been read. -ENODEV: look yourself. */
int arch_console_listen(struct irq *irq);

/*
 * The screen shows what arch_console_write() was given. At first it is painted at once, and again when
 * arch_stop_others() was called; in between, after arch_screen_defer(), by arch_screen_paint(), which one thread
 * calls when arch_screen_stale().
 */
bool arch_screen_size(uint32_t *cols, uint32_t *rows);     /* in characters; false: there is none */
void arch_screen_defer(void);
bool arch_screen_stale(void);
void arch_screen_paint(void);
/* Ends the machine; @status is the contract's. Never returns. */
noreturn_fn void arch_machine_exit(unsigned status);

uint64_t arch_random(void);                           /* rdrand if there is one, else mixed clocks */
const char *arch_cpu_name(void);

/* ---- interrupts -------------------------------------------------------------------------------- */

struct irq;
struct irq_ops {
    void (*handle)(struct irq *irq);                  /* interrupt stack, interrupts off */
};
struct irq {
    const struct irq_ops *ops;
    uint32_t vector, cpu_index;                       /* filled by arch_irq_attach() */
};
/* Gives @irq a free vector on this CPU, where it is handled from then on. -ENOSPC none left. */
int arch_irq_attach(struct irq *irq);
/* From any CPU; when it returns the handler does not run. Not under a lock that the handler takes. */
void arch_irq_detach(struct irq *irq);
/* What a device must write where (MSI/MSI-X) to raise @irq. */
void arch_irq_message(const struct irq *irq, uint64_t *address, uint32_t *data);

#ifndef SPILLWAY_HOST
/* ---- ports of the PC: PCI configuration, serial lines ------------------------------------------ */

static inline uint8_t arch_in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint16_t arch_in16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint32_t arch_in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline void arch_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void arch_out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static inline void arch_out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
#endif

/* ---- backtraces -------------------------------------------------------------------------------- */

/* Name and offset for a kernel address, from the table in the image; NULL if unknown. */
const char *arch_symbol(uintptr_t address, uint64_t *offset);

/* ---- the app's code ---------------------------------------------------------------------------- */

enum arch_insn_kind { ARCH_INSN_PLAIN, ARCH_INSN_CALL, ARCH_INSN_HALT };

/**
 * arch_insn_decode() - the length of the instruction at the start of @code.
 * @bytes: how many may be looked at.
 * Returns 0 if no instruction that a program could execute lies there, or it is cut off. A halt
 * counts, because some programs have one where they mean to crash; it has one byte.
 */
unsigned arch_insn_decode(const uint8_t *code, size_t bytes, enum arch_insn_kind *kind);
#define ARCH_CALL_BYTES_MAX 8         /* none is longer */
/* What is put where a halt was: one byte, and what it raises, behind it, and what the halt would. */
#define ARCH_TRAP_INSN 0xcc
#define ARCH_VECTOR_TRAP 3
#define ARCH_VECTOR_PRIVILEGE 13

/* ---- what the port calls ----------------------------------------------------------------------- */

enum arch_fault_kind {
    ARCH_FAULT_PAGE, ARCH_FAULT_DOUBLE, ARCH_FAULT_NMI, ARCH_FAULT_MACHINE_CHECK, ARCH_FAULT_OTHER,
};

struct arch_upcalls {
    /* First code of a new thread, on its home stack, interrupts on. */
    void (*thread_start)(struct arch_thread *thread);
    /* See arch_switched(). Interrupt stack, interrupts off. */
    void (*switched)(struct arch_thread *prev, struct arch_thread *next);
    /* First code of a CPU that arch_cpu_start() started: on its stack, interrupts off. */
    noreturn_fn void (*cpu_started)(struct arch_cpu *cpu);
    /* The CPU's timer fired. Interrupt stack, interrupts off. */
    void (*timer)(void);
    /* After every interrupt: a thread to switch to, or NULL to go on with this one. */
    struct arch_thread *(*preempt)(void);
    /* A system call; @frame lies on the home stack, interrupts on. The result goes to frame->rax. */
    void (*syscall)(struct arch_frame *frame);
    /* A fault in app code (rip below ARCH_APP_END), moved to the home stack, interrupts on. May sleep. */
    void (*app_fault)(struct arch_frame *frame, uintptr_t address);
    /* A page fault, with the CPU's error code: true if a stack grew, and the instruction is to be tried again.
     * On the fault's IST stack, interrupts off. */
    bool (*stack_fault)(uintptr_t address, uint64_t error);
    /* A fault in kernel code without a fix-up, on the vector's IST stack, interrupts off. */
    noreturn_fn void (*kernel_fault)(struct arch_frame *frame, enum arch_fault_kind kind, uintptr_t address);
    /* A zeroed frame for a page table (physical address), or 0. */
    uint64_t (*table_page)(void);
    /* The same for what a CPU in memory node @node has of its own. */
    uint64_t (*cpu_page)(uint32_t node);
    void (*table_page_free)(uint64_t phys);   /* either */
};
extern const struct arch_upcalls arch_upcalls;

/*
 * The port switches to the CPU's report stack and calls arch_report_body(). Called again from a fault inside
 * that (arch_cpu()->report_depth is 2 then), it goes on on a spare stack; a third time ends the machine with
 * status 202 and not a word.
 */
noreturn_fn void arch_report(void *context);
noreturn_fn void arch_report_body(void *context);     /* the runtime's, in rt/report.c */
