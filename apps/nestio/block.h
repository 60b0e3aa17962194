// SPDX-License-Identifier: MIT
/*
 * One data block: 4 KiB that say themselves what they are.
 *
 * A block is eight sectors of 512 bytes, each sealed on its own: magic, level, block number,
 * generation, seed, sector number and checksum, then a pattern that follows from all of them. So a
 * byte from anywhere else (another level, another block, an older generation, a neighbour sector)
 * is seen, and after a power cut in the middle of a write one can tell a block torn between two
 * generations from a spoilt one. A sector of zeros is generation 0: never written.
 */
#ifndef NESTIO_BLOCK_H
#define NESTIO_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOCK_BYTES = 4096, SECTOR_BYTES = 512, SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES };

/* What a block must be, whatever its generation. */
struct block_id {
    uint64_t seed;
    uint32_t level;
    uint32_t number;
};

enum block_verdict {
    BLOCK_GOOD,    /* every sector intact and in range, all of one generation */
    BLOCK_TORN,    /* every sector intact and in range, but of different generations */
    BLOCK_RANGE,   /* intact, but a generation is older or newer than it may be */
    BLOCK_FOREIGN, /* intact, but of another level, block, seed or sector */
    BLOCK_SPOILT,  /* a sector is not intact */
};

struct block_finding {
    enum block_verdict verdict;
    uint32_t oldest, newest; /* generations seen, of the sectors up to the first bad one */
    uint32_t sector;         /* the first bad one; SECTORS_PER_BLOCK if none */
};

/**
 * block_fill() - make the content of one generation of a block.
 * @buf:        BLOCK_BYTES, aligned to 8.
 * @id:         which block.
 * @generation: 1 or more.
 */
void block_fill(void *buf, const struct block_id *id, uint32_t generation);

/**
 * block_check() - judge the content of a block.
 * @buf:     BLOCK_BYTES, aligned to 8.
 * @id:      which block it must be.
 * @oldest:  the least generation allowed.
 * @newest:  the greatest generation allowed.
 * @finding: what was found.
 */
void block_check(const void *buf, const struct block_id *id, uint32_t oldest, uint32_t newest,
                 struct block_finding *finding);

/** block_verdict_name() - a verdict in words, for a message. */
const char *block_verdict_name(enum block_verdict verdict);

/** mix64() - spread the bits of @x: the finishing steps of a good hash (splitmix64). */
uint64_t mix64(uint64_t x);

#endif
