// SPDX-License-Identifier: MIT
/*
 * Freed home stacks. The CPU that leaves a dead thread's stack puts it into its own cache at once, still
 * mapped, and the next thread made there runs on it. What does not fit is handed to a worker, which unmaps all
 * that has gathered with one flush. So giving a stack back is a few stores under a lock in any context, and
 * threads that end on several CPUs at once do not wait for one another's unmapping.
 *
 * What the last owner wrote is cleaned when the stack is taken again, in thread context.
 */
#include <rt/stack_cache.h>

#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/node.h>
#include <rt/param.h>
#include <rt/stack_grow.h>
#include <rt/stack_internal.h>
#include <rt/work.h>

#define CACHE_BYTES KIB(64)

struct stack_cache {
    struct spinlock lock;
    struct list stacks;               /* lock; last in, first out: its pages are warm */
    struct list doomed;               /* lock; for the worker */
    struct stack_cache_counts counts; /* lock */
    struct work unmap_work;
} __attribute__((aligned(64)));
static struct stack_cache caches[CPUS_MAX] = {[0 ... CPUS_MAX - 1] = {.lock = SPINLOCK_NAMED("stack cache")}};

static void unmap_doomed(struct work *work)
{
    struct stack_cache *cache = container_of(work, struct stack_cache, unmap_work);
    struct list all = LIST_INIT(all);
    struct stack *stack, *next;
    uint64_t count = 0;
    bool irq = spin_lock(&cache->lock);
    list_splice_back(&all, &cache->doomed);
    list_for_each(stack, &all, link)
        count++;
    cache->counts.unmapped += count;
    spin_unlock(&cache->lock, irq);
    list_for_each_safe(stack, next, &all, link)
        if (!stack->mapped) {
            list_remove(&stack->link);
            stack_forget_outside(stack);
        }
    if (!list_empty(&all))
        stack_unmap_all(&all);
}
static const struct work_ops unmap_ops = {.execute = unmap_doomed};

/* This CPU's, locked. */
static struct stack_cache *lock_own(bool *irq)
{
    *irq = arch_irq_save();
    struct stack_cache *cache = &caches[this_cpu()->arch.index];
    spin_lock(&cache->lock);
    if (!cache->stacks.next) {
        list_init(&cache->stacks);
        list_init(&cache->doomed);
        work_init(&cache->unmap_work, &unmap_ops);
    }
    return cache;
}

static void unlock(struct stack_cache *cache, bool irq)
{
    spin_unlock(&cache->lock, false);
    arch_irq_restore(irq);
}

uint32_t stack_cache_most(void)
{
    uint64_t fit = CACHE_BYTES / params.stack_size;
    return (uint32_t)MIN(MAX(fit, UINT64_C(2)), (uint64_t)STACK_CACHE_MAX);
}

/* Interrupts off. One of another node is not for this CPU's next thread. */
static bool cacheable(const struct stack *stack)
{
    return stack->node == node_here() && stack->kind == STACK_HOME && stack->mapped && !stack->adopted &&
           stack->top - stack->base == align_up(params.stack_size, PAGE_BYTES) &&
           stack->grows == stack_grow_wanted(stack->top - stack->base);
}

void stack_release(struct stack *stack)
{
    bool irq;
    ASSERT(stack_canaries_hold(stack), "nobody wrote beyond the ends of a plain stack");
    stack_grow_ended(stack);
    bool adopted = stack->adopted || stack->kind != STACK_HOME;
    stack_note_owner(stack);
    if (adopted)
        return;                       /* the caller's again, and it may be gone already */
    struct stack_cache *cache = lock_own(&irq);
    bool keep = cacheable(stack) && cache->counts.cached < stack_cache_most();
    if (keep) {
        __atomic_store_n(&stack->state, STACK_CACHED, __ATOMIC_RELEASE);
        list_push_front(&cache->stacks, &stack->link);
        cache->counts.cached++;
        cache->counts.kept++;
    } else {
        list_push_back(&cache->doomed, &stack->link);
        cache->counts.passed_on++;
    }
    spin_unlock(&cache->lock, false);
    if (!keep)
        work_queue(&cache->unmap_work);
    arch_irq_restore(irq);
}

static struct stack *take_cached(void)
{
    bool irq;
    struct stack_cache *cache = lock_own(&irq);
    struct list *link = list_pop_front(&cache->stacks);
    if (link) {
        cache->counts.cached--;
        cache->counts.hits++;
    } else {
        cache->counts.misses++;
    }
    unlock(cache, irq);
    return link ? list_entry(link, struct stack, link) : NULL;
}

int stack_obtain(size_t bytes, bool wired, struct stack **out)
{
    bool grows = !wired && stack_grow_wanted(bytes);
    bool usual = bytes == align_up(params.stack_size, PAGE_BYTES) && grows == stack_grow_wanted(bytes);
    struct stack *stack = usual ? take_cached() : NULL;
    if (stack) {
        arch_stack_recycle((void *)stack->base, stack->top - stack->base);
        stack_clean(stack);
        if (grows)
            stack->growth->pages_most = 0;
        __atomic_store_n(&stack->state, STACK_LIVE, __ATOMIC_RELEASE);
        *out = stack;
        return 0;
    }
    return grows ? stack_map_growing(bytes, "home", out) : stack_map(bytes, STACK_HOME, "home", out);
}

void stack_cache_counts(uint32_t cpu, struct stack_cache_counts *out)
{
    *out = (struct stack_cache_counts){0};
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct stack_cache_counts *c = &caches[i].counts;
        if (cpu != UINT32_MAX && cpu != i)
            continue;
        out->cached += c->cached;
        out->hits += c->hits;
        out->misses += c->misses;
        out->kept += c->kept;
        out->passed_on += c->passed_on;
        out->unmapped += c->unmapped;
    }
}

void stack_cache_drain(void)
{
    for (uint32_t i = 0; i < cpu_count; i++) {
        struct list all = LIST_INIT(all);
        uint64_t count = 0;
        bool irq = spin_lock(&caches[i].lock);
        if (caches[i].stacks.next) {
            for (struct list *l = caches[i].stacks.next; l != &caches[i].stacks; l = l->next)
                count++;
            list_splice_back(&all, &caches[i].stacks);
            caches[i].counts.cached = 0;
            caches[i].counts.unmapped += count;
        }
        spin_unlock(&caches[i].lock, irq);
        if (count)
            stack_unmap_all(&all);
    }
}
