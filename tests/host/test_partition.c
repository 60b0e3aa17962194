// SPDX-License-Identifier: MIT
/*
 * Partition tables: those that sfdisk makes, and thousands of wrecks of them. Whatever the table says, a
 * partition lies inside the disk, and no two overlap; requests are moved and range-checked. Seeds:
 * PARTITION_SEED, PARTITION_COUNT.
 */
#include "block_fixture.h"

#include <block/partition.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <vfs/vfs.h>

const struct fs_type *const fs_types[] = {NULL};

#define DISK_BYTES MIB(8)
#define GPT_SCRIPT                                                                                  \
    "label: gpt\nfirst-lba: 34\n1 : start=2048, size=4000\n2 : start=34, size=1000\n"               \
    "9 : start=6048, size=100\n"
#define MBR_SCRIPT                                                                                  \
    "label: dos\n1 : start=63, size=1000\n2 : start=2048, size=10000, type=5\n"                     \
    "5 : start=2100, size=100\n6 : start=2300, size=500\n7 : start=4000, size=6000\n"

static struct faulty *disk;
static uint64_t random_state;

static uint64_t below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

static void make_table(const char *script, char *out)
{
    char path[] = "/tmp/partition-XXXXXX", command[600];
    int fd = mkstemp(path);

    assert_true(fd >= 0 && ftruncate(fd, DISK_BYTES) == 0);
    snprintf(command, sizeof(command), "printf '%s' | PATH=$PATH:/usr/sbin:/sbin sfdisk -q %s >/dev/null 2>&1",
             script, path);
    assert_int_equal(system(command), 0);
    assert_int_equal(pread(fd, out, DISK_BYTES, 0), DISK_BYTES);
    close(fd);
    unlink(path);
}

/* What was found, as a bit each; checks it, and takes it away again. */
static unsigned scan(void)
{
    struct bdev *parts[PARTITIONS_MAX + 1] = {0};
    unsigned found = 0, count = partition_scan_disk(&disk->bdev);

    for (unsigned n = 1; n <= PARTITIONS_MAX; n++) {
        struct bdev *b = parts[n] = bdev_find(disk->bdev.dev + n);
        if (!b)
            continue;
        found |= 1u << n;
        count--;
        assert_true(b->start_sector > 0 && b->sector_count > 0);
        assert_true(b->start_sector + b->sector_count <= DISK_BYTES / 512);
        for (unsigned other = 1; other < n; other++)
            assert_true(!parts[other] ||
                        b->start_sector >= parts[other]->start_sector + parts[other]->sector_count ||
                        parts[other]->start_sector >= b->start_sector + b->sector_count);
    }
    assert_int_equal(count, 0);
    for (unsigned n = 1; n <= PARTITIONS_MAX; n++) {
        if (!parts[n])
            continue;
        assert_int_equal(bdev_unregister(parts[n]), 0);
        heap_free(parts[n]);
    }
    return found;
}

BLOCK_TEST(test_tables)
{
    disk = faulty_create("part", DISK_BYTES, false);
    make_table(GPT_SCRIPT, disk->data);
    assert_int_equal(scan(), 1u << 1 | 1u << 2 | 1u << 9);
    memset(disk->data + 512, 0, 512);            /* the backup */
    assert_int_equal(scan(), 1u << 1 | 1u << 2 | 1u << 9);
    make_table(MBR_SCRIPT, disk->data);
    assert_int_equal(scan(), 1u << 1 | 7u << 5);
    memset(disk->data, 0, DISK_BYTES);
    assert_int_equal(scan(), 0);
    disk->fail_reads = true;
    assert_int_equal(scan(), 0);
    disk->fail_reads = false;
    faulty_destroy(disk);
}

