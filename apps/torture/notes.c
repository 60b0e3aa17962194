// SPDX-License-Identifier: MIT
/* Notes: see notes.h. The first NOTES_MAX are kept, all are counted. */
#include "notes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { NOTES_MAX = 32 };

static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;
static struct note notes[NOTES_MAX]; /* notes_lock */
static unsigned notes_count;         /* notes_lock */
static unsigned notes_printed;       /* notes_lock */
static _Atomic uint64_t wrong_count, error_count;

static void keep(const struct note *n)
{
    pthread_mutex_lock(&notes_lock);
    if (notes_count < NOTES_MAX)
        notes[notes_count++] = *n;
    pthread_mutex_unlock(&notes_lock);
}

void note_wrong(const char *what, const char *why, int level, long detail, long got, long wanted)
{
    struct note n = { what, why, 0, level, detail, got, wanted };

    atomic_fetch_add(&wrong_count, 1);
    keep(&n);
}

void note_error(const char *what, int error, int level, long detail)
{
    struct note n = { what, NULL, error, level, detail, -1, -1 };

    atomic_fetch_add(&error_count, 1);
    keep(&n);
}

static void print_note(const struct note *n)
{
    printf("torture: %s: %s", n->error ? "error" : "WRONG", n->what);
    if (n->level >= 0)
        printf(", level %d", n->level);
    if (n->detail >= 0)
        printf(", %ld", n->detail);
    if (n->error)
        printf(": %s (errno %d)", strerror(n->error), n->error);
    if (n->why)
        printf(": %s", n->why);
    if (n->got != -1 || n->wanted != -1)
        printf(": got %ld, expected %ld", n->got, n->wanted);
    printf("\n");
}

void notes_print(void)
{
    for (;;) {
        struct note n;

        pthread_mutex_lock(&notes_lock);
        bool more = notes_printed < notes_count;
        if (more)
            n = notes[notes_printed++];
        pthread_mutex_unlock(&notes_lock);
        if (!more)
            return;
        print_note(&n);
    }
}

uint64_t notes_wrong(void) { return atomic_load(&wrong_count); }

uint64_t notes_errors(void) { return atomic_load(&error_count); }

bool notes_too_many(void) { return notes_wrong() + notes_errors() >= NOTES_MAX / 2; }
