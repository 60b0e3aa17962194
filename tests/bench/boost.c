// SPDX-License-Identifier: MIT
/* Boost.Context's jump_fcontext, there and back. Its C interface is declared here: Boost has it in C++ headers only. */
#include <stddef.h>

#include "bench.h"

struct transfer {
    void *context, *data;
};
struct transfer jump_fcontext(void *to, void *data);
void *make_fcontext(void *stack_top, size_t bytes, void (*run)(struct transfer));

static char stack[65536] __attribute__((aligned(64)));

static void run(struct transfer from)
{
    for (;;) {
        bench_body(1, 2, 3, 4, 5, 6);
        from = jump_fcontext(from.context, NULL);
    }
}

static uint64_t jumps(uint64_t count)
{
    struct transfer to = {make_fcontext(stack + sizeof(stack), sizeof(stack), run), NULL};
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++)
        to = jump_fcontext(to.context, NULL);
    return bench_stop() - start;
}

static const struct bench_row rows[] = {
    {"boost-context", "Boost.Context jump there and back", 1, jumps},
    {NULL, NULL, 0, NULL},
};

int main(void) { return bench_serve(rows); }
