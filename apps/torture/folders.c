// SPDX-License-Identifier: MIT
/* Folders: made, filled with small files, listed, renamed, emptied, removed, a step at a time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "notes.h"

enum { FOLDER_FILES = 16 };

/* Names of different lengths, so that entries do not fit each other's holes. */
static void entry_name(char *name, unsigned file)
{
    static const char tail[] = "-abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";

    snprintf(name, 80, "n%u%.*s", file, (int)(file * 3 % 40), tail);
}

static enum outcome wrong_list(const struct level *level, unsigned slot, const char *why,
                               unsigned got, unsigned wanted)
{
    note_wrong("list of folder", why, (int)level->index, slot, got, wanted);
    return FAILED;
}

/* Read the list; bit @file of *seen for each entry. */
static enum outcome read_list(struct worker *w, struct level *level, unsigned slot, DIR *dir,
                              unsigned *seen)
{
    char name[80];

    *seen = 0;
    for (;;) {
        struct dirent *entry;
        unsigned file;

        errno = 0;
        entry = readdir(dir);
        if (!entry)
            return errno ? judge(w, "readdir", level, slot, errno, 0) : DONE;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        for (file = 0; file < FOLDER_FILES; file++) {
            entry_name(name, file);
            if (strcmp(entry->d_name, name) == 0)
                break;
        }
        if (file == FOLDER_FILES)
            return wrong_list(level, slot, "a name nobody made", 0, 0);
        if (*seen & 1u << file)
            return wrong_list(level, slot, "a name twice", file, 0);
        *seen |= 1u << file;
    }
}

enum outcome folder_verify(struct worker *w, struct level *level, unsigned slot)
{
    struct folder_slot *folder = &level->folders[slot];
    enum outcome outcome;
    char path[PATH_BYTES];
    unsigned seen;
    DIR *dir;

    folder_path(path, level, slot, folder->place);
    actor_step(w->actor, "opendir", (int)level->index, slot);
    dir = opendir(path);
    if (!dir && !folder->exists && errno == ENOENT)
        return DONE;
    if (!dir)
        return judge(w, "opendir", level, slot, errno, 0);
    actor_step(w->actor, "readdir", (int)level->index, slot);
    outcome = read_list(w, level, slot, dir, &seen);
    closedir(dir);
    if (outcome == DONE && !folder->exists)
        return wrong_list(level, slot, "it must not be there", seen, 0);
    if (outcome == DONE && seen != folder->present)
        return wrong_list(level, slot, "other names than were made", seen, folder->present);
    return outcome;
}

static enum outcome make_entry(struct worker *w, struct level *level, unsigned slot,
                               const char *path, unsigned file)
{
    int fd;

    actor_step(w->actor, "open of a new entry", (int)level->index, slot);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return judge(w, "open of a new entry", level, slot, errno, MAY_BE_FULL);
    level->folders[slot].present |= (uint16_t)(1u << file);
    close(fd);
    return DONE;
}

static enum outcome toggle_entry(struct worker *w, struct level *level, unsigned slot)
{
    struct folder_slot *folder = &level->folders[slot];
    unsigned file = pick(w, FOLDER_FILES);
    char path[PATH_BYTES + 80], name[80];

    folder_path(path, level, slot, folder->place);
    entry_name(name, file);
    strcat(path, "/");
    strcat(path, name);
    if (!(folder->present & 1u << file))
        return make_entry(w, level, slot, path, file);
    actor_step(w->actor, "unlink of an entry", (int)level->index, slot);
    if (unlink(path) < 0)
        return judge(w, "unlink of an entry", level, slot, errno, MAY_BE_FULL);
    folder->present &= (uint16_t) ~(1u << file);
    return DONE;
}

static enum outcome remove_folder(struct worker *w, struct level *level, unsigned slot)
{
    struct folder_slot *folder = &level->folders[slot];
    char path[PATH_BYTES];

