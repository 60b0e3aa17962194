// SPDX-License-Identifier: MIT
/*
 * Files that come, change and go. Every operation opens its file anew, so that a level is busy only
 * while somebody works in it.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "notes.h"

/* Where a file begins: at 0, or far enough for indirect blocks of either degree. */
static const uint32_t bases[] = { 0, 0, 0, 16384, 300 * 1024, 5 * 1024 * 1024 };

/* Choose a level and a slot whose file exists, or does not, lock it and work there. */
static enum outcome with_slot(struct worker *w, bool exists, bool shared,
                              enum outcome (*operation)(struct worker *, struct level *, unsigned))
{
    struct level *level = level_enter(w);
    enum outcome outcome = SKIPPED;

    if (!level)
        return SKIPPED;
    for (int attempt = 0; attempt < 8; attempt++) {
        unsigned slot = pick(w, FILES);
        struct file_slot *file = &level->files[slot];

        if (!(shared ? lock_shared(&file->lock) : lock_alone(&file->lock)))
            continue;
        if (file->exists == exists) {
            outcome = operation(w, level, slot);
            unlock(&file->lock);
            break;
        }
        unlock(&file->lock);
    }
    level_leave(level);
    return outcome;
}

static int open_slot(struct worker *w, struct level *level, unsigned slot, int flags)
{
    char path[PATH_BYTES];

    file_path(path, level, slot, level->files[slot].place);
    actor_step(w->actor, "open", (int)level->index, slot);
    return open(path, flags | O_CLOEXEC, 0644);
}

/* A write of whole units that ended within one: what stands there is not known. */
static void mark_partial(struct file_slot *file, uint32_t unit)
{
    file->generation[unit] = GENERATION_UNKNOWN;
    if (unit >= file->units) {
        file->units = unit + 1;
        file->size_unknown = true;
    }
}

/* Write the buffer, at once or in odd pieces; returns the bytes written, *error why not all. */
static size_t write_pieces(struct worker *w, struct level *level, unsigned slot, int fd,
                           size_t bytes, off_t at, int *error)
{
    bool odd = pick(w, 4) == 0;
    size_t done = 0;

    *error = 0;
    while (done < bytes) {
        size_t piece = odd ? 1 + pick(w, 3000) : bytes;
        ssize_t got;

        if (piece > bytes - done)
            piece = bytes - done;
        actor_step(w->actor, "pwrite", (int)level->index, slot);
        got = pwrite(fd, w->buf + done, piece, at + (off_t)done);
        if (got <= 0) {
            *error = got < 0 ? errno : ENOSPC;
            break;
        }
        done += (size_t)got;
    }
    return done;
}

/* Write some units and change the model by as much as was written. */
static enum outcome write_units(struct worker *w, struct level *level, unsigned slot, int fd)
{
    struct file_slot *file = &level->files[slot];
    uint32_t most = BUFFER_BYTES / UNIT_BYTES;
    uint32_t first = pick(w, file->units + 9), count = 1 + pick(w, pick(w, 3) ? 12 : most), unit;
    size_t done;
    int error;

    if (first >= FILE_UNITS)
        first = pick(w, FILE_UNITS);
    if (count > FILE_UNITS - first)
        count = FILE_UNITS - first;
    if (file->newest + 1 == GENERATION_UNKNOWN)
        return SKIPPED;
    file->newest++;
    for (uint32_t i = 0; i < count; i++) {
        struct unit_id id = file_unit(level, file, first + i);

        id.generation = file->newest;
        unit_fill(w->buf + i * UNIT_BYTES, &id);
    }
    done = write_pieces(w, level, slot, fd, count * UNIT_BYTES,
                        (off_t)file->base + (off_t)first * UNIT_BYTES, &error);
    for (unit = first; unit < first + done / UNIT_BYTES; unit++)
        file->generation[unit] = file->newest;
    if (unit >= file->units && done >= UNIT_BYTES) {
        file->units = unit;
        file->size_unknown = false;
    }
    if (done % UNIT_BYTES)
        mark_partial(file, unit);
    return error ? judge(w, "pwrite", level, slot, error, MAY_BE_FULL) : DONE;
}

static enum outcome sync_fd(struct worker *w, struct level *level, unsigned slot, int fd)
{
    bool data = pick(w, 3) == 0;

