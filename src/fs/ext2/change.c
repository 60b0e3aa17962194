// SPDX-License-Identifier: MIT
/*
 * The gate, the pins and the dirty marks: how a change in memory is remembered until it is on the
 * disk.
 *
 * A block that a change modifies is not marked dirty in the device's cache at once, but pinned here
 * by number; a sync marks the pinned blocks dirty kind by kind, when it is their turn. So nothing
 * can write a block before its time.
 */
#include <fs/ext2/ext2_fs.h>
#include <rt/heap.h>

/* ---- the gate ---- */

void ext2_gate_init(struct ext2_gate *gate)
{
    mutex_init_level(&gate->lock, "ext2 gate's mutex", 0);
    cond_init(&gate->moved);
    gate->inside = 0;
    gate->closed = false;
}

int ext2_enter(struct ext2_fs *fs)
{
    if (fs->super->read_only || fs->frozen)
        return -EROFS;
    ext2_enter_always(fs);
    return 0;
}

void ext2_enter_always(struct ext2_fs *fs)
{
    struct ext2_gate *gate = &fs->gate;
    lock_order_take(&gate->dep, gate, 0, 0, LOCK_WHERE);
    mutex_lock(&gate->lock);
    while (gate->closed)
        cond_wait(&gate->moved, &gate->lock, WAIT_FOREVER);
    gate->inside++;
    mutex_unlock(&gate->lock);
    lock_order_got(&gate->dep, gate, 0, 0, LOCK_WHERE);
}

void ext2_leave(struct ext2_fs *fs)
{
    struct ext2_gate *gate = &fs->gate;
    lock_order_drop(&gate->dep, gate, 0, LOCK_WHERE);
    mutex_lock(&gate->lock);
    ASSERT(gate->inside > 0, "left the gate without having entered");
    if (--gate->inside == 0)
        cond_broadcast(&gate->moved);
    mutex_unlock(&gate->lock);
}

void ext2_close_gate(struct ext2_fs *fs)
{
    struct ext2_gate *gate = &fs->gate;
    lock_order_take(&gate->dep, gate, 0, 0, LOCK_WHERE);
    mutex_lock(&gate->lock);
    while (gate->closed)
        cond_wait(&gate->moved, &gate->lock, WAIT_FOREVER);
    gate->closed = true;
    while (gate->inside)
        cond_wait(&gate->moved, &gate->lock, WAIT_FOREVER);
    mutex_unlock(&gate->lock);
    lock_order_got(&gate->dep, gate, 0, 0, LOCK_WHERE);
}

void ext2_open_gate(struct ext2_fs *fs)
{
    struct ext2_gate *gate = &fs->gate;
    lock_order_drop(&gate->dep, gate, 0, LOCK_WHERE);
    mutex_lock(&gate->lock);
    ASSERT(gate->closed, "opened a gate that was open");
    gate->closed = false;
    cond_broadcast(&gate->moved);
    mutex_unlock(&gate->lock);
}

/* ---- pins ---- */

static struct list *bucket_of(struct ext2_fs *fs, uint64_t block)
{
    return &fs->pins[block % EXT2_PIN_BUCKETS];
}

static struct ext2_pin *find_pin(struct ext2_fs *fs, uint64_t block)
{
    struct ext2_pin *pin;
    list_for_each (pin, bucket_of(fs, block), link)
        if (pin->buf->block == block)
            return pin;
    return NULL;
}

static void drop_pin(struct ext2_pin *pin)
{
    buf_put(pin->buf);
    heap_free(pin);
}

int ext2_pin(struct ext2_change *change, struct buf *buf, enum ext2_pin_kind kind)
{
    struct ext2_pin *pin = heap_alloc(sizeof(*pin));
    if (!pin)
        return -ENOMEM;
    buf_ref(buf);
    pin->buf = buf;
    pin->kind = kind;
    list_push_back(&change->pins, &pin->link);
    return 0;
}

void ext2_change_commit(struct ext2_fs *fs, struct ext2_change *change)
{
    struct list *link;
    while ((link = list_pop_front(&change->pins))) {
        struct ext2_pin *pin = list_entry(link, struct ext2_pin, link);
        bool irq = spin_lock(&fs->list_lock);
        bool known = find_pin(fs, pin->buf->block);
        if (!known) {
            list_push_back(bucket_of(fs, pin->buf->block), &pin->link);
            fs->pin_count++;
        }
        spin_unlock(&fs->list_lock, irq);
        if (known)
            drop_pin(pin);
    }
}

void ext2_change_cancel(struct ext2_change *change)
{
    struct list *link;
    while ((link = list_pop_front(&change->pins)))
        drop_pin(list_entry(link, struct ext2_pin, link));
}

void ext2_mark_buf(struct ext2_fs *fs, struct buf *buf)
{
    if (buf->uptodate)
        buf_mark_dirty(buf);
    else
        ext2_damaged(fs, 0, "a block in use was freed elsewhere", buf->block);
}

void ext2_forget_block(struct ext2_fs *fs, uint32_t block)
{
    bool irq = spin_lock(&fs->list_lock);
    struct ext2_pin *pin = find_pin(fs, block);
    if (pin) {
        list_remove(&pin->link);
        fs->pin_count--;
    }
    spin_unlock(&fs->list_lock, irq);
    if (pin)
        drop_pin(pin);
    buf_forget(fs->bdev, block);
}

/* ---- dirty inodes ---- */

void ext2_mark(struct ext2_inode *ei, bool structural)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    bool hold = false;
    bool irq = spin_lock(&fs->list_lock);
    if (structural)
        ei->changed_seq = fs->change_seq;
    ei->stale = true;
    if (!ei->dirty) {
        ei->dirty = true;
        ei->dirty_ref = hold = ei->inode.nlink > 0;
        list_push_back(&fs->dirty, &ei->dirty_link);
    }
    spin_unlock(&fs->list_lock, irq);
    if (hold)
        inode_ref(&ei->inode);
}

void ext2_unmark(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    bool irq = spin_lock(&fs->list_lock);
    bool held = ei->dirty && ei->dirty_ref;
    if (ei->dirty)
        list_remove(&ei->dirty_link);
    ei->dirty = ei->dirty_ref = false;
    spin_unlock(&fs->list_lock, irq);
    if (held)
        inode_put(&ei->inode);
}

void ext2_orphaned(struct ext2_inode *ei)
{
    struct ext2_fs *fs = ext2_of(&ei->inode);
    bool irq = spin_lock(&fs->list_lock);
    bool held = ei->dirty && ei->dirty_ref;
    ei->dirty_ref = false;
    spin_unlock(&fs->list_lock, irq);
    if (held)
        inode_put(&ei->inode);
}