    folder_path(path, level, slot, folder->place);
    actor_step(w->actor, "rmdir", (int)level->index, slot);
    if (rmdir(path) == 0) {
        if (folder->present)
            return wrong_list(level, slot, "rmdir took a folder that is not empty", 0,
                              folder->present);
        folder->exists = false;
        return DONE;
    }
    if (errno == ENOTEMPTY && folder->present)
        return DONE;
    return judge(w, "rmdir", level, slot, errno, MAY_BE_FULL);
}

static enum outcome rename_folder(struct worker *w, struct level *level, unsigned slot)
{
    struct folder_slot *folder = &level->folders[slot];
    char old_path[PATH_BYTES], new_path[PATH_BYTES];

    folder_path(old_path, level, slot, folder->place);
    folder_path(new_path, level, slot, !folder->place);
    actor_step(w->actor, "rename of a folder", (int)level->index, slot);
    if (rename(old_path, new_path) < 0)
        return judge(w, "rename of a folder", level, slot, errno, MAY_BE_FULL);
    folder->place = !folder->place;
    return DONE;
}

static enum outcome make_folder(struct worker *w, struct level *level, unsigned slot)
{
    struct folder_slot *folder = &level->folders[slot];
    char path[PATH_BYTES];

    folder->place = (uint8_t)pick(w, FOLDER_PLACES);
    folder_path(path, level, slot, folder->place);
    actor_step(w->actor, "mkdir", (int)level->index, slot);
    if (mkdir(path, 0755) < 0)
        return judge(w, "mkdir", level, slot, errno, MAY_BE_FULL);
    folder->exists = true;
    folder->present = 0;
    return DONE;
}

enum outcome op_folder(struct worker *w)
{
    struct level *level = level_enter(w);
    enum outcome outcome = SKIPPED;
    unsigned slot = pick(w, FOLDERS), what = pick(w, 16);

    if (!level)
        return SKIPPED;
    if (lock_alone(&level->folders[slot].lock)) {
        if (!level->folders[slot].exists)
            outcome = make_folder(w, level, slot);
        else if (what < 9)
            outcome = toggle_entry(w, level, slot);
        else if (what < 12)
            outcome = folder_verify(w, level, slot);
        else if (what < 14)
            outcome = rename_folder(w, level, slot);
        else
            outcome = remove_folder(w, level, slot);
        unlock(&level->folders[slot].lock);
    }
    level_leave(level);
    return outcome;
}

/* Remove every entry of one folder that is not a folder itself. */
static int empty_folder(const char *path, const char **call)
{
    char entry_path[PATH_BYTES + 80];
    struct dirent *entry;
    int error = 0;
    DIR *dir;

    for (bool found = true;
         found && !error;) { /* a list is read anew after what it gave is removed */
        *call = "opendir to wipe";
        found = false;
        dir = opendir(path);
        if (!dir)
            return errno == ENOENT ? 0 : errno;
        *call = "unlink to wipe";
        while (!error && (entry = readdir(dir)) != NULL) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            snprintf(entry_path, sizeof(entry_path), "%s/%.75s", path, entry->d_name);
            if (unlink(entry_path) == 0)
                found = true;
            else if (errno != EISDIR && errno != EPERM)
                error = errno;
        }
        closedir(dir);
    }
    return error;
}

int wipe_level(struct level *level, const char **call)
{
    /* Inner ones first. Folder slots stand in /torture or in /torture/d0. */
    char path[PATH_BYTES];
    int error = 0;

    for (unsigned i = 0; i < FOLDERS * FOLDER_PLACES + 3 && !error; i++) {
        static const char *const outer[] = { "/d0", "/d1", "" };

        if (i < FOLDERS * FOLDER_PLACES)
            folder_path(path, level, i / FOLDER_PLACES, i % FOLDER_PLACES);
        else
            snprintf(path, sizeof(path), "%s/torture%s", level->folder,
                     outer[i - FOLDERS * FOLDER_PLACES]);
        error = empty_folder(path, call);
        if (error)
            break;
        *call = "rmdir to wipe";
        if (rmdir(path) < 0 && errno != ENOENT)
            error = errno;
    }
    return error;
}
