// SPDX-License-Identifier: MIT
/*
 * The partition table of the master boot record: four primary partitions, of which one may be an
 * extended one, which holds logical ones (5, 6, …) in a chain of blocks like the first.
 *
 * Source: the format as fdisk writes it (UEFI 2.10, 5.2.1; the chain is described nowhere official).
 */
#include <block/partition_internal.h>

#include <lib/bits.h>
#include <lib/string.h>
#include <rt/log.h>

#define TABLE_OFFSET 446u
#define ENTRY_BYTES 16u
#define ENTRIES 4u
#define SIGNATURE_OFFSET 510u
#define SIGNATURE 0xaa55u
#define CHAIN_MAX 64u                 /* a chain that is longer is a loop */
#define LOGICAL_FIRST 5u

#define TYPE_PROTECTIVE 0xeeu

struct mbr_entry {
    uint8_t flags, type;
    uint32_t first, count;
};

static struct mbr_entry entry_at(const uint8_t *block, unsigned index)
{
    const uint8_t *at = block + TABLE_OFFSET + index * ENTRY_BYTES;

    return (struct mbr_entry){
        .flags = at[0], .type = at[4], .first = le32(at + 8), .count = le32(at + 12)};
}

static bool is_extended(const struct mbr_entry *e)
{
    return e->type == 0x05 || e->type == 0x0f || e->type == 0x85;
}

bool mbr_is_valid(const struct partition_table *table, bool *protects)
{
    if (le16(table->block + SIGNATURE_OFFSET) != SIGNATURE)
        return false;
    *protects = false;
    for (unsigned i = 0; i < ENTRIES; i++) {
        struct mbr_entry e = entry_at(table->block, i);
        if (e.flags & 0x7f)           /* the boot block of a filesystem, with code in this place */
            return false;
        *protects |= e.type == TYPE_PROTECTIVE;
    }
    return true;
}

/*
 * Each block of the chain describes one logical partition, from that block on, and names the next
 * block, from the extended partition's first on.
 */
static void read_logical(struct partition_table *table, const struct mbr_entry *extended)
{
    uint64_t at = extended->first;
    uint64_t number = LOGICAL_FIRST;
    bool protects;

    for (unsigned links = 0; links < CHAIN_MAX; links++) {
        if (partition_read(table, at) || !mbr_is_valid(table, &protects)) {
            log_warn("%s: logical partitions from %lu on are missing: no table in block %lu",
                     table->disk->name, number, at);
            return;
        }
        struct mbr_entry part = {0}, next = {0};
        for (unsigned i = 0; i < ENTRIES; i++) {
            struct mbr_entry e = entry_at(table->block, i);
            if (is_extended(&e) && !next.count)
                next = e;
            else if (e.type && e.count && !is_extended(&e) && !part.count)
                part = e;
        }
        if (part.count)
            partition_add(table, number++, at + part.first, part.count);
        if (!next.count)
            return;
        if (next.first >= extended->count) {
            log_warn("%s: logical partitions from %lu on are missing: the chain leaves the extended one",
                     table->disk->name, number);
            return;
        }
        at = (uint64_t)extended->first + next.first;
    }
    log_warn("%s: the chain of logical partitions has no end", table->disk->name);
}

void mbr_read(struct partition_table *table)
{
    struct mbr_entry extended = {0};

    for (unsigned i = 0; i < ENTRIES; i++) {
        struct mbr_entry e = entry_at(table->block, i);
        if (is_extended(&e)) {
            if (e.count && extended.count)
                log_warn("%s: a second extended partition, %u, left out", table->disk->name, i + 1);
            else
                extended = e;
        } else if (e.type && e.count) {
            partition_add(table, i + 1, e.first, e.count);
        }
    }
    if (extended.count)
        read_logical(table, &extended);
}
