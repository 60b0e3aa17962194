// SPDX-License-Identifier: MIT
/*
 * sysfs: a tree of directories and attribute files, built from const tables (sysfs_add_group).
 * Names can't be made or removed through it; files are in file.c. The tree belongs to the machine,
 * not to a mount: it is there before sysfs is mounted and may be mounted more than once.
 */
#include <block/mapping.h>
#include <fs/sysfs/internal.h>
#include <fs/sysfs/sysfs.h>
#include <lib/string.h>
#include <rt/cpu.h>
#include <rt/heap.h>
#include <rt/memory_sys.h>
#include <rt/node.h>
#include <rt/stack.h>
#include <rt/xstack.h>

#define SYSFS_MAGIC 0x62656572u

static struct spinlock lock = SPINLOCK_NAMED("sysfs nodes");
static struct sysfs_node root = { .name = "", .number = 1, .parent = &root };
static struct list nodes = LIST_INIT(nodes); /* lock; all but the root, by number */
static uint64_t last_number = 1;             /* lock */

/* ---- the tree ---- */

/* lock held. */
static struct sysfs_node *find_locked(const struct sysfs_node *dir, const char *name, size_t length)
{
    struct sysfs_node *node;

    list_for_each (node, &nodes, all_link)
        if (node->parent == dir && strlen(node->name) == length &&
            memcmp(node->name, name, length) == 0)
            return node;
    return NULL;
}

static struct sysfs_node *find(const struct sysfs_node *dir, const char *name, size_t length)
{
    bool irq = spin_lock(&lock);
    struct sysfs_node *node = find_locked(dir, name, length);

    spin_unlock(&lock, irq);
    return node;
}

/* The first node with a number of at least @number; with @dir only in there. */
static struct sysfs_node *node_from(const struct sysfs_node *dir, uint64_t number)
{
    struct sysfs_node *node, *found = NULL;
    bool irq = spin_lock(&lock);

    list_for_each (node, &nodes, all_link) {
        if (node->number >= number && (!dir || node->parent == dir)) {
            found = node;
            break;
        }
    }
    spin_unlock(&lock, irq);
    return found;
}

static void node_free(struct sysfs_node *node)
{
    heap_free(node->name);
    heap_free(node);
}

static int node_add(struct sysfs_node *dir, const char *name, size_t length,
                    const struct attr *attr, struct sysfs_node **out)
{
    struct sysfs_node *node = heap_zalloc(sizeof(*node));
    char *copy = heap_alloc(length + 1);

    if (!node || !copy) {
        heap_free(node);
        heap_free(copy);
        return -ENOMEM;
    }
    memcpy(copy, name, length);
    copy[length] = 0;
    *node = (struct sysfs_node){ .name = copy, .attr = attr, .parent = dir };
    bool irq = spin_lock(&lock);
    bool taken = find_locked(dir, name, length);
    if (!taken) {
        node->number = ++last_number;
        list_push_back(&nodes, &node->all_link);
        dir->dir_count += !attr;
    }
    spin_unlock(&lock, irq);
    if (taken) {
        node_free(node);
        return -EEXIST;
    }
    *out = node;
    return 0;
}

/* The directory with a path below the root, made if need be. */
static int make_dir(const char *path, struct sysfs_node **out)
{
    struct sysfs_node *dir = &root;

    while (*path) {
        size_t length = 0;
        while (path[length] && path[length] != '/')
            length++;
        struct sysfs_node *next = length ? find(dir, path, length) : dir;
        int err = next ? 0 : node_add(dir, path, length, NULL, &next);
        if (err)
            return err;
        if (next->attr)
            return -EEXIST;
        dir = next;
        path += length + (path[length] == '/');
    }
    *out = dir;
    return 0;
}

int sysfs_add_group(const char *path, const struct attr *const *attrs)
{
    struct sysfs_node *dir, *made;
    int err = make_dir(path, &dir);

    for (; !err && *attrs; attrs++)
        err = node_add(dir, (*attrs)->name, strlen((*attrs)->name), *attrs, &made);
    return err;
}

