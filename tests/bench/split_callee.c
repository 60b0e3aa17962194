// SPDX-License-Identifier: MIT
/* Compiled with -fsplit-stack; see split.c. The frame is larger than what is left of any first stack. */
long bench_body(long a, long b, long c, long d, long e, long f) __attribute__((no_split_stack));
long split_callee(long a, long b, long c, long d, long e, long f);

__attribute__((noinline, noclone)) long split_callee(long a, long b, long c, long d, long e, long f)
{
    volatile char frame[16 << 20];
    frame[sizeof(frame) - 1] = 1;
    return a + b + c + d + e + f + frame[sizeof(frame) - 1];
}
