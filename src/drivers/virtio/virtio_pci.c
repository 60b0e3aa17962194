// SPDX-License-Identifier: MIT
/* A virtio device's registers on PCI: finding them, the handshake, features, starting queues. */
#include <drivers/virtio/virtio.h>

#include <lib/errno.h>
#include <lib/string.h>
#include <rt/page.h>

/* struct virtio_pci_cap, offsets in configuration space */
#define CAP_TYPE 3u
#define CAP_BAR 4u
#define CAP_OFFSET 8u
#define CAP_LENGTH 12u
#define CAP_NOTIFY_MULTIPLIER 16u
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };

/* struct virtio_pci_common_cfg */
#define COMMON_DEVICE_FEATURE_SELECT 0u
#define COMMON_DEVICE_FEATURE 4u
#define COMMON_DRIVER_FEATURE_SELECT 8u
#define COMMON_DRIVER_FEATURE 12u
#define COMMON_CONFIG_VECTOR 16u
#define COMMON_STATUS 20u
#define COMMON_GENERATION 21u
#define COMMON_QUEUE_SELECT 22u
#define COMMON_QUEUE_SIZE 24u
#define COMMON_QUEUE_VECTOR 26u
#define COMMON_QUEUE_ENABLE 28u
#define COMMON_QUEUE_NOTIFY 30u
#define COMMON_QUEUE_DESC 32u
#define COMMON_QUEUE_DRIVER 40u
#define COMMON_QUEUE_DEVICE 48u
#define COMMON_BYTES 56u

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u
#define STATUS_FAILED 128u
#define NO_VECTOR 0xffffu
#define RESET_TRIES 100000u
#define CONFIG_TRIES 100u

static uint8_t get8(volatile uint8_t *base, uint32_t offset)
{
    return base[offset];
}
static uint16_t get16(volatile uint8_t *base, uint32_t offset)
{
    return *(volatile uint16_t *)(base + offset);
}
static uint32_t get32(volatile uint8_t *base, uint32_t offset)
{
    return *(volatile uint32_t *)(base + offset);
}
static void set8(volatile uint8_t *base, uint32_t offset, uint8_t value)
{
    base[offset] = value;
}
static void set16(volatile uint8_t *base, uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)(base + offset) = value;
}
static void set32(volatile uint8_t *base, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)(base + offset) = value;
}
static void set64(volatile uint8_t *base, uint32_t offset, uint64_t value)
{
    set32(base, offset, (uint32_t)value);
    set32(base, offset + 4, (uint32_t)(value >> 32));
}

/* Maps what capability type @type describes; the first one that can be mapped counts. */
static int map_part(struct virtio_device *dev, uint8_t type, uint32_t bytes_min,
                    volatile uint8_t **out, uint32_t *bytes, uint32_t *cap_out)
{
    const struct pci_device *pci = &dev->pci;
    volatile void *registers;
    uint32_t cap = 0;
    int err = -ENODEV;

    while ((cap = pci_find_cap(pci, PCI_CAP_VENDOR, cap))) {
        if (pci_read8(pci, cap + CAP_TYPE) != type)
            continue;
        *bytes = pci_read32(pci, cap + CAP_LENGTH);
        if (*bytes < bytes_min)
            continue;
        err = pci_map(pci, pci_read8(pci, cap + CAP_BAR), pci_read32(pci, cap + CAP_OFFSET), *bytes,
                      &registers);
        if (err)
            continue;
        *out = registers;
        *cap_out = cap;
        return 0;
    }
    return err;
}

bool virtio_reset(struct virtio_device *dev)
{
    set8(dev->common, COMMON_STATUS, 0);
    for (unsigned i = 0; i < RESET_TRIES; i++) {
        if (get8(dev->common, COMMON_STATUS) == 0)
            return true;
        arch_relax();
    }
    return false;
}

void virtio_failed(struct virtio_device *dev)
{
    set8(dev->common, COMMON_STATUS, get8(dev->common, COMMON_STATUS) | STATUS_FAILED);
}

