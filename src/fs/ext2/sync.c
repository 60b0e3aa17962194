// SPDX-License-Identifier: MIT
/*
 * To the disk, in a safe order.
 *
 * Changes are made in memory: in inodes, and in blocks that are pinned but not marked dirty
 * (change.c). A full sync closes the gate, so that it sees no change half done, and writes everything
 * by kind, with a flush of the device's cache after each kind that had anything to write:
 *
 *     1  data of files; new indirect blocks and symlinks; bitmaps and counts with what was claimed;
 *        deletions and truncations that were left over are finished
 *     2  indirect blocks that were in use
 *     3  inodes that have a name
 *     4  directory blocks; of renames across blocks the new name's first, then a moved directory's
 *        "..", then the old name's, each with a flush
 *     5  inodes without a name: cleared
 *     6  what was freed is given back in the bitmaps; counts
 *
 * So at any moment on the disk: a block is initialised before a pointer leads to it (1 before 2
 * before 3; a new directory block was written, empty, when it was made); an inode is initialised
 * before a name leads to it (3 before 4); the new name of a rename is there before the old one goes
 * (4); a deleted inode keeps its contents until its name is gone (4 before 5), and a block or number
 * is given away again only after all that referred to it is gone (5 before 6). A power cut may leak
 * blocks, leave a link count wrong or an inode without a name, which e2fsck puts right; the loss of
 * a synced file, or one file's data in another, it cannot leave.
 *
 * A failure ends the sync where it is: what was not written is still dirty or pinned, nothing was
 * given back, and the next sync begins anew. Nothing is recorded about it. fsync is in fsync.c.
 *
 * One kind of failure holds up nobody else: data that the device does not take. It stays dirty, is
 * tried again by the next sync, and is reported by the fsync of its own file; the names, inodes and
 * blocks of all files go on being written.
 */
#include <fs/ext2/ext2_fs.h>
#include <rt/heap.h>

void ext2_wrote(struct ext2_fs *fs) { __atomic_fetch_add(&fs->write_seq, 1, __ATOMIC_SEQ_CST); }

