// SPDX-License-Identifier: MIT
/*
 * rename(2). The state of one lies on the heap: it needs five inodes and two walks at once.
 *
 * Locks: super->rename_lock if the directories differ, which keeps every directory of the
 * filesystem where it is; then the two directories, an ancestor first, else the lower number first;
 * then what is moved and what is replaced, the lower number first. While the tree is climbed only
 * one directory is locked at a time.
 */
#include <rt/heap.h>
#include <vfs/internal.h>

struct rename {
    struct walk from, to;
    struct inode *moved, *replaced; /* referenced; replaced may be NULL */
    struct inode
        *from_trap; /* the way from the new directory up enters the old one here; may be NULL */
    struct inode *to_trap; /* and the other way round */
    bool no_replace;
};

/*
 * Climbs from @dir. If @ancestor is on the way, *@below is its child on that way, referenced, else
 * NULL. rename_lock held.
 */
static int climb(struct inode *dir, struct inode *ancestor, struct inode **below)
{
    struct inode *here = dir, *up;

    *below = NULL;
    inode_ref(here);
    for (;;) {
        if (here == here->super->root)
            break;
        mutex_lock(&here->lock);
        int err = vfs_lookup(here, "..", 2, &up);
        mutex_unlock(&here->lock);
        if (err) {
            inode_put(here);
            return err;
        }
        if (up == ancestor) {
            inode_put(up);
            *below = here;
            return 0;
        }
        bool stuck = up == here;
        inode_put(here);
        here = up;
        if (stuck)
            break;
    }
    inode_put(here);
    return 0;
}

/* @nest: of the first; the next one is the second's. */
static void lock_two(struct inode *a, struct inode *b, enum inode_nesting nest)
{
    mutex_lock_nested(&a->lock, nest);
    mutex_lock_nested(&b->lock, nest + 1);
}

/* Takes rename_lock, if it is needed, and both directories. */
static int lock_directories(struct rename *rename)
{
    struct inode *from = rename->from.at.inode, *to = rename->to.at.inode;

    if (from == to) {
        mutex_lock(&from->lock);
        return 0;
    }
    mutex_lock(&from->super->rename_lock);
    int err = climb(to, from, &rename->from_trap);
    if (!err && !rename->from_trap)
        err = climb(from, to, &rename->to_trap);
    if (err) {
        mutex_unlock(&from->super->rename_lock);
        return err;
    }
    if (rename->from_trap || (!rename->to_trap && from->number < to->number))
        lock_two(from, to, INODE_FIRST);
    else
        lock_two(to, from, INODE_FIRST);
    return 0;
}

static void unlock_directories(struct rename *rename)
{
    struct inode *from = rename->from.at.inode, *to = rename->to.at.inode;

    mutex_unlock(&from->lock);
    if (from == to)
        return;
    mutex_unlock(&to->lock);
    mutex_unlock(&from->super->rename_lock);
}

/* Both directories locked: what the names refer to. */
static int find_both(struct rename *rename)
{
    struct walk *from = &rename->from, *to = &rename->to;
    int err = vfs_lookup(from->at.inode, from->last, from->last_length, &rename->moved);

    if (err) {
        rename->moved = NULL;
        return err;
    }
    err = vfs_lookup(to->at.inode, to->last, to->last_length, &rename->replaced);
    if (err)
        rename->replaced = NULL;
    return err == -ENOENT ? 0 : err;
}

/*
 * The errors of rename(2) that don't depend on the filesystem. 1: both are the same, nothing to do.
 */
static int check(const struct rename *rename)
{
    const struct inode *moved = rename->moved, *replaced = rename->replaced;
    bool moved_dir = mode_is_dir(moved->mode);

    if (replaced && rename->no_replace)
        return -EEXIST;
    if (!moved_dir && (rename->from.last_slash || (!replaced && rename->to.last_slash)))
        return -ENOTDIR;
    if (moved == rename->from_trap)
        return -EINVAL; /* into its own subtree */
    if (replaced && replaced == rename->to_trap)
        return -ENOTEMPTY;
    if (moved == replaced)
        return 1;
    if (!replaced && !rename->to.at.inode->nlink)
        return -ENOENT;
    if (replaced && moved_dir && !mode_is_dir(replaced->mode))
        return -ENOTDIR;
    if (replaced && !moved_dir && mode_is_dir(replaced->mode))
        return -EISDIR;
    if (moved->mounted_here || (replaced && replaced->mounted_here))
        return -EBUSY;
    return 0;
}

/* All is locked but the two inodes. */
static int rename_found(struct rename *rename)
{
    struct walk *from = &rename->from, *to = &rename->to;
    struct inode *dir = from->at.inode, *moved = rename->moved, *replaced = rename->replaced;
    int err = check(rename);

    if (err)
        return err == 1 ? 0 : err;
    if (!dir->ops->rename)
        return -EPERM;
    if (!replaced)
        mutex_lock_nested(&moved->lock, INODE_CHILD);
    else if (moved->number < replaced->number)
        lock_two(moved, replaced, INODE_CHILD);
    else
        lock_two(replaced, moved, INODE_CHILD);
    err = dir->ops->rename(dir, from->last, from->last_length, moved, to->at.inode, to->last,
                           to->last_length, replaced);
    mutex_unlock(&moved->lock);
    if (replaced)
        mutex_unlock(&replaced->lock);
    return err;
}

/* Both walks have reached their directories. */
static int rename_walked(struct rename *rename)
{
    struct walk *from = &rename->from, *to = &rename->to;

    if (from->at.mount != to->at.mount)
        return -EXDEV;
    if (!walk_last_is_name(from))
        return -EBUSY;
    if (!walk_last_is_name(to))
        return rename->no_replace ? -EEXIST : -EBUSY;
    if (from->at.inode->super->read_only)
        return -EROFS;
    int err = lock_directories(rename);
    if (!err) {
        err = find_both(rename);
        if (!err)
            err = rename_found(rename);
        unlock_directories(rename);
    }
    struct inode *held[] = { rename->moved, rename->replaced, rename->from_trap, rename->to_trap };
    for (unsigned i = 0; i < ARRAY_COUNT(held); i++)
        if (held[i])
            inode_put(held[i]);
    return err;
}

int vfs_rename(const struct path *old_base, const char *old_name, const struct path *new_base,
               const char *new_name, bool no_replace)
{
    struct rename *rename = heap_zalloc(sizeof(*rename));

    if (!rename)
        return -ENOMEM;
    rename->no_replace = no_replace;
    int err = walk_begin(&rename->from, old_base, old_name);
    if (err)
        goto out_free;
    err = walk_parent(&rename->from);
    if (err)
        goto out_from;
    err = walk_begin(&rename->to, new_base, new_name);
    if (err)
        goto out_from;
    err = walk_parent(&rename->to);
    if (!err)
        err = rename_walked(rename);
    walk_end(&rename->to);
out_from:
    walk_end(&rename->from);
out_free:
    heap_free(rename);
    return err;
}
