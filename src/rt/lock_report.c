// SPDX-License-Identifier: MIT
/* What the lock-order checker says: the panic's line, and below it the cycle and the locks that are held. */
#include <rt/lock_report.h>

#ifdef SPILLWAY_LOCK_ORDER

#include <arch/arch.h>
#include <lib/format.h>
#include <rt/assert.h>
#include <rt/cpu.h>
#include <rt/lock_graph.h>
#include <rt/log.h>
#include <rt/thread.h>

#define TEXT_BYTES 80

struct lock_report lock_report;

/* ---- names ---- */

/* Code for an address that was kept in 32 bits. */
static const char *code_name(int32_t where, char *text)
{
    uint64_t offset = 0;
    const char *name = where ? arch_symbol((uintptr_t)(intptr_t)where - 1, &offset) : NULL;
    if (name)
        snprintf(text, TEXT_BYTES, "%s+0x%lx", name, (unsigned long)offset + 1);
    else
        snprintf(text, TEXT_BYTES, "%lx", (unsigned long)(intptr_t)where);
    return text;
}

/* "inode", level 3, nesting 1 */
static const char *node_name(uint16_t n, char *text)
{
    const struct lock_node *node = &lock_nodes[n];
    char code[TEXT_BYTES];
    struct strbuf sb;
    strbuf_init(&sb, text, TEXT_BYTES);
    if (node->name)
        strbuf_printf(&sb, "\"%s\"", node->name);
    else
        strbuf_printf(&sb, "a lock first taken at %s", code_name((int32_t)(intptr_t)node->key, code));
    if (node->level)
        strbuf_printf(&sb, " level %u", node->level);
    if (node->nest)
        strbuf_printf(&sb, " nesting %u", node->nest);
    return text;
}

/* ---- the line ---- */

static char taken_text[TEXT_BYTES], held_text[TEXT_BYTES];

noreturn_fn void lock_report_panic(void)
{
    const char *taken = lock_report.node ? node_name(lock_report.node, taken_text) : "";
    const char *held = lock_report.held.node ? node_name(lock_report.held.node, held_text) : "";
    switch (lock_report.kind) {
    case LOCK_REPORT_CYCLE:
        panic("lock order: %s is taken while %s is held, and it was the other way round before", taken, held);
    case LOCK_REPORT_IRQ:
        panic("lock order: irq inversion: %s is held with interrupts on, %s is taken in interrupts",
              node_name(lock_path_last, held_text), node_name(lock_path_first, taken_text));
    case LOCK_REPORT_SAME_LOCK:
        panic("lock order: %s is taken by who holds it already", taken);
    case LOCK_REPORT_SAME_NODE:
        panic("lock order: two locks %s are taken in no known order", taken);
    case LOCK_REPORT_LEVEL:
        panic("lock order: %s is taken while %s is held: levels go down", taken, held);
    case LOCK_REPORT_NOT_HELD:
        panic("lock order: %s is given back by who does not hold it", taken);
    case LOCK_REPORT_LEFT:
        panic("lock order: %s ends with %s held", lock_report.what, held);
    case LOCK_REPORT_FREED:
        panic("lock order: what is freed contains %s, which is held", held);
    case LOCK_REPORT_NONE:
        break;
    }
    panic("lock order: a report of no kind");
}

/* ---- below it ---- */

static void print_edge(const struct lock_edge *edge)
{
    char from[TEXT_BYTES], to[TEXT_BYTES], from_code[TEXT_BYTES], to_code[TEXT_BYTES];
    console_printf("  before: %s held since %s, then %s at %s, by thread %u \"%s\"\n", node_name(edge->from, from),
                   code_name(edge->from_where, from_code), node_name(edge->to, to),
                   code_name(edge->to_where, to_code), edge->thread, edge->thread_name);
}

static void print_path(void)
{
    for (uint32_t i = lock_path_length; i-- > 0;)
        print_edge(&lock_edges[lock_path[i]]);
}

static void print_cycle(void)
{
    char name[TEXT_BYTES], code[TEXT_BYTES], held[TEXT_BYTES], held_code[TEXT_BYTES];
    console_printf("  now:    %s held since %s, then %s at %s\n", node_name(lock_report.held.node, held),
                   code_name(lock_report.held.where, held_code), node_name(lock_report.node, name),
                   code_name(lock_report.where, code));
    print_path();
}

static void print_irq(void)
{
    char code[TEXT_BYTES], name[TEXT_BYTES];
    console_printf("  in an interrupt: %s at %s\n", node_name(lock_path_first, name),
                   code_name(lock_nodes[lock_path_first].in_irq_at, code));
    print_path();
    console_printf("  interrupts on:   %s at %s\n", node_name(lock_path_last, name),
                   code_name(lock_nodes[lock_path_last].irq_on_at, code));
}

static void print_held(const char *whose, const struct lock_held *held, uint32_t count)
{
    char name[TEXT_BYTES], code[TEXT_BYTES];
    for (uint32_t i = 0; i < count; i++)
        console_printf("  held by %s: %s%s since %s\n", whose, node_name(held[i].node, name),
                       held[i].how & LOCK_TRY ? " (tried for)" : "", code_name(held[i].where, code));
}

void lock_order_print(void)
{
    char code[TEXT_BYTES];
    const struct thread *thread = thread_current();
    const struct cpu *cpu = this_cpu();
    if (lock_report.kind == LOCK_REPORT_CYCLE)
        print_cycle();
    else if (lock_report.kind == LOCK_REPORT_IRQ)
        print_irq();
    else if (lock_report.kind)
        console_printf("  now:    at %s\n", code_name(lock_report.where, code));
    if (thread)
        print_held("this thread", thread->locks.held, thread->locks.count);
    print_held("this CPU", cpu->locks.held, cpu->locks.count);
}

void lock_order_warn(void)
{
    static bool said;
    const char *table = __atomic_load_n(&lock_report.full_table, __ATOMIC_RELAXED);
    if (table && !__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
        console_printf("spillway: warning: the lock-order checker is off from here on: its table of %s is full\n",
                       table);
}

void lock_order_summary(void)
{
    console_printf("lock order: %u nodes of %u, %u edges of %u, %s\n", lock_node_count - 1, LOCK_NODES_MAX - 1,
                   lock_edge_count - 1, LOCK_EDGES_MAX - 1,
                   lock_report.full_table                        ? "turned off before the end"
                   : lock_report.kind || lock_report.ended ? "ended by a report"
                                                                 : "on to the end");
}

#endif
