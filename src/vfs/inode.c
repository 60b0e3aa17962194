// SPDX-License-Identifier: MIT
/*
 * The inode cache, one for each super.
 *
 * An inode is found by number, read once, and stays as long as somebody refers to it; after that it
 * is idle: kept in the order of its last use up to a bound, and dropped by a worker when frames run
 * short. Who asks for an inode that is being read waits for its lock, which the reader holds. An
 * inode that could not be read is never found: those who waited try to read it themselves, since
 * the reader may have lacked a stack and they may have one.
 *
 * The last reference to an inode without links goes to write-back, which frees its blocks
 * (write_back.h); from then on it can't be found by number, so the filesystem may give the number
 * away again.
 *
 * Nothing here is held while an inode is read but that inode's own lock.
 */
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <vfs/internal.h>
#include <vfs/write_back.h>

static struct list *bucket_of(struct super *super, uint64_t number)
{
    uint64_t mixed = number * UINT64_C(0x9e3779b97f4a7c15);

    return &super->inode_buckets[mixed >> 56];
}
_Static_assert(INODE_BUCKETS == 256, "bucket_of() takes 8 bits");

int inode_cache_init(struct super *super)
{
    super->inode_buckets = heap_alloc(INODE_BUCKETS * sizeof(struct list));
    if (!super->inode_buckets)
        return -ENOMEM;
    for (unsigned i = 0; i < INODE_BUCKETS; i++)
        list_init(&super->inode_buckets[i]);
    spin_init(&super->inodes_lock, "inode cache");
    list_init(&super->inodes);
    list_init(&super->idle);
    super->inode_count = super->idle_count = 0;
    return 0;
}

void inode_cache_destroy(struct super *super)
{
    ASSERT(list_empty(&super->inodes), "an inode outlives its filesystem");
    heap_free(super->inode_buckets);
    super->inode_buckets = NULL;
}

/* The fields that are not the filesystem's; ops and private may be set already. */
static void inode_init(struct inode *inode, struct super *super, uint64_t number)
{
    inode->super = super;
    inode->number = number;
    mutex_init_class(&inode->lock, &super->type->inode_class, super->level);
    inode->mode = inode->uid = inode->gid = inode->nlink = 0;
    inode->size = inode->blocks = inode->rdev = 0;
    inode->atime = inode->mtime = inode->ctime = (struct fs_timestamp){ 0, 0 };
    inode->refs = 1;
    inode->mounted_here = 0;
    inode->mapped = 0;
    inode->is_new = true;
    inode->bad = false;
    list_init(&inode->hash_link);
    list_init(&inode->lru_link);
    list_init(&inode->bucket_link);
}

/* inodes_lock held. */
static struct inode *find(struct super *super, uint64_t number)
{
    struct list *bucket = bucket_of(super, number);
    struct inode *inode;

    list_for_each (inode, bucket, bucket_link)
        if (inode->number == number)
            return inode;
    return NULL;
}

/* inodes_lock held. */
static void insert(struct super *super, struct inode *inode)
{
    list_push_back(&super->inodes, &inode->hash_link);
    list_push_front(bucket_of(super, inode->number), &inode->bucket_link);
    super->inode_count++;
}

/* inodes_lock held. */
static void take_ref(struct super *super, struct inode *inode)
{
    if (inode->refs++ == 0) {
        list_remove(&inode->lru_link);
        super->idle_count--;
    }
}

/* inodes_lock held, nobody refers to it any more. */
static void unlink_all(struct super *super, struct inode *inode)
{
    list_remove(&inode->hash_link);
    list_remove(&inode->bucket_link);
    list_remove(&inode->lru_link);
    super->inode_count--;
}

/*
 * An inode that somebody else is reading: waits. -EAGAIN: it could not be read, the next one tries;
 * -EUCLEAN: it is no directory's yet, so the name that led here is wrong. After an error the
 * reference is gone.
 */
static int wait_read(struct inode *inode)
{
    mutex_lock_nested(&inode->lock, INODE_READING);
    int err = inode->bad ? -EAGAIN : inode->is_new ? -EUCLEAN : 0;
    mutex_unlock(&inode->lock);
    if (err)
        inode_put(inode);
    return err;
}

static int read_inserted(struct super *super, struct inode *inode)
{
    int err = super->ops->inode_read(inode);
    bool irq = spin_lock(&super->inodes_lock);

    inode->is_new = false;
    if (err) {
        inode->bad = true;
        list_remove(&inode->bucket_link);
    }
    spin_unlock(&super->inodes_lock, irq);
    mutex_unlock(&inode->lock);
    if (err)
        inode_put(inode);
    return err;
}

/* Finds and references; sets *@wait if it is being read. */
static struct inode *find_ref(struct super *super, uint64_t number, bool *wait)
{
    bool irq = spin_lock(&super->inodes_lock);
    struct inode *inode = find(super, number);

    if (inode) {
        take_ref(super, inode);
        *wait = inode->is_new;
    }
    spin_unlock(&super->inodes_lock, irq);
    return inode;
}

/* A locked inode with is_new, not yet in the cache. */
static struct inode *make(struct super *super, uint64_t number)
{
    struct inode *inode = super->ops->inode_alloc(super);

    if (inode)
        inode_init(inode, super, number);
    return inode;
}

/* False: another thread was first. */
static bool insert_unless_there(struct super *super, struct inode *inode)
{
    bool irq = spin_lock(&super->inodes_lock);
    bool first = !find(super, inode->number);

    if (first)
        insert(super, inode);
    spin_unlock(&super->inodes_lock, irq);
    return first;
}

