// SPDX-License-Identifier: MIT
/*
 * Programs that do with their stacks, flags, registers and descriptors what no compiler makes them do. odd.sh runs
 * each way on Linux and here: what it prints and how it ends must be the same.
 *
 *     odd WAY [FOLDER]     prints `odd: …`
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul

static const char *folder = "/tmp";
static volatile int shared_count;

static long call3(long number, long a, long b, long c)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

/*
 * clone() without the library: @run(@index) on @stack, with a thread pointer of @tls. @run never returns.
 * VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS.
 */
static long bare_clone(void *stack, void (*run)(long), long index, long tls)
{
    long result;
    register long pointer __asm__("r8") = tls;
    register long child __asm__("r10") = 0;
    register long kept __asm__("r12") = index;
    register void (*code)(long) __asm__("r13") = run;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %%r12, %%rdi\n\t"
                     "call *%%r13\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_clone), "D"(0xd0f00), "S"(stack), "d"(0), "r"(child), "r"(pointer), "r"(kept), "r"(code)
                     : "rcx", "r11", "memory");
    return result;
}

static char *map(size_t bytes, int access)
{
    char *at = mmap(NULL, bytes, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        exit(98);
    return at;
}

static int open_in_folder(const char *name)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) {
        perror(path);
        exit(97);
    }
    return fd;
}

/* ---- stacks ---- */

/* Unmaps the pages around the stack pointer, and then makes another call, without a stack. */
__attribute__((noreturn, noinline)) static void unmap_and_call(long number, long status)
{
    register long then __asm__("r12") = number;
    register long with __asm__("r13") = status;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0) & -PAGE;

    __asm__ volatile("syscall\n\t"              /* munmap; registers are all that is left */
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %%r12, %%rax\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "syscall\n"
                     "1: ud2"
                     :
                     : "a"(SYS_munmap), "D"(here - 2 * PAGE), "S"(4 * PAGE), "r"(then), "r"(with)
                     : "rcx", "r11", "memory");
    __builtin_unreachable();
}

static void unmap_main(void)
{
    puts("odd: unmaps its stack and ends with 7");
    fflush(stdout);
    unmap_and_call(SYS_exit_group, 7);
}

static void unmap_and_exit(long unused)
{
    (void)unused;
    __atomic_add_fetch(&shared_count, 1, __ATOMIC_SEQ_CST);
    unmap_and_call(SYS_exit, 0);
}

/* Each unmaps the stack it stands on, while others work. */
static void unmap_thread(void)
{
    enum { THREADS = 20 };
    struct timespec moment = {0, 1000000};

    for (int i = 0; i < THREADS; i++) {
        char *stack = map(8 * PAGE, PROT_READ | PROT_WRITE);
        if (bare_clone(stack + 5 * PAGE, unmap_and_exit, i, 0) < 0)
            exit(96);
    }
    while (__atomic_load_n(&shared_count, __ATOMIC_SEQ_CST) < THREADS)
        nanosleep(&moment, NULL);
    char *text = malloc(100000);
    memset(text, 'x', 100000);
    printf("odd: %d threads have unmapped their stacks, and the heap has %c\n", shared_count, text[99999]);
}

static volatile uintptr_t stack_pointers[] = {
    0, 8, 0x10001, 0x7ffffffff000, 0x8000000000000000, 0xffff900000000000, 0xfffffffffffffff8,
};

/* System calls with a stack pointer to nowhere; for long enough that the timer comes too. */
static void no_stack(void)
{
    struct timespec moment = {0, 3000000};

    for (unsigned i = 0; i < sizeof(stack_pointers) / sizeof(stack_pointers[0]); i++) {
        long pid, slept, spins = 3000000;
        __asm__ volatile("mov %%rsp, %%r12\n\t"
                         "mov %[sp], %%rsp\n\t"
                         "mov %[getpid], %%eax\n\t"
                         "syscall\n\t"
                         "mov %%rax, %%r13\n\t"
                         "mov %[nanosleep], %%eax\n\t"
                         "mov %[moment], %%rdi\n\t"
                         "xor %%esi, %%esi\n\t"
                         "syscall\n\t"
                         "mov %%rax, %%r14\n"
                         "1: dec %[spins]\n\t"
                         "jnz 1b\n\t"
                         "mov %%r12, %%rsp\n\t"
                         "mov %%r13, %[pid]\n\t"
                         "mov %%r14, %[slept]\n\t"
                         : [pid] "=&b"(pid), [slept] "=&d"(slept), [spins] "+r"(spins)
                         : [sp] "r"(stack_pointers[i]), [moment] "r"(&moment), [getpid] "i"(SYS_getpid),
                           [nanosleep] "i"(SYS_nanosleep)
                         : "rax", "rcx", "r11", "r12", "r13", "r14", "rsi", "rdi", "memory");
        printf("odd: stack pointer %#lx: pid %s, slept %ld, %ld\n", (unsigned long)stack_pointers[i],
               pid == getpid() ? "right" : "wrong", slept, spins);
    }
}

