// SPDX-License-Identifier: MIT
/*
 * The scheduler: per-CPU ready lists, round robin, a slice of 10 ms, no tick while idle.
 *
 * A CPU leaves a thread in one of two ways: by schedule() from the thread itself, or by preempt() from
 * the end of an interrupt. Both end in the port's arch_switched(), on the CPU's interrupt stack, where
 * switched() is called: from then on nobody uses the old thread's stack or frame.
 *
 * `runnable` says that a thread runs or is in a ready list. A thread that has marked itself blocked but is
 * pre-empted before it sleeps stays runnable; a wake-up in that time is kept in `wake_pending`.
 */
#include <rt/sched.h>

#include <lib/string.h>
#include <rt/app_ops.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/stack.h>
#include <rt/thread.h>
#include <rt/timer.h>
#include <rt/work.h>
#include <rt/xstack.h>

#define SLICE_NS (10 * NS_PER_MS)

struct cpu *cpus[CPUS_MAX];
uint32_t cpu_count;

static struct cpu *cpu_of(const struct thread *thread) { return cpus[thread->cpu_index]; }

/* ---- ready list; run_lock held ---- */

static void make_ready(struct cpu *cpu, struct thread *thread)
{
    thread->runnable = true;
    list_push_back(&cpu->ready, &thread->run_link);
    struct thread *running = (struct thread *)cpu->arch.current;
    if (running == cpu->idle)
        cpu->need_resched = true;
    else if (cpu->slice_end_ns == UINT64_MAX)
        cpu->slice_end_ns = arch_now_ns() + SLICE_NS;
    timer_rearm();
}

static struct thread *pick_next(struct cpu *cpu)
{
    struct list *link = list_pop_front(&cpu->ready);
    struct thread *next = link ? list_entry(link, struct thread, run_link) : cpu->idle;
    if (next->state == THREAD_READY)
        next->state = THREAD_RUNNING;
    next->on_cpu = true;
    cpu->need_resched = false;
    cpu->slice_end_ns = list_empty(&cpu->ready) ? UINT64_MAX : arch_now_ns() + SLICE_NS;
    return next;
}

/* ---- leaving the CPU ---- */

/* Decides whether @prev really leaves, and for whom; NULL: it goes on. run_lock held. */
static struct thread *next_for(struct cpu *cpu, struct thread *prev, bool voluntary)
{
    bool sleeps = voluntary && prev->state == THREAD_BLOCKED;
    if (sleeps && prev->wake_pending) {
        prev->wake_pending = false;
        prev->state = THREAD_RUNNING;
        return NULL;
    }
    if (sleeps || prev->state == THREAD_DEAD) {
        prev->runnable = false;
    } else if (!prev->idle) {
        if (prev->state == THREAD_RUNNING)
            prev->state = THREAD_READY;
        list_push_back(&cpu->ready, &prev->run_link);
    }
    struct thread *next = pick_next(cpu);
    return next == prev ? NULL : next;
}

static void schedule(void)
{
    bool irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    struct thread *prev = thread_current();
    ASSERT(cpu->spin_depth == 0, "no spin lock is held across a sleep");
    spin_lock(&cpu->run_lock);
    struct thread *next = next_for(cpu, prev, true);
    spin_unlock(&cpu->run_lock, false);
    if (next) {
        timer_rearm();
        arch_switch(&prev->arch, &next->arch);
    }
    arch_irq_restore(irq);
}

struct arch_thread *sched_preempt(void)
{
    struct cpu *cpu = this_cpu();
    struct thread *prev = thread_current();
    bool stops = prev->app && prev->arch.frame.rip < ARCH_APP_END && app_ops.app_must_stop();
    if (cpu->slice_end_ns != UINT64_MAX && arch_now_ns() >= cpu->slice_end_ns) {
        cpu->need_resched = true;
        cpu->slice_end_ns = UINT64_MAX;   /* with pre-emption off: not one interrupt after the other */
    }
    if (prev->preempt_off || cpu->spin_depth || !(cpu->need_resched || stops)) {
        timer_rearm();
        return NULL;
    }
    spin_lock(&cpu->run_lock);
    if (stops)
        prev->state = THREAD_BLOCKED;     /* for ever: the app is ending */
    struct thread *next = next_for(cpu, prev, stops);
    spin_unlock(&cpu->run_lock, false);
    timer_rearm();
    return next ? &next->arch : NULL;
}

uint64_t sched_slice_end(void)
{
    struct cpu *cpu = this_cpu();
    return (struct thread *)cpu->arch.current == cpu->idle ? UINT64_MAX : cpu->slice_end_ns;
}

void sched_switched(struct arch_thread *prev_arch, struct arch_thread *next_arch)
{
    struct thread *prev = (struct thread *)prev_arch, *next = (struct thread *)next_arch;
    uint64_t now = arch_now_ns();
    prev->cpu_ns += now - prev->started_ns;
    next->started_ns = now;
    next->switches++;
    bool dead = prev->state == THREAD_DEAD;
    __atomic_store_n(&prev->on_cpu, false, __ATOMIC_RELEASE);
    if (dead)
        thread_reap_later(prev);
}

/* ---- blocking ---- */

void thread_prepare_block(void)
{
    struct thread *thread = thread_current();
    struct cpu *cpu = cpu_of(thread);
    bool irq = spin_lock(&cpu->run_lock);
    thread->state = THREAD_BLOCKED;
    thread->wake_pending = false;
    thread->timed_out = false;
    spin_unlock(&cpu->run_lock, irq);
}