int ext2_flush(struct ext2_fs *fs)
{
    uint64_t target = __atomic_load_n(&fs->write_seq, __ATOMIC_SEQ_CST);
    uint64_t flushed = __atomic_load_n(&fs->flushed_seq, __ATOMIC_SEQ_CST);
    if (flushed >= target)
        return 0;
    int err = bdev_flush(fs->bdev);
    if (err)
        return err;
    while (flushed < target &&
           !__atomic_compare_exchange_n(&fs->flushed_seq, &flushed, target, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        ;
    return 0;
}

static int write_bufs(struct ext2_fs *fs)
{
    if (!buf_dirty_count(fs->bdev))
        return 0;
    int err = buf_sync(fs->bdev);
    ext2_wrote(fs);
    return err;
}

/* ---- 1: data, leftovers ---- */

/* The next dirty file of this round, referenced. Those seen are moved to the end of the list. */
static struct ext2_inode *next_file(struct ext2_fs *fs, uint64_t round)
{
    struct ext2_inode *found = NULL;
    bool irq = spin_lock(&fs->list_lock);
    while (!found && !list_empty(&fs->dirty)) {
        struct ext2_inode *ei = list_first(&fs->dirty, struct ext2_inode, dirty_link);
        if (ei->sync_mark == round)
            break;
        ei->sync_mark = round;
        list_remove(&ei->dirty_link);
        list_push_back(&fs->dirty, &ei->dirty_link);
        if (ei->dirty_ref && mode_is_file(ei->inode.mode))
            found = ei;
    }
    if (found)
        inode_ref(&found->inode);
    spin_unlock(&fs->list_lock, irq);
    return found;
}

/*
 * data_lock held: of two walks at once each would take the other's marks for files not seen yet, for ever.
 * An error that is not the device's (no stack, no memory) ends it.
 */
static int walk_files(struct ext2_fs *fs)
{
    struct ext2_inode *ei;
    uint64_t round = ++fs->sync_round;
    int err = 0;
    while (!err && (ei = next_file(fs, round))) {
        uint64_t mark = io_refusal_mark();
        err = mapping_write_back(&ei->mapping, 0, UINT64_MAX);
        ext2_wrote(fs);
        ei->unwritten = err != 0;
        if (err == -EIO && !io_refused_since(mark))
            err = 0;
        inode_put(&ei->inode);
    }
    return err;
}

/* What is dirty now is on the device when it returns 0; whether a walk of its own did it, or one begun since. */
static int write_data(struct ext2_fs *fs)
{
    uint64_t ticket = __atomic_add_fetch(&fs->data_asked, 1, __ATOMIC_SEQ_CST);
    int err = 0;
    mutex_lock(&fs->data_lock);
    if (fs->data_done < ticket) {
        uint64_t covered = __atomic_load_n(&fs->data_asked, __ATOMIC_SEQ_CST);
        err = walk_files(fs);
        if (!err)
            fs->data_done = covered;
    }
    mutex_unlock(&fs->data_lock);
    return err;
}

/* Deleted, unused, and waiting for write-back to evict it. */
static bool awaits_eviction(const struct ext2_inode *ei)
{
    return !ei->inode.nlink && list_empty(&ei->inode.bucket_link);
}

/* Gate closed. */
static struct ext2_inode *next_leftover(struct ext2_fs *fs)
{
    struct ext2_inode *ei, *found = NULL;
    bool irq = spin_lock(&fs->list_lock);
    list_for_each (ei, &fs->dirty, dirty_link) {
        if (awaits_eviction(ei) || ei->trim_pending) {
            found = ei;
            break;
        }
    }
    spin_unlock(&fs->list_lock, irq);
    return found;
}

static int finish_leftovers(struct ext2_fs *fs)
{
    struct ext2_inode *ei;
    int err = 0;
    while (!err && (ei = next_leftover(fs))) {
        err = awaits_eviction(ei) ? ext2_evict_inside(ei) : ext2_trim_to_size(ei);
        if (err == -EUCLEAN) {
            ei->trim_pending = false; /* it never will be; e2fsck frees the rest */
            err = 0;
        }
    }
    return err;
}

/* ---- 1, 2 and 4: pinned blocks ---- */

/* When the directory block may be written; what no rename orders is like a new name. */
static uint32_t stage_of(const struct ext2_fs *fs, uint64_t block)
{
    uint32_t stage = EXT2_STAGE_NEW_NAMES;
    for (uint32_t i = 0; i < fs->order_count; i++)
        if (fs->orders[i].later == block)
            stage = MAX(stage, fs->orders[i].stage);
    return stage;
}

/* Gate closed: no pin comes or goes. Marks those of @kind dirty (names: those of @stage); whether
 * there were any. */
static bool mark_pins(struct ext2_fs *fs, enum ext2_pin_kind kind, uint32_t stage)
{
    bool any = false;
    for (uint32_t i = 0; i < EXT2_PIN_BUCKETS; i++) {
        struct ext2_pin *pin;
        list_for_each (pin, &fs->pins[i], link) {
            if (pin->kind != kind ||
                (kind == EXT2_PIN_NAMES && stage_of(fs, pin->buf->block) != stage))
                continue;
            mutex_lock(&pin->buf->lock);
            ext2_mark_buf(fs, pin->buf);
            mutex_unlock(&pin->buf->lock);
            any = true;
        }
    }
    return any;
}

/* They are written. */
static void drop_pins(struct ext2_fs *fs, enum ext2_pin_kind kind)
{
    for (uint32_t i = 0; i < EXT2_PIN_BUCKETS; i++) {
        struct ext2_pin *pin, *next;
        list_for_each_safe (pin, next, &fs->pins[i], link) {
            if (pin->kind != kind)
                continue;
            list_remove(&pin->link);
            fs->pin_count--;
            buf_put(pin->buf);
            heap_free(pin);
        }
    }
}

/* What nothing leads to yet, and the bitmaps that say it is taken. */
static int write_claims(struct ext2_fs *fs)
{
    ext2_store_counts(fs);
    mark_pins(fs, EXT2_PIN_FRESH, 0);
    int err = write_bufs(fs);
    if (!err)
        drop_pins(fs, EXT2_PIN_FRESH);
    return err;
}

static int write_pointers(struct ext2_fs *fs)
{
    if (!mark_pins(fs, EXT2_PIN_POINTERS, 0))
        return 0;
    int err = write_bufs(fs);
    if (!err)
        drop_pins(fs, EXT2_PIN_POINTERS);
    return err ? err : ext2_flush(fs);
}

static int write_names(struct ext2_fs *fs)
{
    int err = 0;
    for (uint32_t stage = EXT2_STAGE_NEW_NAMES; stage <= EXT2_STAGE_OLD_NAMES && !err; stage++) {
        if (!fs->pin_count || (stage && !fs->order_count))
            continue;
        err = ext2_flush(fs); /* the inodes; the stage before */
        if (!err && mark_pins(fs, EXT2_PIN_NAMES, stage))
            err = write_bufs(fs);
    }
    if (err)
        return err;
    drop_pins(fs, EXT2_PIN_NAMES);
    fs->order_count = 0;
    return 0;
}

/* ---- 3 and 5: inodes ---- */

/* Gate closed. Stores those with a name, or those without. */
static void store_inodes(struct ext2_fs *fs, bool named)
{
    struct ext2_inode *ei;
    list_for_each (ei, &fs->dirty, dirty_link)
        if (ei->stale && (ei->inode.nlink > 0) == named)
            ext2_inode_store(ei);
}

static bool any_structural(struct ext2_fs *fs)
{
    struct ext2_inode *ei;
    if (fs->pin_count || fs->order_count || !list_empty(&fs->dead))
        return true;
    list_for_each (ei, &fs->dirty, dirty_link)
        if (ei->stale && ei->changed_seq > fs->synced_seq)
            return true;
    return false;
}

static int clear_deleted(struct ext2_fs *fs)
{
    struct ext2_dead *dead;
    if (list_empty(&fs->dead) && !fs->pending_blocks)
        return 0;
    int err = ext2_flush(fs); /* the directories */
    if (err)
        return err;
    store_inodes(fs, false);
    list_for_each (dead, &fs->dead, link)
        ext2_dead_store(fs, dead);
    err = write_bufs(fs);
    return err ? err : ext2_flush(fs);
}

/* ---- 6: what was freed ---- */

static int release_freed(struct ext2_fs *fs)
{
    struct list *link;
    while ((link = list_pop_front(&fs->dead))) {
        struct ext2_dead *dead = list_entry(link, struct ext2_dead, link);
        ext2_unclaim_inode(fs, dead->number, dead->directory);
        buf_put(dead->table);
        heap_free(dead);
        fs->pending_inodes--;
    }
    ext2_release_pending(fs);
    ext2_store_counts(fs);
    return write_bufs(fs);
}

/* ---- all of it ---- */

/* Inodes with a name leave the list, but for those whose data is not on the disk: -EIO. */
static int clean_inodes(struct ext2_fs *fs)
{
    bool unwritten = false;
    for (;;) {
        struct ext2_inode *ei, *found = NULL;
        bool irq = spin_lock(&fs->list_lock);
        list_for_each (ei, &fs->dirty, dirty_link) {
            unwritten |= ei->unwritten;
            if (ei->inode.nlink && !ei->unwritten) {
                found = ei;
                break;
            }
        }
        spin_unlock(&fs->list_lock, irq);
        if (!found)
            return unwritten ? -EIO : 0;
        ext2_unmark(found);
    }
}

static int sync_closed(struct ext2_fs *fs)
{
    uint64_t seq = fs->change_seq++;
    int err = write_data(fs);
    if (!err)
        err = finish_leftovers(fs);
    if (err)
        return err;
    bool structural = any_structural(fs);
    err = write_claims(fs);
    if (!err && structural)
        err = ext2_flush(fs);
    if (!err)
        err = write_pointers(fs);
    if (!err) {
        store_inodes(fs, true);
        err = write_bufs(fs);
    }
    if (!err)
        err = write_names(fs);
    if (!err)
        err = clear_deleted(fs);
    if (!err)
        err = release_freed(fs);
    if (!err)
        err = ext2_flush(fs);
    if (!err) {
        __atomic_store_n(&fs->data_error, clean_inodes(fs), __ATOMIC_RELAXED);
        __atomic_store_n(&fs->synced_seq, seq, __ATOMIC_RELEASE);
    }
    return err;
}

int ext2_sync_fs(struct ext2_fs *fs)
{
    if (fs->super->read_only)
        return 0;
    int err = write_data(fs); /* most of it, while others go on */
    if (err)
        return err;
    ext2_close_gate(fs);
    err = sync_closed(fs);
    ext2_open_gate(fs);
    return err;
}

int ext2_sync_all(struct ext2_fs *fs)
{
    int err = ext2_sync_fs(fs);
    return err ? err : __atomic_load_n(&fs->data_error, __ATOMIC_RELAXED);
}

int ext2_sync_super(struct super *super) { return ext2_sync_all(ext2_of_super(super)); }

/* Each deletion kicks write-back, which evicts; that alone is no reason for a sync. */
#define SYNC_INTERVAL_NS (NS_PER_S + NS_PER_S / 2)

int ext2_write_some(struct super *super)
{
    struct ext2_fs *fs = ext2_of_super(super);
    uint64_t now = arch_now_ns();
    if (now < fs->next_sync_ns && !mapping_dirty_many())
        return 0;
    fs->next_sync_ns = now + SYNC_INTERVAL_NS;
    return ext2_sync_all(fs);
}

bool ext2_sync_frees(struct ext2_fs *fs)
{
    if (__atomic_load_n(&fs->pending_blocks, __ATOMIC_RELAXED) ||
        __atomic_load_n(&fs->pending_inodes, __ATOMIC_RELAXED))
        return true;
    return next_leftover(fs) != NULL;
}
