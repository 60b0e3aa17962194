// SPDX-License-Identifier: MIT
/*
 * Unmounting and syncing of mounts.
 *
 * All that needs the disk runs on the mount's write-back thread, which has stacks of its own; who
 * waits for it here holds no lock. An unmount first writes everything while the mount is in its
 * place, so an error of the disk leaves it mounted and nothing is lost; then it is taken out of the
 * tree, if it is not busy, and what was changed in between is written. A lazy unmount takes it out
 * at once and leaves the rest to a worker, which begins when the last reference has gone.
 */
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/log.h>
#include <vfs/internal.h>
#include <vfs/write_back.h>

static int super_sync(struct super *super)
{
    return super->write_back ? write_back_sync(super) : 0;
}

/* References of a mount that is in its place and used by nobody but the caller. */
#define REFS_NOT_BUSY 2u

static bool is_busy(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);
    bool busy = mount->refs > REFS_NOT_BUSY;

    spin_unlock(&mounts_lock, irq);
    return busy;
}

/* Out of the tree. Not lazy: it stays with the caller's reference alone, closed to visitors. */
static int detach(struct mount *mount, bool lazy)
{
    int err = 0;
    bool irq = spin_lock(&mounts_lock);

    if (!mount->attached)
        err = -EINVAL;
    else if (!lazy && mount->refs > REFS_NOT_BUSY)
        err = -EBUSY;
    if (!err) {
        mount->attached = false;
        mount->closing = !lazy;
        mount->point.inode->mounted_here--;
        mount->refs--;
    }
    spin_unlock(&mounts_lock, irq);
    return err;
}

static void reattach(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);

    mount->attached = true;
    mount->closing = false;
    mount->point.inode->mounted_here++;
    mount->refs++;
    spin_unlock(&mounts_lock, irq);
}

static void take_out(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);

    list_remove(&mount->link);
    spin_unlock(&mounts_lock, irq);
}

/* Uses up the caller's reference. */
static int unmount(struct mount *mount, bool lazy)
{
    int err = -EBUSY;

    if (mount == root_mount || (!lazy && is_busy(mount)))
        goto out_put;
    err = super_sync(mount->super);
    if (err && !lazy)
        goto out_put;
    err = detach(mount, lazy);
    if (err || lazy)
        goto out_put; /* lazy: the last reference starts mount_finish() */
    mount_wait_pins(mount);
    err = super_sync(mount->super);
    if (err) {
        reattach(mount);
        goto out_put;
    }
    take_out(mount);
    mount_destroy(mount);
    return 0;
out_put:
    mount_put(mount);
    return err;
}

/*
 * The end of a mount that was detached lazily, has no reference left and was set closing by the
 * caller.
 */
static int close_detached(struct mount *mount)
{
    mount_wait_pins(mount);
    int err = super_sync(mount->super);
    if (err) {
        bool irq = spin_lock(&mounts_lock);
        mount->closing = false;
        mount->finish_failed = true;
        spin_unlock(&mounts_lock, irq);
        return err;
    }
    take_out(mount);
    mount_destroy(mount);
    return 0;
}

static void mount_finish(struct work *work)
{
    struct mount *mount = container_of(work, struct mount, finish);
    bool irq = spin_lock(&mounts_lock);

    ASSERT(!mount->refs && !mount->attached, "only a lazy unmount ends by itself");
    mount->closing = true;
    spin_unlock(&mounts_lock, irq);
    int err = close_detached(mount);
    if (err)
        log_warn("the end of a lazy unmount failed: %s", errno_name(err));
}

const struct work_ops mount_finish_ops = { .execute = mount_finish };

/* Waits until the worker has ended the lazy unmounts that were due. */
struct worker_mark {
    struct work work;
    struct completion reached;
};

static void worker_mark_reached(struct work *work)
{
    completion_signal(&container_of(work, struct worker_mark, work)->reached);
}

static const struct work_ops worker_mark_ops = { .execute = worker_mark_reached };

static void wait_for_worker(void)
{
    struct worker_mark mark;

    work_init(&mark.work, &worker_mark_ops);
    completion_init(&mark.reached);
    work_queue(&mark.work);
    completion_wait(&mark.reached, WAIT_FOREVER);
}

