// SPDX-License-Identifier: MIT
/* Making and resizing the pool, and what /sys/stack shows of it. The probe's path is in xstack.c. */
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/thread.h>
#include <rt/xstack_counts.h>
#include <rt/xstack_pool.h>

/* Whose words a place in the table belongs to. */
static uint32_t cpu_of_index(uint32_t index) { return index / XSTACK_WORD_BITS % cpu_count; }

/* The CPU with the fewest stacks made for it, and the one with the most. */
static uint32_t poorest_cpu(void)
{
    uint32_t poorest = 0;
    for (uint32_t i = 1; i < cpu_count; i++)
        if (xstack_pool.made[i] < xstack_pool.made[poorest])
            poorest = i;
    return poorest;
}

static uint32_t richest_cpu(void)
{
    uint32_t richest = 0;
    for (uint32_t i = 1; i < cpu_count; i++)
        if (xstack_pool.made[i] >= xstack_pool.made[richest])
            richest = i;
    return richest;
}

static void give_counted(struct stack *stack)
{
    xstack_pool.made[cpu_of_index(stack->pool_index)]++;
    xstack_pool_give(stack);
}

/* A free stack, of the CPU with the most if that has one: so the numbers stay even. */
static struct stack *take_counted(void)
{
    struct stack *stack = xstack_pool_take_of(richest_cpu());
    if (!stack)
        stack = xstack_pool_take();
    if (stack)
        xstack_pool.made[cpu_of_index(stack->pool_index)]--;
    return stack;
}

/*
 * A free place in the table, one that belongs to @cpu if there is one. `first_free` is where its words may begin
 * to have one, so that a pool of N stacks is made in N steps. resize_lock held.
 */
static uint32_t free_index(uint32_t cpu)
{
    struct xstack_pool *pool = &xstack_pool;
    for (uint32_t w = pool->first_free[cpu]; w < pool->word_count; w += cpu_count) {
        pool->first_free[cpu] = w;
        for (uint32_t i = w * XSTACK_WORD_BITS; i < (w + 1) * XSTACK_WORD_BITS; i++)
            if (!pool->stacks[i])
                return i;
    }
    for (uint32_t i = 0; i < pool->capacity; i++)
        if (!pool->stacks[i])
            return i;
    return UINT32_MAX;
}

/* For @cpu, from its memory node. */
static int add_stack(uint32_t cpu)
{
    uint32_t index = free_index(cpu);
    struct stack *stack;
    if (index == UINT32_MAX)
        return -ENOMEM;
    int err = stack_map_on(cpus[cpu_of_index(index)]->node, params.stack_extra_size, STACK_EXTRA, "extra", &stack);
    if (err)
        return err;
    stack->pool_index = index;
    xstack_pool.stacks[index] = stack;
    xstack_pool.words_used = MAX(xstack_pool.words_used, index / XSTACK_WORD_BITS + 1);
    xstack_pool.total++;
    give_counted(stack);
    return 0;
}

/* Takes @count free stacks out of the pool and frees them. -EBUSY: fewer are free, nothing has changed. */
static int drop_stacks(uint64_t count)
{
    struct list taken = LIST_INIT(taken);
    struct list *link;
    for (uint64_t i = 0; i < count; i++) {
        struct stack *stack = take_counted();
        if (!stack) {
            while ((link = list_pop_front(&taken)))
                give_counted(list_entry(link, struct stack, link));
            return -EBUSY;
        }
        list_push_back(&taken, &stack->link);
    }
    while ((link = list_pop_front(&taken))) {
        struct stack *stack = list_entry(link, struct stack, link);
        uint32_t word = stack->pool_index / XSTACK_WORD_BITS, *first = &xstack_pool.first_free[word % cpu_count];
        xstack_pool.stacks[stack->pool_index] = NULL;
        *first = MIN(*first, word);
        xstack_pool.total--;
        stack_unmap(stack);
    }
    return 0;
}

static int resize_locked(uint32_t total)
{
    uint64_t before = xstack_pool.total;
    uint64_t free;
    int err = 0;
    if (total > params.stack_extra_max)
        return -ENOMEM;
    if (total < before && xstack_pool_free(&free) && free < before - total)
        return -EBUSY;                /* seen before any is taken out: nobody is refused for its sake */
    while (!err && xstack_pool.total < total)
        err = add_stack(poorest_cpu());
    while (err == -ENOMEM && xstack_pool.total > before && drop_stacks(1) == 0)
        ;
    if (!err && xstack_pool.total > total)
        err = drop_stacks(xstack_pool.total - total);
    return err;
}

int xstack_resize(uint32_t total)
{
    mutex_lock(&xstack_pool.resize_lock);
    __atomic_fetch_add(&xstack_pool.resizes, 1, __ATOMIC_ACQ_REL);
    int err = resize_locked(total);
    __atomic_fetch_add(&xstack_pool.resizes, 1, __ATOMIC_ACQ_REL);
    mutex_unlock(&xstack_pool.resize_lock);
    return err;
}

