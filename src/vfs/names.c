// SPDX-License-Identifier: MIT
/*
 * Making and removing names: mkdir, mknod, symlink, link, unlink, rmdir. The errors, and which of
 * two comes first, are those of Linux. All hold the lock of the directory, and that of the inode
 * whose links change, in this order; lookups below are probes, everything else of a filesystem runs
 * on the caller's stack.
 */
#include <lib/string.h>
#include <vfs/internal.h>

/* A new name: walked to its directory, which is locked, and known not to be taken. */
static int begin_new(struct walk *walk, const struct path *base, const char *name,
                     bool slash_allowed)
{
    struct inode *found;
    int err = walk_begin(walk, base, name);

    if (err)
        return err;
    err = walk_parent(walk);
    if (!err && !walk_last_is_name(walk))
        err = -EEXIST;
    if (err)
        goto out_end;
    mutex_lock(&walk->at.inode->lock);
    err = vfs_lookup(walk->at.inode, walk->last, walk->last_length, &found);
    if (!err) {
        inode_put(found);
        err = -EEXIST;
    } else if (err == -ENOENT) {
        err = 0;
    }
    if (!err && walk->last_slash && !slash_allowed)
        err = -ENOENT;
    if (!err && !walk->at.inode->nlink)
        err = -ENOENT;
    if (!err && walk->at.inode->super->read_only)
        err = -EROFS;
    if (!err)
        return 0;
    mutex_unlock(&walk->at.inode->lock);
out_end:
    walk_end(walk);
    return err;
}

static void end_new(struct walk *walk)
{
    mutex_unlock(&walk->at.inode->lock);
    walk_end(walk);
}

static int create(struct walk *walk, uint32_t mode, uint64_t dev, const char *target)
{
    struct inode *dir = walk->at.inode, *inode;

    if (!dir->ops->create)
        return -EPERM;
    int err = dir->ops->create(dir, walk->last, walk->last_length, mode, dev, target, &inode);
    if (!err)
        inode_put(inode);
    return err;
}

int vfs_create_node(const struct path *base, const char *name, uint32_t mode, uint64_t dev)
{
    struct walk walk;

    switch (mode & MODE_TYPE) {
    case 0:
        mode |= MODE_FILE;
        break;
    case MODE_FILE:
    case MODE_DIR:
    case MODE_CHAR:
    case MODE_BLOCK:
    case MODE_FIFO:
    case MODE_SOCKET:
        break;
    default:
        return -EINVAL;
    }
    int err = begin_new(&walk, base, name, mode_is_dir(mode));
    if (err)
        return err;
    err = create(&walk, mode & (MODE_TYPE | 07777), dev, NULL);
    end_new(&walk);
    return err;
}

int vfs_symlink(const struct path *base, const char *target, const char *name)
{
    struct walk walk;

    if (!*target)
        return -ENOENT;
    if (strnlen(target, PATH_BYTES_MAX) == PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    int err = begin_new(&walk, base, name, false);
    if (err)
        return err;
    err = create(&walk, MODE_SYMLINK | 0777, 0, target);
    end_new(&walk);
    return err;
}

/* The new name's directory is locked. */
static int link_locked(struct walk *walk, const struct path *old)
{
    struct inode *dir = walk->at.inode, *target = old->inode;
    int err;

    if (walk->at.mount != old->mount)
        return -EXDEV;
    if (mode_is_dir(target->mode) || !dir->ops->link)
        return -EPERM;
    mutex_lock_nested(&target->lock, INODE_CHILD);
    if (target->nlink)
        err = dir->ops->link(dir, walk->last, walk->last_length, target);
    else
        err = -ENOENT;
    mutex_unlock(&target->lock);
    return err;
}

int vfs_link(const struct path *old_base, const char *old_name, const struct path *new_base,
             const char *new_name, unsigned flags)
{
    struct walk walk;
    struct path old;
    int err = path_walk(old_base, old_name, flags & WALK_FOLLOW, &old);

    if (err)
        return err;
    err = begin_new(&walk, new_base, new_name, false);
    if (!err) {
        err = link_locked(&walk, &old);
        end_new(&walk);
    }
    path_put(&old);
    return err;
}

/* The directory is locked; @victim is what the name refers to. */
static int unlink_locked(struct walk *walk, struct inode *victim)
{
    struct inode *dir = walk->at.inode;
    int err;

    if (mode_is_dir(victim->mode))
        return -EISDIR;
    if (walk->last_slash)
        return -ENOTDIR;
    if (!dir->ops->unlink)
        return -EPERM;
    mutex_lock_nested(&victim->lock, INODE_CHILD);
    err = dir->ops->unlink(dir, walk->last, walk->last_length, victim);
    mutex_unlock(&victim->lock);
    return err;
}

static int rmdir_locked(struct walk *walk, struct inode *victim)
{
    struct inode *dir = walk->at.inode;
    int err;

    if (!mode_is_dir(victim->mode))
        return -ENOTDIR;
    if (!dir->ops->rmdir)
        return -EPERM;
    mutex_lock_nested(&victim->lock, INODE_CHILD);
    if (victim->mounted_here)
        err = -EBUSY;
    else
        err = dir->ops->rmdir(dir, walk->last, walk->last_length, victim);
    mutex_unlock(&victim->lock);
    return err;
}

/* What both removals do around the step that differs. */
static int remove_name(struct walk *walk, bool directory)
{
    struct inode *dir = walk->at.inode, *victim;

    if (dir->super->read_only)
        return -EROFS;
    mutex_lock(&dir->lock);
    int err = vfs_lookup(dir, walk->last, walk->last_length, &victim);
    if (!err)
        err = directory ? rmdir_locked(walk, victim) : unlink_locked(walk, victim);
    else
        victim = NULL;
    mutex_unlock(&dir->lock);
    if (victim)
        inode_put(victim); /* the last reference may start an eviction */
    return err;
}

int vfs_unlink(const struct path *base, const char *name)
{
    struct walk walk;
    int err = walk_begin(&walk, base, name);

    if (err)
        return err;
    err = walk_parent(&walk);
    if (!err)
        err = walk_last_is_name(&walk) ? remove_name(&walk, false) : -EISDIR;
    walk_end(&walk);
    return err;
}

int vfs_rmdir(const struct path *base, const char *name)
{
    struct walk walk;
    int err = walk_begin(&walk, base, name);

    if (err)
        return err;
    err = walk_parent(&walk);
    if (!err) {
        if (walk_last_is_name(&walk))
            err = remove_name(&walk, true);
        else if (!walk.last_length)
            err = -EBUSY; /* "/" */
        else
            err = walk.last_length == 1 ? -EINVAL : -ENOTEMPTY;
    }
    walk_end(&walk);
    return err;
}
