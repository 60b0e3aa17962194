// SPDX-License-Identifier: MIT
/*
 * The tower: level after level up, innermost first down; and the deepest level unmounted and
 * mounted while others work.
 *
 * An image with holes cannot be written when the file system around it is full, and then the inner
 * one gets write errors that are nobody's fault. So before a level is mounted the first time, every
 * hole of its image is filled.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "content.h"
#include "common/loop.h"
#include "common/mounts.h"
#include "common/stackinfo.h"
#include "notes.h"
#include "tower.h"

static bool borrowed; /* level 0 is mounted by somebody else and stays so */
static unsigned char chunk[65536] __attribute__((aligned(4096))); /* main thread */
static _Atomic int mount_lock;

static void step(const char *what, const struct level *level)
{
    actor_step(actor(ACTOR_MAIN), what, (int)level->index, -1);
}

int tower_make(void)
{
    torture.levels = calloc(torture.options.levels + 1, sizeof(*torture.levels));
    if (!torture.levels)
        return -ENOMEM;
    for (unsigned i = 0; i <= torture.options.levels; i++) {
        struct level *level = &torture.levels[i];

        level->index = i;
        level->loop_index = -1;
        snprintf(level->folder, sizeof(level->folder), "%s/l%u", torture.options.root, i);
    }
    return 0;
}

/* Mount what lies in @level. Errors: positive errno; *call failed. */
static int mount_level(struct level *level, const char **call)
{
    struct stat st;
    int error;

    if (level->mounted)
        return 0;
    if (level->index == 0) {
        *call = "stat of the disk";
        if (stat(torture.options.disk, &st) < 0)
            return errno;
        if (S_ISDIR(st.st_mode)) {
            borrowed = level->mounted = true;
            snprintf(level->folder, sizeof(level->folder), "%s", torture.options.disk);
            return 0;
        }
        *call = "mount";
        error = mount(torture.options.disk, level->folder, "ext2", 0, NULL) < 0 ? errno : 0;
    } else {
        error = -mount_next(level[-1].folder, level->folder, false, &level->loop_index, call);
    }
    if (error)
        return error;
    level->mounted = true;
    atomic_fetch_add(&torture.mounts, 1);
    return 0;
}

/* Give back the loop device. After the unmount nobody may hold it for long. */
static int detach(struct level *level, const char **call)
{
    int error = 0;

    *call = "LOOP_CLR_FD after the unmount";
    for (int attempt = 0; level->loop_index >= 0 && attempt < 500; attempt++) {
        error = -loop_detach(level->loop_index);
        if (!error)
            level->loop_index = -1;
        if (error != EBUSY)
            break;
        sleep_us(10000);
    }
    return error;
}

static int unmount_level(struct level *level, const char **call)
{
    *call = "umount";
    level->usable = false;
    if (level->mounted && !(level->index == 0 && borrowed)) {
        if (umount2(level->folder, 0) < 0) {
            level->usable = true;
            return errno;
        }
        atomic_fetch_add(&torture.unmounts, 1);
    }
    level->mounted = false;
    return detach(level, call);
}

static bool has_hole(const unsigned char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 1024) {
        if (zero_check(at + i, 1024))
            return true;
    }
    return false;
}

/* Write back those parts of an image that may be holes. */
static int fill_holes(struct level *level, int fd, const char **call)
{
    for (off_t at = 0;; at += (off_t)sizeof(chunk)) {
        ssize_t got;

        *call = "read of next.img";
        step("reading next.img", level);
        got = pread(fd, chunk, sizeof(chunk), at);
        if (got <= 0)
            return got < 0 ? errno : 0;
        *call = "write to next.img";
        for (ssize_t i = 0; i < got; i += 4096) {
            ssize_t piece = got - i < 4096 ? got - i : 4096;

            if (has_hole(chunk + i, (size_t)piece & ~(size_t)1023) &&
                pwrite(fd, chunk + i, (size_t)piece, at + i) != piece)
                return errno ? errno : ENOSPC;
        }
    }
}

