// SPDX-License-Identifier: MIT
/*
 * Making loop devices, giving them contents, taking them away.
 *
 * A loop's level is one above what its file lies on. A file that lies on the loop itself, however
 * many levels below, is refused with -ELOOP. loop_lock is held from that check to the binding, so
 * two loops cannot be given each other at the same time. Loops are never freed: who found one in
 * the registry may still look at it.
 */
#include <drivers/stacked/loop_internal.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/heap.h>

#define FIRST_LOOPS 8u

struct mutex loop_lock = MUTEX_INIT(loop_lock);
static struct loop *loops[LOOP_MAX];                   /* loop_lock */

/* ---- devices ---- */

struct loop *loop_by_index(uint32_t index)
{
    return index < LOOP_MAX && loops[index] && loops[index]->registered ? loops[index] : NULL;
}

int loop_make(uint32_t index, struct loop **out)
{
    if (index >= LOOP_MAX)
        return -ENOSPC;
    if (loop_by_index(index))
        return -EEXIST;
    struct loop *loop = loops[index] ? loops[index] : heap_zalloc(sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loops[index] = loop;
    spin_name(&loop->file_lock, "loop file");
    loop->index = index;
    loop->bdev = (struct bdev){.ops = &loop_bdev_ops, .driver = loop, .block_bytes = SECTOR_BYTES,
                               .dev = DEV_NUMBER(LOOP_MAJOR, index), .level = 1, .has_cache = true};
    snprintf(loop->bdev.name, BDEV_NAME_BYTES, "loop%u", index);
    int err = bdev_register(&loop->bdev);
    loop->registered = !err;
    *out = loop;
    return err;
}

int loop_remove(uint32_t index)
{
    struct loop *loop = loop_by_index(index);

    if (!loop)
        return -ENODEV;
    if (loop->file)
        return -EBUSY;
    int err = bdev_unregister(&loop->bdev);
    if (!err)
        loop->registered = false;
    return err;
}

int loop_find_free(struct loop **out)
{
    for (uint32_t i = 0; i < LOOP_MAX; i++) {
        if (!loop_by_index(i))
            return loop_make(i, out);
        if (!loops[i]->file) {
            *out = loops[i];
            return 0;
        }
    }
    return -ENOSPC;
}

/* ---- what a file stands on ---- */

/* The device that @inode's contents lie on, or are; NULL: in memory. */
static struct bdev *device_below(const struct inode *inode)
{
    if ((inode->mode & MODE_TYPE) == MODE_BLOCK)
        return bdev_find(inode->rdev);
    return bdev_find(inode->super->dev);
}

static bool stands_on(const struct inode *inode, const struct loop *loop)
{
    struct bdev *bdev = device_below(inode);

    while (bdev && bdev->ops == &loop_bdev_ops) {
        const struct loop *below = bdev->driver;
        if (below == loop)
            return true;
        if (!below->file)
            return false;
        bdev = device_below(below->file->inode);
    }
    return false;
}

static uint32_t level_above(const struct inode *inode)
{
    if ((inode->mode & MODE_TYPE) == MODE_BLOCK) {
        const struct bdev *bdev = bdev_find(inode->rdev);
        return bdev ? bdev->level + 1 : 1;
    }
    return inode->super->level + 1;
}

static uint64_t contents_bytes(const struct inode *inode)
{
    if ((inode->mode & MODE_TYPE) == MODE_BLOCK) {
        const struct bdev *bdev = bdev_find(inode->rdev);
        return bdev ? bdev->sector_count * SECTOR_BYTES : 0;
    }
    return inode->size;
}

static int check_file(const struct loop *loop, const struct file *file)
{
    const struct inode *inode = file->inode;

    if (file->flags & OPEN_PATH)
        return -EBADF;
    if (!mode_is_file(inode->mode) && (inode->mode & MODE_TYPE) != MODE_BLOCK)
        return -EINVAL;
    if ((file->flags & OPEN_ACCESS) == OPEN_WRITE || (file->flags & OPEN_APPEND))
        return -EINVAL;
    return stands_on(inode, loop) ? -ELOOP : 0;
}

/* ---- contents ---- */

int loop_resize(struct loop *loop)
{
    uint64_t bytes = contents_bytes(loop->file->inode);

    if (loop->offset > INT64_MAX || loop->size_limit > INT64_MAX)
        return -EOVERFLOW;
    bytes = bytes > loop->offset ? bytes - loop->offset : 0;
    if (loop->size_limit)
        bytes = MIN(bytes, loop->size_limit);
    bytes = align_down(bytes, loop->bdev.block_bytes);
    __atomic_store_n(&loop->bdev.sector_count, bytes / SECTOR_BYTES, __ATOMIC_RELAXED);
    return 0;
}

static void set_file(struct loop *loop, struct file *file)
{
    bool irq = spin_lock(&loop->file_lock);
    loop->file = file;
    spin_unlock(&loop->file_lock, irq);
}

int loop_bind(struct loop *loop, struct file *file, const struct loop_setup *setup)
{
    uint32_t block_bytes = setup->block_bytes ? setup->block_bytes : SECTOR_BYTES;
    int err;

    if (loop->file)
        return -EBUSY;
    if (block_bytes < SECTOR_BYTES || block_bytes > PAGE_BYTES || !is_pow2(block_bytes))
        return -EINVAL;
    err = check_file(loop, file);
    if (err)
        return err;
    file_ref(file);
    set_file(loop, file);
    loop->offset = setup->offset;
    loop->size_limit = setup->size_limit;
    loop->flags = setup->flags;
    loop->name[0] = 0;
    loop->bdev.block_bytes = block_bytes;
    loop->bdev.read_only =
        (file->flags & OPEN_ACCESS) == OPEN_READ || (setup->flags & LO_FLAGS_READ_ONLY);
    if (loop->bdev.read_only)
        loop->flags |= LO_FLAGS_READ_ONLY;
    loop->bdev.level = level_above(file->inode);
    err = loop_resize(loop);
    if (err)
        file_put(loop_unbind(loop));   /* not the last reference: the caller has one */
    return err;
}

struct file *loop_unbind(struct loop *loop)
{
    struct file *file = loop->file;

    __atomic_store_n(&loop->bdev.sector_count, 0, __ATOMIC_RELAXED);
    set_file(loop, NULL);
    loop->flags = 0;
    loop->bdev.read_only = false;
    loop->bdev.block_bytes = SECTOR_BYTES;
    loop->bdev.level = 1;
    return file;
}

struct file *loop_clear(struct loop *loop)
{
    loop->flags |= LO_FLAGS_AUTOCLEAR;
    return __atomic_load_n(&loop->bdev.openers, __ATOMIC_RELAXED) ? NULL : loop_unbind(loop);
}

/* ---- for the kernel itself ---- */

int loop_attach_file(struct file *file, bool read_only, struct bdev **out)
{
    struct loop_setup setup = {.flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0)};
    struct loop *loop;

    mutex_lock(&loop_lock);
    int err = loop_find_free(&loop);
    if (!err)
        err = loop_bind(loop, file, &setup);
    mutex_unlock(&loop_lock);
    if (!err)
        *out = &loop->bdev;
    return err;
}

int loop_detach(struct bdev *bdev)
{
    struct loop *loop = bdev->driver;
    struct file *file = NULL;
    int err = 0;

    mutex_lock(&loop_lock);
    if (loop->file)
        file = loop_clear(loop);
    else
        err = -ENXIO;
    mutex_unlock(&loop_lock);
    if (file)
        file_put(file);
    return err;
}

int loop_start(void)
{
    struct loop *loop;
    int err = 0;

    mutex_lock(&loop_lock);
    for (uint32_t i = 0; i < FIRST_LOOPS && !err; i++)
        err = loop_make(i, &loop);
    mutex_unlock(&loop_lock);
    return err ? err : loop_control_start();
}
