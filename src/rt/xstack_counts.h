// SPDX-License-Identifier: MIT
/*
 * What probes count, on each CPU for itself: one instruction that adds to a word of this CPU, without a lock prefix.
 * An interrupt comes before or after it, and a thread that moves goes on adding on another CPU; nobody else writes the
 * word, so nothing is lost. A number is the sum over all CPUs, made by who reads it.
 *
 * Counters only grow, and their sums only grow. Of gauges (in_use, holders) the words of one CPU mean nothing: what
 * was added here is taken away where the thread is then. A sum that is made while others count may be off by what
 * they do meanwhile, and is right when they rest.
 */
#pragma once

#include <rt/cpu.h>

/* Adds @n to a word of this CPU's counts. Any context. */
#define xstack_count(field, n) arch_cpu_add(offsetof(struct cpu, xstack.field), n)
#define xstack_count_at(field, index, n)                                                            \
    arch_cpu_add(offsetof(struct cpu, xstack.field[0]) + (index) * sizeof(uint64_t), n)

#define xstack_sum(field) cpu_sum_at(offsetof(struct cpu, xstack.field))
#define xstack_sum_of(field, index)                                                                 \
    cpu_sum_at(offsetof(struct cpu, xstack.field[0]) + (index) * sizeof(uint64_t))

/* A gauge caught between two steps may be below zero for a moment. */
static inline uint64_t xstack_gauge(uint64_t sum) { return (int64_t)sum < 0 ? 0 : sum; }
