// SPDX-License-Identifier: MIT
/*
 * The lock-order checker: what is held where, and what is looked at when a lock is taken or given back.
 *
 * Spin locks are held by a CPU, the others by a thread: each has a list, and only it touches it, so the lists need no
 * lock. A lock is put behind the innermost one that is held: what is held further out is in front of that one already,
 * as long as that one was waited for. One that was tried for waits for nobody, so nothing was put in front of it, and
 * the next one out is looked at too.
 *
 * In an interrupt only the CPU's locks count: the thread that was interrupted is not waited for by what it holds. An NMI
 * takes no lock, and a fault on a growing stack takes none either, so both may come at any instruction here.
 *
 * A report turns the checker off first, then panics; rt/lock_report.c prints the rest on the report stack.
 */
#include <rt/lock_graph.h>

#ifdef SPILLWAY_LOCK_ORDER

#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/lock_report.h>
#include <rt/stack.h>
#include <rt/thread.h>

static bool off;                      /* atomic */

bool lock_order_turn_off(const char *table)
{
    if (__atomic_exchange_n(&off, true, __ATOMIC_SEQ_CST))
        return false;
    lock_report.full_table = table;
    return true;
}

void lock_order_stop(void)
{
    if (lock_order_turn_off(NULL))
        lock_report.ended = true;
}

static bool is_off(void) { return __atomic_load_n(&off, __ATOMIC_RELAXED); }
bool lock_order_is_on(void) { return !is_off(); }

/* What is going on, as far as a report is concerned. */
struct taking {
    struct cpu *cpu;
    struct thread *thread;            /* NULL: an interrupt, or no thread yet: only the CPU's locks count */
    const void *lock;
    uint16_t node;
    unsigned how;
    int32_t where;
};

static void look_around(struct taking *t, const void *lock, unsigned how, const void *where)
{
    t->cpu = this_cpu();
    t->thread = t->cpu->arch.irq_depth ? NULL : thread_current();
    t->lock = lock;
    t->how = how;
    t->where = (int32_t)(intptr_t)where;
}

static noinline void report(enum lock_report_kind kind, const struct taking *t, const struct lock_held *held)
{
    if (!lock_order_turn_off(NULL))
        return;
    lock_report.kind = kind;
    lock_report.node = t->node;
    lock_report.where = t->where;
    if (held)
        lock_report.held = *held;
    lock_report_panic();
}

/* ---- the graph ---- */

static void report_finding(enum lock_finding finding, const struct taking *t, const struct lock_held *held)
{
    if (finding == LOCK_CYCLE)
        report(LOCK_REPORT_CYCLE, t, held);
    else if (finding == LOCK_IRQ_INVERSION)
        report(LOCK_REPORT_IRQ, t, held);
}

/* Puts what is taken behind the locks of one list, innermost first. True: one was waited for, so that is all. */
static noinline bool put_behind(const struct taking *t, const struct lock_held *held, uint32_t count)
{
    while (count-- > 0) {
        const struct lock_held *h = &held[count];
        if (h->node != t->node && !lock_graph_knows(h->node, t->node))
            report_finding(lock_graph_add(h->node, h->where, t->node, t->where), t, h);
        if (!(held[count].how & LOCK_TRY))
            return true;
    }
    return false;
}

/* Locks of one class: not the same one, not of the same level and nesting, not of a level above. */
static noinline void compare(const struct taking *t, const struct lock_held *held, uint32_t count)
{
    const struct lock_node *taken = &lock_nodes[t->node];
    for (uint32_t i = 0; i < count; i++) {
        const struct lock_node *outer = &lock_nodes[held[i].node];
        if (held[i].lock == t->lock)
            report(LOCK_REPORT_SAME_LOCK, t, &held[i]);
        else if (held[i].node == t->node)
            report(LOCK_REPORT_SAME_NODE, t, &held[i]);
        else if (outer->key == taken->key && taken->level > outer->level)
            report(LOCK_REPORT_LEVEL, t, &held[i]);
    }
}

/* ---- interrupts ---- */

static noinline void held_with_irq_on(struct taking *t, const struct lock_held *held)
{
    if (lock_nodes[held->node].irq_on_at)
        return;
    t->node = held->node;
    report_finding(lock_graph_irq(held->node, true, t->where), t, held);
}

/* Spin locks that are held while interrupts come, or could: an interrupt that is taking one now is the proof. */
static noinline void check_irqs(struct taking *t)
{
    struct lock_cpu_list *list = &t->cpu->locks;
    bool in_irq = t->cpu->arch.irq_depth;
    uint16_t node = t->node;
    for (uint32_t i = 0; i < list->count; i++)
        if (in_irq ? !(list->held[i].how & LOCK_IN_IRQ) : (t->how & LOCK_IRQ_ON) != 0)
            held_with_irq_on(t, &list->held[i]);
    t->node = node;
    if (in_irq && !lock_nodes[node].in_irq_at && (t->how & LOCK_SPIN))
        report_finding(lock_graph_irq(node, false, t->where), t, NULL);
}

/* ---- taking ---- */