int xstack_init(void)
{
    struct xstack_pool *pool = &xstack_pool;
    uint32_t words = (uint32_t)div_round_up(params.stack_extra_max, XSTACK_WORD_BITS);
    pool->word_count = (uint32_t)align_up(MAX(words, 1u), cpu_count);
    pool->capacity = pool->word_count * XSTACK_WORD_BITS;
    pool->words = heap_zalloc(pool->word_count * sizeof(pool->words[0]));
    pool->stacks = heap_zalloc(pool->capacity * sizeof(pool->stacks[0]));
    pool->in_use_seen = heap_zalloc((pool->capacity + 1) * sizeof(pool->in_use_seen[0]));
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++)
        pool->first_free[cpu] = cpu;
    if (!pool->words || !pool->stacks || !pool->in_use_seen)
        return -ENOMEM;
    mutex_init_level(&pool->resize_lock, "pool resize", 0);
#ifdef SPILLWAY_DEBUG
    pool->measure = true;
#else
    pool->measure = params.stack_need == PARAM_NEED_FORCE;
#endif
    return resize_locked((uint32_t)(params.stack_extra * cpu_count));
}

void xstack_timer(uint64_t now_ns)
{
    struct xstack_pool *pool = &xstack_pool;
    uint64_t elapsed = pool->holders_sampled_ns ? now_ns - pool->holders_sampled_ns : 0;
    pool->holders_sampled_ns = now_ns;
    for (unsigned j = 1; j < XSTACK_HOLDERS_MAX && j <= pool->most_held; j++)
        pool->holders_ns[j] += xstack_gauge(xstack_sum_of(holders, j)) * elapsed;
    uint64_t refusals = xstack_refusals();
    if (refusals != pool->refusals_reported && now_ns >= pool->report_ns) {
        log_warn("stack: %lu operations refused (-EIO): all %lu extra stacks were in use",
                 refusals - pool->refusals_reported, pool->total);
        pool->refusals_reported = refusals;
        pool->report_ns = now_ns + 5 * NS_PER_S;
    }
}

void xstack_probe_totals(unsigned probe, struct xstack_probe_totals *out)
{
    out->switches = xstack_sum_of(switches, probe);
    out->refusals = xstack_sum_of(refusals, probe);
    out->requests = out->switches + out->refusals;
}

void xstack_totals(struct xstack_totals *out)
{
    const struct xstack_pool *pool = &xstack_pool;
    uint64_t in_use = MIN(xstack_gauge(xstack_sum(in_use)), pool->total);
    *out = (struct xstack_totals){
        .total = pool->total,
        .in_use = in_use,
        .free = pool->total - in_use,
        .reserved = pool->reserved,
        .low_water = pool->total - MIN(pool->most_in_use, pool->total),
        .refusals = xstack_refusals(),
        .most_held = pool->most_held,
    };
    for (unsigned i = 0; i < PROBE_COUNT; i++)
        out->switches += xstack_sum_of(switches, i);
    out->requests = out->switches + out->refusals;
}

/* ---- /sys/stack ---- */

enum total_key { K_TOTAL, K_FREE, K_IN_USE, K_PARKED, K_RESERVED, K_LOW_WATER, K_REQUESTS, K_SWITCHES,
                 K_REFUSALS, K_WAITS, K_MOST_HELD, K_DEEPEST, K_SIZE, K_EXTRA_SIZE, K_EXTRA_MAX };

static uint64_t total_value(uint64_t key)
{
    struct xstack_totals t;
    xstack_totals(&t);
    switch ((enum total_key)key) {
    case K_TOTAL: return t.total;
    case K_FREE: return t.free;
    case K_IN_USE: return t.in_use;
    case K_PARKED: return t.parked;
    case K_RESERVED: return t.reserved;
    case K_LOW_WATER: return t.low_water;
    case K_REQUESTS: return t.requests;
    case K_SWITCHES: return t.switches;
    case K_REFUSALS: return t.refusals;
    case K_WAITS: return t.waits;
    case K_MOST_HELD: return t.most_held;
    case K_DEEPEST: return stack_deepest();
    case K_SIZE: return params.stack_size;
    case K_EXTRA_SIZE: return params.stack_extra_size;
    case K_EXTRA_MAX: return params.stack_extra_max;
    }
    return 0;
}

static void show_total(const struct attr *attr, struct strbuf *out)
{
    strbuf_printf(out, "%lu\n", (unsigned long)total_value(attr->key));
}

static int store_total(const struct attr *attr, const char *text)
{
    uint64_t total;
    (void)attr;
    int err = parse_u64(text, false, &total);
    if (err)
        return -EINVAL;
    return total > UINT32_MAX ? -ENOMEM : xstack_resize((uint32_t)total);
}

