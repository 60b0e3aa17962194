// SPDX-License-Identifier: MIT
/*
 * The GUID partition table. The header in block 1 counts if its checksum, its place and the checksum
 * of the entries hold; else the backup in the disk's last block.
 *
 * Source: UEFI 2.10, 5.3.
 */
#include <block/partition_internal.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/log.h>

#define HEADER_BYTES_MIN 92u
#define ENTRY_BYTES_MIN 128u
#define ENTRY_BYTES_MAX 4096u
#define ENTRIES_BYTES_MAX (1u << 20)

struct gpt_header {
    uint64_t first_usable, last_usable, entries_lba;
    uint32_t entry_count, entry_bytes, entries_crc;
};

static uint32_t crc32(uint32_t crc, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return crc;
}

/* What is wrong with the header in table->block, which was read from @lba; NULL: nothing. */
static const char *check_header(struct partition_table *table, uint64_t lba, struct gpt_header *out)
{
    uint8_t *block = table->block;
    uint32_t bytes = le32(block + 12);
    uint32_t crc = le32(block + 16);

    if (memcmp(block, "EFI PART", 8))
        return "no signature";
    if (bytes < HEADER_BYTES_MIN || bytes > table->disk->block_bytes)
        return "the header's size";
    memset(block + 16, 0, 4);
    if (~crc32(~0u, block, bytes) != crc)
        return "the header's checksum";
    if (le64(block + 24) != lba)
        return "the header's place";
    *out = (struct gpt_header){
        .first_usable = le64(block + 40), .last_usable = le64(block + 48),
        .entries_lba = le64(block + 72), .entry_count = le32(block + 80),
        .entry_bytes = le32(block + 84), .entries_crc = le32(block + 88)};
    if (out->first_usable > out->last_usable || out->last_usable >= table->block_count)
        return "the usable blocks";
    if (out->entry_bytes < ENTRY_BYTES_MIN || out->entry_bytes > ENTRY_BYTES_MAX ||
        !is_pow2(out->entry_bytes) ||
        (uint64_t)out->entry_count * out->entry_bytes > ENTRIES_BYTES_MAX)
        return "the number or size of entries";
    return NULL;
}

/* Entry @index is read into table->block, if it is not there; NULL: it cannot be read. */
static const uint8_t *entry_at(struct partition_table *table, const struct gpt_header *header,
                               uint32_t index, uint64_t *loaded)
{
    uint64_t at = (uint64_t)index * header->entry_bytes;
    uint64_t lba = header->entries_lba + at / table->disk->block_bytes;

    /* An entry that is larger than a block: only its beginning matters. */
    if (lba != *loaded && partition_read(table, lba))
        return NULL;
    *loaded = lba;
    return table->block + at % table->disk->block_bytes;
}

static const char *check_entries(struct partition_table *table, const struct gpt_header *header)
{
    uint64_t left = (uint64_t)header->entry_count * header->entry_bytes;
    uint32_t crc = ~0u;

    for (uint64_t lba = header->entries_lba; left; lba++) {
        size_t part = (size_t)MIN(left, (uint64_t)table->disk->block_bytes);
        if (lba < 2 || partition_read(table, lba))
            return "the entries cannot be read";
        crc = crc32(crc, table->block, part);
        left -= part;
    }
    return ~crc == header->entries_crc ? NULL : "the entries' checksum";
}

static void take_entries(struct partition_table *table, const struct gpt_header *header)
{
    static const uint8_t unused[16];
    uint64_t loaded = 0;

    for (uint32_t i = 0; i < header->entry_count; i++) {
        const uint8_t *entry = entry_at(table, header, i, &loaded);
        if (!entry)
            return;
        if (!memcmp(entry, unused, sizeof(unused)))
            continue;
        uint64_t first = le64(entry + 32), last = le64(entry + 40);
        if (first < header->first_usable || last > header->last_usable || last < first)
            log_warn("%s: partition %u left out: blocks %lu to %lu are not in the usable %lu to %lu",
                     table->disk->name, i + 1, first, last, header->first_usable,
                     header->last_usable);
        else
            partition_add(table, i + 1ull, first, last - first + 1);
    }
}

/* The table whose header is in block @lba; NULL: taken, else what is wrong. */
static const char *try_at(struct partition_table *table, uint64_t lba)
{
    struct gpt_header header;
    const char *wrong = "the header cannot be read";

    if (!partition_read(table, lba))
        wrong = check_header(table, lba, &header);
    if (!wrong)
        wrong = check_entries(table, &header);
    if (!wrong)
        take_entries(table, &header);
    return wrong;
}

bool gpt_read(struct partition_table *table)
{
    const char *disk = table->disk->name;
    const char *wrong = try_at(table, 1);

    if (!wrong)
        return true;
    const char *backup = try_at(table, table->block_count - 1);
    if (backup)
        log_warn("%s: no partitions: its GPT is broken (%s), its backup too (%s)", disk, wrong,
                 backup);
    else
        log_warn("%s: its GPT is broken (%s): the backup is used", disk, wrong);
    return !backup;
}