int inode_get(struct super *super, uint64_t number, struct inode **out)
{
    for (;;) {
        bool wait = false;
        struct inode *inode = find_ref(super, number, &wait);

        if (inode) {
            int err = wait ? wait_read(inode) : 0;
            if (err == -EAGAIN)
                continue;
            if (!err)
                *out = inode;
            return err;
        }
        inode = make(super, number);
        if (!inode)
            return -ENOMEM;
        mutex_lock_nested(&inode->lock, INODE_READING);
        if (insert_unless_there(super, inode)) {
            int err = read_inserted(super, inode);
            if (!err)
                *out = inode;
            return err;
        }
        mutex_unlock(&inode->lock);
        super->ops->inode_free(inode);
    }
}

int inode_new(struct super *super, uint64_t number, struct inode **out)
{
    struct inode *stale = NULL;
    struct inode *inode = make(super, number);

    if (!inode)
        return -ENOMEM;
    bool irq = spin_lock(&super->inodes_lock);
    struct inode *old = find(super, number);
    bool used = old && old->refs;
    if (old && !used) {
        stale = old;
        super->idle_count--;
        unlink_all(super, stale);
    }
    if (!used)
        insert(super, inode);
    spin_unlock(&super->inodes_lock, irq);
    if (stale)
        super->ops->inode_free(stale);
    if (used) {
        super->ops->inode_free(inode);
        return -EUCLEAN;
    }
    *out = inode;
    return 0;
}

void inode_ref(struct inode *inode)
{
    struct super *super = inode->super;
    bool irq = spin_lock(&super->inodes_lock);

    take_ref(super, inode);
    spin_unlock(&super->inodes_lock, irq);
}

/* inodes_lock held; the last reference goes: whether write-back must free its blocks. */
static bool wants_eviction(const struct super *super, const struct inode *inode)
{
    return !inode->nlink && !inode->bad && !inode->is_new && super->ops->evict && super->write_back;
}

void inode_put(struct inode *inode)
{
    struct super *super = inode->super;
    struct inode *victim = NULL;
    bool irq = spin_lock(&super->inodes_lock);

    ASSERT(inode->refs > 0, "put only what is referenced");
    if (inode->refs > 1) {
        inode->refs--;
    } else if (wants_eviction(super, inode)) {
        list_remove(&inode->bucket_link);
        spin_unlock(&super->inodes_lock, irq);
        write_back_evict(inode);
        return;
    } else {
        inode->refs = 0;
        if (inode->bad || inode->is_new || !inode->nlink || !super->root) {
            victim = inode;
            unlink_all(super, victim);
        } else {
            list_push_back(&super->idle, &inode->lru_link);
            if (++super->idle_count > INODES_IDLE_MAX) {
                victim = list_first(&super->idle, struct inode, lru_link);
                super->idle_count--;
                unlink_all(super, victim);
            }
        }
    }
    spin_unlock(&super->inodes_lock, irq);
    if (victim)
        super->ops->inode_free(victim);
}

void inode_discard(struct inode *inode)
{
    struct super *super = inode->super;
    bool irq = spin_lock(&super->inodes_lock);

    ASSERT(inode->refs == 1, "only the last reference may discard");
    inode->refs = 0;
    unlink_all(super, inode);
    spin_unlock(&super->inodes_lock, irq);
    super->ops->inode_free(inode);
}

/* Frees idle inodes, the oldest first, until at most @keep are left. */
static void trim(struct super *super, uint32_t keep)
{
    for (;;) {
        struct inode *victim = NULL;
        bool irq = spin_lock(&super->inodes_lock);

        if (super->idle_count > keep) {
            victim = list_first(&super->idle, struct inode, lru_link);
            super->idle_count--;
            unlink_all(super, victim);
        }
        spin_unlock(&super->inodes_lock, irq);
        if (!victim)
            return;
        super->ops->inode_free(victim);
    }
}

void inode_cache_drop(struct super *super) { trim(super, 0); }

struct inode *inode_next(struct super *super, struct inode *previous)
{
    struct inode *found = NULL;
    bool irq = spin_lock(&super->inodes_lock);
    struct list *l = previous ? previous->hash_link.next : super->inodes.next;

    for (; l != &super->inodes && !found; l = l->next) {
        struct inode *inode = list_entry(l, struct inode, hash_link);
        if (inode->is_new || list_empty(&inode->bucket_link))
            continue;
        take_ref(super, inode);
        found = inode;
    }
    spin_unlock(&super->inodes_lock, irq);
    if (previous)
        inode_put(previous);
    return found;
}

/* ---- memory pressure ---- */

/* The shrinker itself may not free: it may have been called from below a filesystem's locks. */
static void shrink_execute(struct work *work)
{
    (void)work;
    struct mount *mount = mount_before(UINT32_MAX);

    while (mount) {
        uint32_t id = mount->id;
        trim(mount->super, mount->super->idle_count / 4);
        mount_unpin(mount);
        mount = mount_before(id);
    }
}

static const struct work_ops shrink_work_ops = { .execute = shrink_execute };
static struct work shrink_work;

static uint64_t shrink_inodes(struct shrinker *shrinker, uint64_t pages_wanted)
{
    (void)shrinker;
    (void)pages_wanted;
    work_queue(&shrink_work);
    return 0;
}

static const struct shrinker_ops inode_shrinker_ops = { .shrink = shrink_inodes };
static struct shrinker inode_shrinker = { .ops = &inode_shrinker_ops };

int inode_shrinker_start(void)
{
    work_init(&shrink_work, &shrink_work_ops);
    page_register_shrinker(&inode_shrinker);
    return 0;
}
