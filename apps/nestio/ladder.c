// SPDX-License-Identifier: MIT
/*
 * The ladder of mounts: level after level up, innermost first down. See tower.h.
 */
#include "tower.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/actor.h"
#include "common/loop.h"
#include "common/mounts.h"
#include "common/stackinfo.h"
#include "trouble.h"

/* What became of one level. */
enum outcome { OUTCOME_UP, OUTCOME_END, OUTCOME_REFUSED, OUTCOME_FAILED };

int tower_init(struct tower *tower, const struct options *options)
{
    unsigned count = options->levels + 1;

    memset(tower, 0, sizeof(*tower));
    tower->options = options;
    tower->ack.fd = -1;
    tower->levels = calloc(count, sizeof(*tower->levels));
    if (!tower->levels || posix_memalign(&tower->buf, BLOCK_BYTES, BLOCK_BYTES))
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        struct level *level = &tower->levels[i];

        level->index = i;
        level->loop_index = -1;
        level->fd = -1;
        snprintf(level->folder, sizeof(level->folder), "%s/l%u", options->root, i);
    }
    return 0;
}

/* Whether something is mounted on a folder: then it is on another device than its parent. */
static bool is_mount_point(const char *folder, const char *parent)
{
    struct stat inner, outer;

    return stat(folder, &inner) == 0 && stat(parent, &outer) == 0 && inner.st_dev != outer.st_dev;
}

/* The name of a mount in a message; EINVAL is what a bad file system gives. */
static const char *mount_call(int error)
{
    return error == -EINVAL ? "mount (no ext2 there, or a damaged one)" : "mount";
}

/* Mount the disk; or use it where it is mounted already. */
static int mount_level_0(struct tower *tower, const char **call)
{
    const struct options *o = tower->options;
    struct level *level = &tower->levels[0];
    struct stat st;
    int error;

    *call = "stat of the disk";
    if (stat(o->disk, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode)) {
        tower->borrowed = true;
        snprintf(level->folder, sizeof(level->folder), "%s", o->disk);
        level->mounted = true;
        return 0;
    }
    *call = "mkdir";
    error = make_folder(level->folder);
    if (error)
        return error;
    error = mount(o->disk, level->folder, "ext2", o->verify ? MS_RDONLY : 0, NULL) < 0 ? -errno : 0;
    *call = mount_call(error);
    level->mounted = !error;
    if (error == -EBUSY && is_mount_point(level->folder, o->root)) {
        level->mounted = true;
        error = 0;
    } else if (error == -EBUSY) {
        *call = "mount (is it mounted elsewhere? then give --disk that folder)";
    }
    return error;
}

/* Mount level @index from /next.img of the one above. -ENOENT with *call NULL: there is none. */
static int mount_level_above(struct tower *tower, unsigned index, const char **call)
{
    struct level *level = &tower->levels[index];
    char image[256];
    struct stat st;
    int error;

    snprintf(image, sizeof(image), "%s/next.img", tower->levels[index - 1].folder);
    *call = "stat of next.img";
    if (stat(image, &st) < 0) {
        if (errno == ENOENT)
            *call = NULL;
        return -errno;
    }
    *call = "mkdir";
    error = make_folder(level->folder);
    if (error)
        return error;
    *call = "mount (something is mounted there already: unmount it first)";
    if (is_mount_point(level->folder, tower->options->root))
        return -EBUSY;
    error = mount_next(tower->levels[index - 1].folder, level->folder, tower->options->verify,
                       &level->loop_index, call);
    level->mounted = !error;
    if (error && level->loop_index >= 0)
        *call = mount_call(error);
    return error;
}

/* Close, unmount and detach one level. Errors: a negative errno; *call is what failed. */
static int level_down(struct tower *tower, struct level *level, const char **call)
{
    if (level->index == 0)
        ack_close(&tower->ack);
    if (level->fd >= 0)
        close(level->fd);
    level->fd = -1;
    level->up = false;
    *call = "umount";
    if (level->mounted && !(level->index == 0 && tower->borrowed)) {
        if (umount2(level->folder, 0) < 0)
            return -errno;
    }
    level->mounted = false;
    *call = "LOOP_CLR_FD";
    if (level->loop_index >= 0) {
        int error = loop_detach(level->loop_index);
        if (error)
            return error;
    }
    level->loop_index = -1;
    return 0;
}

