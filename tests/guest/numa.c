// SPDX-License-Identifier: MIT
/*
 * Memory nodes: that what is made for a CPU lies in its node. Frames are found in the page tables and held against the
 * firmware's own ranges, not against what the page allocator made of them. tests/qemu/numa.sh boots these
 * with several nodes, and judges the printed addresses again by the machine's command line; with one node the
 * same cases run and show less.
 */
#include "guest.h"
#include "pinned.h"

#include <x86.h>

#include <rt/cpu.h>
#include <rt/log.h>
#include <rt/node.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/thread.h>
#include <rt/xstack_pool.h>

#define RANGES_MAX 64

static struct arch_memory_node ranges[RANGES_MAX];
static int range_count;

/* The node of @phys by the firmware's table; without one all is node 0. */
static uint32_t firmware_node(uint64_t phys)
{
    for (int i = 0; i < range_count; i++)
        if (phys >= ranges[i].start && phys < ranges[i].end)
            return ranges[i].node;
    return range_count ? UINT32_MAX : 0;
}

static void read_ranges(void)
{
    range_count = arch_memory_nodes(ranges, RANGES_MAX);
    CHECK(range_count >= 0 && range_count <= RANGES_MAX);
}

static bool has_memory(uint32_t node)
{
    struct page_node_counts counts;
    page_node_counts(node, &counts);
    return counts.total > 0;
}

/* All frames behind [base, top) lie in @node, if it has memory. With @what they are printed. */
static bool lies_in(uintptr_t base, uintptr_t top, uint32_t node, const char *what, uint32_t cpu)
{
    bool right = true;
    for (uintptr_t va = base; va < top; va += PAGE_BYTES) {
        uint64_t phys = 0;
        CHECK(arch_lookup(va, &phys, NULL));
        if (what)
            console_printf("  frame %s cpu %u at %lu\n", what, cpu, (unsigned long)phys);
        right &= !has_memory(node) || firmware_node(phys) == node;
    }
    return right;
}

static bool object_in(const void *object, size_t bytes, uint32_t node)
{
    uintptr_t start = (uintptr_t)object & ~(uintptr_t)(PAGE_BYTES - 1);
    return lies_in(start, (uintptr_t)object + bytes, node, NULL, 0);
}

static bool stack_in(uintptr_t top, uint32_t node, const char *what, uint32_t cpu)
{
    const struct stack *stack = stack_find(top - 8, NULL);
    CHECK(stack && stack->mapped && stack->node == node);
    return stack && lies_in(stack->base, stack->top, node, what, cpu);
}

/* ---- extra stacks ---- */

static uint32_t owner_cpu(uint32_t index) { return index / XSTACK_WORD_BITS % cpu_count; }

/* How many stacks each CPU has, and whether all lie where they belong. */
static bool extra_stacks_in_place(uint32_t *made, bool print)
{
    bool right = true;
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        made[cpu] = 0;
    for (uint32_t i = 0; i < xstack_pool.capacity; i++) {
        const struct stack *stack = xstack_pool.stacks[i];
        uint32_t cpu = owner_cpu(i);
        if (!stack)
            continue;
        made[cpu]++;
        CHECK(stack->kind == STACK_EXTRA && stack->pool_index == i);
        right &= lies_in(stack->base, stack->top, cpus[cpu]->node, print ? "extra" : NULL, cpu);
    }
    return right;
}

static uint32_t made[CPUS_MAX];

static void numa_extra(void)
{
    read_ranges();
    CHECK(extra_stacks_in_place(made, true));
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        CHECK(made[cpu] == params.stack_extra && xstack_pool.made[cpu] == made[cpu]);
}

/* From every CPU in turn: what the caller's own node is must not matter. */
static void resize_here(struct pinned *self)
{
    const uint32_t most = 2 * (uint32_t)params.stack_extra * cpu_count;
    for (uint32_t total = 0; total <= most; total += most / 4) {
        CHECK(xstack_resize(total) == 0);
        CHECK(extra_stacks_in_place(made, total == most && self->cpu == cpu_count - 1));
        for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
            CHECK(made[cpu] == total / cpu_count && xstack_pool.made[cpu] == made[cpu]);
        if (!total)
            continue;
        CHECK(xstack_resize(total / 4 + 1) == 0 && extra_stacks_in_place(made, false));
        for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
            CHECK(made[cpu] * cpu_count + cpu_count > total / 4 + 1 && made[cpu] * cpu_count < total / 4 + 1 + cpu_count);
    }
    CHECK(xstack_resize((uint32_t)params.stack_extra * cpu_count) == 0);
}

static void numa_resize(void)
{
    static const struct pinned_ops ops = {.pinned_work = resize_here};
    read_ranges();
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned_wait(pinned_start(i, &ops));
}

static struct stack *taken[2048];

static uint32_t free_in_words_of(uint32_t cpu)
{
    uint32_t count = 0;
    for (uint32_t w = cpu; w < xstack_pool.word_count; w += cpu_count)
        for (uint64_t left = xstack_pool.words[w].value & XSTACK_WORD_MASK; left; left &= left - 1)
            count++;
    return count;
}

/* Own ones first, then others'; each goes home to the words of its own CPU. */
static void steal_here(struct pinned *self)
{
    uint32_t count = 0, own = 0;
    while (count < ARRAY_COUNT(taken) && (taken[count] = xstack_pool_take()))
        count++;
    while (own < count && owner_cpu(taken[own]->pool_index) == self->cpu)
        own++;
    CHECK(count == xstack_pool.total && own == xstack_pool.made[self->cpu]);
    while (count)
        xstack_pool_give(taken[--count]);
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        CHECK(free_in_words_of(cpu) == xstack_pool.made[cpu]);
    CHECK(extra_stacks_in_place(made, false));
}

