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

#include <lib/errno.h>
#include <rt/app_ops.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/stack.h>
#include <rt/stack_grow.h>
#include <rt/thread.h>
#include <rt/timer.h>
#include <rt/work.h>
#include <rt/xstack.h>

#define SLICE_NS (10 * NS_PER_MS)

static struct cpu *cpu_of(const struct thread *thread) { return cpus[thread->cpu_index]; }

static uint64_t cpu_bit(uint32_t index) { return UINT64_C(1) << index; }

/* Turns interrupts off before it looks: a running thread cannot move then. */
static struct cpu *lock_own(struct thread *self, bool *irq)
{
    *irq = arch_irq_save();
    struct cpu *cpu = cpu_of(self);
    spin_lock(&cpu->run_lock);
    return cpu;
}

/* The CPU whose lock guards @thread may change until that lock is held. */
static struct cpu *lock_cpu_of(struct thread *thread, bool *irq)
{
    for (;;) {
        struct cpu *cpu = cpus[__atomic_load_n(&thread->cpu_index, __ATOMIC_RELAXED)];
        *irq = spin_lock(&cpu->run_lock);
        if (cpu == cpus[thread->cpu_index])
            return cpu;
        spin_unlock(&cpu->run_lock, *irq);
    }
}

static bool is_idle(const struct cpu *cpu)
{
    return __atomic_load_n(&cpu->arch.current, __ATOMIC_RELAXED) == &cpu->idle->arch &&
           !__atomic_load_n(&cpu->ready_count, __ATOMIC_RELAXED);
}

/* ---- ready list; run_lock held ---- */

/* It has something new in its list. It is told when this CPU holds no spin lock any more: under an emulator that may take
   long, and who is told may want the very lock. */
static void tell_later(struct cpu *cpu) { this_cpu()->to_tell |= cpu_bit(cpu->arch.index); }

void sched_tell(void)
{
    struct cpu *self = this_cpu();
    uint64_t to_tell = self->to_tell;
    self->to_tell = 0;
    for (; to_tell; to_tell &= to_tell - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(to_tell);
        if (index == self->arch.index)
            timer_rearm();
        else
            arch_ipi_reschedule(index);
    }
}

static void make_ready(struct cpu *cpu, struct thread *thread)
{
    thread->runnable = true;
    list_push_back(&cpu->ready, &thread->run_link);
    cpu->ready_count++;
    if (cpu->arch.current == &cpu->idle->arch) {
        if (cpu->need_resched)
            return;                   /* was told, and has not looked into its list since */
        cpu->need_resched = true;
    } else {
        if (cpu->slice_end_ns != UINT64_MAX)
            return;                   /* it will be looked at when the slice ends */
        cpu->slice_end_ns = arch_now_ns() + SLICE_NS;
    }
    tell_later(cpu);
}

/*
 * Where a thread that becomes ready shall run: where it ran last if that CPU still uses its stack; here, if an interrupt of
 * an idle CPU wakes it, which is awake already; where it ran last if that CPU is idle; else on an idle CPU, else
 * where it ran last. Interrupts are off.
 */
static struct cpu *choose_cpu(const struct thread *thread)
{
    struct cpu *last = cpu_of(thread), *here = this_cpu();
    bool last_allowed = thread->affinity & cpu_bit(last->arch.index);
    if (cpu_count == 1 || __atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE))
        return last;
    if ((thread->affinity & cpu_bit(here->arch.index)) && is_idle(here))
        return here;
    if (last_allowed && is_idle(last))
        return last;
    struct cpu *allowed = last_allowed ? last : NULL;
    for (uint32_t i = 0; i < cpu_count; i++) {
        if (!(thread->affinity & cpu_bit(i)))
            continue;
        if (is_idle(cpus[i]))
            return cpus[i];
        if (!allowed)
            allowed = cpus[i];
    }
    return allowed ? allowed : last;
}

/* @thread is ready and in no list; @locked is the CPU whose run_lock is held. Gives that lock back. */
static void enqueue(struct cpu *locked, struct thread *thread, bool irq)
{
    struct cpu *target = choose_cpu(thread);
    if (target != locked) {
        thread->runnable = true;
        __atomic_store_n(&thread->cpu_index, target->arch.index, __ATOMIC_RELEASE);
        spin_unlock(&locked->run_lock, false);
        spin_lock(&target->run_lock);
    }
    make_ready(target, thread);
    spin_unlock(&target->run_lock, irq);
}

