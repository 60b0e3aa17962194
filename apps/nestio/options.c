// SPDX-License-Identifier: MIT
/*
 * The command line: one table of options, `--name value` or `--name=value`. A wrong one ends the
 * program with status 2 and a line that names the option, the value and what is allowed; nothing is
 * guessed.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type { NUMBER, SIZE, TEXT, FLAG, HELP };

struct option_row {
    const char *name;
    enum option_type type;
    uint64_t least, most;
    const char *shown; /* the default, as --help shows it */
    const char *what;
};

enum {
    OPT_DISK,
    OPT_ROOT,
    OPT_LEVELS,
    OPT_THREADS,
    OPT_OPS,
    OPT_SECONDS,
    OPT_WRITE_PERCENT,
    OPT_STACK,
    OPT_SEED,
    OPT_BLOCKS,
    OPT_VERIFY,
    OPT_WATCHDOG,
    OPT_HELP,
    OPT_COUNT,
};

/* --stack: what the C library asks for is known only at run time; options_read() fills it in. */
static struct option_row table[OPT_COUNT] = {
    [OPT_DISK] = { "--disk", TEXT, 0, 0, "/dev/vda",
                   "block device of level 0, or the directory it is mounted on" },
    [OPT_ROOT] = { "--root", TEXT, 0, 0, "/nest", "folder for the mount points l0, l1, ..." },
    [OPT_LEVELS] = { "--levels", NUMBER, 0, LEVELS_MAX, "as deep as the image goes",
                     "deepest level to use; 0 is the disk itself" },
    [OPT_THREADS] = { "--threads", NUMBER, 1, THREADS_MAX, "4", "threads that read and write" },
    [OPT_OPS] = { "--ops", NUMBER, 1, UINT64_MAX, "20000, or no limit with --seconds",
                  "operations in total" },
    [OPT_SECONDS] = { "--seconds", NUMBER, 1, 1000000, "no limit", "end after so many seconds" },
    [OPT_WRITE_PERCENT] = { "--write-percent", NUMBER, 0, 100, "30",
                            "share of writes, each followed by fsync" },
    [OPT_STACK] = { "--stack", SIZE, 0, 64 << 20, "8192", "stack of each worker thread" },
    [OPT_SEED] = { "--seed", NUMBER, 0, UINT64_MAX, "1", "start of the random choices" },
    [OPT_BLOCKS] = { "--blocks", NUMBER, 1, BLOCKS_MAX, "256",
                     "most 4 KiB blocks in a level's data file, when it is made" },
    [OPT_VERIFY] = { "--verify", FLAG, 0, 0, "", "write nothing: check what earlier runs left" },
    [OPT_WATCHDOG] = { "--watchdog", NUMBER, 0, 1000000, "120",
                       "give up after so many seconds without progress; 0: never" },
    [OPT_HELP] = { "--help", HELP, 0, 0, "", "print this and exit" },
};

static void print_help(void)
{
    printf("usage: nestio [options]\n"
           "Reads and writes, with checks, in every level of a tower of file systems:\n"
           "level 0 is the disk, and each level holds the next one as /next.img.\n\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_row *row = &table[i];
        static const char *const arguments[] = { " N", " BYTES", " PATH", "", "" };

        printf("  %s%s\n      %s", row->name, arguments[row->type], row->what);
        if (row->type == NUMBER || row->type == SIZE) {
            printf("; %llu", (unsigned long long)row->least);
            if (row->most == UINT64_MAX)
                printf(" or more");
            else
                printf(" to %llu", (unsigned long long)row->most);
        }
        if (row->shown[0])
            printf(" (default: %s)", row->shown);
        printf("\n");
    }
    printf(
        "\nBYTES may end in K or M. Exit status: 0 all good; 1 wrong data or an unexpected error;\n"
        "2 usage; 3 some operations were refused for want of a stack, no data was lost.\n");
}

static _Noreturn void usage_error(const struct option_row *row, const char *value, const char *why)
{
    fprintf(stderr, "nestio: option %s: '%s' %s; expected ", row->name, value, why);
    if (row->type == TEXT)
        fprintf(stderr, "a path");
    else if (row->most == UINT64_MAX)
        fprintf(stderr, "a whole number from %llu", (unsigned long long)row->least);
    else
        fprintf(stderr, "a whole number from %llu to %llu%s", (unsigned long long)row->least,
                (unsigned long long)row->most,
                row->type == SIZE ? " (K and M are understood)" : "");
    fprintf(stderr, " (see --help)\n");
    exit(2);
}

