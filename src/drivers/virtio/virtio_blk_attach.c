// SPDX-License-Identifier: MIT
/* Finding virtio disks and making block devices of them. */
#include <drivers/virtio/virtio_blk.h>
#include <drivers/virtio/virtio_blk_internal.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <rt/page.h>

#define VBLK_MAJOR 254u
#define VBLK_MINORS 16u
#define VBLK_MAX 16u

#define F_SEG_MAX (UINT64_C(1) << 2)
#define F_RO (UINT64_C(1) << 5)
#define F_BLK_SIZE (UINT64_C(1) << 6)
#define F_FLUSH (UINT64_C(1) << 9)

#define CONFIG_CAPACITY 0u
#define CONFIG_SEG_MAX 12u
#define CONFIG_BLK_SIZE 20u

static uint32_t disk_count;

/* Fills in the block device from the features and the configuration. */
static int describe(struct vblk *vblk, uint64_t features)
{
    struct bdev *bdev = &vblk->bdev;

    bdev->ops = &vblk_bdev_ops;
    bdev->driver = vblk;
    bdev->dev = DEV_NUMBER(VBLK_MAJOR, disk_count * VBLK_MINORS);
    bdev->sector_count = virtio_config64(&vblk->virtio, CONFIG_CAPACITY);
    bdev->block_bytes = features & F_BLK_SIZE ? virtio_config32(&vblk->virtio, CONFIG_BLK_SIZE)
                                              : SECTOR_BYTES;
    bdev->read_only = features & F_RO;
    bdev->has_cache = features & F_FLUSH;
    bdev->vecs_max = features & F_SEG_MAX ? virtio_config32(&vblk->virtio, CONFIG_SEG_MAX) : 1;
    bdev->vecs_max = MIN(bdev->vecs_max, vblk->queue.size - 2);
    bdev->vecs_max = MIN(MAX(bdev->vecs_max, 1u), (uint32_t)BIO_VECS_MAX);
    bdev->name[0] = 'v';
    bdev->name[1] = 'd';
    bdev->name[2] = (char)('a' + disk_count);
    if (vblk->queue.size < 3)         /* header, one piece of data, status */
        return -EOPNOTSUPP;
    if (bdev->block_bytes < SECTOR_BYTES || bdev->block_bytes > PAGE_BYTES ||
        !is_pow2(bdev->block_bytes))
        return -EOPNOTSUPP;
    return 0;
}

static int make_slots(struct vblk *vblk)
{
    vblk->slots = page_alloc_zeroed(0);
    if (!vblk->slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < VBLK_REQUESTS; i++) {
        vblk->slots[i].next_free = vblk->free_slots;
        vblk->free_slots = &vblk->slots[i];
    }
    return 0;
}

/*
 * *what says at which step it failed. What a failure leaves behind (mapped registers, a vector) is
 * not taken back: the device stays unused.
 */
static int attach(struct vblk *vblk, const struct pci_device *pci, const char **what)
{
    uint64_t features;

    *what = "the modern interface";
    int err = virtio_find(pci, &vblk->virtio);
    if (err)
        return err;
    vblk->irq.ops = &vblk_irq_ops;
    spin_name(&vblk->lock, "virtio disk");
    list_init(&vblk->in_flight);
    list_init(&vblk->waiting);
    timer_init(&vblk->watchdog, &vblk_watchdog_ops);
    err = make_slots(vblk);
    *what = err ? "memory" : "features";
    if (!err)
        err = virtio_negotiate(&vblk->virtio, F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH, &features);
    if (!err) {
        *what = "MSI-X";
        err = pci_msix_use(pci, &vblk->irq);
    }
    if (!err) {
        *what = "the queue";
        err = virtqueue_start(&vblk->virtio, 0, &vblk->queue);
    }
    if (!err) {
        *what = "the size of its blocks";
        err = describe(vblk, features);
    }
    if (!err) {
        *what = "its name";
        virtio_ready(&vblk->virtio);
        err = bdev_register(&vblk->bdev);
    }
    if (err) {
        virtio_reset(&vblk->virtio);
        virtio_failed(&vblk->virtio);
    }
    return err;
}

static void attach_one(const struct pci_device *pci)
{
    const char *what = "memory, or more than 16 disks";
    struct vblk *vblk = disk_count < VBLK_MAX ? heap_zalloc(sizeof(*vblk)) : NULL;
    int err = vblk ? attach(vblk, pci, &what) : -ENOSPC;

    if (err) {
        log_error("pci %02x:%02x.%x: virtio disk cannot be used: %s: %s", pci->bus, pci->slot,
                  pci->function, what, errno_name(-err));
        return;
    }
    disk_count++;
    uint64_t kib = vblk->bdev.sector_count * SECTOR_BYTES >> 10;
    log_info("%s: %lu KiB, blocks of %u bytes%s%s", vblk->bdev.name, kib, vblk->bdev.block_bytes,
             vblk->bdev.read_only ? ", read-only" : "",
             vblk->bdev.has_cache ? ", with a write cache" : "");
}

int virtio_blk_init(void)
{
    struct pci_scan scan = {0};
    struct pci_device pci;

    while (pci_next(&scan, &pci)) {
        if (pci.vendor == VIRTIO_PCI_VENDOR &&
            (pci.device == VIRTIO_PCI_DEVICE_BLK || pci.device == VIRTIO_PCI_DEVICE_BLK_OLD))
            attach_one(&pci);
    }
    return 0;
}
