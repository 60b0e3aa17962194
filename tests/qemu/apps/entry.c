// SPDX-License-Identifier: MIT
/*
 * System calls while the stack pointer is nonsense: nothing may be pushed on it, and all registers but rax, rcx and
 * r11 come back as they were. Then, for a while, computing with nothing but registers and such a stack pointer while
 * timers and other threads interrupt.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 2000, KEPT = 12 };

static uint64_t registers[KEPT];
static unsigned char page[4096] __attribute__((aligned(4096)));

/* getpid with RSP = @rsp, and marks in everything else; 0 when all but the three came back, and the pid is right. */
static unsigned call_with(uint64_t rsp, uint64_t pid)
{
    uint64_t result, after;
    static uint64_t saved_rsp, saved_rbp, saved_rbx;
    __asm__ volatile("movq %%rsp, %[saved_rsp]\n\t"
                     "movq %%rbp, %[saved_rbp]\n\t"
                     "movq %%rbx, %[saved_rbx]\n\t"
                     "movq %[rsp], %%rsp\n\t"
                     "movq $0x1001, %%rbx\n\tmovq $0x1002, %%rdx\n\tmovq $0x1003, %%rsi\n\t"
                     "movq $0x1004, %%rdi\n\tmovq $0x1005, %%rbp\n\tmovq $0x1006, %%r8\n\t"
                     "movq $0x1007, %%r9\n\tmovq $0x1008, %%r10\n\tmovq $0x1009, %%r12\n\t"
                     "movq $0x100a, %%r13\n\tmovq $0x100b, %%r14\n\tmovq $0x100c, %%r15\n\t"
                     "movl %[number], %%eax\n\t"
                     "syscall\n\t"
                     "movq %%rbx, %[kept]\n\tmovq %%rdx, 8+%[kept]\n\tmovq %%rsi, 16+%[kept]\n\t"
                     "movq %%rdi, 24+%[kept]\n\tmovq %%rbp, 32+%[kept]\n\tmovq %%r8, 40+%[kept]\n\t"
                     "movq %%r9, 48+%[kept]\n\tmovq %%r10, 56+%[kept]\n\tmovq %%r12, 64+%[kept]\n\t"
                     "movq %%r13, 72+%[kept]\n\tmovq %%r14, 80+%[kept]\n\tmovq %%r15, 88+%[kept]\n\t"
                     "movq %%rsp, %%rcx\n\t"
                     "movq %[saved_rsp], %%rsp\n\t"
                     "movq %[saved_rbp], %%rbp\n\t"
                     "movq %[saved_rbx], %%rbx"
                     : "=&a"(result), "=&c"(after), [saved_rsp] "+m"(saved_rsp), [saved_rbp] "+m"(saved_rbp),
                       [saved_rbx] "+m"(saved_rbx), [kept] "+m"(registers)
                     : [rsp] "r"(rsp), [number] "i"(SYS_getpid)
                     : "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    unsigned wrong = (result != pid) + (after != rsp);
    for (unsigned i = 0; i < KEPT; i++)
        wrong += registers[i] != 0x1001 + i;
    return wrong;
}

/* Adds up 1..@count in a register. */
static uint64_t add_up(uint64_t rsp, uint64_t count)
{
    uint64_t sum = 0;
    static uint64_t saved_rsp;
    __asm__ volatile("movq %%rsp, %[saved]\n\t"
                     "movq %[rsp], %%rsp\n"
                     "1:\n\t"
                     "addq %[count], %[sum]\n\t"
                     "decq %[count]\n\t"
                     "jnz 1b\n\t"
                     "movq %[saved], %%rsp"
                     : [sum] "+&r"(sum), [count] "+&r"(count), [saved] "+m"(saved_rsp)
                     : [rsp] "r"(rsp)
                     : "memory", "cc");
    return sum;
}

static atomic_bool stop;

static void *disturb(void *unused)
{
    while (!stop)
        usleep(200);
    return unused;
}

int main(void)
{
    uint64_t pid = (uint64_t)getpid(), sum = 20000000;
    pthread_t other;
    char *hole = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint64_t places[] = {
        0, 8, 4096, (uintptr_t)hole, (uintptr_t)hole + 4096 + 24, (uintptr_t)page + 3, (uintptr_t)main,
        UINT64_C(0x7ffffffff000), UINT64_C(0x8000000000000000), UINT64_C(0xffff800000000000),
        UINT64_C(0xffffffff80000000), UINT64_MAX,
    };
    const unsigned count = sizeof(places) / sizeof(places[0]);
    unsigned wrong = 0, touched = 0;

    if (hole == MAP_FAILED || pthread_create(&other, NULL, disturb, NULL))
        return 2;
    for (unsigned round = 0; round < ROUNDS; round++)
        wrong += call_with(places[round % count], pid) != 0;
    for (unsigned i = 0; i < count; i++)
        wrong += add_up(places[i], sum) != sum * (sum + 1) / 2;
    stop = 1;
    pthread_join(other, NULL);
    for (unsigned i = 0; i < sizeof(page); i++)
        touched += page[i] != 0;
    printf("entry: %d calls on %u stack pointers, %u wrong, %u bytes written\n", ROUNDS, count, wrong, touched);
    return wrong || touched;
}
