// SPDX-License-Identifier: MIT
/*
 * Handlers: called for signals sent, for faults and by the clock, on the right stack, with the right
 * mask, and with every register as it was afterwards; and calls that a signal ends or restarts.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <include/check.h>

static volatile sig_atomic_t count, last_signal, last_code;
static void *volatile last_address, *volatile last_stack;
static sigjmp_buf back;
static volatile char *volatile nowhere = (volatile char *)64;

static void counting(int signal, siginfo_t *info, void *context)
{
    (void)context;
    count++;
    last_signal = signal;
    last_code = info->si_code;
    last_address = info->si_addr;
    last_stack = __builtin_frame_address(0);
}

static void install(int signal, int flags)
{
    struct sigaction action = { .sa_sigaction = counting, .sa_flags = SA_SIGINFO | flags };

    count = 0;
    OK(sigaction(signal, &action, NULL));
}

static void test_raise(void)
{
    struct sigaction old;
    sigset_t set, before;

    install(SIGUSR1, 0);
    OK(raise(SIGUSR1));
    EQUAL(count, 1);
    EQUAL(last_signal, SIGUSR1);
    EQUAL(last_code, SI_TKILL);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(count, 2);
    EQUAL(last_code, SI_USER);
    OK(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_sigaction == counting);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, &before));
    raise(SIGUSR1);
    raise(SIGUSR1);
    EQUAL(count, 2);
    OK(sigpending(&set));
    CHECK(sigismember(&set, SIGUSR1));
    OK(sigprocmask(SIG_SETMASK, &before, NULL));
    EQUAL(count, 3);
    install(SIGUSR2, SA_RESETHAND);
    raise(SIGUSR2);
    OK(sigaction(SIGUSR2, NULL, &old));
    CHECK(old.sa_handler == SIG_DFL);
    signal(SIGUSR2, SIG_IGN);
    OK(raise(SIGUSR2));
    EQUAL(count, 1);
}

static volatile int depth, deepest, more;

static void nested(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (more-- > 0)
        raise(signal);
    depth--;
}

static void test_nesting(void)
{
    struct sigaction action = { .sa_handler = nested, .sa_flags = SA_NODEFER };

    OK(sigaction(SIGUSR1, &action, NULL));
    more = 2;
    raise(SIGUSR1);
    EQUAL(deepest, 3);
    deepest = 0;
    more = 2;
    action.sa_flags = 0;
    OK(sigaction(SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    EQUAL(deepest, 1);
    EQUAL(more, -1);
}

static void jumping(int signal, siginfo_t *info, void *context)
{
    counting(signal, info, context);
    siglongjmp(back, 1);
}

static void test_faults(void)
{
    struct sigaction action = { .sa_sigaction = jumping, .sa_flags = SA_SIGINFO };
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    OK(sigaction(SIGSEGV, &action, NULL));
    OK(sigaction(SIGFPE, &action, NULL));
    OK(sigaction(SIGILL, &action, NULL));
    count = 0;
    if (!sigsetjmp(back, 1))
        *nowhere = 1;
    EQUAL(count, 1);
    EQUAL(last_signal, SIGSEGV);
    EQUAL(last_code, SEGV_MAPERR);
    CHECK(last_address == (void *)nowhere);
    if (!sigsetjmp(back, 1))
        page[100] = 1;
    EQUAL(last_code, SEGV_ACCERR);
    CHECK(last_address == page + 100);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("xorl %%edx, %%edx; divl %0" : : "r"(0), "a"(1) : "rdx");
    EQUAL(last_signal, SIGFPE);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ud2");
    EQUAL(last_signal, SIGILL);
    EQUAL(count, 4);
    for (volatile int i = 0; i < 1000; i++)
        if (!sigsetjmp(back, 1))
            *nowhere = 1;
    EQUAL(count, 1004);
    munmap(page, 4096);
}

/* A handler that repairs the fault: the instruction is tried again. */
static volatile char *volatile repaired;
static void repairing(int signal, siginfo_t *info, void *context)
{
    counting(signal, info, context);
    mprotect((void *)repaired, 4096, PROT_READ | PROT_WRITE);
}

static void test_repair(void)
{
    struct sigaction action = { .sa_sigaction = repairing, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    static char stack[16384];
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) }, old;

    OK(sigaltstack(&alternate, NULL));
    OK(sigaction(SIGSEGV, &action, NULL));
    repaired = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    count = 0;
    repaired[5] = 'r';
    EQUAL(count, 1);
    EQUAL(repaired[5], 'r');
    CHECK((char *)last_stack >= stack && (char *)last_stack < stack + sizeof(stack));
    OK(sigaltstack(NULL, &old));
    CHECK(old.ss_sp == stack && !(old.ss_flags & SS_ONSTACK));
    alternate.ss_flags = SS_DISABLE;
    OK(sigaltstack(&alternate, NULL));
    munmap((void *)repaired, 4096);
}

