// SPDX-License-Identifier: MIT
/*
 * tmpfs: a filesystem in memory, bounded by a number of pages (half of what the machine has, or
 * `size=` in the mount options, with K, M or G) and as many inodes.
 *
 * An inode with links keeps one reference to itself, so the inode cache never drops it; when the
 * last link goes, so does that reference, and with the last open file all memory. There is nothing
 * to write back and nothing to evict.
 */
#include <fs/tmpfs/internal.h>
#include <fs/tmpfs/tmpfs.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <rt/page.h>

#define TMPFS_MAGIC 0x01021994u

/* One more of something that is limited. */
static bool charge(uint64_t *used, uint64_t limit)
{
    if (__atomic_add_fetch(used, 1, __ATOMIC_RELAXED) <= limit)
        return true;
    __atomic_sub_fetch(used, 1, __ATOMIC_RELAXED);
    return false;
}

static void uncharge(uint64_t *used) { __atomic_sub_fetch(used, 1, __ATOMIC_RELAXED); }

int tmpfs_page_alloc(struct super *super, void **out)
{
    struct tmpfs *fs = tmpfs_of(super);

    if (!charge(&fs->pages, fs->page_limit))
        return -ENOSPC;
    *out = page_alloc_zeroed(0);
    if (*out)
        return 0;
    uncharge(&fs->pages);
    return -ENOMEM;
}

void tmpfs_page_free(struct super *super, void *page)
{
    page_free(page, 0);
    uncharge(&tmpfs_of(super)->pages);
}

static const struct inode_ops *ops_for(uint32_t mode)
{
    switch (mode & MODE_TYPE) {
    case MODE_FILE:
        return &tmpfs_file_ops;
    case MODE_DIR:
        return &tmpfs_dir_ops;
    case MODE_SYMLINK:
        return &tmpfs_symlink_ops;
    default:
        return &tmpfs_node_ops;
    }
}

int tmpfs_make_inode(struct super *super, uint32_t mode, struct inode **out)
{
    struct tmpfs *fs = tmpfs_of(super);
    struct inode *inode;

    if (!charge(&fs->inodes, fs->inode_limit))
        return -ENOSPC;
    int err = inode_new(super, __atomic_add_fetch(&fs->last_number, 1, __ATOMIC_RELAXED), &inode);
    if (err) {
        uncharge(&fs->inodes);
        return err;
    }
    inode->ops = ops_for(mode);
    inode->mode = mode;
    inode->nlink = 1;
    inode_touch(inode, true);
    inode->atime = inode->mtime;
    inode->is_new = false;
    inode_ref(inode);
    *out = inode;
    return 0;
}

void tmpfs_unlinked(struct inode *inode)
{
    inode->nlink = 0;
    inode_put(inode);
}

static struct inode *inode_alloc(struct super *super)
{
    struct tmpfs_inode *made = heap_zalloc(sizeof(*made));

    (void)super;
    if (!made)
        return NULL;
    mutex_init_level(&made->data_lock, "tmpfs data", 0);
    list_init(&made->entries);
    made->next_cookie = 2;
    return &made->inode;
}

static void inode_free(struct inode *inode)
{
    struct tmpfs_inode *gone = tmpfs_inode(inode);

    ASSERT(list_empty(&gone->entries), "a directory with entries has links");
    tmpfs_file_free(gone);
    heap_free(gone->target);
    uncharge(&tmpfs_of(inode->super)->inodes);
    heap_free(gone);
}

/* Every inode is made by inode_new() and kept: one that is not cached does not exist. */
static int inode_read(struct inode *inode)
{
    (void)inode;
    return -ENOENT;
}

static void put_super(struct super *super)
{
    struct inode *inode;

    list_for_each (inode, &super->inodes, hash_link)
        tmpfs_dir_clear(tmpfs_inode(inode));
    while (!list_empty(&super->inodes)) {
        inode = list_first(&super->inodes, struct inode, hash_link);
        ASSERT(inode->refs == 1, "at the end only links keep an inode");
        tmpfs_unlinked(inode);
    }
    ASSERT(!tmpfs_of(super)->pages, "pages belong to files");
    heap_free(super->private);
}

static int statfs(struct super *super, struct fs_stat *out)
{
    const struct tmpfs *fs = tmpfs_of(super);

    out->type = TMPFS_MAGIC;
    out->block_bytes = TMPFS_PAGE_BYTES;
    out->blocks = fs->page_limit;
    out->blocks_free = out->blocks_available = fs->page_limit - MIN(fs->pages, fs->page_limit);
    out->files = fs->inode_limit;
    out->files_free = fs->inode_limit - MIN(fs->inodes, fs->inode_limit);
    out->name_max = NAME_BYTES_MAX;
    return 0;
}

static const struct super_ops tmpfs_super_ops = {
    .inode_alloc = inode_alloc,
    .inode_free = inode_free,
    .inode_read = inode_read,
    .put_super = put_super,
    .statfs = statfs,
};

/* `size=N` is all there is. */
static int parse_options(struct tmpfs *fs, const char *options)
{
    uint64_t bytes;

    fs->page_limit = page_count_total() / 2;
    if (*options) {
        if (!str_starts_with(options, "size="))
            return -EINVAL;
        int err = parse_u64(options + strlen("size="), true, &bytes);
        if (err)
            return -EINVAL;
        fs->page_limit = div_round_up(bytes, TMPFS_PAGE_BYTES);
    }
    fs->inode_limit = MAX(fs->page_limit, UINT64_C(16));
    return 0;
}

static int mount(struct super *super, const char *options)
{
    struct tmpfs *fs = heap_zalloc(sizeof(*fs));
    struct inode *root;

    if (!fs)
        return -ENOMEM;
    int err = parse_options(fs, options);
    if (err)
        goto out_free;
    super->private = fs;
    super->ops = &tmpfs_super_ops;
    err = tmpfs_make_inode(super, MODE_DIR | 0755, &root);
    if (err)
        goto out_free;
    root->nlink = 2;
    tmpfs_inode(root)->parent = root;
    super->root = root;
    return 0;
out_free:
    heap_free(fs);
    return err;
}

static const struct fs_type_ops tmpfs_type_ops = { .mount = mount };

const struct fs_type tmpfs_fs_type = {
    .name = "tmpfs",
    .ops = &tmpfs_type_ops,
    .inode_class = LOCK_CLASS_NAMED("tmpfs inode"),
};
