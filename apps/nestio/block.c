// SPDX-License-Identifier: MIT
/*
 * The format of a data block: see block.h. Nothing here needs more than a few words of stack.
 */
#include "block.h"

#include <string.h>

#define SECTOR_MAGIC 0x4f495453454e5053ull /* "SPNESTIO" */

struct sector {
    uint64_t magic;
    uint64_t seed;
    uint32_t level;
    uint32_t number;
    uint32_t generation;
    uint32_t index; /* of this sector in its block */
    uint64_t check; /* over all else in the sector */
    uint64_t pattern[59];
};
_Static_assert(sizeof(struct sector) == SECTOR_BYTES, "a sector is 512 bytes");

uint64_t mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Where the pattern of a sector starts: it follows from everything in the head. */
static uint64_t pattern_start(const struct sector *s)
{
    uint64_t x = mix64(s->seed ^ s->magic);

    x = mix64(x ^ ((uint64_t)s->level << 32 | s->number));
    return mix64(x ^ ((uint64_t)s->generation << 32 | s->index));
}

static uint64_t sector_sum(const struct sector *s)
{
    uint64_t sum = pattern_start(s);

    for (size_t i = 0; i < sizeof(s->pattern) / sizeof(s->pattern[0]); i++)
        sum = (sum ^ s->pattern[i]) * 0x100000001b3ull;
    return mix64(sum);
}

void block_fill(void *buf, const struct block_id *id, uint32_t generation)
{
    struct sector *s = buf;

    for (uint32_t index = 0; index < SECTORS_PER_BLOCK; index++, s++) {
        uint64_t x;

        s->magic = SECTOR_MAGIC;
        s->seed = id->seed;
        s->level = id->level;
        s->number = id->number;
        s->generation = generation;
        s->index = index;
        x = pattern_start(s);
        for (size_t i = 0; i < sizeof(s->pattern) / sizeof(s->pattern[0]); i++)
            s->pattern[i] = x = x * 6364136223846793005ull + 1442695040888963407ull;
        s->check = sector_sum(s);
    }
}

static bool is_zero(const struct sector *s)
{
    const uint64_t *word = (const uint64_t *)s;

    for (size_t i = 0; i < SECTOR_BYTES / sizeof(*word); i++) {
        if (word[i])
            return false;
    }
    return true;
}

static bool is_intact(const struct sector *s)
{
    uint64_t x;

    if (s->magic != SECTOR_MAGIC || s->generation == 0 || s->check != sector_sum(s))
        return false;
    x = pattern_start(s);
    for (size_t i = 0; i < sizeof(s->pattern) / sizeof(s->pattern[0]); i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        if (s->pattern[i] != x)
            return false;
    }
    return true;
}

void block_check(const void *buf, const struct block_id *id, uint32_t oldest, uint32_t newest,
                 struct block_finding *finding)
{
    const struct sector *s = buf;

    finding->verdict = BLOCK_GOOD;
    finding->oldest = UINT32_MAX;
    finding->newest = 0;
    finding->sector = SECTORS_PER_BLOCK;
    for (uint32_t index = 0; index < SECTORS_PER_BLOCK; index++, s++) {
        uint32_t generation = 0;
        enum block_verdict verdict = BLOCK_GOOD;

        if (!is_zero(s)) {
            generation = s->generation;
            if (!is_intact(s))
                verdict = BLOCK_SPOILT;
            else if (s->seed != id->seed || s->level != id->level || s->number != id->number ||
                     s->index != index)
                verdict = BLOCK_FOREIGN;
        }
        if (verdict == BLOCK_GOOD && (generation < oldest || generation > newest))
            verdict = BLOCK_RANGE;
        if (generation < finding->oldest)
            finding->oldest = generation;
        if (generation > finding->newest)
            finding->newest = generation;
        if (verdict != BLOCK_GOOD) {
            finding->verdict = verdict;
            finding->sector = index;
            return;
        }
    }
    if (finding->oldest != finding->newest)
        finding->verdict = BLOCK_TORN;
}

const char *block_verdict_name(enum block_verdict verdict)
{
    static const char *const names[] = {
        [BLOCK_GOOD] = "good",
        [BLOCK_TORN] = "torn between generations",
        [BLOCK_RANGE] = "wrong generation",
        [BLOCK_FOREIGN] = "another block's content",
        [BLOCK_SPOILT] = "spoilt content",
    };

    return names[verdict];
}