void lock_order_take(struct lock_dep *dep, const void *lock, unsigned how, unsigned nest, const void *where)
{
    struct taking t;
    if (is_off())
        return;
    if (!(how & (LOCK_SPIN | LOCK_ROLE)))
        assert_may_sleep("taking a lock that sleeps");
    bool irq = arch_irq_save();
    look_around(&t, lock, how, where);
    t.node = lock_node_of(dep, nest, where);
    if (t.node) {
        check_irqs(&t);
        compare(&t, t.cpu->locks.held, t.cpu->locks.count);
        if (t.thread)
            compare(&t, t.thread->locks.held, t.thread->locks.count);
        if (!put_behind(&t, t.cpu->locks.held, t.cpu->locks.count) && t.thread)
            put_behind(&t, t.thread->locks.held, t.thread->locks.count);
    }
    arch_irq_restore(irq);
}

/* A role is where it began: with the CPU if that could not be left, else with the thread. */
static bool is_cpus(const struct taking *t)
{
    return (t->how & LOCK_SPIN) || !t->thread || ((t->how & LOCK_ROLE) && t->cpu->locks.count);
}

void lock_order_got(struct lock_dep *dep, const void *lock, unsigned how, unsigned nest, const void *where)
{
    struct taking t;
    if (is_off())
        return;
    bool irq = arch_irq_save();
    look_around(&t, lock, how, where);
    t.node = lock_node_of(dep, nest, where);
    bool cpus = is_cpus(&t);
    uint32_t *count = cpus ? &t.cpu->locks.count : &t.thread->locks.count;
    struct lock_held *held = cpus ? t.cpu->locks.held : t.thread->locks.held;
    if (!t.thread && t.cpu->arch.irq_depth)
        how |= LOCK_IN_IRQ;
    if (*count == (cpus ? LOCK_CPU_MAX : LOCK_THREAD_MAX))
        lock_order_turn_off(cpus ? "spin locks held by a CPU" : "locks held by a thread");
    else if (t.node)
        held[(*count)++] = (struct lock_held){.lock = lock, .where = t.where, .node = t.node, .how = (uint16_t)how};
    arch_irq_restore(irq);
}

/* ---- giving back ---- */

/* The entry of @lock, innermost first, or NULL. */
static struct lock_held *find_held(struct lock_held *held, uint32_t count, const void *lock)
{
    while (count-- > 0)
        if (held[count].lock == lock)
            return &held[count];
    return NULL;
}

static bool take_out(struct lock_held *held, uint32_t *count, const void *lock)
{
    struct lock_held *found = find_held(held, *count, lock);
    if (!found)
        return false;
    for ((*count)--; found < held + *count; found++)
        found[0] = found[1];
    return true;
}

void lock_order_drop(struct lock_dep *dep, const void *lock, unsigned how, const void *where)
{
    struct taking t;
    if (is_off())
        return;
    bool irq = arch_irq_save();
    look_around(&t, lock, how, where);
    struct lock_cpu_list *mine = &t.cpu->locks;
    struct lock_held *held = irq ? find_held(mine->held, mine->count, lock) : NULL;
    if (held)
        held_with_irq_on(&t, held);
    bool found = ((how & (LOCK_SPIN | LOCK_ROLE)) && take_out(mine->held, &mine->count, lock)) ||
                 (!(how & LOCK_SPIN) && t.thread && take_out(t.thread->locks.held, &t.thread->locks.count, lock));
    if (!found && !is_off()) {
        t.node = lock_node_of(dep, 0, where);
        report(LOCK_REPORT_NOT_HELD, &t, NULL);
    }
    arch_irq_restore(irq);
}

/* ---- contexts ---- */

void lock_order_none_held(const char *what)
{
    struct taking t;
    if (is_off())
        return;
    bool irq = arch_irq_save();
    look_around(&t, NULL, 0, LOCK_WHERE);
    const struct lock_held *held = t.cpu->locks.count                     ? t.cpu->locks.held
                                   : t.thread && t.thread->locks.count ? t.thread->locks.held
                                                                       : NULL;
    if (held) {
        lock_report.what = what;
        t.node = held->node;
        report(LOCK_REPORT_LEFT, &t, held);
    }
    arch_irq_restore(irq);
}

void lock_order_may_sleep(const char *what)
{
    const struct stack *stack = is_off() ? NULL : stack_find(arch_stack_pointer(), NULL);
    if (stack && (stack->kind == STACK_IRQ || stack->kind == STACK_IST || stack->kind == STACK_REPORT))
        panic("%s may sleep, but was called on the %s stack", what, stack->label);
}

void lock_order_probe(const char *probe)
{
    if (!is_off())
        assert_may_sleep(probe);
}

/* A thread that ends does so with interrupts off. */
void lock_order_yield(void)
{
    if (!is_off() && thread_current()->state != THREAD_DEAD)
        assert_may_sleep("thread_yield");
}

static void check_freed(const struct taking *t, const struct lock_held *held, uint32_t count, size_t bytes)
{
    for (uint32_t i = 0; i < count; i++)
        if ((uintptr_t)held[i].lock - (uintptr_t)t->lock < bytes)
            report(LOCK_REPORT_FREED, t, &held[i]);
}

void lock_order_freed(const void *object, size_t bytes)
{
    struct taking t;
    if (is_off())
        return;
    bool irq = arch_irq_save();
    look_around(&t, object, 0, LOCK_WHERE);
    t.node = 0;
    check_freed(&t, t.cpu->locks.held, t.cpu->locks.count, bytes);
    if (t.thread)
        check_freed(&t, t.thread->locks.held, t.thread->locks.count, bytes);
    arch_irq_restore(irq);
}

#endif
