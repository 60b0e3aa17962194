// SPDX-License-Identifier: MIT
/* What the tests of stacks share: running a function with a stack pointer of one's choice. */
#pragma once

#include <lib/types.h>

struct stack;

struct on_stack_ops {
    void (*on_stack)(void *argument);
};

/* Calls ops->on_stack(argument) with RSP = @rsp (aligned to 16), then comes back. */
static inline void run_on(uintptr_t rsp, const struct on_stack_ops *ops, void *argument)
{
    __asm__ volatile("movq %%rsp, %%rbx\n\t"
                     "movq %0, %%rsp\n\t"
                     "movq %2, %%rdi\n\t"
                     "call *%1\n\t"
                     "movq %%rbx, %%rsp"
                     :
                     : "r"(rsp), "r"(ops->on_stack), "r"(argument)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "memory",
                       "cc");
}

/* Recursion of about 200 bytes a level, with nothing the compiler could take away. (deaths.c) */
void guest_go_deeper(uint64_t depth);
