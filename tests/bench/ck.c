// SPDX-License-Identifier: MIT
/* Concurrency Kit's stack as a pool, many takers and many givers. */
#include <stdio.h>
#include <stdlib.h>

#include <ck_stack.h>

#include "bench.h"

#define STACKS 64u

static ck_stack_t pool __attribute__((aligned(64))) = CK_STACK_INITIALIZER;
static struct {
    ck_stack_entry_t entry;
} __attribute__((aligned(64))) items[STACKS];

static void fill(void)
{
    ck_stack_init(&pool);
    for (unsigned i = 0; i < STACKS; i++)
        ck_stack_push_mpmc(&pool, &items[i].entry);
}

static void loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        ck_stack_entry_t *entry = ck_stack_pop_mpmc(&pool);
        if (!entry) {
            fprintf(stderr, "bench: the ck stack ran empty\n");
            exit(1);
        }
        ck_stack_push_mpmc(&pool, entry);
    }
}

static uint64_t alone(uint64_t count)
{
    fill();
    uint64_t start = bench_start();
    loop(count);
    return bench_stop() - start;
}

static uint64_t both(uint64_t count)
{
    static const struct bench_pair pair = {.loop = loop};
    fill();
    return bench_both(&pair, count);
}

static const struct bench_row rows[] = {
    {"ck-stack", "pool: Concurrency Kit's ck_stack, mpmc", 1, alone},
    {"ck-stack-both", "pool: Concurrency Kit's ck_stack, mpmc, 2 threads", 2, both},
    {NULL, NULL, 0, NULL},
};

int main(void) { return bench_serve(rows); }
