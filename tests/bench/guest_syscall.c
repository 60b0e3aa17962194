// SPDX-License-Identifier: MIT
/*
 * What a system call that does nothing costs a program: instructions from in front of `syscall` to behind it,
 * entry and return included, and nothing of the C library. A static program for the guest, booted by tools/costs
 * with `-icount`, where rdtsc counts instructions; its line has the form of those of tests/guest/costs.c.
 */
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>

#define ROUNDS 1000
#define WARM_UP 16

/* Two looks at the counter, with @instruction between them. */
#define TICKS_OF(instruction)                                                                       \
    ({                                                                                              \
        uint64_t start_, end_;                                                                      \
        __asm__ volatile("lfence; rdtsc; shlq $32, %%rdx; leaq (%%rax, %%rdx), %0\n\t"              \
                         "movl %2, %%eax\n\t" instruction "\n\t"                                   \
                         "lfence; rdtsc; shlq $32, %%rdx; leaq (%%rax, %%rdx), %1"                  \
                         : "=&r"(start_), "=r"(end_)                                                \
                         : "i"(SYS_getuid)                                                          \
                         : "rax", "rcx", "rdx", "r11", "memory", "cc");                             \
        end_ - start_;                                                                              \
    })

struct samples {
    uint64_t min, max;
    unsigned at_min;
};

static struct samples measure(int call)
{
    struct samples s = {.min = UINT64_MAX};
    for (int i = 0; i < ROUNDS + WARM_UP; i++) {
        uint64_t now = call ? TICKS_OF("syscall") : TICKS_OF("");
        if (i < WARM_UP)
            continue;
        if (now < s.min) {
            s.min = now;
            s.at_min = 0;
        }
        s.at_min += now == s.min;
        s.max = now > s.max ? now : s.max;
    }
    return s;
}

int main(void)
{
    struct samples nothing = measure(0), call = measure(1);
    if (nothing.min != nothing.max)
        return 1;
    printf("cost syscall %llu %llu %u %u\n", (unsigned long long)(call.min - nothing.min),
           (unsigned long long)(call.max - nothing.min), call.at_min, ROUNDS);
    return 0;
}