static int open_ack(struct tower *tower, const char **call)
{
    const struct options *o = tower->options;

    *call = "open of nestio.ack";
    int error = ack_open(&tower->ack, tower->levels[0].folder, o->seed, o->verify);
    if (error == -EILSEQ) {
        trouble_wrong_say("level 0: %s/nestio.ack is damaged or not ours", tower->levels[0].folder);
        *call = NULL;
    } else if (error == -ENOENT && o->verify) {
        *call = "open of nestio.ack (nestio has not run on this disk yet)";
    }
    return error;
}

/* The end of the tower was found where next.img of level @index - 1 should be. */
static enum outcome no_next(struct tower *tower, unsigned index, bool again)
{
    uint32_t blocks = 0;

    if (again || tower->options->levels_given) {
        trouble_say("level %u: there is no %s/next.img", index, tower->levels[index - 1].folder);
        return OUTCOME_FAILED;
    }
    if (ack_level(&tower->ack, index, &blocks) == 0 && blocks) {
        trouble_wrong_say("level %u: nestio.ack knows %u blocks of it, but %s/next.img is gone",
                          index, blocks, tower->levels[index - 1].folder);
        return OUTCOME_FAILED;
    }
    return OUTCOME_END;
}

static enum outcome level_up(struct tower *tower, unsigned index, bool again)
{
    struct level *level = &tower->levels[index];
    uint64_t before = stackinfo_refusals();
    const char *call, *ignored;
    int error;

    main_step("mounting", index);
    if (index == 0)
        error = mount_level_0(tower, &call);
    else
        error = mount_level_above(tower, index, &call);
    if (error == -ENOENT && !call)
        return no_next(tower, index, again);
    if (!error && index == 0)
        error = open_ack(tower, &call);
    if (!error)
        error = level_open_data(tower, level, again, &call);
    if (!error) {
        level->up = true;
        return OUTCOME_UP;
    }
    if (stackinfo_refused(before, error)) {
        printf("nestio: level %u: %s was refused for want of a stack\n", index, call);
        level->refused = true;
        level->refused_count++;
        level_down(tower, level, &ignored);
        return OUTCOME_REFUSED;
    }
    if (call)
        trouble_say("level %u: %s: %s: %s (errno %d)", index,
                    index == 0 ? tower->options->disk : level->folder, call, strerror(-error),
                    -error);
    level_down(tower, level, &ignored);
    return OUTCOME_FAILED;
}

int tower_up(struct tower *tower, bool again)
{
    unsigned most = again ? tower->count : tower->options->levels + 1;
    unsigned index;
    int error = make_folder(tower->options->root);

    if (error && !stackinfo_refused(0, error)) {
        trouble_say("%s: mkdir: %s (errno %d)", tower->options->root, strerror(-error), -error);
        return -1;
    }
    for (index = 0; index < most; index++) {
        enum outcome outcome = level_up(tower, index, again);

        if (outcome == OUTCOME_FAILED)
            return -1;
        if (outcome != OUTCOME_UP)
            break;
        if (!again)
            tower->count = index + 1;
    }
    return 0;
}

int tower_down(struct tower *tower)
{
    for (unsigned i = tower->options->levels + 1; i-- > 0;) {
        struct level *level = &tower->levels[i];
        uint64_t before = stackinfo_refusals();
        const char *call;
        int error;

        if (!level->mounted && level->loop_index < 0)
            continue;
        main_step("unmounting", i);
        error = level_down(tower, level, &call);
        if (!error)
            continue;
        if (stackinfo_refused(before, error)) {
            printf("nestio: level %u: %s was refused for want of a stack\n", i, call);
            level->refused_count++;
        } else {
            trouble_say("level %u: %s: %s (errno %d)", i, call, strerror(-error), -error);
        }
        return -1;
    }
    return 0;
}