    actor_step(w->actor, data ? "fdatasync" : "fsync", (int)level->index, slot);
    if ((data ? fdatasync(fd) : fsync(fd)) < 0)
        return judge(w, "fsync", level, slot, errno, 0);
    return DONE;
}

static enum outcome create(struct worker *w, struct level *level, unsigned slot)
{
    struct file_slot *file = &level->files[slot];
    enum outcome outcome;
    int fd;

    file->place = (uint8_t)pick(w, FILE_PLACES);
    fd = open_slot(w, level, slot, O_RDWR | O_CREAT | O_EXCL);
    if (fd < 0)
        return judge(w, "open to create", level, slot, errno, MAY_BE_FULL);
    file->exists = true;
    file->size_unknown = false;
    file->newest = 0;
    file->id = atomic_fetch_add(&level->next_id, 1);
    file->base = bases[pick(w, sizeof(bases) / sizeof(bases[0]))];
    file->units = 0;
    for (int i = 0; i < FILE_UNITS; i++)
        file->generation[i] = 0;
    actor_step(w->actor, "ftruncate of a new file", (int)level->index, slot);
    if (file->base && ftruncate(fd, file->base) < 0) {
        outcome = judge(w, "ftruncate of a new file", level, slot, errno, 0);
        file->base = 0;
    } else {
        outcome = write_units(w, level, slot, fd);
    }
    if (outcome == DONE && pick(w, 3) == 0)
        outcome = sync_fd(w, level, slot, fd);
    close(fd);
    return outcome;
}

enum outcome op_create(struct worker *w) { return with_slot(w, false, false, create); }

static enum outcome overwrite(struct worker *w, struct level *level, unsigned slot)
{
    enum outcome outcome;
    int fd = open_slot(w, level, slot, O_RDWR);

    if (fd < 0)
        return judge(w, "open to write", level, slot, errno, 0);
    outcome = write_units(w, level, slot, fd);
    if (outcome == DONE && pick(w, 4) == 0)
        outcome = sync_fd(w, level, slot, fd);
    close(fd);
    return outcome;
}

enum outcome op_write(struct worker *w) { return with_slot(w, true, false, overwrite); }

static enum outcome read_some(struct worker *w, struct level *level, unsigned slot)
{
    struct file_slot *file = &level->files[slot];
    enum outcome outcome = DONE;
    uint32_t first, count;
    ssize_t got;
    int fd;

    if (pick(w, 4) == 0 || file->units == 0)
        return file_verify_all(w, level, slot);
    first = pick(w, file->units);
    count = 1 + pick(w, BUFFER_BYTES / UNIT_BYTES);
    if (count > file->units - first)
        count = file->units - first;
    fd = open_slot(w, level, slot, O_RDONLY);
    if (fd < 0)
        return judge(w, "open to read", level, slot, errno, 0);
    actor_step(w->actor, "pread", (int)level->index, slot);
    got = pread(fd, w->buf, count * UNIT_BYTES, (off_t)file->base + (off_t)first * UNIT_BYTES);
    if (got < 0)
        outcome = judge(w, "pread", level, slot, errno, 0);
    else if (got < UNIT_BYTES && !file->size_unknown) {
        note_wrong("pread", "too few bytes", (int)level->index, slot, got, count * UNIT_BYTES);
        outcome = FAILED;
    } else
        outcome = file_verify(level, file, first, (uint32_t)got / UNIT_BYTES, w->buf);
    close(fd);
    return outcome;
}

enum outcome op_read(struct worker *w) { return with_slot(w, true, true, read_some); }

/* The file through a private mapping, which must not reach the file when it is written. */
static enum outcome map_file(struct worker *w, struct level *level, unsigned slot)
{
    struct file_slot *file = &level->files[slot];
    size_t bytes = file->units * UNIT_BYTES;
    enum outcome outcome = DONE;
    unsigned char *at;
    int fd;

