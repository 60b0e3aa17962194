// SPDX-License-Identifier: MIT
/*
 * The workers: random 4 KiB reads and writes in every level that is up.
 *
 * A write raises `issued`, writes the block, fsyncs it, raises `acked`, and notes that in the ack
 * file. The block is shut while its content changes and owned until the note is on the disk; others
 * may read it meanwhile. A read must find a generation from `acked` at its begin to `issued` at its
 * end. A worker's stack is small: nothing here prints, and no buffer lies on it.
 */
#include "tower.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/actor.h"
#include "common/stackinfo.h"
#include "trouble.h"

struct work {
    struct tower *tower;
    struct level **levels; /* those that are up, with data */
    unsigned level_count;
    _Atomic uint64_t tickets; /* operations begun */
    _Atomic unsigned running; /* workers */
    _Atomic bool stop;
};

struct worker {
    struct work *work;
    struct actor *actor;
    uint64_t random;
    void *buf;            /* BLOCK_BYTES */
    struct rusage before; /* here, not on the stack */
    struct rusage after;
    pthread_t thread;
};

uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t pick(struct worker *w, uint32_t count)
{
    w->random += 0x9e3779b97f4a7c15ull;
    return (uint32_t)((mix64(w->random) >> 32) * count >> 32);
}

static bool lock_to_read(struct block_state *state)
{
    uint32_t lock = atomic_load(&state->lock);

    while (!(lock & BLOCK_SHUT)) {
        if (atomic_compare_exchange_weak(&state->lock, &lock, lock + 1))
            return true;
    }
    return false;
}

static bool lock_to_write(struct block_state *state)
{
    uint32_t free = 0;

    return atomic_compare_exchange_strong(&state->lock, &free, BLOCK_SHUT | BLOCK_OWNED);
}

/* Between these two the level's own work is done: did this thread itself give the disk something to
   do? */
static void disk_begin(struct worker *w) { getrusage(RUSAGE_THREAD, &w->before); }

static void disk_end(struct worker *w, struct level *level)
{
    getrusage(RUSAGE_THREAD, &w->after);
    if (w->after.ru_inblock + w->after.ru_oublock > w->before.ru_inblock + w->before.ru_oublock)
        level->reached_disk++;
}

/* A call failed with @error: count a refusal, or note an error. */
static void failed(struct level *level, uint32_t block, uint64_t refusals, const char *call,
                   int error)
{
    struct trouble t = { .call = call, .error = error, .level = level->index, .block = block };

    if (stackinfo_refused(refusals, error))
        level->refused_count++;
    else
        trouble_note(&t);
}

static void do_read(struct worker *w, struct level *level, uint32_t block)
{
    struct block_state *state = &level->state[block];
    struct block_id id = { w->work->tower->ack.seed, level->index, block };
    struct trouble t = { .call = "read", .level = level->index, .block = block };
    uint64_t refusals = stackinfo_refusals();
    ssize_t got;
    int error;

    t.oldest = state->acked;
    actor_step(w->actor, "reading", level->index, block);
    disk_begin(w);
    got = pread(level->fd, w->buf, BLOCK_BYTES, (off_t)block * BLOCK_BYTES);
    error = got < 0 ? errno : ENODATA;
    disk_end(w, level);
    t.newest = state->issued;
    level->reads++;
    if (got != BLOCK_BYTES) {
        failed(level, block, refusals, "read", error);
        return;
    }
    block_check(w->buf, &id, t.oldest, t.newest, &t.found);
    if (t.found.verdict != BLOCK_GOOD && !(t.found.verdict == BLOCK_TORN && state->torn)) {
        level->wrong++;
        trouble_note(&t);
    }
}

/* Write @generation and fsync it; opens the block for readers in between. Errors: positive errno;
   *call failed. */
static int write_block(struct worker *w, struct level *level, uint32_t block, uint32_t generation,
                       const char **call)
{
    struct block_state *state = &level->state[block];
    struct block_id id = { w->work->tower->ack.seed, level->index, block };
    ssize_t done;
    int error;

    block_fill(w->buf, &id, generation);
    state->issued = generation;
    actor_step(w->actor, "writing", level->index, block);
    *call = "write";
    done = pwrite(level->fd, w->buf, BLOCK_BYTES, (off_t)block * BLOCK_BYTES);
    error = done < 0 ? errno : done < BLOCK_BYTES ? ENOSPC : 0;
    if (!error)
        state->torn = false;
    atomic_fetch_and(&state->lock, ~BLOCK_SHUT);
    if (error)
        return error;
    actor_step(w->actor, "fsync of the data", level->index, block);
    *call = "fsync";
    return fsync(level->fd) < 0 ? errno : 0;
}

/* Note (acked, issued) of an owned block durably. Errors: positive errno. */
static int note(struct worker *w, struct level *level, uint32_t block, uint32_t acked,
                uint32_t issued)
{
    struct block_state *state = &level->state[block];
    int error;

    actor_step(w->actor, "noting the generation", level->index, block);
    error = ack_note(&w->work->tower->ack, level->index, block, acked, issued);
    if (error)
        return -error;
    state->noted_acked = acked;
    state->noted_issued = issued;
    return 0;
}

