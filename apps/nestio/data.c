// SPDX-License-Identifier: MIT
/*
 * The data file of a level, /nestio: made once, sparse, with a size that the level's free space
 * bears even after every hole in the level's next.img is filled too. See tower.h.
 */
#include "tower.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "trouble.h"

/* Levels that nestio.ack is given room for when --levels does not say how many there are. */
enum { ACK_LEVELS_GUESS = 16 };

/* What /next.img of a level will still take when every hole in it is filled. */
static int room_of_next(const struct level *level, uint64_t block_bytes, uint64_t *bytes)
{
    uint64_t pointers = block_bytes / 4, size, filled;
    struct stat image;
    char path[256];

    *bytes = 0;
    snprintf(path, sizeof(path), "%s/next.img", level->folder);
    if (stat(path, &image) < 0)
        return errno == ENOENT ? 0 : -errno;
    size = (uint64_t)image.st_size;
    filled = (uint64_t)image.st_blocks * 512;
    if (filled < size) /* and its indirect blocks */
        *bytes = size - filled + size / pointers + size / pointers / pointers + 4 * block_bytes;
    return 0;
}

/* What nestio.ack will take: a page for each head and whole pages of records. */
static uint64_t room_of_ack(const struct options *o)
{
    uint64_t level_count = o->levels_given ? o->levels + 1 : ACK_LEVELS_GUESS;

    return 4096 + level_count * (4096 + ((uint64_t)o->blocks * 16 + 4095) / 4096 * 4096);
}

/* How many blocks the free space of a level bears; 0: none. */
static int blocks_that_fit(const struct options *o, const struct level *level, uint32_t *blocks)
{
    struct statfs fs;
    uint64_t room, held;
    int error;

    if (statfs(level->folder, &fs) < 0)
        return -errno;
    room = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    error = room_of_next(level, (uint64_t)fs.f_bsize, &held);
    if (error)
        return error;
    held += 4 * (uint64_t)fs.f_bsize; /* folders, the data file's own indirect blocks */
    if (level->index == 0)
        held += room_of_ack(o);
    room = room > held ? (room - held) / 4 * 3 / BLOCK_BYTES : 0;
    *blocks = room < o->blocks ? room : o->blocks;
    return 0;
}

/* Give the new, empty file its size. */
static int make_data(struct tower *tower, struct level *level, const char **call)
{
    int error;

    *call = "statfs";
    error = blocks_that_fit(tower->options, level, &level->blocks);
    if (error)
        return error;
    *call = "making of the data file: too little free space";
    if (level->blocks == 0)
        return -ENOSPC;
    *call = "ftruncate of the data file";
    if (ftruncate(level->fd, (off_t)level->blocks * BLOCK_BYTES) < 0)
        return -errno;
    *call = "fsync of the data file";
    if (fsync(level->fd) < 0)
        return -errno;
    *call = "fsync of the folder";
    return sync_folder(level->folder);
}

/* A file without a note in the ack file: a power cut came between the two. Take it as it is. */
static int adopt_data(struct level *level, const struct stat *st, const char **call)
{
    if (st->st_size % BLOCK_BYTES || st->st_size > (off_t)BLOCKS_MAX * BLOCK_BYTES) {
        trouble_say("level %u: %s/nestio has %lld bytes: it was not made by nestio", level->index,
                    level->folder, (long long)st->st_size);
        *call = NULL;
        return -EINVAL;
    }
    level->blocks = st->st_size / BLOCK_BYTES;
    return 0;
}

static int make_state(struct level *level, const char **call)
{
    *call = "memory for the blocks";
    if (!level->state && level->blocks)
        level->state = calloc(level->blocks, sizeof(*level->state));
    return !level->state && level->blocks ? -ENOMEM : 0;
}

/* The file must be there, and of the size that is known. */
static int check_size(struct level *level, uint32_t known, const struct stat *st, const char **call)
{
    if (st->st_size != (off_t)known * BLOCK_BYTES) {
        trouble_wrong_say("level %u: %s/nestio has %lld bytes, it must have %lld", level->index,
                          level->folder, (long long)st->st_size, (long long)known * BLOCK_BYTES);
        *call = NULL;
        return -EINVAL;
    }
    level->blocks = known;
    return 0;
}

int level_open_data(struct tower *tower, struct level *level, bool again, const char **call)
{
    bool verify = tower->options->verify;
    char path[256];
    struct stat st;
    uint32_t known;
    int error, flags;

    *call = "read of nestio.ack";
    error = ack_level(&tower->ack, level->index, &known);
    if (error == -EILSEQ) {
        trouble_wrong_say("level %u: its head in nestio.ack is damaged", level->index);
        *call = NULL;
    }
    if (error)
        return error;
    if (verify && !known)
        return 0; /* nothing was ever acknowledged here */
    snprintf(path, sizeof(path), "%s/nestio", level->folder);
    *call = "open of the data file";
    flags = verify ? O_RDONLY : known || again ? O_RDWR : O_RDWR | O_CREAT;
    level->fd = open(path, flags | O_CLOEXEC, 0644);
    if (level->fd < 0 && errno == ENOENT) {
        trouble_wrong_say("level %u: %s is gone; nestio.ack knows %u blocks of it", level->index,
                          path, known);
        *call = NULL;
        return -ENOENT;
    }
    if (level->fd < 0)
        return -errno;
    *call = "fstat of the data file";
    if (fstat(level->fd, &st) < 0)
        return -errno;
    if (known || again) {
        error = check_size(level, again ? level->blocks : known, &st, call);
    } else {
        error = st.st_size ? adopt_data(level, &st, call) : make_data(tower, level, call);
        if (!error) {
            *call = "write of nestio.ack";
            error = ack_level_made(&tower->ack, level->index, level->blocks);
        }
    }
    return error ? error : make_state(level, call);
}