static int fill_image(struct level *level, const char **call)
{
    struct stat st;
    char path[256];
    int fd, error = 0;

    *call = "open of next.img";
    snprintf(path, sizeof(path), "%s/next.img", level->folder);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    *call = "fstat of next.img";
    if (fstat(fd, &st) < 0)
        error = errno;
    else if (st.st_blocks * 512 < st.st_size)
        error = fill_holes(level, fd, call);
    if (!error) {
        *call = "fsync of next.img";
        error = fsync(fd) < 0 ? errno : 0;
    }
    close(fd);
    return error;
}

/* The free space before anything of ours is there. What was deleted is freed a little later. */
static int note_free(struct level *level, const char **call)
{
    struct statfs fs;

    *call = "statfs";
    step("statfs", level);
    for (int attempt = 0; attempt < 20; attempt++) {
        if (statfs(level->folder, &fs) < 0)
            return errno;
        if (fs.f_bfree == level->free_blocks && fs.f_ffree == level->free_inodes)
            break;
        level->free_blocks = fs.f_bfree;
        level->free_inodes = fs.f_ffree;
        sleep_us(100000);
    }
    return 0;
}

static int prepare_level(struct level *level, const char **call)
{
    static const char *const folders[] = { "torture", "torture/d0", "torture/d1" };
    char path[256];
    int error = wipe_level(level, call);

    if (!error && level->index < torture.options.levels)
        error = fill_image(level, call);
    if (!error)
        error = note_free(level, call);
    for (int i = 0; i < 3 && !error; i++) {
        *call = "mkdir";
        snprintf(path, sizeof(path), "%s/%s", level->folder, folders[i]);
        error = -make_folder(path);
    }
    return error;
}

/* One level up, with patience for refusals. Errors: positive errno. */
static int level_up(struct level *level, bool first, const char **call)
{
    uint64_t before = 0;
    int error = 0;

    for (int attempt = 0; attempt < 5; attempt++) {
        before = stackinfo_refusals();
        step("mounting", level);
        *call = "mkdir";
        error = -make_folder(level->folder);
        if (!error)
            error = mount_level(level, call);
        if (!error && first)
            error = prepare_level(level, call);
        if (!stackinfo_refused(before, error))
            break;
        torture.setup_refused++;
        sleep_us(20000);
    }
    if (!error)
        level->usable = true;
    else if (stackinfo_refused(before, error))
        error = -1;
    return error;
}

int tower_up(bool first)
{
    unsigned most = first ? (unsigned)torture.options.levels + 1 : torture.count;
    const char *call = "mkdir";
    int error;

    atomic_fetch_add(&torture.mounting, 1);
    error = -make_folder(torture.options.root);
    for (unsigned i = 0; i < most && !error; i++) {
        struct level *level = &torture.levels[i];

        error = level_up(level, first, &call);
        if (!error) {
            level->epoch &= ~1u;
            torture.count = first ? i + 1 : torture.count;
        } else if (error < 0) {
            printf("torture: level %u: %s was refused for want of a stack\n", i, call);
        } else {
            note_error(call, error, (int)i, -1);
        }
    }
    atomic_fetch_add(&torture.mounting, 1);
    return error > 0 ? -1 : 0;
}

int tower_down(void)
{
    int error = 0;

    atomic_fetch_add(&torture.mounting, 1);
    for (unsigned i = (unsigned)torture.options.levels + 1; i-- > 0 && !error;) {
        struct level *level = &torture.levels[i];
        const char *call = "umount";

        for (int attempt = 0; attempt < 200; attempt++) {
            uint64_t before = stackinfo_refusals();

            step("unmounting", level);
            error = unmount_level(level, &call);
            if (error && stackinfo_refused(before, error))
                torture.setup_refused++;
            else if (error != EBUSY)
                break;
            sleep_us(20000);
        }
        if (error)
            note_error(call, error, (int)i, -1);
    }
    atomic_fetch_add(&torture.mounting, 1);
    return error ? -1 : 0;
}

