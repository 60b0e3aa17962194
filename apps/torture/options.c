// SPDX-License-Identifier: MIT
/* The command line: one table, `--name value` or `--name=value`. Nothing is guessed. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "torture.h"

enum option_type { NUMBER, TEXT, FLAG };

struct option_row {
    const char *name;
    enum option_type type;
    size_t field;
    uint64_t least, most;
    const char *fallback;
    const char *what;
};

#define FIELD(name) offsetof(struct options, name)

static const struct option_row table[] = {
    { "--seconds", NUMBER, FIELD(seconds), 1, 10000000, NULL, "end after so many seconds" },
    { "--ops", NUMBER, FIELD(ops), 1, UINT64_MAX, NULL,
      "end after so many operations (20000 if neither is given)" },
    { "--seed", NUMBER, FIELD(seed), 0, UINT64_MAX, "1", "start of the random choices" },
    { "--levels", NUMBER, FIELD(levels), 0, LEVELS_MAX, "6",
      "deepest level; 0 is the disk itself" },
    { "--threads", NUMBER, FIELD(threads), 1, THREADS_MAX, "8", "threads at a time" },
    { "--disk", TEXT, FIELD(disk), 0, 0, "/dev/vda", "level 0: a block device, or a folder" },
    { "--root", TEXT, FIELD(root), 0, 0, "/torture", "folder for the mount points l0, l1, ..." },
    { "--pool-min", NUMBER, FIELD(pool_min), 0, 65536, "0",
      "fewest extra stacks when the pool is resized" },
    { "--pool-max", NUMBER, FIELD(pool_max), 0, 65536, "0",
      "most extra stacks then; 0: twice what there are, and 8" },
    { "--fill", NUMBER, FIELD(fill_kib), 64, 1 << 20, "4096",
      "KiB written at most to fill a level" },
    { "--only", TEXT, FIELD(only), 0, 0, NULL, "only these kinds of operation: read,write,..." },
    { "--without", TEXT, FIELD(without), 0, 0, NULL, "all kinds but these" },
    { "--watchdog", NUMBER, FIELD(watchdog_seconds), 1, 100000, "60",
      "give up after so many seconds without progress" },
    { "--keep", FLAG, FIELD(keep), 0, 0, NULL, "leave the files at the end" },
};
enum { ROWS = sizeof(table) / sizeof(table[0]) };

static void print_help(void)
{
    printf(
        "usage: torture [options]\n"
        "Does everything at once on a tower of file systems, and checks it: level 0 is the disk,\n"
        "each level holds the next one as /next.img.\n\n");
    for (int i = 0; i < ROWS; i++) {
        static const char *const arguments[] = { " N", " TEXT", "" };

        printf("  %s%s\n      %s", table[i].name, arguments[table[i].type], table[i].what);
        if (table[i].fallback)
            printf(" (default: %s)", table[i].fallback);
        printf("\n");
    }
    printf("\nExit status: 0 good; 1 wrong data, an error that may not be, or a hang; 2 usage;\n"
           "3 some operations were refused for want of a stack, nothing was lost.\n");
}

static _Noreturn void usage_error(const char *name, const char *value, const char *why)
{
    fprintf(stderr, "torture: option %s: '%s' %s (see --help)\n", name, value, why);
    exit(2);
}

static uint64_t parse_number(const struct option_row *row, const char *text)
{
    unsigned long long value;
    char *end;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end)
        usage_error(row->name, text, "is not a number");
    if (errno || value > row->most)
        usage_error(row->name, text, "is too large");
    if (value < row->least)
        usage_error(row->name, text, "is too small");
    return value;
}

static void store(struct options *o, const struct option_row *row, const char *text)
{
    void *field = (char *)o + row->field;

    if (row->type == FLAG)
        *(bool *)field = true;
    else if (row->type == NUMBER)
        *(uint64_t *)field = parse_number(row, text);
    else if (!text[0] || strlen(text) > 200)
        usage_error(row->name, text, "is empty or longer than 200 characters");
    else
        *(const char **)field = text;
}

static const struct option_row *find_row(const char *word)
{
    size_t length = strcspn(word, "=");

    for (int i = 0; i < ROWS; i++) {
        if (strlen(table[i].name) == length && memcmp(table[i].name, word, length) == 0)
            return &table[i];
    }
    usage_error(word, "", "is not known");
}

void options_read(struct options *o, int argc, char **argv)
{
    const char *bad;

    memset(o, 0, sizeof(*o));
    for (int i = 0; i < ROWS; i++) {
        if (table[i].fallback)
            store(o, &table[i], table[i].fallback);
    }
    for (int i = 1; i < argc; i++) {
        const struct option_row *row;
        const char *value = strchr(argv[i], '=');

        if (strcmp(argv[i], "--help") == 0) {
            print_help();
            exit(0);
        }
        row = find_row(argv[i]);
        if (row->type == FLAG && value)
            usage_error(row->name, value + 1, "is a value, and none is taken");
        if (row->type != FLAG && value)
            value++;
        else if (row->type != FLAG && ++i < argc)
            value = argv[i];
        else if (row->type != FLAG)
            usage_error(row->name, "", "has no value");
        store(o, row, value);
    }
    if (!o->ops && !o->seconds)
        o->ops = 20000;
    bad = ops_choose(o->only, o->without);
    if (bad)
        usage_error(o->only ? "--only" : "--without", bad, "is no kind of operation");
}
