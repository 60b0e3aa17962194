// SPDX-License-Identifier: MIT
/* What /sys/stack shows of threads' stacks, of the cache of freed ones, and of growth. */
#include <rt/attr.h>
#include <rt/cpu.h>
#include <rt/page.h>
#include <rt/param.h>
#include <rt/stack.h>
#include <rt/stack_cache.h>
#include <rt/stack_grow.h>
#include <rt/thread.h>

/* ---- threads ---- */

struct threads_visitor {
    struct thread_visitor visitor;
    struct strbuf *out;
};

static const char *kind_of(const struct stack *stack)
{
    if (stack->kind == STACK_IDLE)
        return "idle";
    return stack->kind == STACK_OWN ? "own" : "home";
}

static void visit_thread(const struct thread_visitor *visitor, struct thread *thread)
{
    const struct threads_visitor *v = container_of(visitor, const struct threads_visitor, visitor);
    struct stack *stack = thread->home;
    unsigned kept = 0;
    if (!stack || (stack->owner && stack->owner != thread) || thread->state == THREAD_DEAD)
        return;
    unsigned pages = stack->grows ? stack_grow_pages(stack, &kept)
                                  : (unsigned)((stack->top - stack->base + PAGE_BYTES - 1) / PAGE_BYTES);
    strbuf_printf(v->out, "%u %s %s %lu %s %s %s %u %u %lu\n", thread->id, thread->name, kind_of(stack),
                  (unsigned long)(stack->top - stack->base), stack->guarded ? "guarded" : "unguarded",
                  stack->mapped ? "mapped" : "plain", stack->grows ? "grows" : "wired", pages, kept,
                  (unsigned long)stack_measure(stack));
}

static void show_threads(const struct attr *attr, struct strbuf *out)
{
    const struct threads_visitor v = {.visitor = {.visit = visit_thread}, .out = out};
    (void)attr;
    strbuf_puts(out, "id name kind size guards memory growth pages kept deepest\n");
    thread_for_each(&v.visitor);
}

/* ---- the cache ---- */

static void show_cache(const struct attr *attr, struct strbuf *out)
{
    struct stack_cache_counts c;
    (void)attr;
    strbuf_puts(out, "cpu cached most hits misses kept passed_on unmapped\n");
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        stack_cache_counts(cpu, &c);
        strbuf_printf(out, "%u %lu %u %lu %lu %lu %lu %lu\n", cpu, (unsigned long)c.cached,
                      stack_cache_most(), (unsigned long)c.hits, (unsigned long)c.misses,
                      (unsigned long)c.kept, (unsigned long)c.passed_on, (unsigned long)c.unmapped);
    }
}

enum cache_key { C_CACHED, C_HITS, C_MISSES, C_KEPT, C_PASSED_ON, C_UNMAPPED };

static void show_cache_value(const struct attr *attr, struct strbuf *out)
{
    struct stack_cache_counts c;
    stack_cache_counts(UINT32_MAX, &c);
    const uint64_t values[] = {c.cached, c.hits, c.misses, c.kept, c.passed_on, c.unmapped};
    strbuf_printf(out, "%lu\n", (unsigned long)values[attr->key]);
}

/* ---- growth ---- */

enum growth_key { G_FAULTS, G_REINSTATED, G_PREFILLED, G_UNTOUCHED, G_TAKEN_BACK, G_FREED, G_KEPT_USED,
                  G_POOL_LOW, G_BATCHES, G_POOLED, G_POOL_NEED };

static void show_growth_value(const struct attr *attr, struct strbuf *out)
{
    struct stack_growth_counts c;
    stack_grow_counts(&c);
    const uint64_t values[] = {c.faults,    c.reinstated, c.prefilled,         c.untouched,
                               c.taken_back, c.freed,     c.kept_used,         c.pool_low,
                               c.batches,   stack_grow_pooled(), stack_grow_need()};
    strbuf_printf(out, "%lu\n", (unsigned long)values[attr->key]);
}

