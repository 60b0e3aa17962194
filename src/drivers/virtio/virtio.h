// SPDX-License-Identifier: MIT
/*
 * Virtio devices on PCI, modern interface only, and their split virtqueues.
 *
 *     virtio_find(&pci, &dev);
 *     virtio_negotiate(&dev, wanted, &got);
 *     virtqueue_start(&dev, 0, &vq);
 *     virtio_ready(&dev);
 *
 * A virtqueue has no lock: its driver's guards it. Memory that a device reads or writes comes from
 * the page allocator, never from a stack.
 *
 * Source: virtio 1.2, chapters 2.7 (split virtqueues), 3.1 (initialisation), 4.1 (PCI).
 */
#pragma once

#include <drivers/pci/pci.h>

#define VIRTIO_PCI_VENDOR 0x1af4u
#define VIRTIO_PCI_DEVICE_BLK 0x1042u     /* 0x1040 + device type */
#define VIRTIO_PCI_DEVICE_BLK_OLD 0x1001u /* transitional: both interfaces */

#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)

struct virtio_device {
    struct pci_device pci;
    volatile uint8_t *common, *notify, *config;
    uint32_t config_bytes;
    uint32_t notify_multiplier;
};

struct virtq_desc {
    uint64_t address;
    uint32_t bytes;
    uint16_t flags, next;
};
struct virtq_avail {
    uint16_t flags, index;
    uint16_t ring[];
};
struct virtq_used_element {
    uint32_t id, bytes;
};
struct virtq_used {
    uint16_t flags, index;
    struct virtq_used_element ring[];
};

#define VIRTQ_SIZE_MAX 128u           /* then all of a queue fits one page */

struct virtqueue {
    uint32_t size;                    /* descriptors, a power of two */
    uint32_t free_count;
    uint16_t free_head;
    uint16_t seen;                    /* used elements taken so far */
    volatile uint16_t *notify;
    uint16_t index;
    struct virtq_desc *desc;
    volatile struct virtq_avail *avail;
    volatile struct virtq_used *used;
    void *tokens[VIRTQ_SIZE_MAX];     /* by first descriptor: what virtqueue_push() was given */
};

/* A request that is being put together. */
struct virtq_chain {
    uint16_t head, last;
    bool empty;
};

/*
 * Resets the device at @pci and maps its registers. -ENODEV no modern interface; -EIO no answer;
 * -ENOMEM.
 */
int virtio_find(const struct pci_device *pci, struct virtio_device *dev);
/*
 * Accepts those of @wanted that are offered. -EIO the device did not agree; -ENODEV without
 * VERSION_1.
 */
int virtio_negotiate(struct virtio_device *dev, uint64_t wanted, uint64_t *accepted);
/*
 * Sets up queue @index with MSI-X entry 0, whose interrupt must be attached. -ENOMEM; -ENODEV no
 * such queue.
 */
int virtqueue_start(struct virtio_device *dev, uint16_t index, struct virtqueue *vq);
void virtio_ready(struct virtio_device *dev);
/*
 * The device forgets everything and touches no memory any more; false: it did not say so. Any
 * context.
 */
bool virtio_reset(struct virtio_device *dev);
/* Tells the device that this driver has given up on it. */
void virtio_failed(struct virtio_device *dev);

uint32_t virtio_config32(struct virtio_device *dev, uint32_t offset);
uint64_t virtio_config64(struct virtio_device *dev, uint32_t offset);   /* read until unchanged */

/* The caller has seen to it that free_count is enough. */
void virtqueue_add(struct virtqueue *vq, struct virtq_chain *chain, const void *data,
                   uint32_t bytes, bool device_writes);
void virtqueue_push(struct virtqueue *vq, const struct virtq_chain *chain, void *token);
/* Tells the device about what was pushed, unless it asked not to be told. */
void virtqueue_notify(struct virtqueue *vq);
/* The token of a finished request, whose descriptors are free now; NULL: none. */
void *virtqueue_pop(struct virtqueue *vq);
