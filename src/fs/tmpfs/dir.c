// SPDX-License-Identifier: MIT
/*
 * Directories of tmpfs: a list of entries in the order they were made. An entry has a cookie that
 * only grows, so a directory that changes while it is read shows every other entry exactly once.
 */
#include <fs/tmpfs/internal.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>

#define COOKIE_DOT 0u
#define COOKIE_DOTDOT 1u

struct entry {
    struct list link;
    struct inode *inode; /* kept by its link count, not by a reference of ours */
    uint64_t cookie;
    uint32_t hash;
    uint32_t length;
    char name[];
};

static uint32_t hash_of(const char *name, size_t length)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return hash;
}

static struct entry *find(struct tmpfs_inode *dir, const char *name, size_t length)
{
    uint32_t hash = hash_of(name, length);
    struct entry *entry;

    list_for_each (entry, &dir->entries, link)
        if (entry->hash == hash && entry->length == length &&
            memcmp(entry->name, name, length) == 0)
            return entry;
    return NULL;
}

static struct entry *entry_alloc(const char *name, size_t length)
{
    struct entry *entry = heap_alloc(sizeof(*entry) + length);

    if (!entry)
        return NULL;
    memcpy(entry->name, name, length);
    entry->length = (uint32_t)length;
    entry->hash = hash_of(name, length);
    return entry;
}

static void entry_add(struct tmpfs_inode *dir, struct entry *entry, struct inode *inode)
{
    entry->inode = inode;
    entry->cookie = dir->next_cookie++;
    list_push_back(&dir->entries, &entry->link);
    inode_touch(&dir->inode, true);
}

static void entry_remove(struct tmpfs_inode *dir, struct entry *entry)
{
    list_remove(&entry->link);
    heap_free(entry);
    inode_touch(&dir->inode, true);
}

void tmpfs_dir_clear(struct tmpfs_inode *dir)
{
    struct entry *entry, *tmp;

    list_for_each_safe (entry, tmp, &dir->entries, link)
        heap_free(entry);
    list_init(&dir->entries);
}

static int dir_lookup(struct inode *inode, const char *name, size_t length, struct inode **out)
{
    struct tmpfs_inode *dir = tmpfs_inode(inode);
    struct inode *found = NULL;

    if (length == 2 && memcmp(name, "..", 2) == 0) {
        found = dir->parent;
    } else {
        struct entry *entry = find(dir, name, length);
        if (entry)
            found = entry->inode;
    }
    if (!found)
        return -ENOENT;
    inode_ref(found);
    *out = found;
    return 0;
}

/* What differs between the types. */
static int set_up(struct inode *inode, struct inode *dir, uint64_t dev, const char *target)
{
    struct tmpfs_inode *made = tmpfs_inode(inode);

    switch (inode->mode & MODE_TYPE) {
    case MODE_DIR:
        made->parent = dir;
        inode->nlink = 2;
        break;
    case MODE_SYMLINK:
        made->target = heap_strdup(target);
        if (!made->target)
            return -ENOMEM;
        inode->size = strlen(target);
        break;
    case MODE_CHAR:
    case MODE_BLOCK:
        inode->rdev = dev;
        break;
    default:
        break;
    }
    return 0;
}

static int dir_create(struct inode *inode, const char *name, size_t length, uint32_t mode,
                      uint64_t dev, const char *target, struct inode **out)
{
    struct inode *made;
    struct entry *entry = entry_alloc(name, length);

    if (!entry)
        return -ENOMEM;
    int err = tmpfs_make_inode(inode->super, mode, &made);
    if (err)
        goto out_entry;
    err = set_up(made, inode, dev, target);
    if (err)
        goto out_inode;
    entry_add(tmpfs_inode(inode), entry, made);
    if (mode_is_dir(mode))
        inode->nlink++;
    *out = made;
    return 0;
out_inode:
    tmpfs_unlinked(made);
    inode_put(made);
out_entry:
    heap_free(entry);
    return err;
}

static int dir_link(struct inode *inode, const char *name, size_t length, struct inode *target)
{
    struct entry *entry = entry_alloc(name, length);

    if (!entry)
        return -ENOMEM;
    entry_add(tmpfs_inode(inode), entry, target);
    target->nlink++;
    inode_touch(target, false);
    return 0;
}

