// SPDX-License-Identifier: MIT
/*
 * The life of a super: a filesystem that is mounted, whether or not a mount shows it. Made by
 * type->ops->mount(), which says its level and how many probes lie below; then it gets its
 * write-back thread, with the stacks for that, or is refused.
 */
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <vfs/internal.h>
#include <vfs/write_back.h>

static uint32_t last_anonymous; /* device numbers of filesystems without a device; atomic */

const struct fs_type *fs_type_find(const char *name)
{
    for (unsigned i = 0; fs_types[i]; i++)
        if (strcmp(fs_types[i]->name, name) == 0)
            return fs_types[i];
    return NULL;
}

void super_put(struct super *super)
{
    inode_cache_drop(super);
    if (super->ops->put_super)
        super->ops->put_super(super);
}

void super_destroy(struct super *super)
{
    struct inode *root = super->root;

    super->root = NULL; /* from here on an unreferenced inode is not kept */
    if (root)
        inode_put(root);
    if (super->write_back)
        write_back_stop(super);
    else if (super->ops)
        super_put(super);
    inode_cache_destroy(super);
    heap_free(super);
}

static bool needs_write_back(const struct super *super)
{
    return !super->read_only &&
           (super->ops->sync_super || super->ops->write_some || super->ops->evict);
}

int super_make(const struct fs_type *type, const char *source, uint64_t dev, bool read_only,
               const char *options, struct super **out)
{
    struct super *super = heap_zalloc(sizeof(*super));

    if (!super)
        return -ENOMEM;
    super->type = type;
    str_copy(super->source, source, sizeof(super->source));
    super->dev = dev;
    super->read_only = read_only;
    mutex_init(&super->rename_lock);
    int err = inode_cache_init(super);
    if (err)
        goto out_free;
    err = type->ops->mount(super, options ? options : "");
    if (err) {
        if (super->ops)
            inode_cache_drop(super);
        inode_cache_destroy(super);
        goto out_free;
    }
    mutex_set_class(&super->rename_lock, LOCK_CLASS_HERE("rename"), super->level);
    ASSERT(super->ops && super->root, "a mounted filesystem has a root");
    if (!super->dev)
        super->dev = __atomic_add_fetch(&last_anonymous, 1, __ATOMIC_RELAXED);
    err = needs_write_back(super) ? write_back_start(super) : 0;
    if (err) {
        super_destroy(super);
        return err;
    }
    *out = super;
    return 0;
out_free:
    heap_free(super);
    return err;
}
