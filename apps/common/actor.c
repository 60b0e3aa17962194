// SPDX-License-Identifier: MIT
/* Actors and the watchdog: see actor.h. */
#include "actor.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WATCHDOG_STACK_BYTES = 64 * 1024 };

/* What the watchdog saw of an actor last. */
struct sight {
    uint64_t steps;
    unsigned seconds; /* without a new step */
};

static const struct watchdog *dog;
static struct actor *actors;
static unsigned actor_count, patience_seconds;
static struct sight *sights; /* watchdog thread */

struct actor *actor(unsigned index) { return &actors[index]; }

void actor_step(struct actor *a, const char *step, int level, int64_t detail)
{
    atomic_store_explicit(&a->level, level, memory_order_relaxed);
    atomic_store_explicit(&a->detail, detail, memory_order_relaxed);
    atomic_store_explicit(&a->step, step, memory_order_relaxed);
    atomic_fetch_add_explicit(&a->steps, 1, memory_order_release);
}

void main_step(const char *step, int level) { actor_step(&actors[0], step, level, -1); }

static void print_actor(unsigned index)
{
    struct actor *a = &actors[index];
    const char *operation = atomic_load(&a->operation), *step = atomic_load(&a->step);
    int level = atomic_load(&a->level);
    long long detail = atomic_load(&a->detail);

    if (index < dog->name_count)
        dprintf(1, "%s:   %s: ", dog->program, dog->names[index]);
    else
        dprintf(1, "%s:   worker %u: ", dog->program, index - dog->name_count);
    if (operation && step)
        dprintf(1, "%s: ", operation);
    dprintf(1, "%s", step ? step : "idle");
    if (step && level >= 0)
        dprintf(1, ", level %d", level);
    if (step && detail >= 0)
        dprintf(1, ", %s%lld", dog->detail, detail);
    if (step)
        dprintf(1, ", for %u s", sights[index].seconds);
    dprintf(1, "\n");
}

static _Noreturn void give_up(void)
{
    dprintf(1, "%s: error: no progress for %u seconds; what every thread was doing:\n",
            dog->program, patience_seconds);
    for (unsigned i = 0; i < actor_count; i++)
        print_actor(i);
    if (dog->say_more)
        dog->say_more();
    dprintf(1, "%s: verdict=hung\n", dog->program);
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
            } else if (++sights[i].seconds >= patience_seconds) {
                give_up();
            }
        }
    }
    return unused;
}

int actors_start(const struct watchdog *watchdog, unsigned count, unsigned seconds)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    dog = watchdog;
    actors = calloc(count, sizeof(*actors));
    sights = calloc(count, sizeof(*sights));
    if (!actors || !sights)
        return -ENOMEM;
    actor_count = count;
    patience_seconds = seconds;
    if (!seconds)
        return 0;
    error = pthread_attr_init(&attributes);
    if (error)
        return -error;
    pthread_attr_setstacksize(&attributes, WATCHDOG_STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, watch, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}