int vfs_unmount(const char *target, bool lazy)
{
    struct path path;
    int err = path_walk(NULL, target, WALK_FOLLOW, &path);

    if (err)
        return err;
    if (path.inode != path.mount->super->root) {
        path_put(&path);
        return -EINVAL;
    }
    inode_put(path.inode);
    return unmount(path.mount, lazy);
}

/* ---- all of them ---- */

int vfs_sync_all(void)
{
    int first = 0;
    struct mount *mount = mount_before(UINT32_MAX);

    while (mount) {
        uint32_t id = mount->id;
        int err = super_sync(mount->super);
        if (err && !first)
            first = err;
        mount_unpin(mount);
        mount = mount_before(id);
    }
    return first;
}

/* Takes one name out of a directory. */
struct one_name {
    struct dir_sink sink;
    char name[NAME_BYTES_MAX + 1];
    uint32_t mode;
    bool full;
};

static bool one_name_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                          uint32_t mode, uint64_t next_offset)
{
    struct one_name *one = container_of(sink, struct one_name, sink);

    (void)number;
    (void)next_offset;
    if (one->full)
        return false;
    memcpy(one->name, name, length);
    one->name[length] = 0;
    one->mode = mode;
    one->full = true;
    return true;
}

static const struct dir_sink_ops one_name_ops = { .emit = one_name_emit };

#define LOOP_CLR_FD 0x4C01u

/*
 * Loop devices that nothing is mounted from any more give their files back; other devices don't
 * know the call.
 */
static void detach_loops(void)
{
    struct path dev;
    struct file *dir, *node;
    struct one_name *one = heap_zalloc(sizeof(*one));

    if (!one)
        return;
    one->sink.ops = &one_name_ops;
    if (path_walk(NULL, "/dev", WALK_FOLLOW | WALK_DIRECTORY, &dev))
        goto out_free;
    if (vfs_open(&dev, ".", OPEN_READ | OPEN_DIRECTORY, 0, &dir))
        goto out_dev;
    for (;;) {
        one->full = false;
        if (vfs_readdir(dir, &one->sink) || !one->full)
            break;
        if ((one->mode & MODE_TYPE) != MODE_BLOCK || vfs_open(&dev, one->name, OPEN_READ, 0, &node))
            continue;
        vfs_ioctl(node, LOOP_CLR_FD, 0);
        file_put(node);
    }
    file_put(dir);
out_dev:
    path_put(&dev);
out_free:
    heap_free(one);
}

/* Takes the pin. -EBUSY: still referred to. */
static int unmount_pinned(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);
    bool attached = mount->attached, failed = mount->finish_failed;

    if (attached)
        mount->refs++;
    else if (failed)
        mount->closing = true;
    mount->finish_failed = false;
    spin_unlock(&mounts_lock, irq);
    mount_unpin(mount);
    if (attached)
        return unmount(mount, false);
    return failed ? close_detached(mount) : -EBUSY;
}

/*
 * One pass over the table; whether any mount has gone. @err: the first error but -EBUSY; @busy:
 * some are.
 */
static bool unmount_pass(int *err, bool *busy)
{
    bool progress = false;
    struct mount *mount;

    *busy = false;
    wait_for_worker();
    for (uint32_t id = UINT32_MAX; (mount = mount_before(id)) != NULL;) {
        id = mount->id;
        if (mount->permanent) {
            mount_unpin(mount);
            continue;
        }
        int result = unmount_pinned(mount);
        if (!result) {
            progress = true;
            detach_loops();
        } else if (result == -EBUSY) {
            *busy = true;
        } else if (!*err) {
            *err = result;
            console_printf("spillway: %s: not unmounted, what is not written is lost: %s\n",
                           mount->super->source, errno_name(result));
        }
    }
    return progress;
}

int vfs_unmount_all(void)
{
    int err = 0;
    bool busy;

    cwd_reset();
    detach_loops();
    while (unmount_pass(&err, &busy))
        ;
    int sync_err = vfs_sync_all();
    if (!err)
        err = sync_err;
    return err ? err : busy ? -EBUSY : 0;
}