    if (file->size_unknown || bytes == 0 || file->base % 4096)
        return SKIPPED;
    fd = open_slot(w, level, slot, O_RDONLY);
    if (fd < 0)
        return judge(w, "open to map", level, slot, errno, 0);
    actor_step(w->actor, "mmap of a file", (int)level->index, slot);
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, file->base);
    if (at == MAP_FAILED)
        outcome = judge(w, "mmap of a file", level, slot, errno, 0);
    close(fd);
    if (at == MAP_FAILED)
        return outcome;
    actor_step(w->actor, "reading a mapped file", (int)level->index, slot);
    outcome = file_verify(level, file, 0, file->units, at);
    at[pick(w, (uint32_t)bytes)] ^= 0xff;
    actor_step(w->actor, "munmap of a file", (int)level->index, slot);
    if (munmap(at, bytes) < 0)
        outcome = judge(w, "munmap of a file", level, slot, errno, 0);
    return outcome;
}

enum outcome op_map(struct worker *w) { return with_slot(w, true, true, map_file); }

static enum outcome sync_file(struct worker *w, struct level *level, unsigned slot)
{
    enum outcome outcome;
    int fd = open_slot(w, level, slot, O_RDWR);

    if (fd < 0)
        return judge(w, "open to sync", level, slot, errno, 0);
    outcome = sync_fd(w, level, slot, fd);
    close(fd);
    return outcome;
}

enum outcome op_fsync(struct worker *w) { return with_slot(w, true, true, sync_file); }

static enum outcome truncate_file(struct worker *w, struct level *level, unsigned slot)
{
    struct file_slot *file = &level->files[slot];
    uint32_t units = pick(w, 4) ? pick(w, file->units + 1) : pick(w, FILE_UNITS + 1);
    char path[PATH_BYTES];

    file_path(path, level, slot, file->place);
    actor_step(w->actor, "truncate", (int)level->index, slot);
    if (truncate(path, (off_t)file->base + (off_t)units * UNIT_BYTES) < 0)
        return judge(w, "truncate", level, slot, errno, MAY_BE_FULL);
    for (uint32_t unit = units; unit < FILE_UNITS; unit++)
        file->generation[unit] = 0;
    if (file->size_unknown && file->units && units >= file->units)
        file->generation[file->units - 1] = GENERATION_UNKNOWN;
    file->units = units;
    file->size_unknown = false;
    return DONE;
}

enum outcome op_truncate(struct worker *w) { return with_slot(w, true, false, truncate_file); }

static enum outcome unlink_file(struct worker *w, struct level *level, unsigned slot)
{
    struct file_slot *file = &level->files[slot];
    char path[PATH_BYTES];

    file_path(path, level, slot, file->place);
    actor_step(w->actor, "unlink", (int)level->index, slot);
    if (unlink(path) < 0)
        return judge(w, "unlink", level, slot, errno, MAY_BE_FULL);
    file->exists = false;
    return DONE;
}

enum outcome op_unlink(struct worker *w) { return with_slot(w, true, false, unlink_file); }

/* Move a slot's whole model, after its file was renamed over another slot's name. */
static void take_over(struct file_slot *to, struct file_slot *from)
{
    to->exists = true;
    to->size_unknown = from->size_unknown;
    to->newest = from->newest;
    to->id = from->id;
    to->base = from->base;
    to->units = from->units;
    for (int i = 0; i < FILE_UNITS; i++)
        to->generation[i] = from->generation[i];
    from->exists = false;
}

/* To another name, or over the file of another slot, which is then gone. */
static enum outcome rename_file(struct worker *w, struct level *level, unsigned slot)
{
    unsigned other = pick(w, 3) ? slot : pick(w, FILES);
    struct file_slot *from = &level->files[slot], *to = &level->files[other];
    char old_path[PATH_BYTES], new_path[PATH_BYTES];
    enum outcome outcome = DONE;
    unsigned place;

    if (other != slot && !lock_alone(&to->lock))
        return SKIPPED;
    place = other == slot || !to->exists ? pick(w, FILE_PLACES) : to->place;
    file_path(old_path, level, slot, from->place);
    file_path(new_path, level, other, place);
    actor_step(w->actor, "rename", (int)level->index, slot);
    if (rename(old_path, new_path) < 0) {
        outcome = judge(w, "rename", level, slot, errno, MAY_BE_FULL);
    } else {
        if (other != slot)
            take_over(to, from);
        to->place = (uint8_t)place;
    }
    if (other != slot)
        unlock(&to->lock);
    return outcome;
}

enum outcome op_rename(struct worker *w) { return with_slot(w, true, false, rename_file); }
