// SPDX-License-Identifier: MIT
/*
 * Path walks, one component after the other.
 *
 * A walk goes to the directory of the last component (walk_parent), where names are made and
 * removed, and from there resolves the last component (walk_last). A symlink on the way is put in
 * front of what is left, in a buffer on the heap, and counted; nothing recurses, however links
 * point at each other. Mounts are crossed in both directions. Each lookup is a probe of its own and
 * holds only the lock of the directory looked into.
 */
#include <lib/string.h>
#include <rt/heap.h>
#include <vfs/internal.h>

#define ROOT_PATH(path) ((path)->mount == root_mount && (path)->inode == root_mount->super->root)

void path_copy(struct path *to, const struct path *from)
{
    to->mount = from->mount;
    to->inode = from->inode;
    mount_ref(to->mount);
    inode_ref(to->inode);
}

void path_put(struct path *path)
{
    inode_put(path->inode);
    mount_put(path->mount);
    path->inode = NULL;
    path->mount = NULL;
}

static void path_root(struct path *out)
{
    out->mount = root_mount;
    out->inode = root_mount->super->root;
    mount_ref(out->mount);
    inode_ref(out->inode);
    mount_cross_down(out);
}

__attribute__((noipa)) int vfs_lookup_body(struct inode *dir, const char *name, size_t length,
                                           struct inode **out)
{
    lock_order_probe("the probe vfs_lookup");
    if (!mode_is_dir(dir->mode) || !dir->ops->lookup)
        return -ENOTDIR;
    if (length > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    return dir->ops->lookup(dir, name, length, out);
}

int walk_begin(struct walk *walk, const struct path *base, const char *name)
{
    if (!*name)
        return -ENOENT;
    if (strnlen(name, PATH_BYTES_MAX) == PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    if (*name == '/')
        path_root(&walk->at);
    else if (base)
        path_copy(&walk->at, base);
    else
        cwd_get(&walk->at);
    walk->rest = name;
    walk->last = name;
    walk->last_length = 0;
    walk->last_slash = false;
    walk->symlinks = 0;
    walk->text = NULL;
    return 0;
}

void walk_end(struct walk *walk)
{
    path_put(&walk->at);
    heap_free(walk->text);
    walk->text = NULL;
}

/* Puts what @link says in front of the rest. */
static noinline int expand(struct walk *walk, struct inode *link)
{
    char *text;
    int err;

    if (++walk->symlinks > SYMLINKS_MAX)
        return -ELOOP;
    if (!link->ops->readlink)
        return -EINVAL;
    text = heap_alloc(PATH_BYTES_MAX);
    if (!text)
        return -ENOMEM;
    ssize_t length = link->ops->readlink(link, text, PATH_BYTES_MAX - 1);
    if (length <= 0) {
        err = length ? (int)length : -ENOENT;
        goto out_free;
    }
    size_t rest = strlen(walk->rest);
    if ((size_t)length + rest >= PATH_BYTES_MAX) {
        err = -ENAMETOOLONG;
        goto out_free;
    }
    memcpy(text + length, walk->rest, rest + 1);
    heap_free(walk->text);
    walk->text = text;
    walk->rest = text;
    if (*text == '/') {
        path_put(&walk->at);
        path_root(&walk->at);
    }
    return 0;
out_free:
    heap_free(text);
    return err;
}

static bool is_dots(const struct walk *walk, size_t dots)
{
    return walk->last_length == dots && memcmp(walk->last, "..", dots) == 0;
}

bool walk_last_is_name(const struct walk *walk)
{
    return walk->last_length && !is_dots(walk, 1) && !is_dots(walk, 2);
}

/* Resolves the component in hand into @out; 1: a symlink that is followed, @out is unset. */
static int component(struct walk *walk, bool follow, struct path *out)
{
    bool up = is_dots(walk, 2);

    if (!mode_is_dir(walk->at.inode->mode))
        return -ENOTDIR;
    path_copy(out, &walk->at);
    if (is_dots(walk, 1) || !walk->last_length)
        return 0;
    while (up && out->inode == out->mount->super->root && mount_cross_up(out))
        ;
    if (up && ROOT_PATH(out)) {
        mount_cross_down(out);
        return 0;
    }
    struct inode *dir = out->inode, *found;
    mutex_lock(&dir->lock);
    int err = vfs_lookup(dir, walk->last, walk->last_length, &found);
    mutex_unlock(&dir->lock);
    if (err) {
        path_put(out);
        return err;
    }
    out->inode = found;
    inode_put(dir);
    mount_cross_down(out);
    if (!follow || !mode_is_symlink(out->inode->mode))
        return 0;
    err = expand(walk, out->inode);
    path_put(out);
    return err ? err : 1;
}

int walk_parent(struct walk *walk)
{
    struct path next;

    for (;;) {
        while (*walk->rest == '/')
            walk->rest++;
        const char *end = walk->rest;
        while (*end && *end != '/')
            end++;
        walk->last = walk->rest;
        walk->last_length = (size_t)(end - walk->rest);
        walk->rest = end;
        if (walk->last_length > NAME_BYTES_MAX)
            return -ENAMETOOLONG;
        walk->last_slash = *end == '/';
        while (*end == '/')
            end++;
        if (!*end)
            return mode_is_dir(walk->at.inode->mode) ? 0 : -ENOTDIR;
        int err = component(walk, true, &next);
        if (err < 0)
            return err;
        if (err == 0) {
            path_put(&walk->at);
            walk->at = next;
        }
    }
}

int walk_last(struct walk *walk, unsigned flags, struct path *out)
{
    bool slash = walk->last_slash;
    int err = component(walk, slash || (flags & WALK_FOLLOW), out);

    if (err)
        return err;
    if ((slash || (flags & WALK_DIRECTORY)) && !mode_is_dir(out->inode->mode)) {
        path_put(out);
        return -ENOTDIR;
    }
    return 0;
}

int path_walk(const struct path *base, const char *name, unsigned flags, struct path *out)
{
    struct walk walk;
    int err = walk_begin(&walk, base, name);

    if (err)
        return err;
    do {
        err = walk_parent(&walk);
        if (!err)
            err = walk_last(&walk, flags, out);
    } while (err == 1);
    walk_end(&walk);
    return err;
}
