// SPDX-License-Identifier: MIT
/*
 * Spillway's own rows: the real thunks, __morestack and pool (src/arch/x86_64, src/rt/xstack.c) on the host port,
 * without sanitizers. The argument is stack.extra_max, which decides how many words the pool has:
 *
 *     bench_spillway 48       one word
 *     bench_spillway 1024     22 words, the default
 *
 * For the rows with two threads, a second per-CPU area and thread are made by hand: the host port has one CPU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arch/arch.h>
#include <rt/cpu.h>
#include <rt/stack.h>
#include <rt/thread.h>
#include <rt/xstack.h>
#include <rt/xstack_pool.h>
#include <support/rt.h>

#include "bench.h"

/* Every probed function has the same body here, that of bench_body(). */
#define PROBE(name, need, what)                                                                     \
    long name(long a, long b, long c, long d, long e, long f);                                      \
    bench_function name##_body;                                                                     \
    long name##_body(long a, long b, long c, long d, long e, long f)                                \
    {                                                                                               \
        return a + b + c + d + e + f;                                                               \
    }
#include <probes.def>
#undef PROBE

static void call_loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        bench_body(1, 2, 3, 4, 5, 6);
}

static noinline __attribute__((noclone, noipa)) long one_more_level(long a, long b, long c, long d, long e, long f)
{
    return bench_body(a, b, c, d, e, f) + 1;
}

static void level_loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        one_more_level(1, 2, 3, 4, 5, 6);
}

static void probe_loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        vfs_read(1, 2, 3, 4, 5, 6);
}

/* A return from an extra stack loads the home stack's base, so the base is set again each time: one store. */
static void taken_loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        arch_set_probe_base(UINT64_MAX);
        vfs_read(1, 2, 3, 4, 5, 6);
    }
}

static void pool_loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        xstack_pool_give(xstack_pool_take());
}

static uint64_t timed(void (*loop)(uint64_t), uint64_t count)
{
    uint64_t start = bench_start();
    loop(count);
    return bench_stop() - start;
}

static uint64_t call(uint64_t count) { return timed(call_loop, count); }
static uint64_t call_level(uint64_t count) { return timed(level_loop, count); }
static uint64_t pool(uint64_t count) { return timed(pool_loop, count); }

/* Ends the program unless the calls since @before switched as often as they should. */
static void must_switch(uint64_t before, uint64_t expected)
{
    struct xstack_totals now;
    xstack_totals(&now);
    if (now.switches - before != expected) {
        fprintf(stderr, "bench: %lu switches, %lu expected\n", now.switches - before, expected);
        exit(1);
    }
}

static uint64_t switches_so_far(void)
{
    struct xstack_totals totals;
    xstack_totals(&totals);
    return totals.switches;
}

static uint64_t untaken(uint64_t count)
{
    uint64_t before = switches_so_far(), base = arch_probe_base();
    arch_set_probe_base(0);
    uint64_t cycles = timed(probe_loop, count);
    arch_set_probe_base(base);
    must_switch(before, 0);
    return cycles;
}

static uint64_t taken(uint64_t count)
{
    uint64_t before = switches_so_far(), cycles = timed(taken_loop, count);
    must_switch(before, count);
    return cycles;
}

static uint64_t refusal(uint64_t count)
{
    static struct stack *all[XSTACK_WORD_BITS * 64];
    uint64_t before = switches_so_far(), base = arch_probe_base();
    uint32_t n = 0;
    for (struct stack *stack; (stack = xstack_pool_take());)
        all[n++] = stack;
    arch_set_probe_base(UINT64_MAX);
    uint64_t cycles = timed(probe_loop, count);
    arch_set_probe_base(base);
    must_switch(before, 0);
    while (n)
        xstack_pool_give(all[--n]);
    return cycles;
}

/* ---- two threads on two CPUs ---- */

static struct cpu second_cpu;
static struct thread *second_thread;
static const struct thread_def second_def = {.name = "second"};

/* The calling system thread becomes a CPU with @index, whose words of the pool it takes from first. */
static void enter_cpu(uint32_t index)
{
    memset(&second_cpu, 0, sizeof(second_cpu));
    arch_cpu_init(&second_cpu.arch, index);
    second_cpu.arch.current = &second_thread->arch;
    cpus[1] = &second_cpu;
}
static void enter_same(void) { enter_cpu(0); }
static void enter_other(void) { enter_cpu(1); }

static uint64_t both(void (*loop)(uint64_t), bool own_words, uint64_t count)
{
    struct bench_pair pair = {.loop = loop, .enter = own_words ? enter_other : enter_same};
    if (!second_thread && thread_prepare(&second_def, NULL, &second_thread)) {
        fprintf(stderr, "bench: no memory for a thread\n");
        exit(1);
    }
    cpu_count = own_words ? 2 : 1;
    uint64_t cycles = bench_both(&pair, count);
    cpu_count = 1;
    return cycles;
}

static uint64_t pool_same_word(uint64_t count) { return both(pool_loop, false, count); }
static uint64_t pool_own_words(uint64_t count) { return both(pool_loop, true, count); }
static uint64_t taken_both(uint64_t count) { return both(taken_loop, true, count); }

static const struct bench_row one_word_rows[] = {
    {"pool-1-word", "our pool alone, 1 word: take and give", 1, pool},
    {"probe-taken-1-word", "our probe, taken, pool of 1 word, and return", 1, taken},
    {"refusal-1-word", "our refusal, pool of 1 word", 1, refusal},
    {"pool-1-word-both", "our pool alone, 2 threads on 1 word", 2, pool_same_word},
    {NULL, NULL, 0, NULL},
};

static const struct bench_row rows[] = {
    {"call", "a plain call", 1, call},
    {"call-level", "a call with one more level", 1, call_level},
    {"probe-untaken", "our probe, not taken", 1, untaken},
    {"pool-22-words", "our pool alone, 22 words: take and give", 1, pool},
    {"probe-taken", "our probe, taken, pool of 22 words, and return", 1, taken},
    {"refusal", "our refusal, pool of 22 words", 1, refusal},
    {"pool-22-words-both", "our pool alone, 2 threads, each on its own words", 2, pool_own_words},
    {"probe-taken-both", "our probe, taken, 2 threads, each on its own words", 2, taken_both},
    {NULL, NULL, 0, NULL},
};

/* A thread of the runtime: a switch back needs a home stack. It is large because the C library prints on it. */
static void serve(void *rows_to_serve) { bench_serve(rows_to_serve); }
static const struct thread_def serve_def = {.name = "bench", .run = serve, .stack_bytes = KIB(256)};

int main(int count, char **arguments)
{
    char line[128];
    unsigned long most = count > 1 ? strtoul(arguments[1], NULL, 10) : 1024;
    snprintf(line, sizeof(line), "stack.size=4K stack.extra_size=4K stack.extra=%lu stack.extra_max=%lu",
             most < 64 ? most : 64, most);
    rt_boot(MIB(64), line);
    uint32_t words = most <= XSTACK_WORD_BITS ? 1 : 22;
    if (xstack_pool.word_count != words) {
        fprintf(stderr, "bench: the pool has %u words, %u expected\n", xstack_pool.word_count, words);
        return 1;
    }
    rt_run(&serve_def, (void *)(words == 1 ? one_word_rows : rows));
    return 0;
}
