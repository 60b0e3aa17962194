// SPDX-License-Identifier: MIT
/* Dies in the way that its argument says; apps.sh checks what the guest reports. Ends with 99 if it did not. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uintptr_t nowhere;
static volatile int zero;

static void null_read(void) { nowhere = *(volatile uintptr_t *)nowhere; }
static void null_write(void) { *(volatile int *)nowhere = 1; }
static void null_call(void) { ((void (*)(void))nowhere)(); }
static void write_text(void) { *(volatile char *)(uintptr_t)&null_call = 0; }
static void locked_write_text(void) { __atomic_fetch_add((int *)((uintptr_t)&null_call & ~3ul), 1, __ATOMIC_SEQ_CST); }

static void execute_data(void)
{
    static unsigned char code[16] = {0xc3};
    ((void (*)(void))(uintptr_t)code)();
}

static void divide(void) { zero = 5 / zero; }
static void invalid(void) { __asm__ volatile("ud2"); }
static void halt(void) { __asm__ volatile("hlt"); }
static void breakpoint(void) { __asm__ volatile("int3"); }
static void non_canonical(void) { *(volatile char *)(0x8000000000000000ul + nowhere) = 0; }
static void kernel_call(void) { ((void (*)(void))0xffff800000000000ul)(); }

/* At the address that the environment names. */
static void kernel_write(void) { *(volatile char *)strtoul(getenv("AT"), NULL, 16) = 0; }

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static __attribute__((noinline)) int recurse(int depth)
{
    volatile char frame[4096];
    frame[0] = (char)depth;
    return recurse(depth + 1) + frame[0];
}

static void stack_overflow(void) { zero = recurse(0); }

/* The stack pointer points at nothing, and then something is pushed. */
static void lost_stack(void) { __asm__ volatile("mov $0x10000, %%rsp; push %%rax" ::: "memory"); }
static void bad_stack(void)
{
    __asm__ volatile("mov $0x8000000000000000, %%rax; mov %%rax, %%rsp; push %%rax" ::: "memory", "rax");
}

/* A system call returns to where no code is. */
static void bad_return(void)
{
    __asm__ volatile("mov $39, %%eax; mov $0x10000, %%rbx; mov %%rbx, %%rsp; syscall; pop %%rax" ::: "memory");
}

static void *in_thread(void *unused)
{
    null_write();
    return unused;
}

static void thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, in_thread, NULL);
    pthread_join(t, NULL);
}

static void *thread_overflow(void *unused)
{
    zero = recurse(0);
    return unused;
}

static void overflowing_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, thread_overflow, NULL);
    pthread_join(t, NULL);
}

/* The C library sees it, and crashes by an instruction that no program may execute. */
#pragma GCC diagnostic ignored "-Wuse-after-free"
static void heap_twice(void)
{
    char *volatile a = malloc(40), *volatile b = malloc(40);
    free(a);
    free(a);
    free(b);
}

static void aborts(void) { abort(); }
static void terminate(void) { kill(getpid(), SIGTERM); }

static void ignored(void)
{
    signal(SIGTERM, SIG_IGN);
    kill(getpid(), SIGTERM);
    kill(getpid(), SIGCHLD);
    puts("crash: still here");
    raise(SIGUSR2);
}

static volatile sig_atomic_t signals_seen;
static void on_signal(int signal) { signals_seen += signal; }

static void handled(void)
{
    signal(SIGUSR1, on_signal);
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    printf("crash: the handler saw %d\n", (int)signals_seen);
    exit(0);
}

static void blocked(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGHUP);
    sigset_t pending;
    sigpending(&pending);
    printf("crash: SIGHUP waits: %d\n", sigismember(&pending, SIGHUP));
    fflush(stdout);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* More than there is: no overcommit but for NORESERVE, so that ends it. */
static void out_of_memory(void)
{
    size_t bytes = (size_t)8 << 30;
    if (mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        puts("crash: 8 GiB were refused");
    fflush(stdout);
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (size_t at = 0; p != MAP_FAILED && at < bytes; at += 4096)
        p[at] = 1;
}

static const struct { const char *name; void (*run)(void); } ways[] = {
    {"null-read", null_read}, {"null-write", null_write}, {"null-call", null_call},
    {"write-text", write_text}, {"locked-write-text", locked_write_text}, {"execute-data", execute_data},
    {"divide", divide}, {"invalid", invalid}, {"breakpoint", breakpoint}, {"halt", halt},
    {"non-canonical", non_canonical}, {"kernel-call", kernel_call}, {"kernel-write", kernel_write}, {"stack-overflow", stack_overflow},
    {"lost-stack", lost_stack}, {"bad-stack", bad_stack}, {"bad-return", bad_return}, {"thread", thread},
    {"thread-overflow", overflowing_thread}, {"heap-twice", heap_twice},
    {"abort", aborts}, {"terminate", terminate}, {"ignored", ignored}, {"handled", handled},
    {"blocked", blocked}, {"out-of-memory", out_of_memory},
};

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            ways[i].run();
    return 99;
}
