// SPDX-License-Identifier: MIT
/*
 * gcc's split stacks: split_callee.c is compiled with -fsplit-stack, its frame does not fit into what is left, so
 * libgcc's __morestack switches each time. libgcc masks all signals while it does; that can be turned off.
 */
#include <stddef.h>

#include "bench.h"

long split_callee(long a, long b, long c, long d, long e, long f);
void __splitstack_block_signals(int *block, int *before);

static uint64_t timed(uint64_t count, int block)
{
    __splitstack_block_signals(&block, NULL);
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++)
        split_callee(1, 2, 3, 4, 5, 6);
    return bench_stop() - start;
}

static uint64_t masked(uint64_t count) { return timed(count, 1); }
static uint64_t unmasked(uint64_t count) { return timed(count, 0); }

static const struct bench_row rows[] = {
    {"split-stack", "gcc -fsplit-stack, a switch as it comes", 1, masked},
    {"split-stack-unmasked", "gcc -fsplit-stack, without masking signals", 1, unmasked},
    {NULL, NULL, 0, NULL},
};

int main(void) { return bench_serve(rows); }
