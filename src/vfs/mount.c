// SPDX-License-Identifier: MIT
/*
 * The mount table: what covers which directory, and mounting.
 *
 * A mount is the pair of a filesystem's super and the directory it covers. Paths hold references to
 * mounts, so a mount with open files, a current directory or other mounts inside is busy.
 * mounts_lock is a spin lock that guards the table alone: no lock of this layer is held while a
 * filesystem is mounted, synced or unmounted, because that work reaches the levels below through
 * their own mounts.
 */
#include <lib/format.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <rt/heap.h>
#include <vfs/internal.h>

struct spinlock mounts_lock = SPINLOCK_NAMED("mounts");
struct list mounts = LIST_INIT(mounts);
struct mount *root_mount;

static struct waitq pins_waitq = WAITQ_INIT(pins_waitq);
static uint32_t last_id;

/* ---- references ---- */

void mount_ref(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);

    mount->refs++;
    spin_unlock(&mounts_lock, irq);
}

void mount_put(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);

    ASSERT(mount->refs > 0, "put only what is referenced");
    bool last = --mount->refs == 0;
    spin_unlock(&mounts_lock, irq);
    if (last)
        work_queue(&mount->finish);
}

struct mount *mount_before(uint32_t id)
{
    struct mount *mount, *found = NULL;
    bool irq = spin_lock(&mounts_lock);

    list_for_each (mount, &mounts, link)
        if (mount->id < id && !mount->closing)
            found = mount;
    if (found)
        found->pins++;
    spin_unlock(&mounts_lock, irq);
    return found;
}

void mount_unpin(struct mount *mount)
{
    bool irq = spin_lock(&mounts_lock);

    ASSERT(mount->pins > 0, "unpin only what is pinned");
    mount->pins--;
    spin_unlock(&mounts_lock, irq);
    waitq_wake(&pins_waitq, WAITQ_ALL);
}

void mount_wait_pins(struct mount *mount)
{
    struct waiter waiter;

    for (;;) {
        waitq_enter(&pins_waitq, &waiter);
        bool irq = spin_lock(&mounts_lock);
        bool pinned = mount->pins > 0;
        spin_unlock(&mounts_lock, irq);
        if (pinned)
            waitq_wait(&pins_waitq, &waiter, WAIT_FOREVER);
        waitq_leave(&pins_waitq, &waiter);
        if (!pinned)
            return;
    }
}

/* ---- crossing ---- */

/* mounts_lock held. The last one mounted there is on top. */
static struct mount *covering(const struct path *path)
{
    struct mount *mount, *found = NULL;

    list_for_each (mount, &mounts, link)
        if (mount->attached && mount->point.mount == path->mount &&
            mount->point.inode == path->inode)
            found = mount;
    return found;
}

void mount_cross_down(struct path *path)
{
    while (path->inode->mounted_here) {
        bool irq = spin_lock(&mounts_lock);
        struct mount *top = covering(path);
        if (top)
            top->refs++;
        spin_unlock(&mounts_lock, irq);
        if (!top)
            return;
        path_put(path);
        path->mount = top;
        path->inode = top->super->root;
        inode_ref(path->inode);
    }
}

bool mount_cross_up(struct path *path)
{
    struct path point;

    /* A mount that was detached has no way out: its root is the root of all it sees. */
    if (!path->mount->point.mount || !path->mount->attached)
        return false;
    path_copy(&point, &path->mount->point);
    path_put(path);
    *path = point;
    return true;
}

/* ---- mounting ---- */

static struct mount *mount_make(struct super *super)
{
    struct mount *mount = heap_zalloc(sizeof(*mount));

    if (!mount)
        return NULL;
    mount->super = super;
    mount->refs = 1;
    list_init(&mount->link);
    work_init(&mount->finish, &mount_finish_ops);
    return mount;
}

void mount_destroy(struct mount *mount)
{
    if (mount->super)
        super_destroy(mount->super);
    if (mount->point.mount)
        path_put(&mount->point);
    heap_free(mount->target);
    heap_free(mount);
}

