// SPDX-License-Identifier: MIT
/*
 * Checking the whole tower: at the start against the ack file, later against what this run knows.
 * See tower.h.
 */
#include "tower.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/actor.h"
#include "common/stackinfo.h"
#include "trouble.h"

/* What reading one block to check it came to. */
enum reading { READING_GOOD, READING_WRONG, READING_REFUSED, READING_FAILED };

/* Read block @number and judge it; @pass names the occasion. A torn block is good where @state
   allows it. */
static enum reading check_block(struct tower *tower, struct level *level, uint32_t number,
                                const char *pass, struct block_finding *found)
{
    struct block_state *state = &level->state[number];
    struct block_id id = { tower->ack.seed, level->index, number };
    struct trouble t = { .call = pass,
                         .level = level->index,
                         .block = number,
                         .oldest = state->acked,
                         .newest = state->issued };
    uint64_t before = stackinfo_refusals();
    ssize_t got;

    actor_step(actor(0), pass, level->index, number);
    got = pread(level->fd, tower->buf, BLOCK_BYTES, (off_t)number * BLOCK_BYTES);
    if (got != BLOCK_BYTES) {
        t.error = got < 0 ? errno : ENODATA;
        if (stackinfo_refused(before, t.error)) {
            level->refused_count++;
            level->unchecked++;
            return READING_REFUSED;
        }
        trouble_note(&t);
        return READING_FAILED;
    }
    block_check(tower->buf, &id, state->acked, state->issued, found);
    if (found->verdict == BLOCK_GOOD || (found->verdict == BLOCK_TORN && state->torn)) {
        level->checked++;
        return READING_GOOD;
    }
    t.found = *found;
    level->wrong++;
    trouble_note(&t);
    return READING_WRONG;
}

static int load_entries(struct tower *tower, struct level *level, struct ack_entry *entries)
{
    uint64_t before = stackinfo_refusals();
    int error = ack_load(&tower->ack, level->index, level->blocks, entries);

    if (!error)
        return 0;
    if (stackinfo_refused(before, error)) {
        tower->levels[0].refused_count++;
        return error;
    }
    trouble_say("level %u: read of nestio.ack: %s (errno %d)", level->index, strerror(-error),
                -error);
    return error;
}

/* One block at the start: what the ack file says of it bounds what may be there; what is there is
   then the truth. */
static void recover_block(struct tower *tower, struct level *level, uint32_t number,
                          const struct ack_entry *entry)
{
    struct block_state *state = &level->state[number];
    struct block_finding found;

    if (!entry->intact) {
        level->wrong++;
        trouble_wrong_say("level %u block %u: its record in nestio.ack is damaged", level->index,
                          number);
        return;
    }
    state->noted_acked = entry->acked;
    state->noted_issued = entry->issued;
    state->acked = entry->acked;
    state->issued = entry->issued;
    state->torn = true; /* the last write before a power cut may have ended half-way */
    if (check_block(tower, level, number, "first check", &found) != READING_GOOD)
        return;
    state->acked = found.oldest;
    state->issued = found.newest;
    state->torn = found.verdict == BLOCK_TORN;
}

int tower_recover(struct tower *tower)
{
    struct ack_entry *entries = malloc(BLOCKS_MAX * sizeof(*entries));
    uint64_t wrong = trouble_wrong(), errors = trouble_errors();
    int error = entries ? 0 : -ENOMEM;

    if (error)
        trouble_say("no memory for the records of nestio.ack");
    for (unsigned i = 0; i < tower->count && !error; i++) {
        struct level *level = &tower->levels[i];

        if (!level->up || level->fd < 0)
            continue;
        error = load_entries(tower, level, entries);
        if (error)
            level->unchecked += level->blocks;
        for (uint32_t b = 0; b < level->blocks && !error && !trouble_too_many(); b++)
            recover_block(tower, level, b, &entries[b]);
    }
    free(entries);
    main_step(NULL, -1);
    trouble_print();
    return error || trouble_wrong() != wrong || trouble_errors() != errors ? -1 : 0;
}

/* The ack file on the disk must hold what was noted, and nothing that was not fsynced. */
static void verify_ack(struct tower *tower, struct level *level)
{
    struct ack_entry *entries = malloc(level->blocks * sizeof(*entries));

    if (!entries) {
        trouble_say("no memory for the records of nestio.ack");
        return;
    }
    if (load_entries(tower, level, entries) == 0) {
        for (uint32_t b = 0; b < level->blocks; b++) {
            const struct block_state *state = &level->state[b];

            if (entries[b].intact && entries[b].acked >= state->noted_acked &&
                entries[b].acked <= state->acked && entries[b].issued >= state->noted_issued)
                continue;
            level->wrong++;
            trouble_wrong_say("level %u block %u: nestio.ack has %s record, acked %u issued %u; "
                              "noted were %u and %u",
                              level->index, b, entries[b].intact ? "the" : "a damaged",
                              entries[b].acked, entries[b].issued, state->noted_acked,
                              state->noted_issued);
        }
    }
    free(entries);
}

void tower_verify(struct tower *tower, const char *pass, bool check_ack)
{
    struct block_finding found;

    for (unsigned i = 0; i < tower->count; i++) {
        struct level *level = &tower->levels[i];

        if (!level->up) {
            level->unchecked += level->blocks;
            continue;
        }
        for (uint32_t b = 0; b < level->blocks && !trouble_too_many(); b++)
            check_block(tower, level, b, pass, &found);
        if (check_ack)
            verify_ack(tower, level);
    }
    main_step(NULL, -1);
    trouble_print();
}