/* Runs without a call for @rounds while alarms come; every register must survive each of them. */
static __attribute__((noipa)) uint64_t compute(uint64_t rounds)
{
    uint64_t a = 1, b = 2, c = 3, d = 4;
    double x = 1.0, y = 3.0;

    for (uint64_t i = 0; i < rounds; i++) {
        a = a * 6364136223846793005u + b;
        b ^= a >> 7;
        c += b * 3;
        d = (d << 5 | d >> 59) + c;
        x = x * 1.0000001 + 1e-9;
        y = y * 0.9999999 + x;
    }
    return a ^ b ^ c ^ d ^ (uint64_t)(x * 1e6) ^ (uint64_t)(y * 1e6);
}

static void test_alarms(void)
{
    struct itimerval fast = { .it_interval.tv_usec = 2000, .it_value.tv_usec = 2000 }, off = { 0 };
    uint64_t wanted = compute(3000000), got;

    install(SIGALRM, SA_RESTART);
    OK(setitimer(ITIMER_REAL, &fast, NULL));
    got = compute(3000000);
    CHECK(got == wanted);
    for (int i = 0; i < 1000 && count < 5; i++)
        got = compute(1000000);
    CHECK(count >= 5);
    OK(setitimer(ITIMER_REAL, &off, &fast));
    EQUAL(fast.it_interval.tv_usec, 2000);
    EQUAL(alarm(100), 0);
    EQUAL(alarm(0), 100);
}

static void test_interrupted(void)
{
    struct itimerval soon = { .it_value.tv_usec = 50000 };
    struct timespec t = { .tv_sec = 10 }, left = { 0 };
    int fds[2];
    char c = 0;

    OK(pipe(fds));
    install(SIGALRM, 0);
    OK(setitimer(ITIMER_REAL, &soon, NULL));
    FAILS(read(fds[0], &c, 1), EINTR);
    OK(setitimer(ITIMER_REAL, &soon, NULL));
    FAILS(nanosleep(&t, &left), EINTR);
    CHECK(left.tv_sec == 9);
    OK(setitimer(ITIMER_REAL, &soon, NULL));
    FAILS(pause(), EINTR);
    EQUAL(count, 3);
    close(fds[0]);
    close(fds[1]);
}

static int restart_fds[2];
static void writing(int signal)
{
    (void)signal;
    count++;
    EQUAL(write(restart_fds[1], "w", 1), 1);
}

static void test_restart(void)
{
    struct sigaction action = { .sa_handler = writing, .sa_flags = SA_RESTART };
    struct itimerval soon = { .it_value.tv_usec = 50000 };
    char c = 0;

    OK(pipe(restart_fds));
    OK(sigaction(SIGALRM, &action, NULL));
    count = 0;
    OK(setitimer(ITIMER_REAL, &soon, NULL));
    EQUAL(read(restart_fds[0], &c, 1), 1);
    EQUAL(c, 'w');
    EQUAL(count, 1);
}

static void *kill_later(void *argument)
{
    usleep(50000);
    EQUAL(pthread_kill(*(pthread_t *)argument, SIGUSR1), 0);
    return NULL;
}

static void test_waiting(void)
{
    pthread_t self = pthread_self(), thread;
    struct timespec t = { .tv_nsec = 10000000 };
    siginfo_t info;
    sigset_t set, before, none;

    install(SIGUSR1, 0);
    sigemptyset(&set);
    sigemptyset(&none);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, &before));
    FAILS(sigtimedwait(&set, &info, &t), EAGAIN);
    EQUAL(pthread_create(&thread, NULL, kill_later, &self), 0);
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_signo, SIGUSR1);
    EQUAL(count, 0);
    pthread_join(thread, NULL);
    EQUAL(pthread_create(&thread, NULL, kill_later, &self), 0);
    FAILS(sigsuspend(&none), EINTR);
    EQUAL(count, 1);
    pthread_join(thread, NULL);
    raise(SIGUSR1);
    EQUAL(count, 1);
    OK(sigprocmask(SIG_SETMASK, &before, NULL));
    EQUAL(count, 2);
}

static void *cancelled(void *argument)
{
    (void)argument;
    pause();
    return NULL;
}

static void test_cancel(void)
{
    pthread_t thread;
    void *result;

    EQUAL(pthread_create(&thread, NULL, cancelled, NULL), 0);
    usleep(20000);
    EQUAL(pthread_cancel(thread), 0);
    EQUAL(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
}

/* A handler may change what comes after it. */
static void skipping(int signal, siginfo_t *info, void *context)
{
    ucontext_t *c = context;

    counting(signal, info, context);
    c->uc_mcontext.gregs[REG_RIP] += 2;     /* ud2 */
    c->uc_mcontext.gregs[REG_RBX] = 0x1234;
}

static void test_context(void)
{
    struct sigaction action = { .sa_sigaction = skipping, .sa_flags = SA_SIGINFO };
    uint64_t value = 0;

    OK(sigaction(SIGILL, &action, NULL));
    __asm__ volatile("xorl %%ebx, %%ebx; ud2; movq %%rbx, %0" : "=r"(value) : : "rbx", "memory");
    EQUAL(value, 0x1234);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_raise();
    test_nesting();
    test_faults();
    test_repair();
    test_alarms();
    test_interrupted();
    test_restart();
    test_waiting();
    test_cancel();
    test_context();
    return check_end("signals");
}
