// SPDX-License-Identifier: MIT
/* From a partition table to block devices. Reading the tables is in gpt.c and mbr.c. */
#include <block/partition_internal.h>

#include <lib/errno.h>
#include <lib/format.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/page.h>

int partition_read(struct partition_table *table, uint64_t lba)
{
    struct bdev *disk = table->disk;

    if (lba >= table->block_count)
        return -EIO;
    struct bio *bio = bio_alloc(disk, BIO_READ, lba * (disk->block_bytes / SECTOR_BYTES));
    if (!bio)
        return -ENOMEM;
    bio_add(bio, table->block, disk->block_bytes);
    return bio_submit_wait(bio);
}

void partition_add(struct partition_table *table, uint64_t number, uint64_t first, uint64_t count)
{
    const char *disk = table->disk->name;

    if (number > PARTITIONS_MAX) {
        log_warn("%s: partition %lu left out: only %u are known", disk, number, PARTITIONS_MAX);
        return;
    }
    if (!first || first >= table->block_count || !count || count > table->block_count - first) {
        log_warn("%s: partition %lu left out: blocks %lu + %lu are not inside the disk's %lu", disk,
                 number, first, count, table->block_count);
        return;
    }
    for (uint32_t i = 0; i < table->count; i++) {
        const struct partition *other = &table->parts[i];
        if (first < other->first + other->count && other->first < first + count) {
            log_warn("%s: partition %lu left out: it overlaps partition %u", disk, number,
                     other->number);
            return;
        }
    }
    table->parts[table->count++] = (struct partition){(uint32_t)number, first, count};
}

static int register_one(struct bdev *disk, const struct partition *part)
{
    uint64_t sectors = disk->block_bytes / SECTOR_BYTES;
    struct bdev *bdev = heap_zalloc(sizeof(*bdev));

    if (!bdev)
        return -ENOMEM;
    bdev->ops = disk->ops;
    bdev->driver = disk->driver;
    bdev->whole = disk;
    bdev->start_sector = part->first * sectors;
    bdev->sector_count = part->count * sectors;
    bdev->block_bytes = disk->block_bytes;
    bdev->read_only = disk->read_only;
    bdev->has_cache = disk->has_cache;
    bdev->vecs_max = disk->vecs_max;
    bdev->dev = disk->dev + part->number;
    struct strbuf name;
    strbuf_init(&name, bdev->name, sizeof(bdev->name));
    strbuf_printf(&name, "%s%u", disk->name, part->number);
    int err = bdev_register(bdev);
    if (err) {
        heap_free(bdev);
        return err;
    }
    log_info("%s: %lu KiB from sector %lu on", bdev->name, bdev->sector_count / 2,
             bdev->start_sector);
    return 0;
}

static void read_table(struct partition_table *table)
{
    bool protects = false;
    int err = partition_read(table, 0);

    if (err) {
        log_warn("%s: its partition table cannot be read: %s", table->disk->name, errno_name(err));
        return;
    }
    if (!mbr_is_valid(table, &protects))
        return;
    if (protects) {
        gpt_read(table);
        return;
    }
    mbr_read(table);
}

unsigned partition_scan_disk(struct bdev *disk)
{
    struct partition_table *table = heap_zalloc(sizeof(*table));
    unsigned made = 0;

    if (!table)
        return 0;
    table->disk = disk;
    table->block_count = disk->sector_count / (disk->block_bytes / SECTOR_BYTES);
    table->block = page_alloc(0);
    if (table->block) {
        read_table(table);
        for (uint32_t i = 0; i < table->count; i++) {
            int err = register_one(disk, &table->parts[i]);
            made += !err;
            if (err)
                log_warn("%s: partition %u: %s", disk->name, table->parts[i].number,
                         errno_name(err));
        }
        page_free(table->block, 0);
    }
    heap_free(table);
    return made;
}

void partition_scan(void)
{
    struct bdev *disk;

    for (uint32_t i = 0; (disk = bdev_by_index(i)) != NULL; i++)
        if (disk->ops->submit && !disk->whole && disk->sector_count)
            partition_scan_disk(disk);
}
