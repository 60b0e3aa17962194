// SPDX-License-Identifier: MIT
/*
 * What stands in a file: units of 512 bytes that say themselves what they are (seed, file, unit,
 * generation), with a checksum and a pattern that follows from all of it. Generation 0 is zeros.
 */
#ifndef TORTURE_CONTENT_H
#define TORTURE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

/* What a unit must be. */
struct unit_id {
    uint64_t seed;
    uint32_t level;
    uint32_t file;
    uint32_t unit;
    uint32_t generation;
};

/** unit_fill() - make a unit at @at, UNIT_BYTES aligned to 8. */
void unit_fill(void *at, const struct unit_id *id);

/** unit_check() - NULL if the unit is right, else what is wrong with it. */
const char *unit_check(const void *at, const struct unit_id *id);

/** zero_check() - whether @bytes are all zero. */
bool zero_check(const void *at, uint32_t bytes);

/** unit_generation() - the generation that a wrong unit claims, for a note. */
long unit_generation(const void *at);

#endif