void tower_check_free(void)
{
    for (unsigned i = 0; i < torture.count; i++) {
        struct level *level = &torture.levels[i];
        const char *call = "wipe";
        struct statfs fs = { 0 };
        int error = level->usable ? 0 : ENODEV;

        step("wiping", level);
        for (int attempt = 0; attempt < 10 && !error; attempt++) {
            uint64_t before = stackinfo_refusals();

            error = wipe_level(level, &call);
            if (!error || !stackinfo_refused(before, error))
                break;
            error = 0;
            sleep_us(20000);
        }
        for (int attempt = 0; attempt < 100 && !error; attempt++) {
            if (statfs(level->folder, &fs) == 0 && fs.f_bfree == level->free_blocks &&
                fs.f_ffree == level->free_inodes)
                break;
            sleep_us(100000);
        }
        if (error && error != ENODEV) {
            note_error(call, error, (int)i, -1);
        } else if (!error) {
            if (fs.f_bfree != level->free_blocks)
                note_wrong("free blocks after all was deleted", "some leaked or were freed twice",
                           (int)i, -1, (long)fs.f_bfree, (long)level->free_blocks);
            if (fs.f_ffree != level->free_inodes)
                note_wrong("free inodes after all was deleted", "some leaked or were freed twice",
                           (int)i, -1, (long)fs.f_ffree, (long)level->free_inodes);
        }
    }
}

/* ---- under load ---- */

static enum outcome unmount_deepest(struct worker *w, struct level *level, bool idle)
{
    const char *call;
    int error = 0;

    actor_step(w->actor, idle ? "umount of an idle level" : "umount", (int)level->index, -1);
    for (int attempt = 0; attempt < (idle ? 500 : 1); attempt++) {
        error = unmount_level(level, &call);
        if (error != EBUSY || !level->mounted)
            break;
        sleep_us(10000);
    }
    if (!error)
        return DONE;
    if (!level->mounted && level->loop_index >= 0 && error == EBUSY)
        call = "LOOP_CLR_FD that stays busy";
    else if (idle && error == EBUSY)
        call = "umount of an idle level that stays busy";
    return judge(w, call, level, -1, error, idle || !level->mounted ? 0 : MAY_BE_BUSY);
}

static enum outcome mount_deepest(struct worker *w, struct level *level)
{
    const char *call;
    int error;

    actor_step(w->actor, "mount", (int)level->index, -1);
    error = mount_level(level, &call);
    if (error)
        return judge(w, call, level, -1, error, 0);
    level->usable = true;
    return DONE;
}

/* Keep everybody out, and wait for those inside. */
static bool empty_level(struct worker *w, struct level *level)
{
    atomic_store(&level->shut, true);
    actor_step(w->actor, "waiting for a level to be idle", (int)level->index, -1);
    for (int i = 0; i < 4000 && atomic_load(&level->users); i++)
        sleep_us(1000);
    return atomic_load(&level->users) == 0;
}

enum outcome op_mount(struct worker *w)
{
    struct level *level = &torture.levels[torture.count ? torture.count - 1 : 0];
    enum outcome outcome = SKIPPED;
    bool idle = pick(w, 2);

    if (torture.count < 2 || !lock_alone(&mount_lock))
        return SKIPPED;
    if (idle && level->mounted)
        idle = empty_level(w, level);
    w->refusals = stackinfo_refusals();
    atomic_fetch_add(&torture.mounting, 1);
    if (level->mounted) {
        atomic_fetch_add(&level->epoch, 1);
        outcome = unmount_deepest(w, level, idle);
    }
    if (!level->mounted && outcome != FAILED && pick(w, 4))
        outcome = mount_deepest(w, level);
    if (level->mounted)
        atomic_fetch_add(&level->epoch, 1);
    atomic_fetch_add(&torture.mounting, 1);
    atomic_store(&level->shut, false);
    unlock(&mount_lock);
    return outcome;
}