/* Into the table, on top of @point; takes over the caller's reference to @point. */
static int mount_attach(struct mount *mount, const struct path *point)
{
    struct inode *dir = point->inode;
    int err = 0;

    mutex_lock(&dir->lock);
    bool irq = spin_lock(&mounts_lock);
    if (!dir->nlink)
        err = -ENOENT;
    else if (covering(point))
        err = -EBUSY; /* somebody mounted here since the path was walked */
    if (!err) {
        mount->id = ++last_id;
        mount->point = *point;
        mount->attached = true;
        dir->mounted_here++;
        list_push_back(&mounts, &mount->link);
    }
    spin_unlock(&mounts_lock, irq);
    mutex_unlock(&dir->lock);
    return err;
}

/* What the listing of mounts shows; a failure costs only the listing. */
static char *target_text(const struct path *point, const char *target)
{
    char *text = heap_alloc(PATH_BYTES_MAX);

    if (text && path_text(point, text, PATH_BYTES_MAX) < 0)
        str_copy(text, target, PATH_BYTES_MAX);
    char *kept = text ? heap_strdup(text) : NULL;
    heap_free(text);
    return kept;
}

static int source_dev(const struct fs_type *type, const char *source, uint64_t *dev)
{
    struct path path;

    *dev = 0;
    if (!type->needs_device)
        return 0;
    int err = path_walk(NULL, source, WALK_FOLLOW, &path);
    if (err)
        return err;
    if ((path.inode->mode & MODE_TYPE) != MODE_BLOCK)
        err = -ENOTBLK;
    *dev = path.inode->rdev;
    path_put(&path);
    return err;
}

int vfs_mount(const char *source, const char *target, const char *type_name, unsigned flags,
              const char *options)
{
    const struct fs_type *type = fs_type_find(type_name);
    struct super *super;
    struct path point;
    uint64_t dev;

    if (!type)
        return -ENODEV;
    int err = path_walk(NULL, target, WALK_FOLLOW | WALK_DIRECTORY, &point);
    if (err)
        return err;
    err = source_dev(type, source, &dev);
    if (err)
        goto out_point;
    err = super_make(type, source, dev, flags & MOUNT_READ_ONLY, options, &super);
    if (err)
        goto out_point;
    struct mount *mount = mount_make(super);
    if (!mount) {
        super_destroy(super);
        err = -ENOMEM;
        goto out_point;
    }
    mount->target = target_text(&point, target);
    err = mount_attach(mount, &point);
    if (!err)
        return 0;
    mount_destroy(mount);
out_point:
    path_put(&point);
    return err;
}

int mount_root_start(const char *type_name)
{
    const struct fs_type *type = fs_type_find(type_name);
    struct super *super;

    if (!type)
        return -ENODEV;
    int err = super_make(type, "none", 0, false, NULL, &super);
    if (err)
        return err;
    struct mount *mount = mount_make(super);
    if (!mount) {
        super_destroy(super);
        return -ENOMEM;
    }
    mount->target = heap_strdup("/");
    bool irq = spin_lock(&mounts_lock);
    mount->id = ++last_id;
    mount->attached = true;
    list_push_back(&mounts, &mount->link);
    root_mount = mount;
    spin_unlock(&mounts_lock, irq);
    cwd_reset();
    return 0;
}

void mount_make_permanent(void)
{
    struct mount *mount;
    bool irq = spin_lock(&mounts_lock);

    list_for_each (mount, &mounts, link)
        mount->permanent = true;
    spin_unlock(&mounts_lock, irq);
}

/* ---- the listing ---- */

/* A field of /proc/mounts: blanks and backslashes as octal numbers. */
static void show_field(struct strbuf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c <= ' ' || c == '\\')
            strbuf_printf(out, "\\%03o", c);
        else
            strbuf_putc(out, (char)c);
    }
    strbuf_putc(out, ' ');
}

/* The first mount behind @id in the order of mounting, pinned. */
static struct mount *mount_after(uint32_t id)
{
    struct mount *mount, *found = NULL;
    bool irq = spin_lock(&mounts_lock);

    list_for_each (mount, &mounts, link) {
        if (mount->id > id && mount->attached) {
            found = mount;
            found->pins++;
            break;
        }
    }
    spin_unlock(&mounts_lock, irq);
    return found;
}

void vfs_show_mounts(struct strbuf *out)
{
    struct mount *mount = mount_after(0);

    while (mount) {
        uint32_t id = mount->id;
        show_field(out, mount->super->source);
        show_field(out, mount->target ? mount->target : "?");
        strbuf_printf(out, "%s %s,noatime 0 0\n", mount->super->type->name,
                      mount->super->read_only ? "ro" : "rw");
        mount_unpin(mount);
        mount = mount_after(id);
    }
}
