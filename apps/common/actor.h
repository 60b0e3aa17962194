// SPDX-License-Identifier: MIT
/*
 * Who is doing what, and the watchdog. Every lasting thread has an actor and says each step it
 * begins; a thread of its own looks once a second. A step that lasts longer than the patience is a
 * hang: what every thread was doing is printed, and the program ends with 1.
 */
#ifndef COMMON_ACTOR_H
#define COMMON_ACTOR_H

#include <stdatomic.h>
#include <stdint.h>

struct actor {
    _Atomic(const char *) operation; /* a constant string that goes before the step, or NULL */
    _Atomic(const char *) step;      /* a constant string; NULL: nothing that could hang */
    _Atomic int level;               /* -1: none */
    _Atomic int64_t detail;          /* a block, a slot, a size; -1: none */
    _Atomic uint64_t steps;          /* grows with every step */
};

/* What the watchdog says of whom. */
struct watchdog {
    const char *program;      /* at the beginning of each line */
    const char *detail;       /* what goes before an actor's detail: "block ", or "" */
    const char *const *names; /* of the first actors; the others are "worker 0" and so on */
    unsigned name_count;
    void (*say_more)(void); /* before the verdict; NULL: nothing */
};

/**
 * actors_start() - make the actors and start the watchdog.
 * @watchdog: stays the caller's, for ever.
 * @count:    actors.
 * @seconds:  patience; 0: no watchdog.
 *
 * Errors:  a negative errno.
 */
int actors_start(const struct watchdog *watchdog, unsigned count, unsigned seconds);

/** actor() - actor number @index. */
struct actor *actor(unsigned index);

/** actor_step() - say what the calling thread begins now. */
void actor_step(struct actor *a, const char *step, int level, int64_t detail);

/** main_step() - actor_step() for actor 0, the main thread, without a detail. */
void main_step(const char *step, int level);

#endif
