// SPDX-License-Identifier: MIT
/* The switch alone: our thunks and __morestack with a pool of one stack that is always free, in two instructions. */
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <arch/arch.h>

#include "bench.h"

#define ARCH_SET_GS_CODE 0x1001
#define STACK_BYTES 65536

#define PROBE(name, need, what)                                                                     \
    long name(long a, long b, long c, long d, long e, long f);                                      \
    bench_function name##_body;                                                                     \
    long name##_body(long a, long b, long c, long d, long e, long f)                                \
    {                                                                                               \
        return a + b + c + d + e + f;                                                               \
    }
#include <probes.def>
#undef PROBE

static char stack[STACK_BYTES] __attribute__((aligned(64)));
uintptr_t xstack_take(uint64_t probe);
void xstack_give(void);

uintptr_t xstack_take(uint64_t probe)
{
    (void)probe;
    return (uintptr_t)stack + STACK_BYTES;
}

void xstack_give(void) {}

static uint64_t switch_only(uint64_t count)
{
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++)
        vfs_read(1, 2, 3, 4, 5, 6);
    return bench_stop() - start;
}

/* The same as a few instructions of C around a call, without saving arguments: as little as there can be. */
static uint64_t bare(uint64_t count)
{
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++)
        bench_call_on(stack + STACK_BYTES, bench_body);
    return bench_stop() - start;
}

static const struct bench_row rows[] = {
    {"switch-bare", "a bare switch of the stack pointer and back", 1, bare},
    {"switch", "our probe, taken, without pool and counters", 1, switch_only},
    {NULL, NULL, 0, NULL},
};

int main(void)
{
    static struct arch_cpu cpu = {.self = &cpu, .probe_base = UINT64_MAX};
    if (syscall(SYS_arch_prctl, ARCH_SET_GS_CODE, &cpu))
        return 1;
    return bench_serve(rows);
}