static void numa_steal(void)
{
    static const struct pinned_ops ops = {.pinned_work = steal_here};
    read_ranges();
    for (uint32_t i = 0; i < cpu_count; i++)
        pinned_wait(pinned_start(i, &ops));
}

/* ---- what a CPU has ---- */

static void numa_cpus(void)
{
    read_ranges();
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct x86_cpu *x86 = x86_cpus[i];
        uint32_t node = cpus[i]->node;
        CHECK(stack_in(cpus[i]->arch.irq_stack_top, node, "interrupt", i));
        CHECK(stack_in(x86->report_top, node, "report", i));
        for (unsigned ist = IST_PAGE_FAULT; ist <= IST_DEBUG; ist++)
            CHECK(stack_in(x86->tss.ist[ist - 1], node, "ist", i));
        CHECK(stack_in(cpus[i]->worker->home->top, node, "worker", i));
        if (i == 0)
            continue;                 /* its area and its idle thread are in the image */
        CHECK(stack_in(cpus[i]->idle->home->top, node, "idle", i));
        CHECK(object_in(cpus[i], sizeof(*cpus[i]), node));
        CHECK(object_in(cpus[i]->idle, sizeof(*cpus[i]->idle), node));
        CHECK(object_in(x86, sizeof(*x86), node));
    }
}

/* ---- threads ---- */

static void do_nothing(void *argument) { (void)argument; }
static const struct thread_def nothing_def = {.name = "nothing", .run = do_nothing};

static void threads_here(struct pinned *self)
{
    uint32_t node = cpus[self->cpu]->node;
    struct thread *threads[8];
    for (unsigned i = 0; i < ARRAY_COUNT(threads); i++) {
        CHECK(thread_prepare(&nothing_def, NULL, &threads[i]) == 0);
        const struct stack *home = threads[i]->home;
        CHECK(lies_in(home->grows ? home->top - PAGE_BYTES : home->base, home->top, node, "home", self->cpu));
        CHECK(object_in(threads[i], sizeof(*threads[i]), node));
        CHECK(home->node == node && stack_is_local(home) == has_memory(node));
    }
    for (unsigned i = 0; i < ARRAY_COUNT(threads); i++)
        thread_discard(threads[i]);
}

/* Made on this CPU, ended on the last one: that keeps no stack of another node for its own threads. */
static void end_elsewhere(void)
{
    for (unsigned i = 0; i < 2 * STACK_CACHE_MAX; i++) {
        struct thread *thread;
        CHECK(thread_prepare(&nothing_def, NULL, &thread) == 0);
        CHECK(thread_set_affinity(thread, UINT64_C(1) << (cpu_count - 1)) == 0);
        thread_start(thread);
    }
    thread_sleep_ns(20 * NS_PER_MS);
}

static void numa_threads(void)
{
    static const struct pinned_ops ops = {.pinned_work = threads_here};
    read_ranges();
    for (uint32_t i = 0; i < cpu_count; i++) {
        end_elsewhere();
        pinned_wait(pinned_start(i, &ops));
    }
}

/* ---- a node without free pages ---- */

/* Takes all of a node's pages but what others free meanwhile; chained through their first word. */
static void *fill_node(uint32_t node)
{
    void *chain = NULL;
    for (;;) {
        struct page_node_counts counts;
        void **page;
        page_node_counts(node, &counts);
        if (!counts.free || !(page = page_alloc_on(node, 0)))
            return chain;
        if (firmware_node(arch_virt_to_phys(page)) != node) {
            page_free(page, 0);
            continue;
        }
        *page = chain;
        chain = page;
    }
}

static void make_one_there(struct pinned *self)
{
    struct thread *thread;
    CHECK(thread_prepare(&nothing_def, NULL, &thread) == 0);
    CHECK(!stack_is_local(thread->home) || cpus[self->cpu]->node == 0);
    thread_start(thread);
}

static void numa_full(void)
{
    static const struct pinned_ops ops = {.pinned_work = make_one_there};
    const uint32_t last = cpu_count - 1, node = cpus[last]->node, total = (uint32_t)xstack_pool.total;
    struct page_node_counts before, after;
    read_ranges();
    if (node_count == 1 || !has_memory(node))
        return;
    CHECK(xstack_resize(0) == 0);
    stack_cache_drain();
    uint64_t pages = page_count_free();
    void *chain = fill_node(node);
    page_node_counts(node, &before);
    CHECK(before.free < 64 && page_count_free() > 1000);
    CHECK(xstack_resize(total) == 0);
    page_node_counts(node, &after);
    console_printf("  %lu frames of node %u came from elsewhere\n", (unsigned long)(after.elsewhere - before.elsewhere),
                   node);
    CHECK(after.elsewhere >= before.elsewhere + total / cpu_count - before.free);
    CHECK(!extra_stacks_in_place(made, false));
    pinned_wait(pinned_start(last, &ops));
    while (chain) {
        void *next = *(void **)chain;
        page_free(chain, 0);
        chain = next;
    }
    CHECK(xstack_resize(0) == 0);
    CHECK(page_count_free() + 256 >= pages);
    CHECK(xstack_resize(total) == 0 && extra_stacks_in_place(made, false));
}

const struct guest_case guest_numa_checks[] = {
    {"numa-extra", numa_extra},
    {"numa-resize", numa_resize},
    {"numa-steal", numa_steal},
    {"numa-cpus", numa_cpus},
    {"numa-threads", numa_threads},
    {"numa-full", numa_full},
    {NULL, NULL},
};
