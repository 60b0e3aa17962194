// SPDX-License-Identifier: MIT
/*
 * Who is doing what, and the watchdog. Every lasting thread has an actor and says each step it
 * begins. A step that lasts longer than the watchdog's patience is a hang: what every thread was
 * doing is printed, and the program ends with 1.
 */
#ifndef TORTURE_ACTOR_H
#define TORTURE_ACTOR_H

#include <stdatomic.h>
#include <stdint.h>

enum { ACTOR_MAIN, ACTOR_CHECKER, ACTOR_WORKERS };

struct actor {
    _Atomic(const char *) operation; /* a constant string, or NULL */
    _Atomic(const char *) step;      /* a constant string; NULL: nothing that could hang */
    _Atomic int level;               /* -1: none */
    _Atomic long detail;             /* -1: none */
    _Atomic uint64_t steps;          /* grows with every step */
};

/** actors_start() - make @count actors and start the watchdog. Errors: a negative errno. */
int actors_start(unsigned count, unsigned patience_seconds);

/** actor() - actor number @index. */
struct actor *actor(unsigned index);

/** actor_step() - say what the calling thread begins now. */
void actor_step(struct actor *a, const char *step, int level, long detail);

#endif
