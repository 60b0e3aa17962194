// SPDX-License-Identifier: MIT
/* liburcu's lock-free stack as a pool; taking needs its mutex, since a taken stack comes back at once. */
#include <stdio.h>
#include <stdlib.h>

#include <urcu/lfstack.h>

#include "bench.h"

#define STACKS 64u

static struct cds_lfs_stack pool __attribute__((aligned(64)));
static struct {
    struct cds_lfs_node node;
} __attribute__((aligned(64))) items[STACKS];

static void fill(void)
{
    cds_lfs_init(&pool);
    for (unsigned i = 0; i < STACKS; i++) {
        cds_lfs_node_init(&items[i].node);
        cds_lfs_push(&pool, &items[i].node);
    }
}

static void loop(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        struct cds_lfs_node *node = cds_lfs_pop_blocking(&pool);
        if (!node) {
            fprintf(stderr, "bench: the liburcu stack ran empty\n");
            exit(1);
        }
        cds_lfs_push(&pool, node);
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
    {"urcu-lfs", "pool: liburcu's lfstack, blocking pop", 1, alone},
    {"urcu-lfs-both", "pool: liburcu's lfstack, blocking pop, 2 threads", 2, both},
    {NULL, NULL, 0, NULL},
};

int main(void) { return bench_serve(rows); }