/* While pages for stacks are short, threads whose stacks grow are passed over. */
static struct thread *first_to_run(struct cpu *cpu)
{
    for (struct list *link = cpu->ready.next; link != &cpu->ready; link = link->next) {
        struct thread *thread = list_entry(link, struct thread, run_link);
        if (stack_grow_may_run(cpu, thread))
            return thread;
    }
    return NULL;
}

static struct thread *pick_next(struct cpu *cpu)
{
    struct thread *found = first_to_run(cpu), *next = found ? found : cpu->idle;
    if (found) {
        list_remove(&found->run_link);
        cpu->ready_count--;
    }
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
        prev->moving = !(prev->affinity & cpu_bit(cpu->arch.index));
        if (prev->moving)
            return pick_next(cpu);    /* sched_switched() finds another CPU for it */
        list_push_back(&cpu->ready, &prev->run_link);
        cpu->ready_count++;
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
    if (next)
        arch_switch(&prev->arch, &next->arch);
    arch_irq_restore(irq);
}

/* Threads wait here while another CPU has nothing to do: it shall steal. Interrupts off. */
static void wake_idle_cpu(struct cpu *cpu)
{
    if (!cpu->ready_count)
        return;
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i] != cpu && is_idle(cpus[i])) {
            arch_ipi_reschedule(i);
            return;
        }
}

/* @thread goes back to app code from an interrupt: the app may have news for it. */
static void give_notice(struct thread *thread)
{
    if (thread->app && thread->arch.frame.rip < ARCH_APP_END && app_ops.app_has_notice(thread))
        arch_notice(&thread->arch);
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
        if (!stops)
            give_notice(prev);
        return NULL;
    }
    spin_lock(&cpu->run_lock);
    if (stops) {
        prev->state = THREAD_BLOCKED;     /* for ever: the app is ending */
        prev->wake_pending = false;
    }
    struct thread *next = next_for(cpu, prev, stops);
    spin_unlock(&cpu->run_lock, false);
    if (!next)
        timer_rearm();
    if (cpu_count > 1)
        wake_idle_cpu(cpu);
    if (!next)
        give_notice(prev);
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
    this_cpu()->xstack.elsewhere_left = 0;
    timer_rearm();                    /* idle has no slice, so not before it is known who runs */
    bool dead = prev->state == THREAD_DEAD, moving = prev->moving;
    stack_switched(prev, next);
    __atomic_store_n(&prev->on_cpu, false, __ATOMIC_RELEASE);
    if (dead) {
        thread_reap_later(prev);
    } else if (moving) {
        struct cpu *cpu = this_cpu();
        spin_lock(&cpu->run_lock);
        prev->moving = false;
        enqueue(cpu, prev, false);
    }
    if (next->arch.preempted)
        give_notice(next);
}

/* ---- blocking ---- */

void thread_prepare_block(void)
{
    struct thread *thread = thread_current();
    bool irq;
    struct cpu *cpu = lock_own(thread, &irq);
    thread->state = THREAD_BLOCKED;
    thread->wake_pending = false;
    thread->timed_out = false;
    spin_unlock(&cpu->run_lock, false);
    arch_irq_restore(irq);
}

void thread_cancel_block(void)
{
    struct thread *thread = thread_current();
    bool irq;
    struct cpu *cpu = lock_own(thread, &irq);
    thread->state = THREAD_RUNNING;
    thread->wake_pending = false;
    spin_unlock(&cpu->run_lock, false);
    arch_irq_restore(irq);
}

bool thread_block(uint64_t deadline_ns)
{
    struct thread *thread = thread_current();
    assert_may_sleep("thread_block");
    if (deadline_ns != UINT64_MAX)
        timer_start(&thread->sleep_timer, deadline_ns);
    schedule();
    if (deadline_ns != UINT64_MAX)
        timer_cancel_wait(&thread->sleep_timer);
    return !thread->timed_out;
}