static void show_probes(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_puts(out, "probe need requests switches refusals deepest bound\n");
    for (unsigned i = 0; i < PROBE_COUNT; i++) {
        unsigned long switches = xstack_sum_of(switches, i), refusals = xstack_sum_of(refusals, i);
        strbuf_printf(out, "%s %u %lu %lu %lu ", probe_infos[i].name, probe_infos[i].need_bytes,
                      switches + refusals, switches, refusals);
        if (xstack_pool.measure)
            strbuf_printf(out, "%lu", (unsigned long)xstack_pool.deepest[i]);
        else
            strbuf_puts(out, "-");
        strbuf_puts(out, " -\n");
    }
}

void xstack_print_depths(void)
{
    if (!xstack_pool.measure)
        return;
    for (unsigned i = 0; i < PROBE_COUNT; i++)
        console_printf("probe %s: need %u, deepest %lu, switches %lu\n", probe_infos[i].name,
                       probe_infos[i].need_bytes, (unsigned long)xstack_pool.deepest[i],
                       (unsigned long)xstack_sum_of(switches, i));
}

static void show_in_use_seen(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_puts(out, "in_use requests\n");
    for (uint32_t i = 0; i <= xstack_pool.capacity; i++) {
        unsigned long seen = i < XSTACK_SEEN_MAX ? xstack_sum_of(in_use_seen, i) : xstack_pool.in_use_seen[i];
        if (seen)
            strbuf_printf(out, "%u %lu\n", i, seen);
    }
}

static void show_holders(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_puts(out, "held thread_ns\n");
    for (unsigned j = 1; j < XSTACK_HOLDERS_MAX; j++)
        if (xstack_pool.holders_ns[j])
            strbuf_printf(out, "%u %lu\n", j, (unsigned long)xstack_pool.holders_ns[j]);
}

/* A stack that another CPU holds counts where it goes home to. */
static void show_nodes(const struct attr *attr, struct strbuf *out)
{
    static uint32_t local[CPUS_MAX];  /* resize_lock */
    (void)attr;
    mutex_lock(&xstack_pool.resize_lock);
    memset(local, 0, sizeof(local));
    for (uint32_t i = 0; i < xstack_pool.capacity; i++)
        if (xstack_pool.stacks[i])
            local[cpu_of_index(i)] += stack_is_local(xstack_pool.stacks[i]);
    strbuf_puts(out, "cpu node made local\n");
    for (uint32_t i = 0; i < cpu_count; i++)
        strbuf_printf(out, "%u %u %u %u\n", i, cpus[i]->node, xstack_pool.made[i], local[i]);
    mutex_unlock(&xstack_pool.resize_lock);
}

static void show_policy(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_puts(out, "eio\n");
}

static const struct attr_ops value_ops = {.show = show_total};
static const struct attr_ops total_ops = {.show = show_total, .store = store_total};
static const struct attr_ops probes_ops = {.show = show_probes};
static const struct attr_ops in_use_seen_ops = {.show = show_in_use_seen};
static const struct attr_ops holders_ops = {.show = show_holders};
static const struct attr_ops nodes_ops = {.show = show_nodes};
static const struct attr_ops policy_ops = {.show = show_policy};

#define VALUE(name, key) static const struct attr attr_##name = {#name, &value_ops, key}
static const struct attr attr_total = {"total", &total_ops, K_TOTAL};
VALUE(free, K_FREE);
VALUE(in_use, K_IN_USE);
VALUE(parked, K_PARKED);
VALUE(reserved, K_RESERVED);
VALUE(low_water, K_LOW_WATER);
VALUE(requests, K_REQUESTS);
VALUE(switches, K_SWITCHES);
VALUE(refusals, K_REFUSALS);
VALUE(waits, K_WAITS);
VALUE(most_held, K_MOST_HELD);
VALUE(deepest, K_DEEPEST);
VALUE(size, K_SIZE);
VALUE(extra_size, K_EXTRA_SIZE);
VALUE(extra_max, K_EXTRA_MAX);
static const struct attr attr_probes = {"probes", &probes_ops, 0};
static const struct attr attr_histogram = {"histogram", &in_use_seen_ops, 0};
static const struct attr attr_holders = {"holders", &holders_ops, 0};
static const struct attr attr_nodes = {"nodes", &nodes_ops, 0};
static const struct attr attr_policy = {"policy", &policy_ops, 0};

const struct attr *const xstack_attrs[] = {
    &attr_total, &attr_free, &attr_in_use, &attr_parked, &attr_reserved, &attr_low_water,
    &attr_requests, &attr_switches, &attr_refusals, &attr_waits, &attr_most_held, &attr_deepest,
    &attr_size, &attr_extra_size, &attr_extra_max, &attr_probes, &attr_histogram, &attr_holders,
    &attr_nodes, &attr_policy, NULL,
};
