// SPDX-License-Identifier: MIT
/*
 * The current directory of the process, and the way back from a directory to its path: up by "..",
 * and in each parent a search for the name that has the number we came from. Names are not kept, so
 * this reads directories; a renamed parent shows its new name.
 */
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <vfs/internal.h>

static struct spinlock cwd_lock = SPINLOCK_NAMED("current directory");
static struct path cwd; /* cwd_lock; referenced */

void cwd_get(struct path *out)
{
    bool irq = spin_lock(&cwd_lock);

    path_copy(out, &cwd);
    spin_unlock(&cwd_lock, irq);
}

void cwd_set(const struct path *path)
{
    struct path fresh, old;

    path_copy(&fresh, path);
    bool irq = spin_lock(&cwd_lock);
    old = cwd;
    cwd = fresh;
    spin_unlock(&cwd_lock, irq);
    if (old.mount)
        path_put(&old);
}

void cwd_reset(void)
{
    struct path root = { root_mount, root_mount->super->root };

    cwd_set(&root);
}

int vfs_chdir(const struct path *base, const char *name)
{
    struct path path;
    int err = path_walk(base, name, WALK_FOLLOW | WALK_DIRECTORY, &path);

    if (err)
        return err;
    cwd_set(&path);
    path_put(&path);
    return 0;
}

/* Looks for the name of an inode, and puts it before what is in the buffer already. */
struct name_finder {
    struct dir_sink sink;
    uint64_t number;
    char *buffer;
    size_t start; /* the text begins here and ends with the buffer */
    bool found, cut;
};

static bool finder_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                        uint32_t mode, uint64_t next_offset)
{
    struct name_finder *finder = container_of(sink, struct name_finder, sink);

    (void)mode;
    (void)next_offset;
    if (number != finder->number || (length == 1 && name[0] == '.') ||
        (length == 2 && name[0] == '.' && name[1] == '.'))
        return true;
    finder->found = true;
    if (length + 1 > finder->start) {
        finder->cut = true;
        return false;
    }
    finder->start -= length;
    memcpy(finder->buffer + finder->start, name, length);
    finder->buffer[--finder->start] = '/';
    return false;
}

static const struct dir_sink_ops finder_ops = { .emit = finder_emit };

/* One directory up; @here becomes its parent. */
static int climb(struct path *here, struct name_finder *finder)
{
    struct inode *child = here->inode, *parent;

    mutex_lock(&child->lock);
    int err = vfs_lookup(child, "..", 2, &parent);
    mutex_unlock(&child->lock);
    if (err)
        return err;
    finder->number = child->number;
    finder->found = false;
    mutex_lock(&parent->lock);
    err = parent->ops->readdir ? parent->ops->readdir(parent, 0, &finder->sink) : -ENOENT;
    mutex_unlock(&parent->lock);
    inode_put(child);
    here->inode = parent;
    if (!err && !finder->found)
        err = -ENOENT;
    if (!err && finder->cut)
        err = -ERANGE;
    return err;
}

/* @finder's buffer is filled from the end on. */
static int path_text_build(const struct path *path, struct name_finder *finder)
{
    struct path here;
    int err = 0;

    path_copy(&here, path);
    while (!err) {
        while (here.inode == here.mount->super->root && mount_cross_up(&here))
            ;
        if (here.inode == here.mount->super->root)
            break;
        err = here.inode->nlink ? climb(&here, finder) : -ENOENT;
    }
    if (!err && here.mount != root_mount)
        err = -ENOENT; /* in a mount that was detached */
    path_put(&here);
    return err;
}

int path_text(const struct path *path, char *dst, size_t bytes)
{
    struct name_finder *finder = heap_zalloc(sizeof(*finder));

    if (!finder)
        return -ENOMEM;
    int err = -ENOMEM;
    finder->buffer = heap_alloc(PATH_BYTES_MAX);
    if (!finder->buffer)
        goto out_free;
    finder->sink.ops = &finder_ops;
    finder->start = PATH_BYTES_MAX - 1;
    finder->buffer[finder->start] = 0;
    err = path_text_build(path, finder);
    if (err)
        goto out_free;
    if (!finder->buffer[finder->start])
        finder->buffer[--finder->start] = '/';
    size_t length = PATH_BYTES_MAX - 1 - finder->start;
    if (length + 1 > bytes) {
        err = -ERANGE;
        goto out_free;
    }
    memcpy(dst, finder->buffer + finder->start, length + 1);
    err = (int)length;
out_free:
    heap_free(finder->buffer);
    heap_free(finder);
    return err;
}

int vfs_getcwd(char *dst, size_t bytes)
{
    struct path here;

    cwd_get(&here);
    int result = path_text(&here, dst, bytes);
    path_put(&here);
    return result;
}