static void show_mode(const struct attr *attr, struct strbuf *out)
{
    static const char *const modes[] = {"off", "fault", "prefill"};
    (void)attr;
    strbuf_printf(out, "%s\n", modes[params.stack_grow]);
}

struct pages_visitor {
    struct stack_visitor visitor;
    uint64_t *mapped, *kept;          /* [STACK_GROW_PAGES_MAX + 1] */
};

static void see_pages(const struct stack_visitor *visitor, struct stack *stack)
{
    const struct pages_visitor *v = container_of(visitor, const struct pages_visitor, visitor);
    unsigned kept;
    if (!stack->grows || stack->state != STACK_LIVE)
        return;
    unsigned mapped = stack_grow_pages(stack, &kept);
    v->mapped[MIN(mapped, STACK_GROW_PAGES_MAX)]++;
    v->kept[MIN(kept, STACK_GROW_PAGES_MAX)]++;
}

static void show_histogram(const struct attr *attr, struct strbuf *out)
{
    uint64_t mapped[STACK_GROW_PAGES_MAX + 1] = {0}, kept[STACK_GROW_PAGES_MAX + 1] = {0};
    const struct pages_visitor v = {.visitor = {.see = see_pages}, .mapped = mapped, .kept = kept};
    (void)attr;
    stack_for_each(&v.visitor);
    strbuf_puts(out, "pages stacks_mapped stacks_kept threads_ended\n");
    for (unsigned i = 0; i <= params.stack_size / PAGE_BYTES && i <= STACK_GROW_PAGES_MAX; i++)
        strbuf_printf(out, "%u %lu %lu %lu\n", i, (unsigned long)mapped[i], (unsigned long)kept[i],
                      (unsigned long)stack_grow_ended_with(i));
}

static const struct attr_ops threads_ops = {.show = show_threads};
static const struct attr_ops cache_ops = {.show = show_cache};
static const struct attr_ops cache_value_ops = {.show = show_cache_value};
static const struct attr_ops growth_value_ops = {.show = show_growth_value};
static const struct attr_ops mode_ops = {.show = show_mode};
static const struct attr_ops histogram_ops = {.show = show_histogram};

static const struct attr attr_threads = {"threads", &threads_ops, 0};
const struct attr *const stack_attrs[] = {&attr_threads, NULL};

#define CACHE(name, key) static const struct attr cache_##name = {#name, &cache_value_ops, key}
CACHE(cached, C_CACHED);
CACHE(hits, C_HITS);
CACHE(misses, C_MISSES);
CACHE(kept, C_KEPT);
CACHE(passed_on, C_PASSED_ON);
CACHE(unmapped, C_UNMAPPED);
static const struct attr cache_cpus = {"cpus", &cache_ops, 0};
const struct attr *const stack_cache_attrs[] = {
    &cache_cpus, &cache_cached, &cache_hits, &cache_misses, &cache_kept, &cache_passed_on,
    &cache_unmapped, NULL,
};

#define GROWTH(name, key) static const struct attr growth_##name = {#name, &growth_value_ops, key}
GROWTH(faults, G_FAULTS);
GROWTH(reinstated, G_REINSTATED);
GROWTH(prefilled, G_PREFILLED);
GROWTH(untouched, G_UNTOUCHED);
GROWTH(taken_back, G_TAKEN_BACK);
GROWTH(freed, G_FREED);
GROWTH(kept_used, G_KEPT_USED);
GROWTH(pool_low, G_POOL_LOW);
GROWTH(batches, G_BATCHES);
GROWTH(pooled, G_POOLED);
GROWTH(pool_need, G_POOL_NEED);
static const struct attr growth_mode = {"mode", &mode_ops, 0};
static const struct attr growth_histogram = {"histogram", &histogram_ops, 0};
const struct attr *const stack_growth_attrs[] = {
    &growth_mode, &growth_faults, &growth_reinstated, &growth_prefilled, &growth_untouched,
    &growth_taken_back, &growth_freed, &growth_kept_used, &growth_pool_low, &growth_batches,
    &growth_pooled, &growth_pool_need, &growth_histogram, NULL,
};
