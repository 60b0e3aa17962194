// SPDX-License-Identifier: MIT
/* Files against the model: names, sizes, units; and all of them at the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "common/stackinfo.h"
#include "notes.h"

void file_path(char *path, const struct level *level, unsigned slot, unsigned place)
{
    static const char *const folders[] = { "", "d0/", "d1/" };

    snprintf(path, PATH_BYTES, "%s/torture/%sf%u%c", level->folder, folders[place / 2], slot,
             'a' + place % 2);
}

void folder_path(char *path, const struct level *level, unsigned slot, unsigned place)
{
    snprintf(path, PATH_BYTES, "%s/torture/%st%u", level->folder, place ? "d0/" : "", slot);
}

struct unit_id file_unit(const struct level *level, const struct file_slot *file, uint32_t unit)
{
    return (struct unit_id){ torture.options.seed, level->index, file->id, unit,
                             file->generation[unit] };
}

static long slot_of(const struct level *level, const struct file_slot *file)
{
    return file - level->files;
}

enum outcome file_verify(const struct level *level, const struct file_slot *file, uint32_t first,
                         uint32_t count, const void *at)
{
    const unsigned char *byte = at;

    for (uint32_t i = 0; i < count; i++, byte += UNIT_BYTES) {
        struct unit_id id = file_unit(level, file, first + i);
        const char *why;

        if (id.generation == GENERATION_UNKNOWN)
            continue;
        why = unit_check(byte, &id);
        if (why) {
            note_wrong("content of file", why, (int)level->index,
                       slot_of(level, file) * 1000 + first + i, unit_generation(byte),
                       (long)id.generation);
            return FAILED;
        }
    }
    return DONE;
}

static enum outcome verify_open(struct worker *w, struct level *level, unsigned slot, int fd)
{
    struct file_slot *file = &level->files[slot];
    long wanted = (long)file->base + (long)file->units * UNIT_BYTES;
    struct stat st;
    ssize_t got;

    actor_step(w->actor, "fstat", (int)level->index, slot);
    if (fstat(fd, &st) < 0)
        return judge(w, "fstat", level, slot, errno, 0);
    if (!file->size_unknown && st.st_size != wanted) {
        note_wrong("size of file", NULL, (int)level->index, slot, (long)st.st_size, wanted);
        return FAILED;
    }
    if (file->base && file->units) {
        actor_step(w->actor, "pread of the hole", (int)level->index, slot);
        got = pread(fd, w->buf, 4096, file->base - 4096);
        if (got < 0)
            return judge(w, "pread of the hole", level, slot, errno, 0);
        if (got != 4096 || !zero_check(w->buf, 4096)) {
            note_wrong("hole of file", "is not zero", (int)level->index, slot, got, 4096);
            return FAILED;
        }
    }
    for (uint32_t unit = 0; unit < file->units;) {
        uint32_t count = file->units - unit;
        enum outcome outcome;

        if (count > BUFFER_BYTES / UNIT_BYTES)
            count = BUFFER_BYTES / UNIT_BYTES;
        actor_step(w->actor, "pread to verify", (int)level->index, slot);
        got = pread(fd, w->buf, count * UNIT_BYTES, (off_t)file->base + (off_t)unit * UNIT_BYTES);
        if (got < 0)
            return judge(w, "pread to verify", level, slot, errno, 0);
        if (got < UNIT_BYTES && file->size_unknown && unit + 1 == file->units)
            return DONE; /* it ends within its last unit */
        if (got < UNIT_BYTES) {
            note_wrong("pread to verify", "too few bytes", (int)level->index, slot, got,
                       count * UNIT_BYTES);
            return FAILED;
        }
        outcome = file_verify(level, file, unit, (uint32_t)got / UNIT_BYTES, w->buf);
        if (outcome != DONE)
            return outcome;
        unit += (uint32_t)got / UNIT_BYTES;
    }
    return DONE;
}

/* A name that the model does not know must not be there. */
static enum outcome verify_absent(struct worker *w, struct level *level, unsigned slot,
                                  const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        note_wrong("file", "is there, and must not be", (int)level->index, slot, -1, -1);
        return FAILED;
    }
    return errno == ENOENT ? DONE : judge(w, "stat", level, slot, errno, 0);
}

enum outcome file_verify_all(struct worker *w, struct level *level, unsigned slot)
{
    struct file_slot *file = &level->files[slot];
    enum outcome outcome;
    char path[PATH_BYTES];
    int fd;

    file_path(path, level, slot, file->place);
    actor_step(w->actor, "open to verify", (int)level->index, slot);
    if (!file->exists)
        return verify_absent(w, level, slot, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return judge(w, "open to verify", level, slot, errno, 0);
    outcome = verify_open(w, level, slot, fd);
    close(fd);
    return outcome;
}

/* One that is refused is tried again some times. */
static enum outcome verify_patiently(struct worker *w, struct level *level, unsigned slot,
                                     bool folder)
{
    enum outcome outcome = REFUSED;

    for (int attempt = 0; attempt < 5 && (outcome == REFUSED || outcome == LEGAL); attempt++) {
        if (attempt)
            sleep_us(20000);
        w->refusals = stackinfo_refusals();
        outcome = folder ? folder_verify(w, level, slot) : file_verify_all(w, level, slot);
    }
    return outcome;
}

void verify_all(struct worker *w, uint64_t *checked, uint64_t *unchecked)
{
    for (unsigned k = 0; k < torture.count; k++) {
        struct level *level = &torture.levels[k];

        for (unsigned i = 0; i < FILES + FOLDERS; i++) {
            bool folder = i >= FILES;
            unsigned slot = folder ? i - FILES : i;

            if (!level->usable) {
                ++*unchecked;
                continue;
            }
            w->epoch = level->epoch;
            if (verify_patiently(w, level, slot, folder) == DONE)
                ++*checked;
            else
                ++*unchecked;
        }
        notes_print();
    }
}
