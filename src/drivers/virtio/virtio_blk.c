// SPDX-License-Identifier: MIT
/*
 * Requests to a virtio disk. A bio becomes one chain of descriptors: header, data, status. Several
 * are in flight; when the queue or the slots are full, bios wait in order and are started as others
 * finish.
 *
 * A request that is not finished after disk.timeout (boot line) means that the device is gone: it is
 * reset, so that it touches no memory any more, and everything ends with -EIO from then on. So
 * nothing waits for ever.
 */
#include <drivers/virtio/virtio_blk_internal.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <rt/assert.h>
#include <rt/log.h>
#include <rt/param.h>

#define ERRORS_TOLD 16u               /* then only every power of two */

enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4 };
enum { STATUS_OK = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2, STATUS_NONE = 0xff };

static const char *op_name(enum bio_op op)
{
    return op == BIO_READ ? "read" : op == BIO_WRITE ? "write" : "flush";
}

static uint32_t request_type(enum bio_op op)
{
    return op == BIO_READ ? TYPE_IN : op == BIO_WRITE ? TYPE_OUT : TYPE_FLUSH;
}

static bool has_room(const struct vblk *vblk, const struct bio *bio)
{
    return vblk->free_slots && vblk->queue.free_count >= bio->vec_count + 2;
}

/* Lock held, and there is room. */
static void start(struct vblk *vblk, struct bio *bio)
{
    struct virtq_chain chain = {.empty = true};
    struct vblk_slot *slot = vblk->free_slots;

    vblk->free_slots = slot->next_free;
    slot->type = request_type(bio->op);
    slot->reserved = 0;
    slot->sector = bio->op == BIO_FLUSH ? 0 : bio->sector;
    slot->status = STATUS_NONE;
    slot->bio = bio;
    virtqueue_add(&vblk->queue, &chain, slot, offsetof(struct vblk_slot, status), false);
    for (uint32_t i = 0; i < bio->vec_count; i++)
        virtqueue_add(&vblk->queue, &chain, bio->vecs[i].data, bio->vecs[i].bytes,
                      bio->op == BIO_READ);
    virtqueue_add(&vblk->queue, &chain, &slot->status, 1, true);
    virtqueue_push(&vblk->queue, &chain, slot);

    bio->deadline_ns = arch_now_ns() + params.disk_timeout * NS_PER_S;
    if (list_empty(&vblk->in_flight) && !vblk->watchdog.armed)
        timer_start(&vblk->watchdog, bio->deadline_ns);
    list_push_back(&vblk->in_flight, &bio->link);
}

/* Lock held. Starts those that wait, as many as there is room for; whether the device is to be notified of it, without the
   lock, since that may take long. */
static bool start_waiting(struct vblk *vblk)
{
    bool any = false;

    while (!list_empty(&vblk->waiting)) {
        struct bio *bio = list_first(&vblk->waiting, struct bio, link);
        if (!has_room(vblk, bio))
            break;
        list_remove(&bio->link);
        start(vblk, bio);
        any = true;
    }
    return any;
}

static void vblk_submit(struct bdev *bdev, struct bio *bio)
{
    struct vblk *vblk = bdev->driver;

    if (bio->op == BIO_FLUSH && !bdev->has_cache) {
        bio_complete(bio, 0);
        return;
    }
    bool irq = spin_lock(&vblk->lock);
    bool dead = vblk->dead, started = false;
    if (!dead) {
        list_push_back(&vblk->waiting, &bio->link);
        started = start_waiting(vblk);
    }
    spin_unlock(&vblk->lock, irq);
    if (started)
        virtqueue_notify(&vblk->queue);
    if (dead)
        bio_complete(bio, -EIO);
}

static void tell_error(struct vblk *vblk, const struct bio *bio, uint8_t status)
{
    uint32_t count = ++vblk->error_count;

    if (count <= ERRORS_TOLD || is_pow2(count))
        log_warn("%s: %s at sector %lu: status %u, error %u of this disk", vblk->bdev.name,
                 op_name(bio->op), bio->sector, status, count);
}

