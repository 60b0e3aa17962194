// SPDX-License-Identifier: MIT
/*
 * Resizing. One thread at a time writes /sys/stack/total. A write that succeeds makes `total`
 * exactly that; one that fails (busy, no memory, refused) leaves it exactly as it was.
 */
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/stackinfo.h"
#include "notes.h"
#include "torture.h"

enum { AMPLE = 64, PATIENCE = 300 };

static bool present;
static uint64_t original, extra_max;
static _Atomic uint64_t expected;
static _Atomic uint32_t turn; /* odd: a resize is under way */
static _Atomic int resize_lock;
static _Atomic uint64_t resizes;

bool pool_present(void) { return present; }

uint64_t pool_resizes(void) { return resizes; }

int pool_read(const char *name, uint64_t *value)
{
    char path[64], text[24];
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "/sys/stack/%s", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return got < 0 ? errno : EIO;
    text[got] = '\0';
    *value = strtoull(text, NULL, 10);
    return 0;
}

/* With patience for refusals: other threads hold the stacks only for a while. */
static int read_patiently(const char *name, uint64_t *value)
{
    int error = EIO;

    for (int attempt = 0; attempt < 50 && error == EIO; attempt++) {
        if (attempt)
            sleep_us(2000);
        error = pool_read(name, value);
    }
    return error;
}

void pool_open(void)
{
    present = stackinfo_present() && read_patiently("total", &original) == 0 &&
              read_patiently("extra_max", &extra_max) == 0;
    expected = original;
}

static int write_total(uint64_t total)
{
    char text[24];
    int error = 0, length = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)total);
    int fd = open("/sys/stack/total", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return errno;
    if (write(fd, text, (size_t)length) < 0)
        error = errno;
    close(fd);
    return error;
}

/* Resize and look whether it is so. Errors: positive errno. Under resize_lock. */
static int resize(uint64_t total)
{
    uint64_t before = expected, wanted, found;
    int error;

    atomic_fetch_add(&turn, 1);
    error = write_total(total);
    wanted = error ? before : total;
    if (read_patiently("total", &found) == 0 && found != wanted)
        note_wrong("total after a resize", error ? strerror(error) : NULL, -1, (long)total,
                   (long)found, (long)wanted);
    atomic_store(&expected, wanted);
    atomic_fetch_add(&turn, 1);
    if (!error)
        atomic_fetch_add(&resizes, 1);
    return error;
}

bool pool_expected(uint64_t *total, uint32_t *the_turn)
{
    *the_turn = atomic_load(&turn);
    *total = atomic_load(&expected);
    return !(*the_turn & 1) && *the_turn == atomic_load(&turn);
}

enum outcome op_resize(struct worker *w)
{
    uint64_t most = torture.options.pool_max, least = torture.options.pool_min, total;
    enum outcome outcome = DONE;
    int error;

    if (!present || !lock_alone(&resize_lock))
        return SKIPPED;
    if (!most)
        most = original * 2 + 8;
    if (most > extra_max)
        most = extra_max + pick(w, 2); /* one too many gives ENOMEM */
    total = least + pick(w, (uint32_t)(most > least ? most - least + 1 : 1));
    actor_step(w->actor, "resize of the pool", -1, (long)total);
    error = resize(total);
    unlock(&resize_lock);
    if (error)
        outcome = judge(w, "resize of the pool", NULL, (long)total, error, MAY_BE_BUSY);
    return outcome;
}

/* By the main thread, when nobody else resizes: must come true some time. */
static int resize_patiently(uint64_t total)
{
    int error = 0;

    for (int attempt = 0; attempt < PATIENCE; attempt++) {
        actor_step(actor(ACTOR_MAIN), "resize of the pool", -1, (long)total);
        error = resize(total);
        if (error != EBUSY && error != EIO && error != ENOMEM)
            break;
        sleep_us(10000);
    }
    return error;
}

void pool_ample(void)
{
    uint64_t total = original > AMPLE ? original : AMPLE;

    if (!present)
        return;
    if (total > extra_max)
        total = extra_max;
    for (int error = ENOMEM; error == ENOMEM && total > original; total -= total / 4 + 1)
        error = resize_patiently(total);
}

void pool_restore(void)
{
    int error = present ? resize_patiently(original) : 0;

    if (error)
        note_error("restoring the size of the pool", error, -1, (long)original);
}
