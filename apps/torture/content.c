// SPDX-License-Identifier: MIT
/* The content of files: see content.h. */
#include "content.h"

#include <string.h>

#include "torture.h"

#define UNIT_MAGIC 0x5545525554524f54ull

enum { PATTERN_WORDS = 59 };

struct unit {
    uint64_t magic;
    struct unit_id id;
    uint64_t sum; /* over all else */
    uint64_t pattern[PATTERN_WORDS];
};
_Static_assert(sizeof(struct unit) == UNIT_BYTES, "a unit has no gaps");

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 33);
}

/* Where the pattern starts: it follows from everything in the head. */
static uint64_t pattern_start(const struct unit_id *id)
{
    uint64_t x = mix(id->seed ^ UNIT_MAGIC);

    x = mix(x ^ ((uint64_t)id->level << 32 | id->file));
    return mix(x ^ ((uint64_t)id->unit << 32 | id->generation));
}

static uint64_t next(uint64_t x) { return x * 6364136223846793005ull + 1442695040888963407ull; }

static uint64_t sum_of(const struct unit *u)
{
    uint64_t sum = pattern_start(&u->id);

    for (int i = 0; i < PATTERN_WORDS; i++)
        sum = (sum ^ u->pattern[i]) * 0x100000001b3ull;
    return sum;
}

void unit_fill(void *at, const struct unit_id *id)
{
    struct unit *u = at;
    uint64_t x = pattern_start(id);

    if (id->generation == 0) {
        memset(at, 0, UNIT_BYTES);
        return;
    }
    u->magic = UNIT_MAGIC;
    u->id = *id;
    for (int i = 0; i < PATTERN_WORDS; i++)
        u->pattern[i] = x = next(x);
    u->sum = sum_of(u);
}

static bool is_intact(const struct unit *u)
{
    uint64_t x = pattern_start(&u->id);

    if (u->magic != UNIT_MAGIC || u->sum != sum_of(u))
        return false;
    for (int i = 0; i < PATTERN_WORDS; i++) {
        x = next(x);
        if (u->pattern[i] != x)
            return false;
    }
    return true;
}

const char *unit_check(const void *at, const struct unit_id *id)
{
    const struct unit *u = at;

    if (id->generation == 0)
        return zero_check(at, UNIT_BYTES) ? NULL : "a hole that is not zero";
    if (zero_check(at, UNIT_BYTES))
        return "zeros instead of what was written";
    if (!is_intact(u))
        return "spoilt content";
    if (u->id.seed != id->seed || u->id.level != id->level)
        return "the content of another level or run";
    if (u->id.file != id->file)
        return "another file's content";
    if (u->id.unit != id->unit)
        return "the content of another place in the file";
    return u->id.generation == id->generation ? NULL : "another generation";
}

bool zero_check(const void *at, uint32_t bytes)
{
    const uint64_t *word = at;

    for (uint32_t i = 0; i < bytes / sizeof(*word); i++) {
        if (word[i])
            return false;
    }
    return true;
}

long unit_generation(const void *at)
{
    const struct unit *u = at;

    return u->magic == UNIT_MAGIC ? (long)u->id.generation : 0;
}
