// SPDX-License-Identifier: MIT
/*
 * Where the memory of threads goes: /sys/stack/memory, a line a kind, counted when it is read. Also what there
 * is and what is free, in /sys/memory. The counts are of one moment only as far as nothing changes meanwhile.
 */
#include <rt/memory_sys.h>

#include <arch/arch.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/stack.h>
#include <rt/stack_grow.h>
#include <rt/thread.h>

enum kind { M_HOME, M_HOME_KEPT, M_HOME_CACHED, M_EXTRA, M_EXTRA_FREE, M_PRIVATE, M_OTHER_STACKS, M_SLOTS, M_THREADS, M_FPU,
            M_TABLES, KIND_COUNT };

static const char *const kind_names[KIND_COUNT] = {
    [M_HOME] = "home",              /* pages that are there, of stacks whose thread lives */
    [M_HOME_KEPT] = "home_kept",    /* taken back, the frame not yet freed */
    [M_HOME_CACHED] = "home_cached",
    [M_EXTRA] = "extra",            /* in use */
    [M_EXTRA_FREE] = "extra_free",
    [M_PRIVATE] = "private",
    [M_OTHER_STACKS] = "other_stacks",
    [M_SLOTS] = "stack_descriptors",
    [M_THREADS] = "thread_structures",
    [M_FPU] = "fpu_areas",
    [M_TABLES] = "stack_page_tables",
};

struct count {
    uint64_t objects, bytes;
};

static void count(struct count *c, uint64_t bytes)
{
    c->objects++;
    c->bytes += bytes;
}

struct stacks_visitor {
    struct stack_visitor visitor;
    struct count *counts;             /* [KIND_COUNT] */
};

static void see_stack(const struct stack_visitor *visitor, struct stack *stack)
{
    struct count *counts = container_of(visitor, const struct stacks_visitor, visitor)->counts;
    uint64_t bytes = stack->adopted ? 0 : stack->top - stack->base;
    unsigned kept = 0;
    if (stack->grows)
        bytes = (uint64_t)stack_grow_pages(stack, &kept) * PAGE_BYTES;
    uint64_t descriptor = heap_cost(sizeof(*stack));
    count(&counts[M_SLOTS], descriptor + (stack->growth ? heap_cost(sizeof(*stack->growth)) : 0));
    if (kept)
        count(&counts[M_HOME_KEPT], (uint64_t)kept * PAGE_BYTES);
    if (stack->kind == STACK_HOME)
        count(&counts[stack->state == STACK_CACHED ? M_HOME_CACHED : M_HOME], bytes);
    else if (stack->kind == STACK_EXTRA)
        count(&counts[stack->owner ? M_EXTRA : M_EXTRA_FREE], bytes);
    else
        count(&counts[stack->kind == STACK_PRIVATE ? M_PRIVATE : M_OTHER_STACKS], bytes);
}

struct threads_visitor {
    struct thread_visitor visitor;
    struct count *counts;
};

static void see_thread(const struct thread_visitor *visitor, struct thread *thread)
{
    struct count *counts = container_of(visitor, const struct threads_visitor, visitor)->counts;
    count(&counts[M_THREADS], heap_cost(sizeof(*thread)));
    if (thread->arch.fpu)
        count(&counts[M_FPU], heap_cost(arch_fpu_bytes()));
}

static void show_kinds(const struct attr *attr, struct strbuf *out)
{
    struct count counts[KIND_COUNT] = {0};
    const struct stacks_visitor stacks = {.visitor = {.see = see_stack}, .counts = counts};
    const struct threads_visitor threads = {.visitor = {.visit = see_thread}, .counts = counts};
    (void)attr;
    stack_for_each(&stacks.visitor);
    thread_for_each(&threads.visitor);
    counts[M_TABLES].objects = arch_count_tables(arch_stack_window, ARCH_STACK_WINDOW_BYTES);
    counts[M_TABLES].bytes = counts[M_TABLES].objects * PAGE_BYTES;
    strbuf_puts(out, "kind objects bytes\n");
    for (unsigned i = 0; i < KIND_COUNT; i++)
        strbuf_printf(out, "%s %lu %lu\n", kind_names[i], (unsigned long)counts[i].objects,
                      (unsigned long)counts[i].bytes);
}

/* ---- /sys/memory ---- */

enum total_key { K_TOTAL, K_FREE, K_HEAP };

static void show_total(const struct attr *attr, struct strbuf *out)
{
    uint64_t bytes = attr->key == K_TOTAL  ? page_count_total() * PAGE_BYTES
                     : attr->key == K_FREE ? page_count_free() * PAGE_BYTES
                                           : heap_bytes_in_use();
    strbuf_printf(out, "%lu\n", (unsigned long)bytes);
}

static const struct attr_ops kinds_ops = {.show = show_kinds};
static const struct attr_ops total_ops = {.show = show_total};

static const struct attr attr_kinds = {"memory", &kinds_ops, 0};
const struct attr *const stack_memory_attrs[] = {&attr_kinds, NULL};

static const struct attr attr_total = {"total", &total_ops, K_TOTAL};
static const struct attr attr_free = {"free", &total_ops, K_FREE};
static const struct attr attr_heap = {"heap", &total_ops, K_HEAP};
const struct attr *const memory_attrs[] = {&attr_total, &attr_free, &attr_heap, NULL};
