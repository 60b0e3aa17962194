// SPDX-License-Identifier: MIT
/* Per-CPU lists of timers, by deadline; the CPU's one-shot timer is armed for the first or the slice's end. */
#include <rt/timer.h>

#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/sched.h>
#include <rt/xstack.h>

#define SAMPLE_NS (10 * NS_PER_MS)

void timer_init(struct timer *timer, const struct timer_ops *ops)
{
    *timer = (struct timer){.ops = ops};
    list_init(&timer->link);
}

void timer_rearm(void)
{
    struct cpu *cpu = this_cpu();
    uint64_t deadline = sched_slice_end();
    if (!list_empty(&cpu->timers))
        deadline = MIN(deadline, list_first(&cpu->timers, struct timer, link)->deadline_ns);
    if (deadline == cpu->armed_ns)
        return;
    cpu->armed_ns = deadline;
    arch_timer_arm(deadline);
}

/* timer_lock held. */
static void insert(struct cpu *cpu, struct timer *timer)
{
    struct list *at = cpu->timers.prev;
    while (at != &cpu->timers &&
           list_entry(at, struct timer, link)->deadline_ns > timer->deadline_ns)
        at = at->prev;
    list_insert_after(at, &timer->link);
    timer->armed = true;
}

bool timer_cancel(struct timer *timer)
{
    struct cpu *cpu = cpus[timer->cpu_index];
    bool irq = spin_lock(&cpu->timer_lock);
    bool was = timer->armed;
    if (was) {
        list_remove(&timer->link);
        timer->armed = false;
    }
    spin_unlock(&cpu->timer_lock, irq);
    return was;
}

void timer_start(struct timer *timer, uint64_t deadline_ns)
{
    timer_cancel(timer);
    bool irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    spin_lock(&cpu->timer_lock);
    timer->cpu_index = cpu->arch.index;
    timer->deadline_ns = deadline_ns;
    insert(cpu, timer);
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
        if (!list_empty(&cpu->timers)) {
            timer = list_first(&cpu->timers, struct timer, link);
            if (timer->deadline_ns <= now) {
                list_remove(&timer->link);
                timer->armed = false;
            } else {
                timer = NULL;
            }
        }
        spin_unlock(&cpu->timer_lock, irq);
        if (!timer)
            break;
        timer->ops->fire(timer);
    }
    timer_rearm();
}