void thread_wake(struct thread *thread)
{
    bool irq;
    struct cpu *cpu = lock_cpu_of(thread, &irq);
    if (thread->state != THREAD_BLOCKED || thread->runnable) {
        if (thread->state == THREAD_BLOCKED)
            thread->wake_pending = true;
        spin_unlock(&cpu->run_lock, irq);
        return;
    }
    thread->state = THREAD_READY;
    enqueue(cpu, thread, irq);
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

void thread_yield(void)
{
    lock_order_yield();
    schedule();
}

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
    lock_order_may_sleep(what);
    bool on = arch_irq_save();
    const struct cpu *cpu = this_cpu();
    bool in_irq = cpu->arch.irq_depth, holds = cpu->spin_depth;
    arch_irq_restore(on);
    if (!on || in_irq || holds || thread_current()->preempt_off)
        panic("%s may sleep, but was called %s", what,
              in_irq  ? "from an interrupt"
              : holds ? "with a spin lock held"
                      : "with interrupts or pre-emption off");
}

/* ---- balancing ---- */

/* A thread out of @victim's ready list that @cpu may run and that no CPU's stack switch still uses. */
static struct thread *take_from(struct cpu *victim, const struct cpu *cpu)
{
    struct thread *thread, *found = NULL;
    spin_lock(&victim->run_lock);
    list_for_each(thread, &victim->ready, run_link)
        if ((thread->affinity & cpu_bit(cpu->arch.index)) &&
            !__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE)) {
            found = thread;
            break;
        }
    if (found) {
        list_remove(&found->run_link);
        victim->ready_count--;
        __atomic_store_n(&found->cpu_index, cpu->arch.index, __ATOMIC_RELEASE);
    }
    spin_unlock(&victim->run_lock, false);
    return found;
}

/* For an idle CPU, interrupts off: takes a thread from the longest ready list. */
static void steal(struct cpu *cpu)
{
    struct cpu *busiest = NULL;
    uint32_t most = 0;
    for (uint32_t i = 0; i < cpu_count; i++) {
        uint32_t count = __atomic_load_n(&cpus[i]->ready_count, __ATOMIC_RELAXED);
        if (cpus[i] != cpu && count > most) {
            most = count;
            busiest = cpus[i];
        }
    }
    struct thread *thread = busiest ? take_from(busiest, cpu) : NULL;
    if (!thread)
        return;
    spin_lock(&cpu->run_lock);
    make_ready(cpu, thread);
    spin_unlock(&cpu->run_lock, false);
}

/* ---- start ---- */

void sched_thread_ready(struct thread *thread)
{
    bool irq;
    struct cpu *cpu = lock_cpu_of(thread, &irq);
    thread->state = THREAD_READY;
    enqueue(cpu, thread, irq);
}

int thread_set_affinity(struct thread *thread, uint64_t cpus_mask)
{
    uint64_t present = cpu_count == 64 ? UINT64_MAX : cpu_bit(cpu_count) - 1;
    if (!(cpus_mask & present))
        return -EINVAL;
    bool irq;
    struct cpu *cpu = lock_cpu_of(thread, &irq);
    thread->affinity = cpus_mask;
    bool misplaced = !(cpus_mask & cpu_bit(cpu->arch.index));
    if (misplaced && thread->runnable && !list_empty(&thread->run_link) && !thread->on_cpu) {
        list_remove(&thread->run_link);
        cpu->ready_count--;
        enqueue(cpu, thread, irq);
        return 0;
    }
    if (misplaced && thread->on_cpu) {
        cpu->need_resched = true;
        if (cpu != this_cpu())
            tell_later(cpu);
    }
    spin_unlock(&cpu->run_lock, irq);
    if (misplaced && thread == thread_current())
        thread_yield();
    return 0;
}

void thread_kick_all(void)
{
    for (uint32_t i = 0; i < cpu_count; i++)
        if (cpus[i] != this_cpu())
            arch_ipi_reschedule(i);
}

/*
 * Before the CPU halts: from here on it has to be told again. What it had told itself, or been told, may have been stolen
 * since, and a need_resched that stays would keep others from telling it ever.
 */
static bool nothing_to_run(struct cpu *cpu)
{
    spin_lock(&cpu->run_lock);
    bool nothing = !first_to_run(cpu);
    if (nothing)
        cpu->need_resched = false;
    spin_unlock(&cpu->run_lock, false);
    return nothing;
}

noreturn_fn void sched_idle_loop(void)
{
    for (;;) {
        arch_irq_disable();
        struct cpu *cpu = this_cpu();
        if (list_empty(&cpu->ready) && cpu_count > 1)
            steal(cpu);
        stack_grow_idle();
        if (nothing_to_run(cpu))
            arch_idle();
        arch_irq_enable();
        if (!list_empty(&cpu->ready))
            schedule();
    }
}
