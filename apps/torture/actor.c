// SPDX-License-Identifier: MIT
/* Actors and the watchdog: see actor.h. */
#include "actor.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "notes.h"

enum { WATCHDOG_STACK_BYTES = 64 * 1024 };

/* What the watchdog saw of an actor last. */
struct sight {
    uint64_t steps;
    unsigned seconds; /* without a new step */
};

static struct actor *actors;
static unsigned actor_count, patience;
static struct sight *sights; /* watchdog thread */

struct actor *actor(unsigned index) { return &actors[index]; }

void actor_step(struct actor *a, const char *step, int level, long detail)
{
    atomic_store_explicit(&a->level, level, memory_order_relaxed);
    atomic_store_explicit(&a->detail, detail, memory_order_relaxed);
    atomic_store_explicit(&a->step, step, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->steps, 1, memory_order_release);
}

static void print_actor(unsigned index)
{
    struct actor *a = &actors[index];
    const char *operation = atomic_load(&a->operation), *step = atomic_load(&a->step);
    int level = atomic_load(&a->level);
    long detail = atomic_load(&a->detail);

    if (index == ACTOR_MAIN)
        dprintf(1, "torture:   main: ");
    else if (index == ACTOR_CHECKER)
        dprintf(1, "torture:   checker: ");
    else
        dprintf(1, "torture:   worker %u: ", index - ACTOR_WORKERS);
    if (operation && step)
        dprintf(1, "%s: ", operation);
    dprintf(1, "%s", step ? step : "idle");
    if (step && level >= 0)
        dprintf(1, ", level %d", level);
    if (step && detail >= 0)
        dprintf(1, ", %ld", detail);
    if (step)
        dprintf(1, ", for %u s", sights[index].seconds);
    dprintf(1, "\n");
}

static _Noreturn void give_up(void)
{
    dprintf(1, "torture: error: no progress for %u seconds; what every thread was doing:\n",
            patience);
    for (unsigned i = 0; i < actor_count; i++)
        print_actor(i);
    notes_print();
    dprintf(1, "torture: verdict=hung\n");
    _exit(1);
}

static void *watch(void *unused)
{
    for (;;) {
        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
        for (unsigned i = 0; i < actor_count; i++) {
            uint64_t steps = atomic_load_explicit(&actors[i].steps, memory_order_acquire);

            if (steps != sights[i].steps || !atomic_load(&actors[i].step)) {
                sights[i].steps = steps;
                sights[i].seconds = 0;
            } else if (++sights[i].seconds >= patience) {
                give_up();
            }
        }
    }
    return unused;
}

int actors_start(unsigned count, unsigned patience_seconds)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    actors = calloc(count, sizeof(*actors));
    sights = calloc(count, sizeof(*sights));
    if (!actors || !sights)
        return -ENOMEM;
    actor_count = count;
    patience = patience_seconds;
    error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    pthread_attr_setstacksize(&attributes, WATCHDOG_STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, watch, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}