static void do_write(struct worker *w, struct level *level, uint32_t block)
{
    struct block_state *state = &level->state[block];
    uint32_t generation = state->issued + 1;
    uint64_t refusals = stackinfo_refusals();
    const char *call = "raise of the record in nestio.ack";
    int error = 0;

    level->writes++;
    if (generation > state->noted_issued)
        error = note(w, level, block, state->acked, generation);
    if (!error) {
        disk_begin(w);
        error = write_block(w, level, block, generation, &call);
        disk_end(w, level);
    }
    if (!error) {
        state->acked = generation;
        call = "record in nestio.ack";
        error = note(w, level, block, generation, generation + 1);
    }
    if (error)
        failed(level, block, refusals, call, error);
}

/* One operation in a block that is free for it; false: it was not, try another. */
static bool operate(struct worker *w, bool write)
{
    struct level *level = w->work->levels[pick(w, w->work->level_count)];
    uint32_t block = pick(w, level->blocks);
    struct block_state *state = &level->state[block];

    if (write) {
        if (!lock_to_write(state))
            return false;
        do_write(w, level, block);
        atomic_fetch_and(&state->lock, ~(BLOCK_SHUT | BLOCK_OWNED));
    } else {
        if (!lock_to_read(state))
            return false;
        do_read(w, level, block);
        atomic_fetch_sub(&state->lock, 1);
    }
    return true;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct work *work = w->work;
    uint64_t most = work->tower->options->ops;

    while (!work->stop) {
        bool write = pick(w, 100) < work->tower->options->write_percent;

        if (atomic_fetch_add(&work->tickets, 1) >= most && most)
            break;
        actor_step(w->actor, "choosing a block", -1, -1);
        for (unsigned tries = 1; !operate(w, write) && !work->stop; tries++) {
            if (tries % 16 == 0)
                sched_yield();
        }
    }
    actor_step(w->actor, NULL, -1, -1);
    atomic_fetch_sub(&work->running, 1);
    return NULL;
}

/* What was done so far, all levels together. */
static void sum_up(const struct work *work, uint64_t *done, uint64_t *refused)
{
    *done = *refused = 0;
    for (unsigned i = 0; i < work->level_count; i++) {
        *done += work->levels[i]->reads + work->levels[i]->writes;
        *refused += work->levels[i]->refused_count;
    }
}

static void print_progress(const struct work *work, uint64_t elapsed_ms, uint64_t *last_done,
                           uint64_t *last_ms)
{
    uint64_t done, refused, most = work->tower->options->ops;

    sum_up(work, &done, &refused);
    printf("nestio: %llu s: %llu", (unsigned long long)elapsed_ms / 1000, (unsigned long long)done);
    if (most)
        printf(" of %llu", (unsigned long long)most);
    printf(" operations, %llu/s, %llu refused, %llu wrong\n",
           (unsigned long long)((done - *last_done) * 1000 / (elapsed_ms - *last_ms)),
           (unsigned long long)refused, (unsigned long long)trouble_wrong());
    *last_done = done;
    *last_ms = elapsed_ms;
}

/* Wait for the workers, say once a second how far they are, and stop them when it is time. */
static void supervise(struct work *work, uint64_t start_ms)
{
    unsigned seconds = work->tower->options->seconds;
    uint64_t last_done = 0, last_ms = 0;

    while (work->running) {
        uint64_t elapsed_ms;

        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        elapsed_ms = now_ms() - start_ms;
        if ((seconds && elapsed_ms >= seconds * 1000ull) || trouble_too_many())
            work->stop = true;
        if (elapsed_ms - last_ms >= 1000 && work->running)
            print_progress(work, elapsed_ms, &last_done, &last_ms);
        trouble_print();
    }
}

/* Start as many as asked; returns how many run, fewer after an error that was said. */
static unsigned start_workers(struct work *work, struct worker *workers)
{
    const struct options *o = work->tower->options;
    pthread_attr_t attributes;
    unsigned i;

    int error = pthread_attr_init(&attributes);
    if (!error)
        error = pthread_attr_setstacksize(&attributes, o->stack_bytes);
    for (i = 0; i < o->threads && !error; i++) {
        struct worker *w = &workers[i];

        w->work = work;
        w->actor = actor(i + 1);
        w->random = mix64(o->seed ^ mix64(i + 1));
        error = posix_memalign(&w->buf, BLOCK_BYTES, BLOCK_BYTES);
        if (error)
            break;
        atomic_fetch_add(&work->running, 1);
        error = pthread_create(&w->thread, &attributes, worker_main, w);
        if (error) {
            atomic_fetch_sub(&work->running, 1);
            break;
        }
    }
    pthread_attr_destroy(&attributes);
    if (error) {
        trouble_say("worker %u with a stack of %zu bytes: %s (errno %d)", i, o->stack_bytes,
                    strerror(error), error);
        work->stop = true;
    }
    return i;
}

int run_workers(struct tower *tower, uint64_t *elapsed_ms)
{
    struct work work = { .tower = tower };
    struct worker *workers = calloc(tower->options->threads, sizeof(*workers));
    uint64_t start_ms = now_ms();
    unsigned started;

    *elapsed_ms = 0;
    work.levels = calloc(tower->count, sizeof(*work.levels));
    if (!workers || !work.levels) {
        trouble_say("no memory for the workers");
        return -1;
    }
    for (unsigned i = 0; i < tower->count; i++) {
        if (tower->levels[i].up)
            work.levels[work.level_count++] = &tower->levels[i];
    }
    started = start_workers(&work, workers);
    supervise(&work, start_ms);
    for (unsigned i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    *elapsed_ms = now_ms() - start_ms;
    for (unsigned i = 0; i < tower->options->threads; i++)
        free(workers[i].buf);
    free(workers);
    free(work.levels);
    trouble_print();
    return started == tower->options->threads ? 0 : -1;
}
