// SPDX-License-Identifier: MIT
/* Per-CPU queues of timers, by deadline; the CPU's one-shot timer is armed for the first or the slice's end. */
#include <rt/timer.h>

#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/sched.h>
#include <rt/xstack.h>

#define SAMPLE_NS (10 * NS_PER_MS)

void timer_init(struct timer *timer, const struct timer_ops *ops)
{
    *timer = (struct timer){.ops = ops};
}

void timer_rearm(void)
{
    struct cpu *cpu = this_cpu();
    uint64_t first = __atomic_load_n(&cpu->first_ns, __ATOMIC_RELAXED);
    uint64_t deadline = MIN(sched_slice_end(), first);
    if (deadline == cpu->armed_ns)
        return;
    cpu->armed_ns = deadline;
    arch_timer_arm(deadline);
}

/* timer_lock held. When another CPU takes the first timer out, this one's interrupt comes for nothing. */
static void note_first(struct cpu *cpu)
{
    uint64_t first = cpu->timers.first ? cpu->timers.first->key : UINT64_MAX;
    __atomic_store_n(&cpu->first_ns, first, __ATOMIC_RELAXED);
}

/* Locks the queue that @timer is or was in; it moves to another CPU's only when it is started there. */
static struct cpu *lock_queue(struct timer *timer, bool *irq)
{
    for (;;) {
        struct cpu *cpu = cpus[__atomic_load_n(&timer->cpu_index, __ATOMIC_RELAXED)];
        *irq = spin_lock(&cpu->timer_lock);
        if (cpu == cpus[timer->cpu_index])
            return cpu;
        spin_unlock(&cpu->timer_lock, *irq);
    }
}

bool timer_cancel(struct timer *timer)
{
    bool irq;
    struct cpu *cpu = lock_queue(timer, &irq);
    bool was = timer->armed;
    if (was) {
        pqueue_remove(&cpu->timers, &timer->node);
        timer->armed = false;
        note_first(cpu);
    }
    spin_unlock(&cpu->timer_lock, irq);
    return was;
}

bool timer_cancel_wait(struct timer *timer)
{
    bool was = timer_cancel(timer);
    struct cpu *cpu = cpus[timer->cpu_index];
    while (__atomic_load_n(&cpu->firing, __ATOMIC_ACQUIRE) == timer)
        arch_spin_wait();
    return was;
}

void timer_start(struct timer *timer, uint64_t deadline_ns)
{
    timer_cancel(timer);
    bool irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    spin_lock(&cpu->timer_lock);
    timer->cpu_index = cpu->arch.index;
    pqueue_insert(&cpu->timers, &timer->node, deadline_ns);
    timer->armed = true;
    note_first(cpu);
    spin_unlock(&cpu->timer_lock, false);
    timer_rearm();
    arch_irq_restore(irq);
}

void timer_interrupt(void)
{
    struct cpu *cpu = this_cpu();
    uint64_t now = arch_now_ns();
    cpu->armed_ns = UINT64_MAX;
    if (now - cpu->sampled_ns >= SAMPLE_NS && cpu->arch.index == 0) {
        cpu->sampled_ns = now;
        xstack_timer(now);
    }
    for (;;) {
        bool irq = spin_lock(&cpu->timer_lock);
        struct timer *timer = NULL;
        if (cpu->timers.first && cpu->timers.first->key <= now) {
            timer = container_of(cpu->timers.first, struct timer, node);
            pqueue_remove(&cpu->timers, &timer->node);
            timer->armed = false;
            cpu->firing = timer;
            note_first(cpu);
        }
        spin_unlock(&cpu->timer_lock, irq);
        if (!timer)
            break;
        timer->ops->fire(timer);
        __atomic_store_n(&cpu->firing, NULL, __ATOMIC_RELEASE);
    }
    timer_rearm();
}
