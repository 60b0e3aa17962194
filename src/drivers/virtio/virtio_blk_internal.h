// SPDX-License-Identifier: MIT
/*
 * What the two halves of the disk driver share: virtio_blk.c (requests), virtio_blk_attach.c
 * (finding disks).
 */
#pragma once

#include <block/bdev.h>
#include <drivers/virtio/virtio.h>
#include <rt/timer.h>

#define VBLK_REQUESTS 64u             /* in flight at most; they fill less than a page */

/*
 * What the device reads and writes of a request besides the data. In page memory. Source: virtio
 * 1.2, 5.2.6.
 */
struct vblk_slot {
    uint32_t type, reserved;
    uint64_t sector;
    uint8_t status;
    uint8_t pad[7];
    struct bio *bio;                  /* ours */
    struct vblk_slot *next_free;      /* ours */
};
_Static_assert(VBLK_REQUESTS * sizeof(struct vblk_slot) <= PAGE_BYTES, "slots fit their page");

struct vblk {
    struct bdev bdev;
    struct virtio_device virtio;
    struct irq irq;
    struct timer watchdog;
    struct spinlock lock;             /* everything below; taken in interrupts */
    struct virtqueue queue;
    struct vblk_slot *slots, *free_slots;
    struct list in_flight;            /* bios, oldest first */
    struct list waiting;              /* bios for which there was no room */
    bool dead;
    uint32_t error_count;
};

extern const struct bdev_ops vblk_bdev_ops;
extern const struct irq_ops vblk_irq_ops;
extern const struct timer_ops vblk_watchdog_ops;
