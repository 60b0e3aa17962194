// SPDX-License-Identifier: MIT
/*
 * The workers: every slot has one thread at a time, which ends after some operations, joined or
 * detached; the main thread starts the next one, and says once a second how far they are.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "notes.h"
#include "threads.h"
#include "torture.h"

enum { SLOT_EMPTY, SLOT_RUNNING, SLOT_ENDED };

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    uint64_t most = torture.options.ops;

    while (w->left-- > 0 && !torture.stop) {
        run_operation(w);
        if (most && torture.operations >= most)
            torture.stop = true;
    }
    actor_step(w->actor, NULL, -1, -1);
    atomic_store(&w->state, SLOT_ENDED);
    return NULL;
}

/* Bury the thread of a slot, if it has ended. */
static void reap(struct worker *w)
{
    if (atomic_load(&w->state) != SLOT_ENDED)
        return;
    if (w->joinable) {
        actor_step(actor(ACTOR_MAIN), "pthread_join of worker", -1, w->index);
        int error = pthread_join((pthread_t)w->thread, NULL);

        if (error)
            note_error("pthread_join", error, -1, w->index);
    }
    atomic_store(&w->state, SLOT_EMPTY);
}

static void start(struct worker *w)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    w->left = 1 + pick(w, pick(w, 4) ? 60 : 600);
    w->joinable = pick(w, 2);
    error = pthread_attr_init(&attributes);
    if (error) {
        note_error("pthread_attr_init", error, -1, w->index);
        return;
    }
    pthread_attr_setstacksize(&attributes, (size_t)(32 + 16 * pick(w, 3)) * 1024);
    if (!w->joinable)
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    actor_step(actor(ACTOR_MAIN), "pthread_create of worker", -1, w->index);
    atomic_store(&w->state, SLOT_RUNNING);
    error = pthread_create(&thread, &attributes, worker_main, w);
    pthread_attr_destroy(&attributes);
    if (error) {
        atomic_store(&w->state, SLOT_EMPTY);
        if (error != EAGAIN && error != ENOMEM)
            note_error("pthread_create", error, -1, w->index);
        return;
    }
    w->thread = (unsigned long)thread; /* for reap(), by this thread */
    atomic_fetch_add(&torture.threads_started, 1);
}

static void print_progress(uint64_t elapsed_ms)
{
    printf("torture: %llu s: %llu operations, %llu refused, %llu no room or busy, %llu threads, "
           "%llu checks, %llu wrong, %llu errors\n",
           (unsigned long long)elapsed_ms / 1000, (unsigned long long)torture.operations,
           (unsigned long long)ops_total(REFUSED), (unsigned long long)ops_total(LEGAL),
           (unsigned long long)torture.threads_started, (unsigned long long)torture.checks,
           (unsigned long long)notes_wrong(), (unsigned long long)notes_errors());
}

uint64_t run_workers(void)
{
    uint64_t begin = now_ms(), last = 0, elapsed, seconds = torture.options.seconds;
    unsigned count = (unsigned)torture.options.threads, running;

    do {
        running = 0;
        for (unsigned i = 0; i < count; i++) {
            reap(&torture.workers[i]);
            if (atomic_load(&torture.workers[i].state) == SLOT_EMPTY && !torture.stop)
                start(&torture.workers[i]);
            running += atomic_load(&torture.workers[i].state) != SLOT_EMPTY;
        }
        actor_step(actor(ACTOR_MAIN), "supervising", -1, -1);
        sleep_us(5000);
        notes_print();
        elapsed = now_ms() - begin;
        if ((seconds && elapsed >= seconds * 1000) || notes_too_many())
            torture.stop = true;
        if (elapsed - last >= 1000) {
            last = elapsed;
            print_progress(elapsed);
        }
    } while (running || !torture.stop);
    return elapsed;
}
