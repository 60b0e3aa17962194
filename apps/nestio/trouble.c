// SPDX-License-Identifier: MIT
/*
 * The notes of what went wrong: see trouble.h. The first NOTES_MAX are kept, all are counted.
 */
#include "trouble.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { NOTES_MAX = 32 };

static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct trouble notes[NOTES_MAX]; /* notes_lock */
static unsigned notes_count;            /* notes_lock */
static unsigned notes_printed;          /* main thread */
static _Atomic uint64_t wrong_count, error_count;

void trouble_note(const struct trouble *t)
{
    if (t->error)
        atomic_fetch_add(&error_count, 1);
    else
        atomic_fetch_add(&wrong_count, 1);
    pthread_mutex_lock(&notes_lock);
    if (notes_count < NOTES_MAX)
        notes[notes_count++] = *t;
    pthread_mutex_unlock(&notes_lock);
}

static void say(const char *kind, const char *format, va_list arguments)
{
    printf("nestio: %s: ", kind);
    vprintf(format, arguments);
    printf("\n");
}

void trouble_say(const char *format, ...)
{
    va_list arguments;

    atomic_fetch_add(&error_count, 1);
    va_start(arguments, format);
    say("error", format, arguments);
    va_end(arguments);
}

void trouble_wrong_say(const char *format, ...)
{
    va_list arguments;

    atomic_fetch_add(&wrong_count, 1);
    va_start(arguments, format);
    say("WRONG", format, arguments);
    va_end(arguments);
}

static void print_note(const struct trouble *t)
{
    if (t->error) {
        printf("nestio: error: level %u block %lld: %s: %s (errno %d)\n", t->level,
               (long long)t->block, t->call, strerror(t->error), t->error);
        return;
    }
    printf("nestio: WRONG: level %u block %lld: %s: %s", t->level, (long long)t->block, t->call,
           block_verdict_name(t->found.verdict));
    if (t->found.sector < SECTORS_PER_BLOCK)
        printf(" in sector %u", t->found.sector);
    printf("; expected generation %u", t->oldest);
    if (t->newest != t->oldest)
        printf(" to %u", t->newest);
    printf(", found %u", t->found.oldest);
    if (t->found.newest != t->found.oldest)
        printf(" to %u", t->found.newest);
    printf("\n");
}

void trouble_print(void)
{
    struct trouble t;

    for (;;) {
        pthread_mutex_lock(&notes_lock);
        bool more = notes_printed < notes_count;
        if (more)
            t = notes[notes_printed++];
        pthread_mutex_unlock(&notes_lock);
        if (!more)
            return;
        print_note(&t);
    }
}

uint64_t trouble_wrong(void) { return atomic_load(&wrong_count); }

uint64_t trouble_errors(void) { return atomic_load(&error_count); }

bool trouble_too_many(void) { return trouble_wrong() + trouble_errors() >= NOTES_MAX; }
