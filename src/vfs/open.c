// SPDX-License-Identifier: MIT
/*
 * Opening: from a path and flags to a struct file, and the life of that. The errors are those of
 * open(2).
 *
 * A device node is opened through devfs, whatever filesystem it lies in: file->path is the node,
 * file->inode what devfs has for its number. Named pipes and sockets can't be opened (-ENXIO).
 */
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <vfs/internal.h>

#define OPEN_TMPFILE 020000000u

static struct super *device_super;

void vfs_set_device_super(struct super *super) { device_super = super; }

/* ---- flags ---- */

static bool wants_write(unsigned flags)
{
    return (flags & OPEN_ACCESS) != OPEN_READ || (flags & OPEN_TRUNCATE);
}

static int check_flags(unsigned *flags)
{
    if (*flags & OPEN_PATH) {
        *flags &= OPEN_PATH | OPEN_DIRECTORY | OPEN_NOFOLLOW;
        return 0;
    }
    if ((*flags & OPEN_ACCESS) == OPEN_ACCESS)
        return -EINVAL;
    if (*flags & OPEN_TMPFILE)
        return -EOPNOTSUPP;
    if ((*flags & OPEN_CREATE) && (*flags & OPEN_DIRECTORY))
        return -EINVAL;
    return 0;
}

/* Whether what was found may be opened like this. */
static int check_inode(const struct inode *inode, unsigned flags, bool created)
{
    uint32_t type = inode->mode & MODE_TYPE;

    if ((flags & OPEN_DIRECTORY) && type != MODE_DIR)
        return -ENOTDIR;
    if (flags & OPEN_PATH)
        return 0;
    if (type == MODE_SYMLINK)
        return -ELOOP;
    if (type == MODE_DIR && (wants_write(flags) || (flags & OPEN_CREATE)))
        return -EISDIR;
    if (type == MODE_SOCKET || type == MODE_FIFO)
        return -ENXIO;
    if (type == MODE_FILE && !created && wants_write(flags) && inode->super->read_only)
        return -EROFS;
    return 0;
}

/* ---- finding, making ---- */

/* The name is not there, its directory is locked: makes a file. */
static int create_file(struct walk *walk, uint32_t mode, struct path *out)
{
    struct inode *dir = walk->at.inode;

    if (dir->super->read_only)
        return -EROFS;
    if (!dir->ops->create)
        return -EACCES;
    int err = dir->ops->create(dir, walk->last, walk->last_length, (mode & 07777) | MODE_FILE, 0,
                               NULL, &out->inode);
    if (!err) {
        out->mount = walk->at.mount;
        mount_ref(out->mount);
    }
    return err;
}

/* The last component for an open with OPEN_CREATE; 1: it was a symlink. */
static int find_or_create(struct walk *walk, unsigned flags, uint32_t mode, struct path *out,
                          bool *created)
{
    struct inode *dir = walk->at.inode, *found;

    if (!walk_last_is_name(walk))
        return flags & OPEN_EXCLUSIVE ? -EEXIST : -EISDIR;
    if (walk->last_slash)
        return -EISDIR;
    mutex_lock(&dir->lock);
    int err = vfs_lookup(dir, walk->last, walk->last_length, &found);
    if (err == -ENOENT && dir->nlink) {
        err = create_file(walk, mode, out);
        *created = !err;
        mutex_unlock(&dir->lock);
        return err;
    }
    mutex_unlock(&dir->lock);
    if (err)
        return err;
    inode_put(found);
    if (flags & OPEN_EXCLUSIVE)
        return -EEXIST;
    return walk_last(walk, flags & OPEN_NOFOLLOW ? 0 : WALK_FOLLOW, out);
}

static int find(const struct path *base, const char *name, unsigned flags, uint32_t mode,
                struct path *out, bool *created)
{
    struct walk walk;

    if (!(flags & OPEN_CREATE))
        return path_walk(base, name, flags & OPEN_NOFOLLOW ? 0 : WALK_FOLLOW, out);
    int err = walk_begin(&walk, base, name);
    if (err)
        return err;
    do {
        err = walk_parent(&walk);
        if (!err)
            err = find_or_create(&walk, flags, mode, out, created);
    } while (err == 1);
    walk_end(&walk);
    return err;
}

/* ---- files ---- */

static bool is_device(const struct inode *inode)
{
    uint32_t type = inode->mode & MODE_TYPE;

    return type == MODE_CHAR || type == MODE_BLOCK;
}

/* Which inode the file works on. */
static int choose_inode(struct file *file)
{
    struct inode *inode = file->path.inode;

    file->inode = inode;
    if (!is_device(inode) || (file->flags & OPEN_PATH) || inode->super == device_super)
        return 0;
    if (!device_super)
        return -ENXIO;
    return inode_get(device_super, device_inode_number(inode->mode, inode->rdev), &file->inode);
}

uint64_t file_next_serial(void)
{
    static uint64_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* Fills in @file, which takes over @path if it succeeds. */
static int open_path(const struct path *path, unsigned flags, bool created, struct file *file)
{
    int err = check_inode(path->inode, flags, created);

    if (err)
        return err;
    file->path = *path;
    file->flags = flags & ~(OPEN_CREATE | OPEN_EXCLUSIVE | OPEN_TRUNCATE | OPEN_CLOEXEC);
    file->refs = 1;
    file->serial = file_next_serial();
    mutex_init_level(&file->position_lock, "file position", 0);
    err = choose_inode(file);
    if (err)
        return err;
    if (!(flags & OPEN_PATH) && file->inode->ops->open_file)
        err = file->inode->ops->open_file(file->inode, file);
    if (err)
        goto out_inode;
    if ((flags & OPEN_TRUNCATE) && !created && (path->inode->mode & MODE_TYPE) == MODE_FILE) {
        err = inode_truncate(file->inode, 0);
        if (err)
            goto out_close;
    }
    return 0;
out_close:
    if (file->inode->ops->close_file)
        file->inode->ops->close_file(file->inode, file);
out_inode:
    if (file->inode != path->inode)
        inode_put(file->inode);
    return err;
}

int vfs_open(const struct path *base, const char *name, unsigned flags, uint32_t mode,
             struct file **out)
{
    struct path path;
    bool created = false;
    int err = check_flags(&flags);

    if (err)
        return err;
    /* First what may fail: a name that was made stays. */
    struct file *file = heap_zalloc(sizeof(*file));
    if (!file)
        return -ENOMEM;
    err = find(base, name, flags, mode, &path, &created);
    if (!err) {
        err = open_path(&path, flags, created, file);
        if (err)
            path_put(&path);
    }
    if (err)
        heap_free(file);
    else
        *out = file;
    return err;
}

void file_ref(struct file *file) { __atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED); }

void file_put(struct file *file)
{
    uint32_t left = __atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL);

    ASSERT(left != UINT32_MAX, "put only what is referenced");
    if (left)
        return;
    if (file->at_end)
        file->at_end->file_ends(file);
    if (!(file->flags & OPEN_PATH) && file->inode->ops->close_file)
        file->inode->ops->close_file(file->inode, file);
    if (file->inode != file->path.inode)
        inode_put(file->inode);
    path_put(&file->path);
    heap_free(file);
}