BLOCK_TEST(test_requests)
{
    disk = faulty_create("part", DISK_BYTES, false);
    make_table(GPT_SCRIPT, disk->data);
    assert_int_equal(partition_scan_disk(&disk->bdev), 3);
    struct bdev *first, *second, *whole;
    char *page = page_alloc(0);
    assert_int_equal(bdev_open_name("part1", &first), 0);
    assert_int_equal(bdev_open_name("part2", &second), 0);
    assert_int_equal(bdev_open_name("part", &whole), 0);
    memset(page, 0x5a, 4096);
    assert_int_equal(bdev_write(first, page, 512, 3999 * 512), 512);
    assert_int_equal(bdev_write(first, page, 512, 4000 * 512), -ENOSPC);
    assert_int_equal(bdev_write(second, page, 512, 0), 512);
    assert_memory_equal(disk->data + 34 * 512, page, 512);
    assert_memory_equal(disk->data + (2048 + 3999) * 512, page, 512);
    assert_int_equal(disk->data[(2048 + 4000) * 512], 0);
    assert_int_equal(bdev_read(second, page + 512, 512, 0), 512);
    assert_memory_equal(page, page + 512, 512);
    /* The disk and its partitions exclude each other, partitions do not. */
    assert_int_equal(bdev_claim(first), 0);
    assert_int_equal(bdev_claim(second), 0);
    assert_int_equal(bdev_claim(whole), -EBUSY);
    bdev_release(first);
    bdev_release(second);
    assert_int_equal(bdev_claim(whole), 0);
    assert_int_equal(bdev_claim(first), -EBUSY);
    bdev_release(whole);
    page_free(page, 0);
    bdev_close(first);
    bdev_close(second);
    bdev_close(whole);
    for (unsigned n = 1; n <= PARTITIONS_MAX; n++) {
        struct bdev *b = bdev_find(disk->bdev.dev + n);
        if (b && !bdev_unregister(b))
            heap_free(b);
    }
    faulty_destroy(disk);
}

static uint32_t crc32(const uint8_t *data, size_t bytes)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++)
        for (unsigned bit = (crc ^= data[i], 0); bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
    return ~crc;
}

/* Checksums that hold, so that what they guard is looked at. */
static void seal(uint8_t *d, size_t header)
{
    uint64_t entries;
    uint32_t count, bytes, crc, size;
    memcpy(&entries, d + header + 72, 8);
    memcpy(&count, d + header + 80, 4);
    memcpy(&bytes, d + header + 84, 4);
    memcpy(&size, d + header + 12, 4);
    if (entries < DISK_BYTES / 512 && (uint64_t)count * bytes <= DISK_BYTES - entries * 512) {
        crc = crc32(d + entries * 512, (size_t)count * bytes);
        memcpy(d + header + 88, &crc, 4);
    }
    memset(d + header + 16, 0, 4);
    crc = crc32(d + header, size <= 512 ? size : 512);
    memcpy(d + header + 16, &crc, 4);
}

static void spoil(char *data, size_t from, size_t bytes)
{
    static const uint64_t odd[] = {0, 1, 2, 34, 0xffffffff, 0x7fffffff, UINT64_MAX, 16383, 16384, 2048};
    size_t at = from + below(bytes);
    uint64_t value = below(3) ? odd[below(sizeof(odd) / sizeof(odd[0]))] : below(UINT64_MAX);
    memcpy(data + at, &value, 1u << below(4));
}

BLOCK_TEST(test_wrecked)
{
    static const char *const scripts[] = {GPT_SCRIPT, MBR_SCRIPT};
    const char *env = getenv("PARTITION_SEED");
    uint64_t seed = env ? strtoull(env, NULL, 0) : 1, some = 0;
    env = getenv("PARTITION_COUNT");
    uint64_t count = env ? strtoull(env, NULL, 0) : 3000;
    char *pristine = malloc(DISK_BYTES);
    static char console[65536];

    disk = faulty_create("part", DISK_BYTES, false);
    for (unsigned kind = 0; kind < 2; kind++) {
        make_table(scripts[kind], pristine);
        host_console_capture(console, sizeof(console));
        memcpy(disk->data, pristine, DISK_BYTES);
        for (uint64_t i = 0; i < count; i++) {
            random_state = (seed + i) * 0x9e3779b97f4a7c15u + kind + 1;
            static const size_t mbr_at[] = {446, 2048 * 512 + 446, 2300 * 512 - 512, 446};
            for (uint64_t n = 1 + below(4); n; n--) {
                if (kind == 0)
                    spoil(disk->data, below(2) ? 512 : 1024, below(2) ? 100 : 1200);
                else
                    spoil(disk->data, mbr_at[below(4)], 66);
            }
            if (kind == 0 && below(4))
                seal((uint8_t *)disk->data, 512);
            if (kind == 0 && below(3) == 0)
                memset(disk->data + DISK_BYTES - 512, 0, 512);
            some += scan() != 0;
            memcpy(disk->data, pristine, 4096);
            memcpy(disk->data + 2047 * 512, pristine + 2047 * 512, 300 * 512);
            memcpy(disk->data + DISK_BYTES - 512, pristine + DISK_BYTES - 512, 512);
        }
        host_console_capture(NULL, 0);
    }
    print_message("%lu wrecks, %lu with partitions\n", (unsigned long)(2 * count), (unsigned long)some);
    free(pristine);
    faulty_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_wrecked),
    };
    rt_boot(MIB(64), "stack.extra=4 log=error");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
