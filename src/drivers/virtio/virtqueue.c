// SPDX-License-Identifier: MIT
/*
 * The split virtqueue: descriptors in a table, requests to the device through `avail`, back through
 * `used`. Free descriptors are chained through their next field.
 */
#include <drivers/virtio/virtio.h>

#include <rt/assert.h>

#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define USED_NO_NOTIFY 1u

void virtqueue_add(struct virtqueue *vq, struct virtq_chain *chain, const void *data,
                   uint32_t bytes, bool device_writes)
{
    ASSERT(vq->free_count, "room in the queue was checked before");
    uint16_t at = vq->free_head;
    struct virtq_desc *desc = &vq->desc[at];

    vq->free_head = desc->next;
    vq->free_count--;
    desc->address = arch_virt_to_phys(data);
    desc->bytes = bytes;
    desc->flags = device_writes ? DESC_WRITE : 0;
    if (chain->empty) {
        chain->head = at;
        chain->empty = false;
    } else {
        vq->desc[chain->last].next = at;
        vq->desc[chain->last].flags |= DESC_NEXT;
    }
    chain->last = at;
}

void virtqueue_push(struct virtqueue *vq, const struct virtq_chain *chain, void *token)
{
    uint16_t index = vq->avail->index;

    vq->tokens[chain->head] = token;
    vq->avail->ring[index % vq->size] = chain->head;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    vq->avail->index = (uint16_t)(index + 1);
}

void virtqueue_notify(struct virtqueue *vq)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(vq->used->flags & USED_NO_NOTIFY))
        *vq->notify = vq->index;
}

void *virtqueue_pop(struct virtqueue *vq)
{
    if (vq->used->index == vq->seen)
        return NULL;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint32_t head = vq->used->ring[vq->seen % vq->size].id;
    vq->seen++;
    ASSERT(head < vq->size && vq->tokens[head], "the device returns what it was given");

    void *token = vq->tokens[head];
    vq->tokens[head] = NULL;
    uint16_t last = (uint16_t)head;
    uint32_t count = 1;
    while (vq->desc[last].flags & DESC_NEXT) {
        last = vq->desc[last].next;
        count++;
    }
    vq->desc[last].next = vq->free_head;
    vq->free_head = (uint16_t)head;
    vq->free_count += count;
    return token;
}
