// SPDX-License-Identifier: MIT
/*
 * What the firmware's SRAT says of memory, checked and brought into order. The port reports it as it stands
 * there. It is used whole or not at all: with one part of it wrong nobody knows which parts are right, and
 * one node is never wrong, only slower.
 *
 * Refused: a damaged table, a range that is none or ends above what a processor can address, too many
 * ranges or nodes, overlaps (also within a node), and RAM that is in no range, but for odd bits of it.
 */
#include <rt/node.h>

#include <arch/boot_info.h>
#include <lib/bits.h>
#include <rt/log.h>
#include <rt/page.h>

#define RANGES_MAX 64u
#define ADDRESS_END (UINT64_C(1) << 52)
#define UNCOVERED_BYTES_MAX MIB(1)    /* what firmware keeps back at the ends of ranges */

#define NOT_USED "memory nodes: the firmware's SRAT is not used, all memory is one node: "

uint32_t node_count = 1;
struct node_range node_ranges[RANGES_MAX];

static struct arch_memory_node found[RANGES_MAX];     /* page_init() only; by address once sorted */
static struct arch_cpu_info cpu_infos[CPUS_MAX];

static void sort(uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct arch_memory_node moved = found[i];
        uint32_t at = i;
        for (; at > 0 && found[at - 1].start > moved.start; at--)
            found[at] = found[at - 1];
        found[at] = moved;
    }
}

/* Nodes that the ranges and the CPUs name; at most NODES_MAX + 1. */
static uint32_t nodes_named(uint32_t range_count, uint32_t cpus_found)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < range_count; i++)
        most = MAX(most, MIN(found[i].node, NODES_MAX));
    for (uint32_t i = 0; i < cpus_found; i++)
        most = MAX(most, MIN(cpu_infos[i].node, NODES_MAX));
    return most + 1;
}

/* Sorted before. The first RAM that is in no range is in *@first. */
static uint64_t uncovered_bytes(uint32_t count, uint64_t *first)
{
    uint64_t bytes = 0;
    for (uint32_t r = 0; r < boot_info.region_count; r++) {
        uint64_t at = boot_info.regions[r].start, end = boot_info.regions[r].end;
        for (uint32_t i = 0; i <= count && at < end; i++) {
            uint64_t start = i < count ? MIN(found[i].start, end) : end;
            if (start > at) {
                if (!bytes)
                    *first = at;
                bytes += start - at;
                at = start;
            }
            if (i < count)
                at = MAX(at, found[i].end);
        }
    }
    return bytes;
}

static bool ranges_believable(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct arch_memory_node *f = &found[i];
        if (f->start >= f->end || f->end > ADDRESS_END) {
            log_warn(NOT_USED "node %u has 0x%lx-0x%lx, which no processor can address", f->node, f->start, f->end);
            return false;
        }
    }
    sort(count);
    for (uint32_t i = 1; i < count; i++) {
        const struct arch_memory_node *low = &found[i - 1], *high = &found[i];
        if (high->start < low->end) {
            log_warn(NOT_USED "0x%lx-0x%lx of node %u overlaps 0x%lx-0x%lx of node %u", high->start, high->end,
                     high->node, low->start, low->end, low->node);
            return false;
        }
    }
    uint64_t first = 0, bytes = uncovered_bytes(count, &first);
    if (bytes >= UNCOVERED_BYTES_MAX)
        log_warn(NOT_USED "%lu KiB of RAM, from 0x%lx on, are in none of its %u ranges", bytes >> 10, first, count);
    return bytes < UNCOVERED_BYTES_MAX;
}

/* Sorted before: one range a run of the same node. */
static void make_ranges(uint32_t count, uint64_t frame_end)
{
    uint32_t made = 0;
    uint64_t first = 0;
    for (uint32_t i = 0; i < count && first < frame_end; i++) {
        uint64_t last = MIN(found[i].end >> PAGE_SHIFT, frame_end);
        bool same = made && node_ranges[made - 1].node == found[i].node;
        if (same)
            node_ranges[made - 1].last = last;
        else if (last > first)
            node_ranges[made++] = (struct node_range){first, last, found[i].node};
        first = last;
    }
    node_ranges[made - 1].last = frame_end;
}

void node_init(uint64_t frame_end)
{
    node_count = 1;
    node_ranges[0] = (struct node_range){0, frame_end, 0};
    int listed = arch_memory_nodes(found, RANGES_MAX);
    uint32_t count = listed > 0 ? MIN((uint32_t)listed, RANGES_MAX) : 0;
    uint32_t named = nodes_named(count, arch_cpus_find(cpu_infos, CPUS_MAX));
    if (listed < 0) {
        log_warn(NOT_USED "it is damaged");
    } else if ((uint32_t)listed > RANGES_MAX) {
        log_warn(NOT_USED "it lists %d ranges of memory; up to %u can be used", listed, RANGES_MAX);
    } else if (named > NODES_MAX) {
        log_warn(NOT_USED "it names more than %u nodes", NODES_MAX);
    } else if ((count || named > 1) && ranges_believable(count)) {
        node_count = named;
        make_ranges(count, frame_end);
    }
}

uint32_t node_of_cpu(const struct arch_cpu_info *info) { return node_count > 1 ? info->node : 0; }

/* ---- what is shown ---- */

/* " 0-1,3" */
static void cpus_puts(struct strbuf *out, uint32_t node)
{
    const char *before = ", CPUs ";
    for (uint32_t i = 0; i < cpu_count; i++) {
        uint32_t last = i;
        if (cpus[i]->node != node)
            continue;
        while (last + 1 < cpu_count && cpus[last + 1]->node == node)
            last++;
        strbuf_printf(out, last > i ? "%s%u-%u" : "%s%u", before, i, last);
        before = ",";
        i = last;
    }
}

void node_print(void)
{
    static char text[480];            /* CPU 0 at boot; a longer line is cut */
    struct strbuf out;
    strbuf_init(&out, text, sizeof(text));
    for (uint32_t node = 0; node < node_count; node++) {
        struct page_node_counts counts;
        page_node_counts(node, &counts);
        strbuf_printf(&out, node ? "; %u: " : "%u: ", node);
        if (counts.total)
            strbuf_printf(&out, "%lu MiB", (unsigned long)(counts.total >> 8));
        else
            strbuf_puts(&out, "no memory");
        cpus_puts(&out, node);
    }
    if (node_count > 1)
        console_printf("memory nodes: %s\n", text);
}

static void show_nodes(const struct attr *attr, struct strbuf *out)
{
    (void)attr;
    strbuf_puts(out, "node pages free elsewhere\n");
    for (uint32_t node = 0; node < node_count; node++) {
        struct page_node_counts counts;
        page_node_counts(node, &counts);
        strbuf_printf(out, "%u %lu %lu %lu\n", node, (unsigned long)counts.total, (unsigned long)counts.free,
                      (unsigned long)counts.elsewhere);
    }
}
static const struct attr_ops nodes_ops = {.show = show_nodes};
static const struct attr attr_nodes = {"nodes", &nodes_ops, 0};
const struct attr *const node_attrs[] = {&attr_nodes, NULL};
