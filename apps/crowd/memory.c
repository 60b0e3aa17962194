// SPDX-License-Identifier: MIT
/*
 * Where the memory went between two moments, by what /sys/stack/memory and /sys/memory say of it. What is left of
 * the loss of free memory is printed too, so nothing is left out. Without /sys (on Linux) nothing is printed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crowd.h"

enum { KINDS_MAX = 24, NAME_BYTES = 32 };

struct kind {
    char name[NAME_BYTES];
    int64_t objects[2], bytes[2];
};
static struct kind kinds[KINDS_MAX];
static unsigned kind_count;
static int64_t free_bytes[2];

static int read_text(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, bytes - 1);

    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return -1;
    text[got] = 0;
    return 0;
}

int64_t sys_value(const char *path)
{
    char text[32];

    return read_text(path, text, sizeof(text)) ? -1 : strtoll(text, NULL, 10);
}

/* The table is far larger than any one read of it. */
unsigned sys_threads_listed(void)
{
    static char text[65536];
    unsigned count = 0;
    size_t kept = 0;
    ssize_t got;
    int fd = open("/sys/stack/threads", O_RDONLY | O_CLOEXEC);

    while (fd >= 0 && (got = read(fd, text + kept, sizeof(text) - 1 - kept)) > 0) {
        char *line = text, *end;
        text[kept + (size_t)got] = 0;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            count += strstr(line, " app home ") || strstr(line, " crowd home ");
        }
        kept = strlen(line);
        memmove(text, line, kept);
    }
    if (fd >= 0)
        close(fd);
    return count;
}

static struct kind *kind_named(const char *name)
{
    for (unsigned i = 0; i < kind_count; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    if (kind_count == KINDS_MAX)
        return NULL;
    snprintf(kinds[kind_count].name, NAME_BYTES, "%s", name);
    return &kinds[kind_count++];
}

static void note(int moment, const char *name, int64_t objects, int64_t bytes)
{
    struct kind *kind = kind_named(name);

    if (!kind || bytes < 0)
        return;
    kind->objects[moment] = objects;
    kind->bytes[moment] = bytes;
}

void memory_note(int moment)
{
    static const char *const names[] = { "app_threads", "app_page_tables", "app", "page_cache" };
    static char text[4096];
    char path[64], name[NAME_BYTES];

    free_bytes[moment] = sys_value("/sys/memory/free");
    if (read_text("/sys/stack/memory", text, sizeof(text)) == 0) {
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
            long long objects, bytes;
            if (sscanf(line, "%31s %lld %lld", name, &objects, &bytes) == 3)
                note(moment, name, objects, bytes);
        }
    }
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/sys/memory/%s", names[i]);
        note(moment, names[i], 0, sys_value(path));
    }
}

static void print_row(const char *name, int64_t objects, int64_t bytes, unsigned threads)
{
    printf("memory: %-18s %9lld %12lld %10.1f\n", name, (long long)objects, (long long)bytes,
           (double)bytes / threads);
}

void memory_print(unsigned threads)
{
    int64_t rest = free_bytes[0] - free_bytes[1];

    if (free_bytes[0] < 0)
        return;
    printf("memory: kind                 objects        bytes per_thread\n");
    for (unsigned i = 0; i < kind_count; i++) {
        const struct kind *k = &kinds[i];
        int64_t bytes = k->bytes[1] - k->bytes[0];

        print_row(k->name, k->objects[1] - k->objects[0], bytes, threads);
        rest -= bytes;
    }
    print_row("rest", 0, rest, threads);
    print_row("all", 0, free_bytes[0] - free_bytes[1], threads);
}
