// SPDX-License-Identifier: MIT
/*
 * torture: everything at once on a tower of file systems, for a time or a number of operations.
 *
 *     torture --levels 6 --threads 8 --seconds 60 --seed 7
 *     torture --only create,write,resize --ops 5000      to narrow a failure down
 *
 * Threads come and go and change CPUs, the pool of extra stacks grows and shrinks, files and
 * folders are made, written, checked, renamed, cut and deleted at all levels, levels are filled to the last
 * block, the deepest is unmounted and mounted, memory is mapped and unmapped, futexes storm; and a
 * thread of its own checks the invariants of /sys/stack. An operation that is refused for want of a
 * stack must have changed nothing. The same program runs on Linux, without the stacks.
 *
 * Built with `musl-gcc -static`. In reading order: torture.h, ops.c, workers.c, files.c, tower.c,
 * checker.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/stackinfo.h"
#include "notes.h"
#include "pool.h"
#include "threads.h"
#include "torture.h"
#include "tower.h"

static uint64_t checked, unchecked, elapsed_ms;

static const char *const actor_names[] = { [ACTOR_MAIN] = "main", [ACTOR_CHECKER] = "checker" };
static const struct watchdog watchdog = {
    .program = "torture",
    .detail = "",
    .names = actor_names,
    .name_count = ACTOR_WORKERS,
    .say_more = notes_print,
};

/* The workers, and one more for the main thread itself. */
static int make_workers(void)
{
    uint64_t count = torture.options.threads + 1;

    torture.workers = calloc(count, sizeof(*torture.workers));
    if (!torture.workers)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        struct worker *w = &torture.workers[i];
        void *buf;

        w->index = i;
        w->actor = actor(i + 1 < count ? i + ACTOR_WORKERS : ACTOR_MAIN);
        w->random = torture.options.seed * 0x9e3779b97f4a7c15ull + i * 0x632be59bd9b4e019ull;
        if (posix_memalign(&buf, 4096, BUFFER_BYTES))
            return -ENOMEM;
        w->buf = buf;
    }
    return 0;
}

static void say_settings(void)
{
    const struct options *o = &torture.options;

    printf("torture: on %s, levels 0 to %llu, %llu threads, %u CPUs, ", o->disk,
           (unsigned long long)o->levels, (unsigned long long)o->threads, cpus_count());
    if (o->seconds)
        printf("%llu seconds, ", (unsigned long long)o->seconds);
    if (o->ops)
        printf("%llu operations, ", (unsigned long long)o->ops);
    printf("seed %llu\n", (unsigned long long)o->seed);
}

static void verify(const char *what)
{
    struct worker *w = &torture.workers[torture.options.threads];
    uint64_t before = unchecked;

    printf("torture: verifying %s\n", what);
    atomic_store(&w->actor->operation, "verify");
    verify_all(w, &checked, &unchecked);
    atomic_store(&w->actor->operation, NULL);
    if (unchecked > before)
        printf("torture: %llu files and folders could not be checked\n",
               (unsigned long long)(unchecked - before));
}

/* Put up, work, check, check with cold caches, take down. The pool is made ample for all but the
   work: what is to be seen there is whether the data are right. */
static void run(void)
{
    pool_ample();
    if (tower_up(true) < 0 || torture.count == 0)
        goto out_down;
    printf("torture: %u levels are up\n", torture.count);
    pool_restore();
    elapsed_ms = run_workers();
    children_wait();
    pool_ample();
    if (tower_up(false) < 0) /* the deepest may be away */
        goto out_down;
    verify("after the run");
    actor_step(actor(ACTOR_MAIN), "sync", -1, -1);
    sync();
    if (tower_down() < 0 || tower_up(false) < 0)
        goto out_down;
    verify("after the remount");
    if (!torture.options.keep)
        tower_check_free();
out_down:
    actor_step(actor(ACTOR_MAIN), "taking the tower down", -1, -1);
    tower_down();
    pool_restore();
    notes_print();
}

static int report(void)
{
    uint64_t refused = ops_total(REFUSED) + torture.setup_refused;
    bool wrong = notes_wrong() || notes_errors();
    char requests[24], switches[24], refusals[24], most_held[24];

    stackinfo_value("requests", requests, sizeof(requests));
    stackinfo_value("switches", switches, sizeof(switches));
    stackinfo_value("refusals", refusals, sizeof(refusals));
    stackinfo_value("most_held", most_held, sizeof(most_held));
    ops_print();
    printf("torture: verdict=%s ops=%llu refused=%llu legal=%llu errors=%llu wrong=%llu levels=%u "
           "cpus=%u threads=%llu mounts=%llu unmounts=%llu resizes=%llu checks=%llu verified=%llu "
           "unverified=%llu ms=%llu stack_requests=%s stack_switches=%s stack_refusals=%s "
           "stack_most_held=%s\n",
           wrong     ? "wrong"
           : refused ? "refused"
                     : "ok",
           (unsigned long long)torture.operations, (unsigned long long)refused,
           (unsigned long long)ops_total(LEGAL), (unsigned long long)notes_errors(),
           (unsigned long long)notes_wrong(), torture.count, cpus_count(),
           (unsigned long long)torture.threads_started, (unsigned long long)torture.mounts,
           (unsigned long long)torture.unmounts, (unsigned long long)pool_resizes(),
           (unsigned long long)torture.checks, (unsigned long long)checked,
           (unsigned long long)unchecked, (unsigned long long)elapsed_ms, requests, switches,
           refusals, most_held);
    return wrong ? 1 : refused ? 3 : 0;
}

int main(int argc, char **argv)
{
    int error;

    setvbuf(stdout, NULL, _IOLBF, 0);
    options_read(&torture.options, argc, argv);
    error = actors_start(&watchdog, (unsigned)torture.options.threads + ACTOR_WORKERS,
                         (unsigned)torture.options.watchdog_seconds);
    if (!error)
        error = make_workers();
    if (!error)
        error = tower_make();
    stackinfo_open();
    pool_open();
    cpus_find();
    if (!error)
        error = checker_start();
    if (error) {
        printf("torture: error: cannot start: %s (errno %d)\n", strerror(-error), -error);
        return 1;
    }
    say_settings();
    run();
    checker_stop();
    checker_end();
    actor_step(actor(ACTOR_MAIN), NULL, -1, -1);
    notes_print();
    return report();
}
