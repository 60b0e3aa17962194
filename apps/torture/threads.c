// SPDX-License-Identifier: MIT
/*
 * Threads that hardly live: some end at once, some sleep, move to another CPU or look at a file;
 * joined, detached, or on a stack of the program's own that is unmapped right after.
 */
#include "threads.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "notes.h"

enum { BURST_MOST = 8, CHILDREN_MOST = 48, OWN_STACK_BYTES = 16384 };

/* Shared by the threads of one burst; the last of them frees it. */
struct burst {
    _Atomic unsigned references;
    _Atomic unsigned done;
    char path[PATH_BYTES];
    struct child {
        struct burst *burst;
        pthread_t thread;
        unsigned what;
        unsigned argument;
        bool joinable;
        void *own_stack;
        struct stat stat; /* not on the thread's stack: that is small */
    } children[BURST_MOST];
};

static _Atomic int children_alive;
static cpu_set_t all_cpus;
static int cpu_numbers[CPU_SETSIZE];
static unsigned cpu_count;

void cpus_find(void)
{
    CPU_ZERO(&all_cpus);
    if (sched_getaffinity(0, sizeof(all_cpus), &all_cpus) < 0) {
        note_error("sched_getaffinity", errno, -1, -1);
        CPU_SET(0, &all_cpus);
    }
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &all_cpus))
            cpu_numbers[cpu_count++] = i;
    }
}

unsigned cpus_count(void) { return cpu_count; }

/* To one CPU; 0 or a positive errno. No large frame: short-lived threads come here too. */
static int move_to(int cpu)
{
    unsigned long mask[2] = { 0, 0 };

    if (cpu >= 128)
        return 0;
    mask[cpu / 64] = 1ul << cpu % 64;
    return sched_setaffinity(0, sizeof(mask), (cpu_set_t *)mask) < 0 ? errno : 0;
}

enum outcome op_affinity(struct worker *w)
{
    int cpu = cpu_numbers[pick(w, cpu_count)], error;
    bool everywhere = pick(w, 4) == 0;
    cpu_set_t wanted, found;

    CPU_ZERO(&wanted);
    CPU_SET(cpu, &wanted);
    if (everywhere)
        wanted = all_cpus;
    actor_step(w->actor, "sched_setaffinity", -1, cpu);
    error = everywhere ? (sched_setaffinity(0, sizeof(wanted), &wanted) < 0 ? errno : 0) : move_to(cpu);
    if (error)
        return judge(w, "sched_setaffinity", NULL, cpu, error, 0);
    CPU_ZERO(&found);
    if (sched_getaffinity(0, sizeof(found), &found) < 0)
        return judge(w, "sched_getaffinity", NULL, cpu, errno, 0);
    if (!CPU_EQUAL(&found, &wanted)) {
        note_wrong("sched_getaffinity", "not what was set", -1, cpu, CPU_COUNT(&found),
                   CPU_COUNT(&wanted));
        return FAILED;
    }
    for (int look = 0; look < 3; look++) {
        int here = sched_getcpu();

        if (here < 0)
            return judge(w, "getcpu", NULL, cpu, errno, 0);
        if (!CPU_ISSET(here, &wanted)) {
            note_wrong("getcpu", "a CPU that was not allowed", -1, cpu, here, cpu);
            return FAILED;
        }
        sched_yield();
    }
    return DONE;
}

static void burst_release(struct burst *burst)
{
    if (atomic_fetch_sub(&burst->references, 1) == 1)
        free(burst);
}

static void *child_main(void *argument)
{
    struct child *child = argument;
    struct burst *burst = child->burst;

    switch (child->what) {
    case 0:
        break;
    case 1:
        for (unsigned i = 0; i < child->argument % 20; i++)
            sched_yield();
        break;
    case 2:
        sleep_us(child->argument % 3000);
        break;
    case 3:
        move_to(cpu_numbers[child->argument % cpu_count]);
        break;
    default:
        stat(burst->path, &child->stat); /* whatever it gives: deep, from a small stack */
    }
    atomic_fetch_add(&burst->done, 1);
    burst_release(burst);
    atomic_fetch_sub(&children_alive, 1);
    return NULL;
}

