// SPDX-License-Identifier: MIT
/* Other ways to run a function on another stack: contexts of the C library, a mapping per call, another thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "bench.h"

#define STACK_BYTES 16384

static void failed(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- swapcontext ---- */

static ucontext_t here, there;
static char context_stack[65536];

static void context_loop(void)
{
    for (;;) {
        bench_body(1, 2, 3, 4, 5, 6);
        swapcontext(&there, &here);
    }
}

static uint64_t contexts(uint64_t count)
{
    if (getcontext(&there))
        failed("bench: getcontext");
    there.uc_stack.ss_sp = context_stack;
    there.uc_stack.ss_size = sizeof(context_stack);
    makecontext(&there, context_loop, 0);
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++)
        swapcontext(&here, &there);
    return bench_stop() - start;
}

/* ---- a stack mapped for the call, with a guard page below it, and unmapped after ---- */

static uint64_t mappings(uint64_t count)
{
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++) {
        char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack, 4096, PROT_NONE))
            failed("bench: mmap");
        bench_call_on(stack + STACK_BYTES, bench_body);
        munmap(stack, STACK_BYTES);
    }
    return bench_stop() - start;
}

/* ---- a worker thread, woken and waited for ---- */

struct worker {
    pthread_t thread;
    sem_t todo, done;
    int which;
    bool started;
};

static void *worker_run(void *argument)
{
    struct worker *w = argument;
    bench_pin(w->which);
    for (;;) {
        while (sem_wait(&w->todo))
            ;
        bench_body(1, 2, 3, 4, 5, 6);
        sem_post(&w->done);
    }
    return NULL;
}

static uint64_t hand_off(struct worker *w, uint64_t count)
{
    if (!w->started) {
        w->started = true;
        if (sem_init(&w->todo, 0, 0) || sem_init(&w->done, 0, 0) ||
            pthread_create(&w->thread, NULL, worker_run, w))
            failed("bench: a worker");
    }
    uint64_t start = bench_start();
    for (uint64_t i = 0; i < count; i++) {
        sem_post(&w->todo);
        while (sem_wait(&w->done))
            ;
    }
    return bench_stop() - start;
}

static uint64_t same_core(uint64_t count)
{
    static struct worker w = {.which = 0};
    return hand_off(&w, count);
}

static uint64_t other_core(uint64_t count)
{
    static struct worker w = {.which = 1};
    return hand_off(&w, count);
}

static const struct bench_row rows[] = {
    {"swapcontext", "swapcontext there and back", 1, contexts},
    {"mmap", "a stack mapped and unmapped for the call", 1, mappings},
    {"hand-off-same", "hand-off to a worker thread, same core", 1, same_core},
    {"hand-off-other", "hand-off to a worker thread, other core", 2, other_core},
    {NULL, NULL, 0, NULL},
};

int main(void) { return bench_serve(rows); }
