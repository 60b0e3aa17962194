// SPDX-License-Identifier: MIT
/*
 * Open files without a name: the ends of pipes and whatever else is only known by its descriptor.
 * They live in a filesystem of their own that is mounted nowhere and never goes away; an inode of
 * it is gone with its last file.
 */
#include <rt/heap.h>
#include <vfs/internal.h>

#define ANONYMOUS_MAGIC 0x09041934u

struct waitq vfs_events = WAITQ_INIT(vfs_events);

uint64_t vfs_events_count;

void vfs_events_changed(void)
{
    __atomic_add_fetch(&vfs_events_count, 1, __ATOMIC_SEQ_CST);
    waitq_wake(&vfs_events, WAITQ_ALL);
}

static struct inode *inode_alloc(struct super *super)
{
    (void)super;
    return heap_zalloc(sizeof(struct inode));
}

static void inode_free(struct inode *inode) { heap_free(inode); }

static int statfs(struct super *super, struct fs_stat *out)
{
    (void)super;
    out->type = ANONYMOUS_MAGIC;
    return 0;
}

static const struct super_ops anonymous_super_ops = {
    .inode_alloc = inode_alloc,
    .inode_free = inode_free,
    .statfs = statfs,
};

static const struct fs_type anonymous_type = { .name = "anonymous" };
/* Without a root: an inode that nobody refers to is freed at once. */
static struct super anonymous_super = { .type = &anonymous_type, .ops = &anonymous_super_ops };
static struct mount anonymous_mount = { .super = &anonymous_super, .permanent = true, .refs = 1 };
static uint64_t last_number; /* atomic */

int anonymous_start(void)
{
    return inode_cache_init(&anonymous_super);
}

int vfs_open_anonymous(const struct inode_ops *ops, const struct stream_ops *stream, uint32_t mode,
                       unsigned flags, void *private, struct file **out)
{
    uint64_t number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED);
    struct inode *inode;
    struct file *file = heap_zalloc(sizeof(*file));

    if (!file)
        return -ENOMEM;
    int err = inode_new(&anonymous_super, number, &inode);
    if (err) {
        heap_free(file);
        return err;
    }
    inode->ops = ops;
    inode->mode = mode;
    inode->nlink = 1;
    inode_touch(inode, true);
    inode->atime = inode->mtime;
    inode->is_new = false;
    file->path = (struct path){ &anonymous_mount, inode };
    mount_ref(&anonymous_mount);
    file->inode = inode;
    file->flags = flags;
    file->stream = stream;
    file->private = private;
    file->refs = 1;
    file->serial = file_next_serial();
    mutex_init(&file->position_lock);
    *out = file;
    return 0;
}
