// SPDX-License-Identifier: MIT
/* A disk that is a table of pages. */
#include <drivers/ram.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/page.h>

#define RAM_MAJOR 1u
#define RAM_MAX 256u

struct ram_disk {
    struct bdev bdev;
    uint64_t page_count;
    char **pages;
};

static uint8_t minors[RAM_MAX / 8];
static struct spinlock minors_lock = SPINLOCK_NAMED("ram minors");    /* minors */

static void ram_copy(struct ram_disk *ram, enum bio_op op, uint64_t offset, char *data,
                     uint32_t bytes)
{
    while (bytes) {
        uint32_t start = offset % PAGE_BYTES;
        uint32_t part = MIN(bytes, PAGE_BYTES - start);
        char *at = ram->pages[offset / PAGE_BYTES] + start;
        if (op == BIO_WRITE)
            memcpy(at, data, part);
        else
            memcpy(data, at, part);
        offset += part;
        data += part;
        bytes -= part;
    }
}

static void ram_submit(struct bdev *bdev, struct bio *bio)
{
    struct ram_disk *ram = bdev->driver;
    uint64_t offset = bio->sector * SECTOR_BYTES;

    for (uint32_t i = 0; i < bio->vec_count; i++) {
        ram_copy(ram, bio->op, offset, bio->vecs[i].data, bio->vecs[i].bytes);
        offset += bio->vecs[i].bytes;
    }
    bio_complete(bio, 0);
}

static const struct bdev_ops ram_bdev_ops = {.submit = ram_submit};

static int take_minor(uint32_t *out)
{
    int err = -ENOSPC;
    bool irq = spin_lock(&minors_lock);

    for (uint32_t i = 0; i < RAM_MAX && err; i++) {
        if (minors[i / 8] & (1u << i % 8))
            continue;
        minors[i / 8] |= (uint8_t)(1u << i % 8);
        *out = i;
        err = 0;
    }
    spin_unlock(&minors_lock, irq);
    return err;
}

static void give_minor(uint32_t minor)
{
    bool irq = spin_lock(&minors_lock);
    minors[minor / 8] &= (uint8_t)~(1u << minor % 8);
    spin_unlock(&minors_lock, irq);
}

static void free_pages(struct ram_disk *ram)
{
    for (uint64_t i = 0; ram->pages && i < ram->page_count; i++) {
        if (ram->pages[i])
            page_free(ram->pages[i], 0);
    }
    heap_free(ram->pages);
}

static int take_pages(struct ram_disk *ram, uint64_t bytes)
{
    ram->page_count = div_round_up(bytes, PAGE_BYTES);
    ram->pages = heap_zalloc(ram->page_count * sizeof(*ram->pages));
    if (!ram->pages)
        return -ENOMEM;
    for (uint64_t i = 0; i < ram->page_count; i++) {
        ram->pages[i] = page_alloc_zeroed(0);
        if (!ram->pages[i])
            return -ENOMEM;
    }
    return 0;
}

int ram_disk_create(const char *name, uint64_t bytes, struct bdev **out)
{
    struct ram_disk *ram = heap_zalloc(sizeof(*ram));
    uint32_t minor;
    int err;

    if (!ram)
        return -ENOMEM;
    ram->bdev = (struct bdev){.ops = &ram_bdev_ops, .driver = ram, .block_bytes = SECTOR_BYTES,
                              .sector_count = bytes / SECTOR_BYTES};
    if (str_copy(ram->bdev.name, name, BDEV_NAME_BYTES) >= BDEV_NAME_BYTES ||
        bytes < SECTOR_BYTES) {
        heap_free(ram);
        return -EINVAL;
    }
    err = take_minor(&minor);
    if (err)
        goto out_free;
    ram->bdev.dev = DEV_NUMBER(RAM_MAJOR, minor);
    err = take_pages(ram, bytes);
    if (!err)
        err = bdev_register(&ram->bdev);
    if (err)
        goto out_minor;
    *out = &ram->bdev;
    return 0;
out_minor:
    give_minor(minor);
out_free:
    free_pages(ram);
    heap_free(ram);
    return err;
}

int ram_disk_destroy(struct bdev *bdev)
{
    struct ram_disk *ram = bdev->driver;
    int err = bdev_unregister(bdev);

    if (err)
        return err;
    give_minor((uint32_t)bdev->dev & 0xff);
    free_pages(ram);
    heap_free(ram);
    return 0;
}
