// SPDX-License-Identifier: MIT
/*
 * /sys/stack: see stackinfo.h. The counter of refusals is read before every operation, so its file
 * stays open and is read at offset 0. Reading it is a file operation too and can itself be refused:
 * that is tried again for a while, and a counter that stays unreadable counts as one that has
 * grown.
 */
#include "stackinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STACK_FOLDER "/sys/stack"

static bool present;
static int refusals_fd = -1; /* stays open; -1 although present: the open was refused */

static void pause_briefly(void) { nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); }

void stackinfo_open(void)
{
    for (int attempt = 0; attempt < 20; attempt++) {
        refusals_fd = open(STACK_FOLDER "/refusals", O_RDONLY | O_CLOEXEC);
        if (refusals_fd >= 0 || errno != EIO)
            break;
        pause_briefly();
    }
    present = refusals_fd >= 0 || errno == EIO;
}

bool stackinfo_present(void) { return present; }

static bool read_refusals(uint64_t *value)
{
    char text[24];
    ssize_t got = pread(refusals_fd, text, sizeof(text) - 1, 0);

    if (got <= 0)
        return false;
    text[got] = '\0';
    *value = strtoull(text, NULL, 10);
    return true;
}

uint64_t stackinfo_refusals(void)
{
    uint64_t value = 0;

    if (refusals_fd < 0)
        return 0;
    for (int attempt = 0; attempt < 3 && !read_refusals(&value); attempt++)
        pause_briefly();
    return value;
}

bool stackinfo_refused(uint64_t before, int error)
{
    uint64_t value;

    if (!present || (error != EIO && error != -EIO))
        return false;
    if (refusals_fd < 0)
        return true;
    for (int attempt = 0; attempt < 20; attempt++) {
        if (read_refusals(&value))
            return value != before;
        pause_briefly();
    }
    return true;
}

void stackinfo_value(const char *name, char *text, size_t bytes)
{
    char path[64];
    ssize_t got = -1;

    strcpy(text, "-");
    if (!present)
        return;
    snprintf(path, sizeof(path), "%s%s", name[0] == '/' ? "" : STACK_FOLDER "/", name);
    for (int attempt = 0; attempt < 3 && got < 0; attempt++) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0) {
            got = read(fd, text, bytes - 1);
            close(fd);
        }
    }
    if (got <= 0) {
        strcpy(text, "-");
        return;
    }
    text[got] = '\0';
    text[strcspn(text, "\n")] = '\0';
}
