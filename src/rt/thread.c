// SPDX-License-Identifier: MIT
/* Making and ending threads. Scheduling them is sched.c. */
#include <rt/thread.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/param.h>
#include <rt/sched.h>
#include <rt/stack.h>
#include <rt/work.h>
#include <rt/xstack.h>

static struct spinlock all_lock = SPINLOCK_NAMED("all threads");
static struct list all_threads = LIST_INIT(all_threads);
static uint32_t next_id;

void thread_register(struct thread *thread)
{
    bool irq = spin_lock(&all_lock);
    thread->id = next_id++;
    list_push_back(&all_threads, &thread->all_link);
    spin_unlock(&all_lock, irq);
}

static void unregister(struct thread *thread)
{
    bool irq = spin_lock(&all_lock);
    list_remove(&thread->all_link);
    spin_unlock(&all_lock, irq);
}

void thread_for_each(const struct thread_visitor *visitor)
{
    bool irq = spin_lock(&all_lock);
    for (struct list *link = all_threads.next; link != &all_threads; link = link->next)
        visitor->visit(visitor, list_entry(link, struct thread, all_link));
    spin_unlock(&all_lock, irq);
}

int thread_prepare(const struct thread_def *def, void *argument, struct thread **out)
{
    size_t bytes = align_up(def->stack_bytes ? def->stack_bytes : params.stack_size, PAGE_BYTES);
    struct stack *stack;
    int err = def->plain_stack ? stack_make_plain(bytes, "home", &stack)
                               : stack_obtain(bytes, def->wired || def->stack_bytes, &stack);
    if (err)
        return err;
    err = thread_prepare_on(def, argument, stack, out);
    if (err)
        stack_release(stack);
    return err;
}

int thread_prepare_on(const struct thread_def *def, void *argument, struct stack *stack,
                      struct thread **out)
{
    ASSERT(!stack->owner, "a stack has one thread");
    struct thread *thread = heap_zalloc(sizeof(*thread));
    if (!thread)
        return -ENOMEM;
    thread->home = stack;
    thread->def = def;
    thread->argument = argument;
    thread->stack = thread->home;
    thread->home->owner = thread;
    str_copy(thread->name, def->name, sizeof(thread->name));
    list_init(&thread->parked);
    list_init(&thread->run_link);
    timer_init(&thread->sleep_timer, &thread_sleep_timer_ops);
    thread->state = THREAD_BLOCKED;
    thread->cpu_index = this_cpu()->arch.index;
    thread->affinity = UINT64_MAX;
    arch_thread_init(&thread->arch, thread->home->top);
    thread->arch.home_top = thread->home->top;
    thread->arch.probe_base = xstack_probe_base(thread->home);
    thread_register(thread);
    *out = thread;
    return 0;
}

void thread_start(struct thread *thread) { sched_thread_ready(thread); }

int thread_create(const struct thread_def *def, void *argument, struct thread **out)
{
    struct thread *thread;
    int err = thread_prepare(def, argument, &thread);
    if (err)
        return err;
    if (out)
        *out = thread;
    thread_start(thread);
    return 0;
}

/* Nobody runs on it any more. */
static void free_thread(struct thread *thread)
{
    unregister(thread);
    xstack_thread_exit(thread);
    heap_free(thread->arch.fpu);
    heap_free(thread);
}

void thread_discard(struct thread *thread)
{
    stack_release(thread->home);
    free_thread(thread);
}

/* ---- the end ---- */

noreturn_fn void thread_exit(void)
{
    struct thread *thread = thread_current();
    ASSERT(!thread->idle, "idle never ends");
    lock_order_none_held("a thread");
    timer_cancel_wait(&thread->sleep_timer);
    arch_irq_disable();
    thread->state = THREAD_DEAD;
    thread_yield();
    panic("thread %s ran after its end", thread->name);
}

void thread_entry(struct arch_thread *arch)
{
    struct thread *thread = (struct thread *)arch;
    thread->def->run(thread->argument);
    thread_exit();
}

static struct spinlock dead_lock = SPINLOCK_NAMED("dead threads");
static struct list dead_threads = LIST_INIT(dead_threads);

static void reap(struct work *work)
{
    (void)work;
    for (;;) {
        bool irq = spin_lock(&dead_lock);
        struct list *link = list_pop_front(&dead_threads);
        spin_unlock(&dead_lock, irq);
        if (!link)
            return;
        free_thread(list_entry(link, struct thread, run_link));
    }
}
static const struct work_ops reap_ops = {.execute = reap};
static struct work reap_work = {.ops = &reap_ops, .link = LIST_INIT(reap_work.link)};

void thread_reap_later(struct thread *thread)
{
    stack_release(thread->home);      /* for the next thread; here it is only compared from now on */
    bool irq = spin_lock(&dead_lock);
    list_push_back(&dead_threads, &thread->run_link);
    spin_unlock(&dead_lock, irq);
    work_queue(&reap_work);
}
