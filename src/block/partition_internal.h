// SPDX-License-Identifier: MIT
/* What the readers of partition tables (gpt.c, mbr.c) share with partition.c. */
#pragma once

#include <block/bdev.h>
#include <block/partition.h>

struct partition {
    uint32_t number;                  /* 1 … */
    uint64_t first, count;            /* logical blocks */
};

struct partition_table {
    struct bdev *disk;
    uint64_t block_count;             /* logical blocks of the disk */
    uint8_t *block;                   /* a page; what partition_read() read last */
    uint32_t count;
    struct partition parts[PARTITIONS_MAX];
};

/* Logical block @lba of the disk into table->block; -EIO also for one outside of the disk. */
int partition_read(struct partition_table *table, uint64_t lba);
/* Takes a partition in, or says why not: its number, its place, an overlap. */
void partition_add(struct partition_table *table, uint64_t number, uint64_t first, uint64_t count);

/* gpt.c: false if there is no usable GPT. */
bool gpt_read(struct partition_table *table);
/* mbr.c: whether block 0, which is in table->block, is an MBR; @protects: of a GPT. */
bool mbr_is_valid(const struct partition_table *table, bool *protects);
/* Block 0 is in table->block. */
void mbr_read(struct partition_table *table);