/* One link of a file less. */
static void drop_link(struct inode *inode)
{
    inode_touch(inode, false);
    if (inode->nlink > 1)
        inode->nlink--;
    else
        tmpfs_unlinked(inode);
}

/* A directory, known to be empty, has no name any more. */
static void drop_dir(struct inode *parent, struct inode *dir)
{
    parent->nlink--;
    tmpfs_inode(dir)->parent = NULL;
    tmpfs_unlinked(dir);
}

static int dir_unlink(struct inode *inode, const char *name, size_t length, struct inode *victim)
{
    struct tmpfs_inode *dir = tmpfs_inode(inode);
    struct entry *entry = find(dir, name, length);

    ASSERT(entry && entry->inode == victim, "what is unlinked was looked up under the same lock");
    entry_remove(dir, entry);
    drop_link(victim);
    return 0;
}

static int dir_rmdir(struct inode *inode, const char *name, size_t length, struct inode *victim)
{
    struct tmpfs_inode *dir = tmpfs_inode(inode);
    struct entry *entry = find(dir, name, length);

    ASSERT(entry && entry->inode == victim, "what is removed was looked up under the same lock");
    if (!list_empty(&tmpfs_inode(victim)->entries))
        return -ENOTEMPTY;
    entry_remove(dir, entry);
    drop_dir(inode, victim);
    return 0;
}

static int dir_rename(struct inode *old_inode, const char *old_name, size_t old_length,
                      struct inode *moved, struct inode *new_inode, const char *new_name,
                      size_t new_length, struct inode *replaced)
{
    struct tmpfs_inode *old_dir = tmpfs_inode(old_inode), *new_dir = tmpfs_inode(new_inode);
    struct entry *old_entry = find(old_dir, old_name, old_length);
    struct entry *new_entry;

    ASSERT(old_entry && old_entry->inode == moved,
           "what is moved was looked up under the same lock");
    if (replaced && mode_is_dir(replaced->mode) && !list_empty(&tmpfs_inode(replaced)->entries))
        return -ENOTEMPTY;
    if (replaced) {
        new_entry = find(new_dir, new_name, new_length);
        new_entry->inode = moved;
        inode_touch(new_inode, true);
        if (mode_is_dir(replaced->mode))
            drop_dir(new_inode, replaced);
        else
            drop_link(replaced);
    } else {
        new_entry = entry_alloc(new_name, new_length);
        if (!new_entry)
            return -ENOMEM;
        entry_add(new_dir, new_entry, moved);
    }
    entry_remove(old_dir, old_entry);
    if (mode_is_dir(moved->mode)) {
        old_inode->nlink--;
        new_inode->nlink++;
        tmpfs_inode(moved)->parent = new_inode;
    }
    inode_touch(moved, false);
    return 0;
}

static int dir_read(struct inode *inode, uint64_t offset, struct dir_sink *sink)
{
    struct tmpfs_inode *dir = tmpfs_inode(inode);
    struct entry *entry;

    if (offset <= COOKIE_DOT &&
        !sink->ops->emit(sink, ".", 1, inode->number, inode->mode, COOKIE_DOT + 1))
        return 0;
    if (offset <= COOKIE_DOTDOT) {
        const struct inode *up = dir->parent ? dir->parent : inode;
        if (!sink->ops->emit(sink, "..", 2, up->number, up->mode, COOKIE_DOTDOT + 1))
            return 0;
    }
    list_for_each (entry, &dir->entries, link) {
        const struct inode *child = entry->inode;
        if (entry->cookie < offset)
            continue;
        if (!sink->ops->emit(sink, entry->name, entry->length, child->number, child->mode,
                             entry->cookie + 1))
            break;
    }
    return 0;
}

static int dir_setattr(struct inode *inode, const struct inode_attr *attr)
{
    inode_apply_attr(inode, attr);
    return 0;
}

const struct inode_ops tmpfs_dir_ops = {
    .lookup = dir_lookup,
    .create = dir_create,
    .link = dir_link,
    .unlink = dir_unlink,
    .rmdir = dir_rmdir,
    .rename = dir_rename,
    .readdir = dir_read,
    .setattr = dir_setattr,
};
