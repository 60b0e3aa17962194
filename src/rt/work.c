// SPDX-License-Identifier: MIT
/* One worker thread a CPU, which sleeps until its list has work. */
#include <rt/work.h>

#include <lib/bits.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/thread.h>

void work_init(struct work *work, const struct work_ops *ops)
{
    *work = (struct work){.ops = ops, .cpu_index = this_cpu()->arch.index};
    list_init(&work->link);
}

bool work_queue(struct work *work)
{
    bool irq = arch_irq_save();
    struct cpu *cpu = cpus[work->cpu_index];
    spin_lock(&cpu->work_lock);
    bool fresh = !work->queued;
    if (fresh) {
        work->queued = true;
        list_push_back(&cpu->work, &work->link);
    }
    /* Only out of its own wait: woken inside an execute() that sleeps, it would take that for its event. */
    if (cpu->worker_waits) {
        cpu->worker_waits = false;
        thread_wake(cpu->worker);
    }
    spin_unlock(&cpu->work_lock, false);
    arch_irq_restore(irq);
    return fresh;
}

static void worker_run(void *argument)
{
    struct cpu *cpu = argument;
    for (;;) {
        bool irq = spin_lock(&cpu->work_lock);
        struct list *link = list_pop_front(&cpu->work);
        struct work *work = link ? list_entry(link, struct work, link) : NULL;
        if (work) {
            work->queued = false;
        } else {
            thread_prepare_block();
            cpu->worker_waits = true;
        }
        spin_unlock(&cpu->work_lock, irq);
        if (work)
            work->ops->execute(work);
        else
            thread_block(UINT64_MAX);
        lock_order_none_held("a piece of work");
    }
}
static const struct thread_def worker_def = {.name = "worker", .wired = true, .run = worker_run};

int work_start(void)
{
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct thread *worker;
        struct stack *stack;
        int err = stack_map_on(cpus[i]->node, align_up(params.stack_size, PAGE_BYTES), STACK_HOME, "home", &stack);
        if (!err)
            err = thread_prepare_on(&worker_def, cpus[i], stack, &worker);
        if (err)
            return err;
        thread_set_affinity(worker, UINT64_C(1) << i);
        thread_start(worker);
        cpus[i]->worker = worker;
    }
    return 0;
}
