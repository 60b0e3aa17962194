// SPDX-License-Identifier: MIT
/* Levels filled to the last block and emptied again; files that are deleted while they are open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "files.h"
#include "notes.h"

/* The files here belong to one worker at a time; their units say so by a number no slot has. */
static struct unit_id loose_unit(const struct level *level, uint32_t file, uint32_t unit)
{
    return (struct unit_id){ torture.options.seed, level->index, 0x80000000u + file, unit, 1 };
}

static void fill_buffer(struct worker *w, const struct level *level, uint32_t file, uint32_t first)
{
    for (uint32_t i = 0; i < BUFFER_BYTES / UNIT_BYTES; i++) {
        struct unit_id id = loose_unit(level, file, first + i);

        unit_fill(w->buf + i * UNIT_BYTES, &id);
    }
}

/* Read one buffer's length somewhere in the first @bytes and check it. */
static enum outcome check_somewhere(struct worker *w, struct level *level, int fd, uint32_t file,
                                    uint64_t bytes)
{
    uint32_t first = pick(w, (uint32_t)(bytes / UNIT_BYTES)), units;
    ssize_t got;

    actor_step(w->actor, "pread of a loose file", (int)level->index, first);
    got = pread(fd, w->buf, BUFFER_BYTES, (off_t)first * UNIT_BYTES);
    if (got < 0)
        return judge(w, "pread of a loose file", level, first, errno, 0);
    units = (uint32_t)got / UNIT_BYTES;
    if (units == 0) {
        note_wrong("pread of a loose file", "too few bytes", (int)level->index, first, got,
                   UNIT_BYTES);
        return FAILED;
    }
    for (uint32_t i = 0; i < units; i++) {
        struct unit_id id = loose_unit(level, file, first + i);
        const char *why = unit_check(w->buf + i * UNIT_BYTES, &id);

        if (why) {
            note_wrong("content of a loose file", why, (int)level->index, first + i,
                       unit_generation(w->buf + i * UNIT_BYTES), 1);
            return FAILED;
        }
    }
    return DONE;
}

/* Write until something ends it; *bytes is what the file has then. */
static enum outcome write_until(struct worker *w, struct level *level, int fd, uint32_t file,
                                uint64_t most, uint64_t *bytes)
{
    *bytes = 0;
    while (*bytes < most && !torture.stop) {
        ssize_t got;

        fill_buffer(w, level, file, (uint32_t)(*bytes / UNIT_BYTES));
        actor_step(w->actor, "pwrite of a loose file", (int)level->index, (long)*bytes);
        got = pwrite(fd, w->buf, BUFFER_BYTES, (off_t)*bytes);
        if (got < 0)
            return judge(w, "pwrite of a loose file", level, (long)*bytes, errno, MAY_BE_FULL);
        *bytes += (uint64_t)got / UNIT_BYTES * UNIT_BYTES;
        if (got < BUFFER_BYTES)
            return LEGAL;
    }
    return DONE;
}

/* Remove the file that a refused unlink left behind the last time. */
static enum outcome remove_left(struct worker *w, struct level *level, const char *path)
{
    actor_step(w->actor, "unlink of a loose file", (int)level->index, -1);
    if (unlink(path) < 0 && errno != ENOENT)
        return judge(w, "unlink of a loose file", level, -1, errno, MAY_BE_FULL);
    return DONE;
}

static enum outcome fill_level(struct worker *w, struct level *level)
{
    enum outcome outcome, last;
    char path[PATH_BYTES];
    uint64_t bytes;
    int fd;

    snprintf(path, sizeof(path), "%s/torture/fill", level->folder);
    outcome = remove_left(w, level, path);
    if (outcome != DONE)
        return outcome;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return judge(w, "open of the fill", level, -1, errno, MAY_BE_FULL);
    outcome = write_until(w, level, fd, 0, torture.options.fill_kib * 1024, &bytes);
    if (bytes && outcome != FAILED && pick(w, 2)) {
        actor_step(w->actor, "fsync of the fill", (int)level->index, -1);
        if (fsync(fd) < 0)
            outcome = judge(w, "fsync of the fill", level, -1, errno, 0);
    }
    for (int i = 0; i < 4 && bytes && outcome != FAILED; i++) {
        last = check_somewhere(w, level, fd, 0, bytes);
        if (last != DONE)
            outcome = last;
    }
    close(fd);
    last = remove_left(w, level, path);
    return last != DONE ? last : outcome;
}

enum outcome op_fill(struct worker *w)
{
    struct level *level = level_enter(w);
    enum outcome outcome = SKIPPED;

    if (!level)
        return SKIPPED;
    if (lock_alone(&level->filling)) {
        outcome = fill_level(w, level);
        unlock(&level->filling);
    }
    level_leave(level);
    return outcome;
}

/* A file without a name: used after its unlink, and freed by the last close. */
static enum outcome orphan(struct worker *w, struct level *level)
{
    uint64_t bytes, most = (1 + pick(w, 4)) * BUFFER_BYTES;
    enum outcome outcome;
    char path[PATH_BYTES];
    int fd;

    snprintf(path, sizeof(path), "%s/torture/o%u", level->folder, w->index);
    outcome = remove_left(w, level, path);
    if (outcome != DONE)
        return outcome;
    actor_step(w->actor, "open of an orphan", (int)level->index, -1);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return judge(w, "open of an orphan", level, -1, errno, MAY_BE_FULL);
    outcome = remove_left(w, level, path);
    if (outcome == DONE)
        outcome = write_until(w, level, fd, w->index + 1, most, &bytes);
    if (outcome == DONE && pick(w, 2) && fsync(fd) < 0)
        outcome = judge(w, "fsync of an orphan", level, -1, errno, 0);
    if (outcome == DONE && bytes)
        outcome = check_somewhere(w, level, fd, w->index + 1, bytes);
    actor_step(w->actor, "close of an orphan", (int)level->index, -1);
    close(fd);
    return outcome;
}

enum outcome op_orphan(struct worker *w)
{
    struct level *level = level_enter(w);
    enum outcome outcome;

    if (!level)
        return SKIPPED;
    outcome = orphan(w, level);
    level_leave(level);
    return outcome;
}

/* The whole system, a level, or a folder of it. */
enum outcome op_sync(struct worker *w)
{
    struct level *level = level_enter(w);
    enum outcome outcome = DONE;
    char path[PATH_BYTES];
    int fd;

    if (!level)
        return SKIPPED;
    if (pick(w, 4) == 0) {
        actor_step(w->actor, "sync", -1, -1);
        sync();
        goto out;
    }
    snprintf(path, sizeof(path), "%s/torture%s", level->folder, pick(w, 2) ? "/d0" : "");
    actor_step(w->actor, "open of a folder", (int)level->index, -1);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        outcome = judge(w, "open of a folder", level, -1, errno, 0);
        goto out;
    }
    actor_step(w->actor, "fsync of a folder or syncfs", (int)level->index, -1);
    if ((pick(w, 2) ? fsync(fd) : syncfs(fd)) < 0)
        outcome = judge(w, "fsync of a folder or syncfs", level, -1, errno, 0);
    close(fd);
out:
    level_leave(level);
    return outcome;
}
