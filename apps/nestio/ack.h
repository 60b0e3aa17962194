// SPDX-License-Identifier: MIT
/*
 * /nestio.ack at level 0: for each block of each level the last generation that was fsynced, so
 * that a later boot can tell what must be there.
 *
 * Layout, all fixed, little-endian, nothing ever moves:
 *
 *     offset 0              the head of the file (magic, layout numbers, seed, checksum), 4 KiB
 *     4096 + level * 20480  the head of a level (magic, level, blocks, checksum), 4 KiB;
 *                           zeros: the level has no data file yet
 *        … + 4096           its records, BLOCKS_MAX of 16 bytes: acked, issued, checksum
 *
 * A record (acked, issued) says: generation `acked` is on the disk, and no generation above
 * `issued` was ever written. A record never crosses a sector, so a power cut leaves the old or the
 * new one. It is written and fsynced after the block was fsynced, and only then the generation
 * counts. So that this one write is enough, it also permits the next generation beforehand: issued
 * = acked + 1. Only when writes before it were refused is a generation above `issued`, and the
 * record is then raised before the block is written. Zeros stand for acked 0, issued 1.
 */
#ifndef NESTIO_ACK_H
#define NESTIO_ACK_H

#include <stdbool.h>
#include <stdint.h>

struct ack {
    int fd;        /* -1: not open */
    uint64_t seed; /* of the blocks' content, chosen when the file was made */
};

struct ack_entry {
    uint32_t acked;
    uint32_t issued;
    bool intact;
};

/**
 * ack_open() - open the file, or make it.
 * @ack:       filled.
 * @folder:    where level 0 is mounted.
 * @seed:      for a new file.
 * @read_only: never make or change it.
 *
 * Errors:  -ENOENT with @read_only there is none; -EILSEQ it is not a whole file of ours; else of
 * the calls.
 */
int ack_open(struct ack *ack, const char *folder, uint64_t seed, bool read_only);

/** ack_close() - close the file, if it is open. */
void ack_close(struct ack *ack);

/**
 * ack_level() - how many blocks the data file of a level has.
 * @blocks: 0 if the level has no data file yet.
 *
 * Errors:  -EILSEQ the level's head is damaged; else of the read.
 */
int ack_level(const struct ack *ack, unsigned level, uint32_t *blocks);

/**
 * ack_level_made() - note that the data file of a level exists, with @blocks blocks; durable on
 * return.
 *
 * Errors:  of the calls.
 */
int ack_level_made(const struct ack *ack, unsigned level, uint32_t blocks);

/**
 * ack_load() - read the records of a level.
 * @entries: one for each of the @blocks first blocks.
 *
 * Errors:  -ENOMEM; else of the read.
 */
int ack_load(const struct ack *ack, unsigned level, uint32_t blocks, struct ack_entry *entries);

/**
 * ack_note() - write one record; durable on return. Any thread; one at a time for the same block.
 *
 * Errors:  of the calls; the old or the new record may then be on the disk.
 */
int ack_note(const struct ack *ack, unsigned level, uint32_t block, uint32_t acked,
             uint32_t issued);

/** sync_folder() - make the entries of a folder durable. Errors: of the calls. */
int sync_folder(const char *folder);

#endif