int virtio_find(const struct pci_device *pci, struct virtio_device *dev)
{
    uint32_t bytes, cap;

    *dev = (struct virtio_device){.pci = *pci};
    pci_enable(pci);
    int err = map_part(dev, CAP_COMMON, COMMON_BYTES, &dev->common, &bytes, &cap);
    if (!err)
        err = map_part(dev, CAP_DEVICE, 8, &dev->config, &dev->config_bytes, &cap);
    if (!err)
        err = map_part(dev, CAP_NOTIFY, 2, &dev->notify, &bytes, &cap);
    if (err)
        return err;
    dev->notify_multiplier = pci_read32(pci, cap + CAP_NOTIFY_MULTIPLIER);
    if (!virtio_reset(dev))
        return -EIO;
    set8(dev->common, COMMON_STATUS, STATUS_ACKNOWLEDGE);
    set8(dev->common, COMMON_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    return 0;
}

int virtio_negotiate(struct virtio_device *dev, uint64_t wanted, uint64_t *accepted)
{
    uint64_t features = 0;

    for (uint32_t half = 0; half < 2; half++) {
        set32(dev->common, COMMON_DEVICE_FEATURE_SELECT, half);
        features |= (uint64_t)get32(dev->common, COMMON_DEVICE_FEATURE) << (32 * half);
    }
    features &= wanted | VIRTIO_F_VERSION_1;
    if (!(features & VIRTIO_F_VERSION_1))
        return -ENODEV;
    for (uint32_t half = 0; half < 2; half++) {
        set32(dev->common, COMMON_DRIVER_FEATURE_SELECT, half);
        set32(dev->common, COMMON_DRIVER_FEATURE, (uint32_t)(features >> (32 * half)));
    }
    uint8_t status = get8(dev->common, COMMON_STATUS) | STATUS_FEATURES_OK;
    set8(dev->common, COMMON_STATUS, status);
    if (!(get8(dev->common, COMMON_STATUS) & STATUS_FEATURES_OK))
        return -EIO;
    *accepted = features;
    return 0;
}

static void lay_out(struct virtqueue *vq, char *page)
{
    size_t avail = vq->size * sizeof(struct virtq_desc);
    size_t used = avail + sizeof(struct virtq_avail) + (vq->size + 1) * sizeof(uint16_t);

    vq->desc = (struct virtq_desc *)page;
    vq->avail = (struct virtq_avail *)(page + avail);
    vq->used = (struct virtq_used *)(page + (used + 3) / 4 * 4);
    for (uint32_t i = 0; i < vq->size; i++)
        vq->desc[i].next = (uint16_t)(i + 1);
    vq->free_count = vq->size;
}

int virtqueue_start(struct virtio_device *dev, uint16_t index, struct virtqueue *vq)
{
    volatile uint8_t *common = dev->common;

    set16(common, COMMON_CONFIG_VECTOR, NO_VECTOR);
    set16(common, COMMON_QUEUE_SELECT, index);
    uint16_t size = get16(common, COMMON_QUEUE_SIZE);
    if (!size)
        return -ENODEV;
    memset(vq, 0, sizeof(*vq));
    vq->index = index;
    vq->size = MIN((uint32_t)size, VIRTQ_SIZE_MAX);
    char *page = page_alloc_zeroed(0);
    if (!page)
        return -ENOMEM;
    lay_out(vq, page);
    set16(common, COMMON_QUEUE_SIZE, (uint16_t)vq->size);
    set16(common, COMMON_QUEUE_VECTOR, 0);
    if (get16(common, COMMON_QUEUE_VECTOR) != 0) {
        page_free(page, 0);
        return -ENODEV;
    }
    set64(common, COMMON_QUEUE_DESC, arch_virt_to_phys(vq->desc));
    set64(common, COMMON_QUEUE_DRIVER, arch_virt_to_phys((void *)vq->avail));
    set64(common, COMMON_QUEUE_DEVICE, arch_virt_to_phys((void *)vq->used));
    uint32_t slot = get16(common, COMMON_QUEUE_NOTIFY);
    vq->notify = (volatile uint16_t *)(dev->notify + slot * dev->notify_multiplier);
    set16(common, COMMON_QUEUE_ENABLE, 1);
    return 0;
}

void virtio_ready(struct virtio_device *dev)
{
    set8(dev->common, COMMON_STATUS, get8(dev->common, COMMON_STATUS) | STATUS_DRIVER_OK);
}

uint32_t virtio_config32(struct virtio_device *dev, uint32_t offset)
{
    return offset + 4 <= dev->config_bytes ? get32(dev->config, offset) : 0;
}

uint64_t virtio_config64(struct virtio_device *dev, uint32_t offset)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < CONFIG_TRIES; i++) {
        uint8_t before = get8(dev->common, COMMON_GENERATION);
        value = virtio_config32(dev, offset) | (uint64_t)virtio_config32(dev, offset + 4) << 32;
        if (get8(dev->common, COMMON_GENERATION) == before)
            break;
    }
    return value;
}