/* ---- coroutines on 2 KiB, doing I/O ---- */

enum { CORO_BYTES = 2048, COROS = 8, WORKERS = 3, ROUNDS = 6, BLOCK = 4096 };

struct coro {
    void *rsp;
    int fd, index, done, failed;
    struct worker *worker;
    char *block;
    unsigned char stack[CORO_BYTES] __attribute__((aligned(64)));
};

struct worker {
    void *rsp;
    struct coro coros[COROS];
    int index;
};
static struct worker workers[WORKERS];

/* void swap(void **from, void *to): leaves this stack for another one that was left so. */
__asm__("swap:\n\t"
        "push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "mov %rsp, (%rdi)\n\t"
        "mov %rsi, %rsp\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
        "ret\n"
        "coro_start:\n\t"
        "mov %rbx, %rdi\n\t"
        "call coro_run\n\t"
        "ud2");
void swap(void **from, void *to);
extern char coro_start[];
void coro_run(struct coro *c);

static void yield(struct coro *c) { swap(&c->rsp, c->worker->rsp); }

/* pwrite or pread, and whether a word below the stack pointer changed by it. */
static __attribute__((noinline)) long call_on_small_stack(long number, const struct coro *c, long offset)
{
    long result, changed;
    register long at __asm__("r10") = offset;
    __asm__ volatile("lea -128(%%rsp), %%r8\n\t"
                     "movq $0x5a5a5a5a, (%%r8)\n\t"
                     "movq $0x5a5a5a5a, -64(%%r8)\n\t"
                     "syscall\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "cmpq $0x5a5a5a5a, (%%r8)\n\t"
                     "setne %%cl\n\t"
                     "cmpq $0x5a5a5a5a, -64(%%r8)\n\t"
                     "setne %%ch\n\t"
                     : "=a"(result), "=&c"(changed)
                     : "0"(number), "D"(c->fd), "S"(c->block), "d"(BLOCK), "r"(at)
                     : "r8", "r11", "memory");
    return changed ? -1000 : result;
}

void coro_run(struct coro *c)
{
    for (int round = 0; round < ROUNDS; round++) {
        long offset = (round % 3) * BLOCK;
        memset(c->block, 'a' + (c->index + round) % 26, BLOCK);
        if (call_on_small_stack(SYS_pwrite64, c, offset) != BLOCK)
            c->failed++;
        yield(c);
        if (call3(SYS_fsync, c->fd, 0, 0))
            c->failed++;
        memset(c->block, 0, BLOCK);
        yield(c);
        if (call_on_small_stack(SYS_pread64, c, offset) != BLOCK || c->block[BLOCK - 1] != 'a' + (c->index + round) % 26)
            c->failed++;
    }
    c->done = 1;
    yield(c);
}

static void coro_init(struct coro *c, struct worker *w, int index)
{
    char name[40];

    snprintf(name, sizeof(name), "coro-%d-%d", w->index, index);
    c->fd = open_in_folder(name);
    c->index = w->index * COROS + index;
    c->worker = w;
    c->block = map(BLOCK, PROT_READ | PROT_WRITE);
    memset(c->stack, 0xa5, sizeof(c->stack));
    void **top = (void **)(c->stack + CORO_BYTES);
    *--top = NULL;
    *--top = coro_start;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    top[5] = c;                       /* rbx */
    c->rsp = top;
}

static void *work(void *argument)
{
    struct worker *w = argument;

    for (int left = COROS; left;) {
        left = 0;
        for (int i = 0; i < COROS; i++) {
            if (w->coros[i].done)
                continue;
            swap(&w->rsp, w->coros[i].rsp);
            left++;
        }
    }
    return NULL;
}