static uint64_t parse_number(const struct option_row *row, const char *text)
{
    unsigned long long value, unit = 1;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        usage_error(row, text, "is not a number");
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno == ERANGE)
        usage_error(row, text, "is too large");
    if (row->type == SIZE && *end) {
        if (*end == 'K' || *end == 'k')
            unit = 1024;
        else if (*end == 'M' || *end == 'm')
            unit = 1024 * 1024;
        if (unit > 1)
            end++;
    }
    if (*end)
        usage_error(row, text, "is not a number");
    if (value > UINT64_MAX / unit)
        usage_error(row, text, "is too large");
    value *= unit;
    if (value < row->least)
        usage_error(row, text, "is too small");
    if (value > row->most)
        usage_error(row, text, "is too large");
    return value;
}

static const char *parse_path(const struct option_row *row, const char *text)
{
    if (!text[0])
        usage_error(row, text, "is empty");
    if (strlen(text) > 200)
        usage_error(row, text, "is longer than 200 characters");
    return text;
}

static void store(struct options *o, int which, const char *text)
{
    const struct option_row *row = &table[which];
    uint64_t number = 0;

    if (row->type == NUMBER || row->type == SIZE)
        number = parse_number(row, text);
    switch (which) {
    case OPT_DISK:
        o->disk = parse_path(row, text);
        break;
    case OPT_ROOT:
        o->root = parse_path(row, text);
        break;
    case OPT_LEVELS:
        o->levels = number;
        o->levels_given = true;
        break;
    case OPT_THREADS:
        o->threads = number;
        break;
    case OPT_OPS:
        o->ops = number;
        break;
    case OPT_SECONDS:
        o->seconds = number;
        break;
    case OPT_WRITE_PERCENT:
        o->write_percent = number;
        break;
    case OPT_STACK:
        o->stack_bytes = number;
        break;
    case OPT_SEED:
        o->seed = number;
        break;
    case OPT_BLOCKS:
        o->blocks = number;
        break;
    case OPT_VERIFY:
        o->verify = true;
        break;
    case OPT_WATCHDOG:
        o->watchdog_seconds = number;
        break;
    case OPT_HELP:
        print_help();
        exit(0);
    }
}

/* The row whose name is all of @word up to its end or its '='; OPT_COUNT if there is none. */
static int find_option(const char *word)
{
    size_t length = strcspn(word, "=");

    for (int i = 0; i < OPT_COUNT; i++) {
        if (strlen(table[i].name) == length && memcmp(table[i].name, word, length) == 0)
            return i;
    }
    fprintf(stderr, "nestio: unknown option '%s'; expected one of", word);
    for (int i = 0; i < OPT_COUNT; i++)
        fprintf(stderr, " %s", table[i].name);
    fprintf(stderr, "\n");
    exit(2);
}

void options_read(struct options *o, int argc, char **argv)
{
    *o = (struct options){
        .disk = "/dev/vda",
        .root = "/nest",
        .levels = LEVELS_MAX,
        .threads = 4,
        .write_percent = 30,
        .stack_bytes = PTHREAD_STACK_MIN > 8192 ? PTHREAD_STACK_MIN : 8192,
        .seed = 1,
        .blocks = 256,
        .watchdog_seconds = 120,
    };
    table[OPT_STACK].least = PTHREAD_STACK_MIN;
    for (int i = 1; i < argc; i++) {
        int which = find_option(argv[i]);
        const struct option_row *row = &table[which];
        const char *value = strchr(argv[i], '=');

        if (row->type == FLAG || row->type == HELP) {
            if (value) {
                fprintf(stderr, "nestio: option %s takes no value, '%s' was given\n", row->name,
                        value + 1);
                exit(2);
            }
        } else if (value) {
            value++;
        } else if (++i < argc) {
            value = argv[i];
        } else {
            usage_error(row, "", "is missing");
        }
        store(o, which, value);
    }
    if (!o->ops && !o->seconds)
        o->ops = 20000;
}
