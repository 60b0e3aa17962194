// SPDX-License-Identifier: MIT
/*
 * The report: see report.h.
 */
#include "report.h"

#include <stdio.h>

#include "common/stackinfo.h"
#include "trouble.h"

typedef unsigned long long count;

struct sums {
    uint64_t operations, reads, writes, refused, checked, unchecked, deepest_reached;
    unsigned levels_up, deepest;
};

static void print_row(const struct level *level, uint64_t elapsed_ms)
{
    uint64_t operations = level->reads + level->writes;
    uint64_t tenths = elapsed_ms ? operations * 10000 / elapsed_ms : 0;

    printf("%5u %7u %10llu %8llu.%llu %12llu %8llu %6llu %8llu\n", level->index, level->blocks,
           (count)operations, (count)tenths / 10, (count)tenths % 10, (count)level->reached_disk,
           (count)level->refused_count, (count)level->wrong, (count)level->checked);
}

/* The levels that never came up: from the one that was refused to the deepest asked for. */
static void print_refused_rows(const struct tower *tower)
{
    const struct options *o = tower->options;

    if (tower->count > o->levels || !tower->levels[tower->count].refused)
        return;
    for (unsigned i = tower->count; i <= o->levels; i++) {
        printf("%5u not mounted (refused)", i);
        if (i == tower->count)
            printf("%35s %8llu", "", (count)tower->levels[i].refused_count);
        printf("\n");
        if (!o->levels_given)
            break;
    }
}

static void sum_up(const struct tower *tower, struct sums *s)
{
    for (unsigned i = 0; i <= tower->options->levels; i++) {
        const struct level *level = &tower->levels[i];

        s->reads += level->reads;
        s->writes += level->writes;
        s->refused += level->refused_count;
        s->checked += level->checked;
        s->unchecked += level->unchecked;
    }
    s->operations = s->reads + s->writes;
    s->levels_up = tower->count;
    if (tower->count) {
        s->deepest = tower->count - 1;
        s->deepest_reached = tower->levels[s->deepest].reached_disk;
    }
}

static void print_stacks(void)
{
    static const char *const names[] = { "total",    "free",     "low_water", "requests",
                                         "switches", "refusals", "deepest",   "most_held" };
    static const char *const shown[] = {
        "total",    "free",     "low water",           "requests",
        "switches", "refusals", "deepest use (bytes)", "most held by one thread"
    };
    char text[32];

    printf("stacks:");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        stackinfo_value(names[i], text, sizeof(text));
        printf("%s %s %s", i ? "," : "", shown[i], text);
    }
    printf("\n");
}

static void print_machine_line(const struct tower *tower, const struct sums *s, const char *verdict,
                               uint64_t elapsed_ms)
{
    static const char *const names[] = { "total",    "free",    "switches",
                                         "refusals", "deepest", "most_held" };
    char text[32];

    printf(
        "nestio: verdict=%s levels=%u up=%u threads=%u ops=%llu reads=%llu writes=%llu wrong=%llu "
        "errors=%llu refused=%llu checked=%llu unchecked=%llu deepest_level=%u "
        "deepest_reached_disk=%llu ms=%llu",
        verdict, tower->options->levels_given ? tower->options->levels : s->deepest, s->levels_up,
        tower->options->threads, (count)s->operations, (count)s->reads, (count)s->writes,
        (count)trouble_wrong(), (count)trouble_errors(), (count)s->refused, (count)s->checked,
        (count)s->unchecked, s->deepest, (count)s->deepest_reached, (count)elapsed_ms);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        stackinfo_value(names[i], text, sizeof(text));
        printf(" stack_%s=%s", names[i], text);
    }
    stackinfo_value("/sys/smp/reschedules", text, sizeof(text));
    printf(" reschedules=%s", text);
    stackinfo_value("/sys/smp/flush_interrupts", text, sizeof(text));
    printf(" flush_interrupts=%s", text);
    printf("\n");
}

int report_print(const struct tower *tower, uint64_t elapsed_ms)
{
    struct sums s = { 0 };
    const char *verdict = "ok";
    int status = 0;

    sum_up(tower, &s);
    printf("\nlevel  blocks operations   per second reached disk  refused  wrong  checked\n");
    for (unsigned i = 0; i < tower->count; i++)
        print_row(&tower->levels[i], elapsed_ms);
    print_refused_rows(tower);
    print_stacks();
    if (trouble_wrong() || trouble_errors()) {
        verdict = trouble_wrong() ? "wrong" : "error";
        status = 1;
        printf("verdict: FAILED: %llu times wrong data, %llu unexpected errors\n",
               (count)trouble_wrong(), (count)trouble_errors());
    } else if (s.refused) {
        verdict = "refused";
        status = 3;
        printf("verdict: %llu operations refused for want of a stack, no data lost\n",
               (count)s.refused);
    } else {
        printf("verdict: all good: %llu operations in %u levels, %llu blocks checked, 0 wrong\n",
               (count)s.operations, s.levels_up, (count)s.checked);
    }
    print_machine_line(tower, &s, verdict, elapsed_ms);
    return status;
}