static void coroutines(void)
{
    pthread_t threads[WORKERS];
    int failed = 0, over = 0;

    for (int i = 0; i < WORKERS; i++) {
        workers[i].index = i;
        for (int j = 0; j < COROS; j++)
            coro_init(&workers[i].coros[j], &workers[i], j);
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            exit(96);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < WORKERS * COROS; i++) {
        const struct coro *c = &workers[i / COROS].coros[i % COROS];
        failed += c->failed;
        for (int j = 0; j < 256; j++)     /* never within 256 bytes of the end */
            over += c->stack[j] != 0xa5;
    }
    printf("odd: %d coroutines on %d bytes: %d writes, syncs and reads, %d failed, %d bytes too deep\n", WORKERS * COROS,
           CORO_BYTES, WORKERS * COROS * ROUNDS, failed, over);
}

/* ---- threads of the bare call: no library, no thread pointer, 512 bytes of stack ---- */

enum { BARE = 6, BARE_BYTES = 512 };
static unsigned char bare_stacks[BARE][BARE_BYTES] __attribute__((aligned(64)));
static char bare_blocks[BARE][BLOCK] __attribute__((aligned(4096)));
static int bare_fds[BARE];
static volatile int bare_good, bare_done;

static void bare_run(long index)
{
    int good = 1;
    for (int i = 0; i < 5; i++) {
        good &= call3(SYS_write, bare_fds[index], (long)bare_blocks[index], BLOCK) == BLOCK;
        good &= call3(SYS_fsync, bare_fds[index], 0, 0) == 0;
    }
    __atomic_add_fetch(&bare_good, good, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&bare_done, 1, __ATOMIC_SEQ_CST);
    call3(SYS_exit, 0, 0, 0);
    __builtin_unreachable();
}

static void bare_threads(void)
{
    for (int i = 0; i < BARE; i++) {
        char name[20];
        snprintf(name, sizeof(name), "bare-%d", i);
        bare_fds[i] = open_in_folder(name);
        memset(bare_blocks[i], 'b', BLOCK);
        if (bare_clone(bare_stacks[i] + BARE_BYTES, bare_run, i, 0) < 0)
            exit(95);
    }
    while (bare_done < BARE)
        sched_yield();
    printf("odd: %d threads without a library, %d good\n", bare_done, bare_good);
}

/* Each ends with a list of robust locks, or an address to clear, that lies nowhere. */
static void *bad_end(void *argument)
{
    uintptr_t bad = (uintptr_t)argument;
    call3(SYS_set_robust_list, (long)bad, 24, 0);
    call3(SYS_set_tid_address, (long)bad, 0, 0);
    __atomic_add_fetch(&shared_count, 1, __ATOMIC_SEQ_CST);
    call3(SYS_exit, 0, 0, 0);
    return NULL;
}

static void bad_ends(void)
{
    static const uintptr_t bad[] = {8, 0x10000, 0x10001, 0x7ffffffffff8, 0x8000000000000000, 0xffffffff80100000, ~7ul};
    struct timespec moment = {0, 50000000};
    int count = sizeof(bad) / sizeof(bad[0]);
    pthread_t t;

    for (int i = 0; i < count; i++)
        if (pthread_create(&t, NULL, bad_end, (void *)bad[i]))
            exit(96);
    while (__atomic_load_n(&shared_count, __ATOMIC_SEQ_CST) < count)
        nanosleep(&moment, NULL);
    nanosleep(&moment, NULL);
    printf("odd: %d threads ended with bad lists\n", shared_count);
}

/* ---- flags and registers ---- (not exceptions of SSE: the emulator has none) */

#define FLAG_TF 0x100ul
#define FLAG_DF 0x400ul
#define FLAG_NT 0x4000ul
#define FLAG_AC 0x40000ul
#define FLAG_ID 0x200000ul

/* Makes a call with @flags set; returns which of them are set after it. */
static unsigned long flags_after(unsigned long flags, long number, const void *argument)
{
    unsigned long after;
    __asm__ volatile("pushfq\n\t"
                     "pushfq\n\t"
                     "or %[flags], (%%rsp)\n\t"
                     "popfq\n\t"
                     "syscall\n\t"
                     "pushfq\n\t"
                     "pop %[after]\n\t"
                     "popfq"
                     : [after] "=&r"(after), "+a"(number)
                     : [flags] "r"(flags), "D"(argument), "S"(0)
                     : "rcx", "r11", "memory", "cc");
    return after & flags;
}

