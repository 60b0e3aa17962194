// SPDX-License-Identifier: MIT
/*
 * Who is doing what, and the watchdog. Every thread has an actor and says each step it begins; a
 * thread of its own looks once a second. A step that lasts longer than --watchdog seconds is a
 * hang: what every thread was doing is printed and the program ends with 1.
 */
#ifndef NESTIO_ACTOR_H
#define NESTIO_ACTOR_H

#include <stdatomic.h>
#include <stdint.h>

struct actor {
    _Atomic(const char *) step; /* a constant string; NULL: nothing that could hang */
    _Atomic int level;          /* -1: none */
    _Atomic int64_t block;      /* -1: none */
    _Atomic uint64_t steps;     /* grows with every step */
};

/**
 * actors_start() - make the actors and start the watchdog.
 * @count:   actors; number 0 is the main thread.
 * @seconds: patience; 0: no watchdog.
 *
 * Errors:  a negative errno.
 */
int actors_start(unsigned count, unsigned seconds);

/** actor() - actor number @index. */
struct actor *actor(unsigned index);

/** actor_step() - say what the calling thread begins now. */
void actor_step(struct actor *a, const char *step, int level, int64_t block);

/** main_step() - actor_step() for the main thread, about no block. */
void main_step(const char *step, int level);

#endif
