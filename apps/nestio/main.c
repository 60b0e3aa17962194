// SPDX-License-Identifier: MIT
/*
 * nestio: random reads and writes, with checks, through a file system in a file in a file system in
 * a file … on a disk.
 *
 *     nestio --levels 6 --threads 4 --ops 20000    write and check
 *     nestio --verify                              a later boot: is all that was noted still there?
 *
 * An ordinary POSIX program for Linux (as root) and for Spillway, built with `musl-gcc -static -O2
 * *.c`. The order of a run stands in run() below. In reading order: tower.h, block.h, ack.h,
 * worker.c, ladder.c.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/actor.h"
#include "options.h"
#include "report.h"
#include "common/stackinfo.h"
#include "tower.h"
#include "trouble.h"

static void say_settings(const struct options *o)
{
    printf("nestio: %s %s", o->verify ? "verifying" : "working on", o->disk);
    if (o->levels_given)
        printf(", levels 0 to %u", o->levels);
    else
        printf(", as deep as it goes");
    if (!o->verify) {
        printf(", %u threads on %zu bytes of stack", o->threads, o->stack_bytes);
        if (o->ops)
            printf(", %llu operations", (unsigned long long)o->ops);
        if (o->seconds)
            printf(", %u seconds", o->seconds);
        printf(", %u %% writes, seed %llu", o->write_percent, (unsigned long long)o->seed);
    }
    printf("\n");
}

static const char *const actor_names[] = { "main" };
static const struct watchdog watchdog = {
    .program = "nestio",
    .detail = "block ",
    .names = actor_names,
    .name_count = 1,
};

/* Read everything again from a tower that was taken down and put up: nothing of it is cached any
   more. */
static void verify_cold(struct tower *tower)
{
    printf("nestio: verifying after sync and remount\n");
    main_step("sync", -1);
    sync();
    if (tower_down(tower) == 0 && tower_up(tower, true) == 0)
        tower_verify(tower, "check after the remount", true);
}

/* All there is to do. The order: put up, learn what is there, work, check, check again with cold
   caches, take down. */
static void run(struct tower *tower, uint64_t *elapsed_ms)
{
    bool verify = tower->options->verify;

    if (tower_up(tower, false) < 0 || tower->count == 0)
        goto out_down;
    printf("nestio: %u levels are up; checking what is there\n", tower->count);
    if (tower_recover(tower) < 0 || verify)
        goto out_down;
    if (run_workers(tower, elapsed_ms) < 0 || trouble_too_many())
        goto out_down;
    printf("nestio: verifying\n");
    tower_verify(tower, "check after the run", false);
    if (!trouble_too_many())
        verify_cold(tower);
out_down:
    tower_down(tower);
    main_step(NULL, -1);
    trouble_print();
}

int main(int argc, char **argv)
{
    static struct options options;
    static struct tower tower;
    uint64_t elapsed_ms = 0;
    int error;

    setvbuf(stdout, NULL, _IOLBF, 0);
    options_read(&options, argc, argv);
    stackinfo_open();
    error = actors_start(&watchdog, options.threads + 1, options.watchdog_seconds);
    if (!error)
        error = tower_init(&tower, &options);
    if (error) {
        printf("nestio: error: cannot start: %s (errno %d)\n", strerror(-error), -error);
        return 1;
    }
    say_settings(&options);
    run(&tower, &elapsed_ms);
    return report_print(&tower, elapsed_ms);
}