/* ---- directories ---- */

static int dir_lookup(struct inode *inode, const char *name, size_t length, struct inode **out)
{
    struct sysfs_node *dir = inode->private;
    struct sysfs_node *node =
        length == 2 && memcmp(name, "..", 2) == 0 ? dir->parent : find(dir, name, length);

    return node ? inode_get(inode->super, node->number, out) : -ENOENT;
}

/* Offsets: 0 and 1 for the dots, then the numbers of the nodes, which begin at 2. */
static int dir_read(struct inode *inode, uint64_t offset, struct dir_sink *sink)
{
    struct sysfs_node *dir = inode->private, *node;

    if (offset == 0 && !sink->ops->emit(sink, ".", 1, dir->number, MODE_DIR, 1))
        return 0;
    if (offset <= 1 && !sink->ops->emit(sink, "..", 2, dir->parent->number, MODE_DIR, 2))
        return 0;
    while ((node = node_from(dir, offset)) != NULL) {
        uint32_t mode = node->attr ? MODE_FILE : MODE_DIR;
        offset = node->number + 1;
        if (!sink->ops->emit(sink, node->name, strlen(node->name), node->number, mode, offset))
            break;
    }
    return 0;
}

static const struct inode_ops sysfs_dir_ops = {
    .lookup = dir_lookup,
    .readdir = dir_read,
};

/* ---- the filesystem ---- */

static struct inode *inode_alloc(struct super *super)
{
    (void)super;
    return heap_zalloc(sizeof(struct inode));
}

static void inode_free(struct inode *inode) { heap_free(inode); }

static int inode_read(struct inode *inode)
{
    struct sysfs_node *node = inode->number == root.number ? &root : node_from(NULL, inode->number);

    if (!node || node->number != inode->number)
        return -ENOENT;
    inode->private = node;
    if (node->attr) {
        inode->ops = &sysfs_file_ops;
        inode->mode = MODE_FILE | (node->attr->ops->store ? 0644 : 0444);
        inode->size = 4096;
        inode->nlink = 1;
    } else {
        inode->ops = &sysfs_dir_ops;
        inode->mode = MODE_DIR | 0555;
        inode->nlink = 2 + node->dir_count;
    }
    inode_touch(inode, true);
    inode->atime = inode->mtime;
    return 0;
}

static int statfs(struct super *super, struct fs_stat *out)
{
    (void)super;
    out->type = SYSFS_MAGIC;
    out->block_bytes = 4096;
    out->name_max = NAME_BYTES_MAX;
    return 0;
}

static const struct super_ops sysfs_super_ops = {
    .inode_alloc = inode_alloc,
    .inode_free = inode_free,
    .inode_read = inode_read,
    .statfs = statfs,
};

/* The runtime is below us and can't call: its table is taken at the first mount. */
static int mount(struct super *super, const char *options)
{
    if (*options)
        return -EINVAL;
    int err = sysfs_add_group("stack", xstack_attrs);
    if (!err)
        err = sysfs_add_group("stack", stack_attrs);
    if (!err)
        err = sysfs_add_group("stack/cache", stack_cache_attrs);
    if (!err)
        err = sysfs_add_group("stack/growth", stack_growth_attrs);
    if (!err)
        err = sysfs_add_group("stack", stack_memory_attrs);
    if (!err)
        err = sysfs_add_group("memory", memory_attrs);
    if (!err)
        err = sysfs_add_group("memory", page_cache_attrs);
    if (!err)
        err = sysfs_add_group("smp", smp_attrs);
    if (!err)
        err = sysfs_add_group("memory", node_attrs);
    if (err && err != -EEXIST)
        return err;
    super->ops = &sysfs_super_ops;
    return inode_get(super, root.number, &super->root);
}

static const struct fs_type_ops sysfs_type_ops = { .mount = mount };

const struct fs_type sysfs_fs_type = {
    .name = "sysfs",
    .ops = &sysfs_type_ops,
    .inode_class = LOCK_CLASS_NAMED("sysfs inode"),
};
