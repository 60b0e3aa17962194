// SPDX-License-Identifier: MIT
/*
 * Memory nodes: which memory is near which CPUs, as the firmware's SRAT says. Nodes are 0 … node_count - 1;
 * a node may have no memory, or no CPU. Without an SRAT, or with one that cannot be true, all is node 0.
 *
 * An allocation prefers a node, by default that of the CPU it is made on. When that node cannot serve it the others are
 * asked, in the order of node_next(): upwards from it, then from 0.
 */
#pragma once

#include <arch/arch.h>
#include <rt/attr.h>
#include <rt/cpu.h>

#define NODES_MAX 16u

/* Frames of one node. The ranges are in order and leave no gap: one that lies between two of the firmware's
 * counts to the upper one. */
struct node_range {
    uint64_t first, last;             /* frame numbers; @last is exclusive */
    uint32_t node;
};

extern uint32_t node_count;           /* 1: the allocator need not know */
extern struct node_range node_ranges[];

/**
 * node_init() - read and check what the firmware says of memory below @frame_end. Called by page_init().
 * An SRAT that cannot be true is named in a warning and not used.
 */
void node_init(uint64_t frame_end);
/* The range of a frame of RAM. */
static inline const struct node_range *node_range_of(uint64_t frame)
{
    const struct node_range *range = node_ranges;
    while (frame >= range->last)
        range++;
    return range;
}
/* The node of this CPU. A hint like this_cpu(). */
static inline uint32_t node_here(void) { return this_cpu()->node; }
static inline uint32_t node_next(uint32_t node) { return node + 1 < node_count ? node + 1 : 0; }
/* The node of a processor, 0 if the firmware is not believed. */
uint32_t node_of_cpu(const struct arch_cpu_info *info);
/* One line on the console if there are several nodes. */
void node_print(void);

/* /sys/memory. NULL-terminated. */
extern const struct attr *const node_attrs[];