/* Create one; false: it was not to be had. */
static bool start_child(struct worker *w, struct child *child, int *error)
{
    static const size_t sizes[] = { 2048, 4096, 8192, 16384 };
    size_t bytes = sizes[pick(w, 4)];
    pthread_attr_t attributes;

    child->what = pick(w, 6);
    child->argument = pick(w, 100000);
    child->joinable = pick(w, 3) > 0;
    child->own_stack = MAP_FAILED;
    *error = pthread_attr_init(&attributes);
    if (*error)
        return false;
    pthread_attr_setstacksize(&attributes, bytes < PTHREAD_STACK_MIN ? PTHREAD_STACK_MIN : bytes);
    if (!child->joinable) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    } else if (pick(w, 3) == 0) {
        child->own_stack =
            mmap(NULL, OWN_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (child->own_stack != MAP_FAILED)
            pthread_attr_setstack(&attributes, child->own_stack, OWN_STACK_BYTES);
    }
    atomic_fetch_add(&child->burst->references, 1);
    atomic_fetch_add(&children_alive, 1);
    *error = pthread_create(&child->thread, &attributes, child_main, child);
    pthread_attr_destroy(&attributes);
    if (!*error) {
        atomic_fetch_add(&torture.threads_started, 1);
        return true;
    }
    atomic_fetch_sub(&children_alive, 1);
    atomic_fetch_sub(&child->burst->references, 1);
    if (child->own_stack != MAP_FAILED)
        munmap(child->own_stack, OWN_STACK_BYTES);
    return false;
}

static enum outcome join_children(struct worker *w, struct burst *burst, unsigned started)
{
    enum outcome outcome = DONE;

    for (unsigned i = 0; i < started; i++) {
        struct child *child = &burst->children[i];
        int error;

        if (!child->joinable)
            continue;
        actor_step(w->actor, "pthread_join of a short-lived thread", -1, i);
        error = pthread_join(child->thread, NULL);
        if (error)
            outcome = judge(w, "pthread_join", NULL, i, error, 0);
        if (child->own_stack != MAP_FAILED && munmap(child->own_stack, OWN_STACK_BYTES) < 0)
            outcome = judge(w, "munmap of a thread's stack", NULL, i, errno, 0);
    }
    return outcome;
}

enum outcome op_threads(struct worker *w)
{
    unsigned count = 1 + pick(w, BURST_MOST), started = 0, joined = 0;
    enum outcome outcome;
    struct burst *burst;
    int error = 0;

    if (children_alive > CHILDREN_MOST)
        return SKIPPED;
    burst = calloc(1, sizeof(*burst));
    if (!burst)
        return LEGAL;
    burst->references = 1;
    if (torture.count)
        file_path(burst->path, &torture.levels[pick(w, torture.count)], pick(w, FILES),
                  pick(w, FILE_PLACES));
    actor_step(w->actor, "pthread_create of short-lived threads", -1, count);
    while (started < count) {
        burst->children[started].burst = burst;
        if (!start_child(w, &burst->children[started], &error))
            break;
        joined += burst->children[started++].joinable;
    }
    outcome = join_children(w, burst, started);
    if (atomic_load(&burst->done) < joined) {
        note_wrong("pthread_join", "came back before the thread had ended", -1, -1, burst->done,
                   joined);
        outcome = FAILED;
    }
    burst_release(burst);
    if (error)
        return judge(w, "pthread_create", NULL, started, error, MAY_BE_SHORT);
    return outcome;
}

int children_wait(void)
{
    for (int i = 0; i < 1000 && children_alive; i++)
        sleep_us(10000);
    if (!children_alive)
        return 0;
    note_wrong("detached threads", "never ended", -1, -1, children_alive, 0);
    return -1;
}