static void flags(void)
{
    static const unsigned long sets[] = {FLAG_DF, FLAG_AC, FLAG_NT, FLAG_ID, FLAG_DF | FLAG_AC | FLAG_NT | FLAG_ID};
    static char path[] = "/tmp";
    struct timespec moment = {0, 5000000};

    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        unsigned long slept = flags_after(sets[i], SYS_nanosleep, &moment);
        unsigned long entered = flags_after(sets[i], SYS_chdir, path);
        printf("odd: flags %#lx: %#lx after a sleep, %#lx after chdir\n", sets[i], slept, entered);
    }
}

static void *raise_count(void *unused)
{
    struct timespec moment = {0, 20000000};
    nanosleep(&moment, NULL);
    shared_count = 1;
    return unused;
}

/* Interrupts are not turned off by loading the flags; at the latest a system call turns them on again. */
static void no_interrupts(void)
{
    pthread_t t;

    pthread_create(&t, NULL, raise_count, NULL);
    __asm__ volatile("pushq $2; popfq; syscall" : : "a"(SYS_getpid) : "rcx", "r11", "memory", "cc");
    while (!shared_count) {           /* without a call: the timer must come */
    }
    pthread_join(t, NULL);
    puts("odd: the timer came");
}

static void single_step(void)
{
    flags_after(FLAG_TF, SYS_getpid, NULL);
    puts("odd: nobody stepped");
}

static void set_mxcsr(uint32_t value) { __asm__ volatile("ldmxcsr %0" : : "m"(value)); }

static void fpu(void)
{
    struct timespec moment = {0, 20000000};
    uint32_t mxcsr = 0xffff & ~0x3f;  /* every rounding, flush and mask bit */
    uint16_t control = 0x0f7f & ~0x300, status;
    long double sum = 0, top[8];

    set_mxcsr(mxcsr);
    __asm__ volatile("fldcw %0; fld1; fldpi; fldl2e; fldln2; fld1; fldpi; fldl2e; fldln2" : : "m"(control));
    for (int i = 0; i < 5; i++) {
        call3(SYS_nanosleep, (long)&moment, 0, 0);
        call3(SYS_sched_yield, 0, 0, 0);
    }
    uint32_t after;
    uint16_t control_after;
    __asm__ volatile("stmxcsr %0; fnstsw %1; fnstcw %2" : "=m"(after), "=m"(status), "=m"(control_after));
    for (int i = 0; i < 8; i++)
        __asm__ volatile("fstpt %0" : "=m"(top[i]));
    uint32_t normal = 0x1f80;
    set_mxcsr(normal);
    __asm__ volatile("fninit");
    for (int i = 0; i < 8; i++)
        sum = sum * 3 + top[i];
    unsigned char bytes[10];
    memcpy(bytes, &sum, sizeof(bytes));
    printf("odd: mxcsr %#x, x87 control %#x, status %#x, sum %02x%02x%02x%02x\n", after, control_after, status, bytes[9],
           bytes[8], bytes[7], bytes[6]);
}

/* The x87 says it at the next instruction, here after a sleep. */
static void x87_exception(void)
{
    struct timespec moment = {0, 20000000};
    uint16_t control = 0x37b;
    __asm__ volatile("fldcw %0; fld1; fldz; fdivrp" : : "m"(control));
    call3(SYS_nanosleep, (long)&moment, 0, 0);
    __asm__ volatile("fwait");
    puts("odd: divided");
}

/* A thread pointer that is none. */
static void thread_pointer(void)
{
    static const long bad[] = {0x7ffffffff000 + 0x1000, (long)0x8000000000000000, -4096};
    for (unsigned i = 0; i < 3; i++)
        printf("odd: thread pointer %#lx: %ld, %ld\n", bad[i], call3(SYS_arch_prctl, 0x1002, bad[i], 0),
               bare_clone(bare_stacks[0] + BARE_BYTES, bare_run, 0, bad[i]));
}

/* ---- descriptors and buffers ---- */

