// SPDX-License-Identifier: MIT
/* What all subjects share: the protocol, processors, and rounds with two threads. See bench.h. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline, noclone, noipa)) long bench_body(long a, long b, long c, long d, long e, long f)
{
    return a + b + c + d + e + f;
}

/* The chain of frames and the pair of call and ret stay whole. */
__attribute__((noinline, noclone)) long bench_call_on(void *top, bench_function *function)
{
    long result;
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %[top], %%rsp\n\t"
                     "call *%[function]\n\t"
                     "movq %%rbx, %%rsp"
                     : "=a"(result)
                     : [top] "r"(top), [function] "r"(function), "D"(1L), "S"(2L), "d"(3L), "c"(4L)
                     : "rbx", "r8", "r9", "r10", "r11", "memory", "cc");
    return result;
}

static int cpu_of(int which)
{
    const char *text = getenv("BENCH_CPUS");
    if (!text)
        return -1;
    const char *comma = strchr(text, ',');
    return which == 0 ? atoi(text) : comma ? atoi(comma + 1) : -1;
}

void bench_pin(int which)
{
    cpu_set_t set;
    int cpu = cpu_of(which);
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        perror("bench: sched_setaffinity");
        exit(1);
    }
}

/* ---- two threads ---- */

struct round {
    const struct bench_pair *pair;
    uint64_t count, start, end[2];
    unsigned arrived;
};

/* A barrier that spins: both are off within a few hundred cycles. */
static void meet(unsigned *arrived)
{
    __atomic_fetch_add(arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < 2)
        __builtin_ia32_pause();
}

static void *second_thread(void *argument)
{
    struct round *r = argument;
    bench_pin(1);
    if (r->pair->enter)
        r->pair->enter();
    meet(&r->arrived);
    r->pair->loop(r->count);
    r->end[1] = bench_stop();
    return NULL;
}

uint64_t bench_both(const struct bench_pair *pair, uint64_t count)
{
    struct round r = {.pair = pair, .count = count};
    pthread_t thread;
    if (pthread_create(&thread, NULL, second_thread, &r)) {
        perror("bench: pthread_create");
        exit(1);
    }
    meet(&r.arrived);
    r.start = bench_start();
    pair->loop(count);
    r.end[0] = bench_stop();
    pthread_join(thread, NULL);
    return (r.end[1] > r.end[0] ? r.end[1] : r.end[0]) - r.start;
}

/* ---- the protocol ---- */

static void list(const struct bench_row *rows)
{
    for (; rows->name; rows++)
        printf("%s %d %s\n", rows->name, rows->threads, rows->text);
    printf("\n");
}

static void run(const struct bench_row *rows, const char *name, uint64_t count)
{
    for (; rows->name; rows++)
        if (!strcmp(rows->name, name)) {
            printf("%llu\n", (unsigned long long)rows->cycles(count));
            return;
        }
    printf("failed: no row %s\n", name);
}

int bench_serve(const struct bench_row *rows)
{
    char line[256], name[128];
    unsigned long long count;
    bench_pin(0);
    while (fgets(line, sizeof(line), stdin)) {
        if (!strcmp(line, "list\n"))
            list(rows);
        else if (sscanf(line, "run %127s %llu", name, &count) == 2)
            run(rows, name, count);
        else
            printf("failed: not understood\n");
        fflush(stdout);
    }
    return 0;
}