/* Lock held. Moves finished bios to @finished, each with its error in place. */
static void harvest(struct vblk *vblk, struct list *finished)
{
    struct vblk_slot *slot;

    while ((slot = virtqueue_pop(&vblk->queue))) {
        struct bio *bio = slot->bio;
        uint8_t status = slot->status;
        slot->bio = NULL;
        slot->next_free = vblk->free_slots;
        vblk->free_slots = slot;
        bio->error = status == STATUS_OK ? 0 : status == STATUS_UNSUPP ? -EOPNOTSUPP : -EIO;
        if (bio->error)
            tell_error(vblk, bio, status);
        list_remove(&bio->link);
        list_push_back(finished, &bio->link);
    }
}

/* Without the lock: those who get the bios may do as they like. */
static void complete_all(struct list *finished)
{
    struct list *link;

    while ((link = list_pop_front(finished))) {
        struct bio *bio = list_entry(link, struct bio, link);
        bio_complete(bio, bio->error);
    }
}

static void vblk_interrupt(struct irq *irq)
{
    struct vblk *vblk = container_of(irq, struct vblk, irq);
    struct list finished = LIST_INIT(finished);
    bool started = false, on = spin_lock(&vblk->lock);

    if (!vblk->dead) {
        harvest(vblk, &finished);
        started = start_waiting(vblk);
    }
    spin_unlock(&vblk->lock, on);
    if (started)
        virtqueue_notify(&vblk->queue);
    complete_all(&finished);
}

/*
 * Lock held. After the reset the device reads and writes nothing any more, so the memory of these
 * requests can go back to its owners; one that does not reset is cut off from the bus instead. The
 * message comes first and straight to the console: an emulator may wait in the reset for what it
 * itself waits for.
 */
static void give_up(struct vblk *vblk, struct list *finished)
{
    struct bio *oldest = list_first(&vblk->in_flight, struct bio, link);

    vblk->dead = true;
    console_printf("%s: no answer to a %s at sector %lu for %lu s: the disk is given up\n",
                   vblk->bdev.name, op_name(oldest->op), (unsigned long)oldest->sector,
                   (unsigned long)params.disk_timeout);
    if (!virtio_reset(&vblk->virtio)) {
        log_error("%s: it does not reset, and is cut off from the bus", vblk->bdev.name);
        pci_cut_off(&vblk->virtio.pci);
    }
    list_splice_back(finished, &vblk->in_flight);
    list_splice_back(finished, &vblk->waiting);
    struct bio *bio;
    list_for_each(bio, finished, link)
        bio->error = -EIO;
}

static void vblk_watchdog(struct timer *timer)
{
    struct vblk *vblk = container_of(timer, struct vblk, watchdog);
    struct list finished = LIST_INIT(finished), lost = LIST_INIT(lost);
    bool started = false, irq = spin_lock(&vblk->lock);

    if (!vblk->dead) {
        harvest(vblk, &finished);     /* an interrupt that got lost */
        started = start_waiting(vblk);
    }
    if (!list_empty(&vblk->in_flight)) {
        struct bio *oldest = list_first(&vblk->in_flight, struct bio, link);
        if (oldest->deadline_ns > arch_now_ns())
            timer_start(&vblk->watchdog, oldest->deadline_ns);
        else
            give_up(vblk, &lost);
    }
    started &= !vblk->dead;
    spin_unlock(&vblk->lock, irq);
    if (started)
        virtqueue_notify(&vblk->queue);
    complete_all(&finished);
    complete_all(&lost);
}

const struct bdev_ops vblk_bdev_ops = {.submit = vblk_submit};
const struct irq_ops vblk_irq_ops = {.handle = vblk_interrupt};
const struct timer_ops vblk_watchdog_ops = {.fire = vblk_watchdog};
