// SPDX-License-Identifier: MIT
/*
 * The pool of extra stacks and the slow path of a probe.
 *
 *     word:  | give-backs, 16 bits | free stacks, one bit each, 48 bits |
 *
 * A take clears the lowest set bit by CAS. A give is one atomic add: it sets the stack's bit, which is known
 * to be clear, and counts the give-back. An empty word that has the same count in two scans was empty
 * all the time in between; so when the sums of two scans agree, no stack was free, and the refusal is exact.
 *
 * Everything here runs in thread context, below a probe: no lock, no wait, no allocation, no text.
 * /sys/stack and resizing are in xstack_sys.c.
 */
#include <rt/xstack.h>

#include <lib/errno.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/fail.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/sync.h>
#include <rt/thread.h>
#include <rt/xstack_pool.h>

#include <lib/bits.h>
#include <lib/string.h>

const struct probe_info probe_infos[PROBE_COUNT] = {
#define PROBE(probe_name, bytes, text) {.name = #probe_name, .need_bytes = bytes, .what = text},
#include <probes.def>
#undef PROBE
};

struct xstack_pool xstack_pool;

#define add_relaxed(counter, n) __atomic_fetch_add(&(counter), n, __ATOMIC_RELAXED)

static void raise_to(uint64_t *maximum, uint64_t value)
{
    uint64_t seen = __atomic_load_n(maximum, __ATOMIC_RELAXED);
    while (value > seen &&
           !__atomic_compare_exchange_n(maximum, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

/* Takes the lowest free stack of one word; NULL if it has none, and @gives is its count of give-backs. */
static struct stack *word_take(struct xstack_word *word, uint32_t word_index, uint64_t *gives)
{
    uint64_t value = __atomic_load_n(&word->value, __ATOMIC_RELAXED);
    while (value & XSTACK_WORD_MASK) {
        uint64_t taken = value & (value - 1);
        if (__atomic_compare_exchange_n(&word->value, &value, taken, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return xstack_pool.stacks[word_index * XSTACK_WORD_BITS + (unsigned)__builtin_ctzll(value)];
    }
    *gives = value >> XSTACK_WORD_BITS;
    return NULL;
}

/* Own CPU's words first (word w belongs to CPU w mod cpu_count), then everybody's. */
struct stack *xstack_pool_take(void)
{
    const uint32_t words = xstack_pool.words_used, step = cpu_count;
    uint64_t gives, sum_before = UINT64_MAX;
    struct stack *stack;
    for (uint32_t w = this_cpu()->arch.index; w < words; w += step)
        if ((stack = word_take(&xstack_pool.words[w], w, &gives)))
            return stack;
    for (;;) {
        uint64_t sum = 0;
        for (uint32_t w = 0; w < words; w++) {
            if ((stack = word_take(&xstack_pool.words[w], w, &gives)))
                return stack;
            sum += gives;
        }
        if (sum == sum_before)
            return NULL;
        sum_before = sum;
    }
}

struct stack *xstack_pool_take_of(uint32_t cpu)
{
    uint64_t gives;
    struct stack *stack = NULL;
    for (uint32_t w = cpu; w < xstack_pool.words_used && !stack; w += cpu_count)
        stack = word_take(&xstack_pool.words[w], w, &gives);
    return stack;
}

void xstack_pool_give(struct stack *stack)
{
    struct xstack_word *word = &xstack_pool.words[stack->pool_index / XSTACK_WORD_BITS];
    uint64_t bit = UINT64_C(1) << stack->pool_index % XSTACK_WORD_BITS;
    uint64_t before = __atomic_fetch_add(&word->value, bit + XSTACK_WORD_GIVE, __ATOMIC_RELEASE);
    ASSERT(!(before & bit), "an extra stack is given back once");
}

uint64_t xstack_probe_base(const struct stack *stack)
{
    if (params.stack_need == PARAM_NEED_FORCE)
        return UINT64_MAX;
    if (params.stack_need == PARAM_NEED_OFF)
        return 0;
    return stack->base + params.stack_need;
}

/* A stack of the thread's own, else one of the pool; counts what the pool's numbers show. */
static struct stack *take_any(struct thread *thread)
{
    struct list *own = list_pop_front(&thread->parked);
    if (own)
        return list_entry(own, struct stack, link);
    struct stack *stack = fail_now(FAIL_TAKE) ? NULL : xstack_pool_take();
    uint64_t in_use = __atomic_load_n(&xstack_pool.in_use, __ATOMIC_RELAXED);
    if (stack)
        in_use = add_relaxed(xstack_pool.in_use, 1) + 1;
    raise_to(&xstack_pool.most_in_use, in_use);
    add_relaxed(xstack_pool.in_use_seen[MIN(in_use, (uint64_t)xstack_pool.capacity)], 1);
    return stack;
}

static void count_holder(uint32_t from, uint32_t to)
{
    if (from)
        __atomic_fetch_sub(&xstack_pool.holders[MIN(from, XSTACK_HOLDERS_MAX - 1u)], 1, __ATOMIC_RELAXED);
    if (to)
        add_relaxed(xstack_pool.holders[MIN(to, XSTACK_HOLDERS_MAX - 1u)], 1);
}

uintptr_t xstack_take(uint64_t probe)
{
    struct thread *thread = thread_current();
    struct xstack_probe_stats *stats = &xstack_pool.probes[probe];
    ASSERT(arch_irq_enabled(), "no probe with interrupts off or a spin lock held");
    add_relaxed(stats->requests, 1);
    struct stack *stack = take_any(thread);
    if (!stack) {
        add_relaxed(stats->refusals, 1);
        thread->refusals++;
        return 0;
    }
    ASSERT(!stack->owner || stack->owner == thread, "a free extra stack has no owner");
    stack->owner = thread;
    stack->probe = (uint16_t)probe;
    stack->previous = thread->stack;
    thread->stack->left_at = arch_stack_pointer();
    thread->stack = stack;
    count_holder(thread->held, thread->held + 1);
    thread->held++;
    if (thread->held > thread->held_max) {
        thread->held_max = thread->held;
        raise_to(&xstack_pool.most_held, thread->held);
    }
    arch_set_probe_base(xstack_probe_base(stack));
    return stack->top;
}

/* Exact depth of one use: find the lowest word written, then clean up to it for the next use. */
__attribute__((no_sanitize("address"))) static void measure_use(struct stack *stack)
{
    uint64_t *word = (uint64_t *)stack->base, *top = (uint64_t *)stack->top;
    while (word < top && !*word)
        word++;
    uint64_t used = (uint64_t)((char *)top - (char *)word);
    stack->deepest = MAX(stack->deepest, (uint32_t)used);
    raise_to(&xstack_pool.probes[stack->probe].deepest, used);
    while (word < top)
        *word++ = 0;
}

static void put_back(struct thread *thread, struct stack *stack)
{
    if (xstack_pool.measure)
        measure_use(stack);
    stack->previous = NULL;
    if (stack->kind == STACK_PRIVATE) {
        list_push_front(&thread->parked, &stack->link);
        return;
    }
    stack->owner = NULL;
    __atomic_fetch_sub(&xstack_pool.in_use, 1, __ATOMIC_RELAXED);
    xstack_pool_give(stack);
}

void xstack_give(void)
{
    struct thread *thread = thread_current();
    struct stack *stack = thread->stack;
    ASSERT(stack != thread->home && stack->owner == thread, "who gives a stack back holds it");
    thread->stack = stack->previous;
    arch_set_probe_base(xstack_probe_base(stack->previous));
    count_holder(thread->held, thread->held - 1);
    thread->held--;
    put_back(thread, stack);
}

void xstack_thread_exit(struct thread *thread)
{
    if (thread->held)
        count_holder(thread->held, 0);
    while (thread->stack != thread->home) {
        struct stack *stack = thread->stack;
        thread->stack = stack->previous;
        put_back(thread, stack);
    }
    thread->held = 0;
    xstack_release_private(thread);
}

int xstack_reserve_private(struct thread *thread, uint32_t count)
{
    struct list fresh;
    list_init(&fresh);
    for (uint32_t i = 0; i < count; i++) {
        struct stack *stack;
        int err = stack_map(params.stack_extra_size, STACK_PRIVATE, "private", &stack);
        if (err) {
            struct list *link;
            while ((link = list_pop_front(&fresh)))
                stack_unmap(list_entry(link, struct stack, link));
            return err;
        }
        stack->owner = thread;
        list_push_back(&fresh, &stack->link);
    }
    list_splice_back(&thread->parked, &fresh);
    add_relaxed(xstack_pool.reserved, count);
    return 0;
}

void xstack_release_private(struct thread *thread)
{
    struct list *link;
    while ((link = list_pop_front(&thread->parked))) {
        stack_unmap(list_entry(link, struct stack, link));
        __atomic_fetch_sub(&xstack_pool.reserved, 1, __ATOMIC_RELAXED);
    }
}

uint64_t xstack_refusals(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < PROBE_COUNT; i++)
        sum += xstack_pool.probes[i].refusals;
    return sum;
}