static void closed(void)
{
    int out = dup(1);
    close(0);
    close(1);
    close(2);
    char *message = "odd: without descriptors: ";
    long written = write(1, "x", 1);
    int error = errno, first = open_in_folder("first");
    dprintf(out, "%swrite %ld %d, first %d\n", message, written, error == EBADF, first);
    close(first);
    close(out);
    _exit(9);
}

static void closed_crash(void)
{
    close(0);
    close(1);
    close(2);
    *(volatile int *)(uintptr_t)(write(1, "x", 1) + 1) = 0;
}

static void vectors(void)
{
    enum { MOST = 1024 };
    static struct iovec v[MOST + 1];
    char *data = map(PAGE, PROT_READ | PROT_WRITE);
    int fd = open_in_folder("vectors");

    memset(data, 'v', PAGE);
    for (int i = 0; i <= MOST; i++)
        v[i] = (struct iovec){data, PAGE};
    printf("odd: %d buffers: %ld\n", MOST, writev(fd, v, MOST));
    long result = writev(fd, v, MOST + 1);
    printf("odd: one more: %ld %d\n", result, errno == EINVAL);
    result = writev(fd, v, -1);
    printf("odd: -1: %ld %d\n", result, errno == EINVAL);
    v[1].iov_len = (size_t)1 << 63;
    result = writev(fd, v, 3);
    printf("odd: a length without end: %ld %d\n", result, errno == EINVAL);
    v[1].iov_len = 0;
    v[1].iov_base = (void *)0x10;
    printf("odd: an empty one at a bad address: %ld\n", writev(fd, v, 3));
    v[1].iov_len = 10;
    printf("odd: ten bytes there: %ld\n", writev(fd, v, 3));
    result = writev(fd, v + 1, 2);
    printf("odd: there first: %ld %d\n", result, errno == EFAULT);
    v[1].iov_base = (void *)-8;
    result = writev(fd, v + 1, 2);
    printf("odd: beyond all: %ld %d\n", result, errno == EFAULT);
    printf("odd: size %ld\n", (long)lseek(fd, 0, SEEK_END));
    lseek(fd, 0, SEEK_SET);
    v[1] = v[0];
    printf("odd: read back: %ld\n", readv(fd, v, MOST));
    ftruncate(fd, 0);
}

/* 64 MiB with a hole: what lies before it is moved, and to the byte. */
static void hole(void)
{
    size_t bytes = 64ul << 20, good = (5ul << 20) + 3 * PAGE + 100;
    char *at = map(bytes, PROT_READ | PROT_WRITE), *start = at + PAGE - 100;
    int fd = open_in_folder("hole");

    munmap(at + (good + PAGE - 100), 2 * PAGE);
    printf("odd: write: %ld of %zu\n", write(fd, start, bytes - PAGE), good);
    printf("odd: size %ld\n", (long)lseek(fd, 0, SEEK_END));
    printf("odd: read: %ld\n", pread(fd, start, bytes - PAGE, 0));
    long result = write(fd, start + good, PAGE);
    printf("odd: from the hole: %ld %d\n", result, errno == EFAULT);
    result = write(fd, start + good + PAGE, 2 * PAGE);
    printf("odd: across its end: %ld %d\n", result, errno == EFAULT);
    printf("odd: behind it: %ld\n", write(fd, start + good + 2 * PAGE, 2 * PAGE));
    ftruncate(fd, 0);
}

static const struct { const char *name; void (*run)(void); } ways[] = {
    {"unmap-main", unmap_main}, {"unmap-thread", unmap_thread}, {"no-stack", no_stack}, {"coroutines", coroutines},
    {"bare-threads", bare_threads}, {"bad-ends", bad_ends}, {"flags", flags}, {"no-interrupts", no_interrupts},
    {"single-step", single_step}, {"fpu", fpu}, {"x87-exception", x87_exception},
    {"thread-pointer", thread_pointer}, {"closed", closed}, {"closed-crash", closed_crash},
    {"vectors", vectors}, {"hole", hole},
};

int main(int argc, char **argv)
{
    if (argc == 1)
        for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
            puts(ways[i].name);
    if (argc > 2)
        folder = argv[2];
    for (unsigned i = 0; argc > 1 && i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(argv[1], ways[i].name) != 0)
            continue;
        ways[i].run();
        return 0;
    }
    return argc == 1 ? 0 : 99;
}