void thread_cancel_block(void)
{
    struct thread *thread = thread_current();
    struct cpu *cpu = cpu_of(thread);
    bool irq = spin_lock(&cpu->run_lock);
    thread->state = THREAD_RUNNING;
    thread->wake_pending = false;
    spin_unlock(&cpu->run_lock, irq);
}

bool thread_block(uint64_t deadline_ns)
{
    struct thread *thread = thread_current();
    assert_may_sleep("thread_block");
    if (deadline_ns != UINT64_MAX)
        timer_start(&thread->sleep_timer, deadline_ns);
    schedule();
    if (deadline_ns != UINT64_MAX)
        timer_cancel(&thread->sleep_timer);
    return !thread->timed_out;
}

void thread_wake(struct thread *thread)
{
    struct cpu *cpu = cpu_of(thread);
    bool irq = spin_lock(&cpu->run_lock);
    if (thread->state == THREAD_BLOCKED) {
        if (thread->runnable) {
            thread->wake_pending = true;
        } else {
            thread->state = THREAD_READY;
            make_ready(cpu, thread);
        }
    }
    spin_unlock(&cpu->run_lock, irq);
}

static void sleep_expired(struct timer *timer)
{
    struct thread *thread = container_of(timer, struct thread, sleep_timer);
    thread->timed_out = true;
    thread_wake(thread);
}
const struct timer_ops thread_sleep_timer_ops = {.fire = sleep_expired};

void thread_sleep_until(uint64_t deadline_ns)
{
    thread_prepare_block();
    thread_block(deadline_ns);
}

void thread_sleep_ns(uint64_t duration_ns)
{
    uint64_t now = arch_now_ns();
    thread_sleep_until(duration_ns > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + duration_ns);
}

void thread_yield(void) { schedule(); }

void preempt_disable(void) { thread_current()->preempt_off++; }

void preempt_enable(void)
{
    struct thread *thread = thread_current();
    ASSERT(thread->preempt_off > 0, "preempt_enable pairs with preempt_disable");
    if (--thread->preempt_off == 0 && this_cpu()->need_resched && arch_irq_enabled())
        schedule();
}

void assert_may_sleep(const char *what)
{
    struct cpu *cpu = this_cpu();
    if (cpu->arch.irq_depth || !arch_irq_enabled() || cpu->spin_depth || thread_current()->preempt_off)
        panic("%s may sleep, but was called %s", what,
              cpu->arch.irq_depth ? "from an interrupt"
              : cpu->spin_depth   ? "with a spin lock held"
                                  : "with interrupts or pre-emption off");
}

/* ---- start ---- */

void sched_thread_ready(struct thread *thread)
{
    thread->cpu_index = this_cpu()->arch.index;
    struct cpu *cpu = cpu_of(thread);
    bool irq = spin_lock(&cpu->run_lock);
    thread->state = THREAD_READY;
    make_ready(cpu, thread);
    spin_unlock(&cpu->run_lock, irq);
}

static struct cpu boot_cpu;
static struct thread boot_idle;
static const struct thread_def idle_def = {.name = "idle"};

struct cpu *sched_boot_cpu(void) { return &boot_cpu; }

void sched_init(void)
{
    struct cpu *cpu = &boot_cpu;
    struct thread *idle = &boot_idle;
    list_init(&cpu->ready);
    list_init(&cpu->timers);
    list_init(&cpu->work);
    cpu->slice_end_ns = UINT64_MAX;
    cpu->armed_ns = UINT64_MAX;
    cpus[0] = cpu;
    cpu_count = 1;
    idle->def = &idle_def;
    str_copy(idle->name, "idle/0", sizeof(idle->name));
    idle->idle = true;
    idle->state = THREAD_RUNNING;
    idle->runnable = true;
    idle->on_cpu = true;
    list_init(&idle->parked);
    list_init(&idle->run_link);
    timer_init(&idle->sleep_timer, &thread_sleep_timer_ops);
    thread_register(idle);
    cpu->idle = idle;
    arch_adopt_thread(&idle->arch);
}

noreturn_fn void sched_idle_loop(void)
{
    for (;;) {
        arch_irq_disable();
        struct cpu *cpu = this_cpu();
        if (list_empty(&cpu->ready))
            arch_idle();
        arch_irq_enable();
        if (!list_empty(&cpu->ready))
            schedule();
    }
}

int cpu_map_stacks(struct cpu *cpu)
{
    static const char *const labels[8] = {NULL,  NULL,  "page fault", "double fault",
                                          "NMI", "#MC", "exception",  "debug"};
    struct arch_cpu_stacks stacks = {0};
    struct stack *stack;
    int err = stack_map(4 * PAGE_BYTES, STACK_IRQ, "interrupt", &stack);
    if (err)
        return err;
    stacks.irq_top = stack->top;
    err = stack_map(4 * PAGE_BYTES, STACK_REPORT, "report", &stack);
    if (err)
        return err;
    stacks.report_top = stack->top;
    for (unsigned i = 2; i < 8; i++) {
        err = stack_map(2 * PAGE_BYTES, STACK_IST, labels[i], &stack);
        if (err)
            return err;
        stacks.ist_top[i] = stack->top;
    }
    arch_cpu_set_stacks(&cpu->arch, &stacks);
    return 0;
}
