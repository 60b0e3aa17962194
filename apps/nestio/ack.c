// SPDX-License-Identifier: MIT
/*
 * The file of acknowledged generations: see ack.h.
 */
#include "ack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block.h"
#include "options.h"

#define FILE_MAGIC 0x4b434131534e5053ull  /* "SPNS1ACK" */
#define LEVEL_MAGIC 0x4c564c31534e5053ull /* "SPNS1LVL" */

struct record {
    uint32_t acked;
    uint32_t issued;
    uint64_t check;
};
_Static_assert(SECTOR_BYTES % sizeof(struct record) == 0, "a record lies within one sector");

/* The first bytes of the file and of each level; the rest of their 4 KiB is not used. */
struct head {
    uint64_t magic;
    uint64_t seed;   /* file only */
    uint32_t level;  /* the file: the deepest level there is room for */
    uint32_t blocks; /* the file: the blocks there is room for in each level */
    uint64_t check;
};

enum {
    HEAD_BYTES = 4096,
    LEVEL_BYTES = HEAD_BYTES + BLOCKS_MAX * (int)sizeof(struct record),
};

static off_t level_offset(unsigned level) { return HEAD_BYTES + (off_t)level * LEVEL_BYTES; }

static uint64_t head_check(const struct head *h)
{
    return mix64(mix64(mix64(h->magic) ^ h->seed) ^ ((uint64_t)h->level << 32 | h->blocks));
}

static uint64_t record_check(unsigned level, uint32_t block, uint32_t acked, uint32_t issued)
{
    uint64_t place = (uint64_t)level << 32 | block;

    return mix64(mix64(place ^ FILE_MAGIC) ^ ((uint64_t)acked << 32 | issued));
}

static int write_whole(int fd, const void *buf, size_t bytes, off_t offset)
{
    ssize_t done = pwrite(fd, buf, bytes, offset);

    if (done < 0)
        return -errno;
    if ((size_t)done != bytes)
        return -ENOSPC;
    return fsync(fd) < 0 ? -errno : 0;
}

/* Read; what lies beyond the end of the file is zeros. */
static int read_padded(int fd, void *buf, size_t bytes, off_t offset)
{
    ssize_t got = pread(fd, buf, bytes, offset);

    if (got < 0)
        return -errno;
    memset((char *)buf + got, 0, bytes - got);
    return 0;
}

int sync_folder(const char *folder)
{
    int error = 0, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fsync(fd) < 0)
        error = -errno;
    close(fd);
    return error;
}

static bool all_zero(const struct head *h)
{
    return !h->magic && !h->seed && !h->level && !h->blocks && !h->check;
}

int ack_open(struct ack *ack, const char *folder, uint64_t seed, bool read_only)
{
    struct head head;
    char path[256];
    int error;

    snprintf(path, sizeof(path), "%s/nestio.ack", folder);
    ack->fd = open(path, (read_only ? O_RDONLY : O_RDWR | O_CREAT) | O_CLOEXEC, 0644);
    if (ack->fd < 0)
        return -errno;
    error = read_padded(ack->fd, &head, sizeof(head), 0);
    if (error)
        goto out_close;
    if (all_zero(&head) && !read_only) {
        head = (struct head){ FILE_MAGIC, seed, LEVELS_MAX, BLOCKS_MAX, 0 };
        head.check = head_check(&head);
        error = write_whole(ack->fd, &head, sizeof(head), 0);
        if (!error)
            error = sync_folder(folder);
        if (error)
            goto out_close;
    }
    error = -EILSEQ;
    if (head.magic != FILE_MAGIC || head.check != head_check(&head) || head.level != LEVELS_MAX ||
        head.blocks != BLOCKS_MAX)
        goto out_close;
    ack->seed = head.seed;
    return 0;

out_close:
    ack_close(ack);
    return error;
}

void ack_close(struct ack *ack)
{
    if (ack->fd >= 0)
        close(ack->fd);
    ack->fd = -1;
}

int ack_level(const struct ack *ack, unsigned level, uint32_t *blocks)
{
    struct head head;
    int error = read_padded(ack->fd, &head, sizeof(head), level_offset(level));

    *blocks = 0;
    if (error || all_zero(&head))
        return error;
    if (head.magic != LEVEL_MAGIC || head.check != head_check(&head) || head.level != level ||
        head.blocks == 0 || head.blocks > BLOCKS_MAX)
        return -EILSEQ;
    *blocks = head.blocks;
    return 0;
}

int ack_level_made(const struct ack *ack, unsigned level, uint32_t blocks)
{
    struct head head = { LEVEL_MAGIC, ack->seed, level, blocks, 0 };

    head.check = head_check(&head);
    return write_whole(ack->fd, &head, sizeof(head), level_offset(level));
}

int ack_load(const struct ack *ack, unsigned level, uint32_t blocks, struct ack_entry *entries)
{
    size_t bytes = blocks * sizeof(struct record);
    struct record *records = malloc(bytes);
    int error;

    if (!records)
        return -ENOMEM;
    error = read_padded(ack->fd, records, bytes, level_offset(level) + HEAD_BYTES);
    for (uint32_t i = 0; i < blocks && !error; i++) {
        const struct record *r = &records[i];
        bool unwritten = !r->acked && !r->issued && !r->check;

        entries[i].acked = r->acked;
        entries[i].issued = unwritten ? 1 : r->issued;
        entries[i].intact = unwritten || (r->check == record_check(level, i, r->acked, r->issued) &&
                                          r->acked <= r->issued);
    }
    free(records);
    return error;
}

int ack_note(const struct ack *ack, unsigned level, uint32_t block, uint32_t acked, uint32_t issued)
{
    struct record r = { acked, issued, record_check(level, block, acked, issued) };

    return write_whole(ack->fd, &r, sizeof(r),
                       level_offset(level) + HEAD_BYTES + (off_t)block * (off_t)sizeof(r));
}
