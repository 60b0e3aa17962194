// SPDX-License-Identifier: MIT
/*
 * A subject of the stack benchmark: a program with some rows to measure. The driver (driver.c) starts all subjects
 * and has them run their rows in turns, so that whatever disturbs the host disturbs all rows alike.
 *
 * Protocol, on stdin and stdout, one line each:
 *     list             answered by "NAME THREADS TEXT" for each row, then an empty line
 *     run NAME COUNT   answered by the cycles that COUNT operations took, or by "failed TEXT"
 *
 * Cycles are those of the time-stamp counter. The environment's BENCH_CPUS names two processors, "0,1"; a row with
 * one thread runs on the first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bench_row {
    const char *name;
    const char *text;
    int threads;                          /* 2: needs a second processor */
    uint64_t (*cycles)(uint64_t count);   /* of @count operations */
};

/* Serves until stdin ends. @rows ends with a NULL name. */
int bench_serve(const struct bench_row *rows);

/* What every row does besides its own: the function that is called, with six arguments. */
long bench_body(long a, long b, long c, long d, long e, long f);

static inline uint64_t bench_start(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static inline uint64_t bench_stop(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtscp; lfence" : "=a"(low), "=d"(high) : : "rcx", "memory");
    return (uint64_t)high << 32 | low;
}

static inline uint32_t bench_cpu_number(void)
{
    uint32_t low, high, cpu;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(cpu));
    return cpu;
}

/* Puts the calling thread on the first (0) or second (1) processor of BENCH_CPUS. */
void bench_pin(int which);

/*
 * Two threads do @pair->loop(count) at once, one on each processor; the cycles until the slower has done.
 * @pair->enter, if not NULL, runs first in the second thread.
 */
struct bench_pair {
    void (*loop)(uint64_t count);
    void (*enter)(void);
};
uint64_t bench_both(const struct bench_pair *pair, uint64_t count);

/* Calls @function(1, 2, 3, 4, 5, 6) on the stack that ends at @top: the bare switch, for peers that lack their own. */
typedef long bench_function(long a, long b, long c, long d, long e, long f);
long bench_call_on(void *top, bench_function *function);
