// SPDX-License-Identifier: MIT
/* A filesystem that does as it is told: reads fail, sleep or succeed; every call is counted. */
#pragma once

#include "vfs_fixture.h"

#include <vfs/write_back.h>

struct fake {
    /* orders */
    int read_errors;                  /* so many reads still fail */
    int evict_errors, sync_errors, some_errors;       /* likewise */
    bool slow_reads;
    bool fail_mount;
    uint32_t reserve_probes;
    struct file *touch;               /* sync_super writes a byte there */
    /* what happened */
    int reads, evicts, syncs, somes, puts, allocated, at_once, most_at_once;
    ssize_t touched;
    uint32_t touch_held;
    struct thread *sync_thread;
    struct super *super;
};

static struct fake fake;

#define FAKE_ROOT 2u

static struct inode *fake_alloc(struct super *super)
{
    (void)super;
    fake.allocated++;
    return heap_zalloc(sizeof(struct inode));
}

static void fake_free(struct inode *inode)
{
    fake.allocated--;
    heap_free(inode);
}

/* Names in a fake directory are decimal numbers of files. */
static int fake_lookup(struct inode *dir, const char *name, size_t length, struct inode **out)
{
    uint64_t number = 0;

    if (length == 2 && memcmp(name, "..", 2) == 0)
        return inode_get(dir->super, FAKE_ROOT, out);
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -ENOENT;
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    return inode_get(dir->super, number, out);
}

static int fake_unlink(struct inode *dir, const char *name, size_t length, struct inode *victim)
{
    (void)dir, (void)name, (void)length;
    victim->nlink = 0;
    return 0;
}

static const struct inode_ops fake_dir_ops = {.lookup = fake_lookup, .unlink = fake_unlink};
static const struct inode_ops fake_file_ops = {.lookup = NULL};

static int fake_read(struct inode *inode)
{
    fake.reads++;
    fake.at_once++;
    fake.most_at_once = MAX(fake.most_at_once, fake.at_once);
    if (fake.slow_reads)
        thread_sleep_ns(NS_PER_MS);
    fake.at_once--;
    if (fake.read_errors) {
        fake.read_errors--;
        return -EIO;
    }
    inode->nlink = 1;
    inode->ops = inode->number == FAKE_ROOT ? &fake_dir_ops : &fake_file_ops;
    inode->mode = inode->number == FAKE_ROOT ? MODE_DIR | 0755 : MODE_FILE | 0644;
    return 0;
}

static int count_down(int *errors)
{
    if (!*errors)
        return 0;
    (*errors)--;
    return -EIO;
}

static int fake_evict(struct inode *inode)
{
    assert_int_equal(inode->nlink, 0);
    fake.evicts++;
    return count_down(&fake.evict_errors);
}

static int fake_sync(struct super *super)
{
    (void)super;
    fake.syncs++;
    fake.sync_thread = thread_current();
    if (fake.touch) {
        fake.touched = vfs_write(fake.touch, "x", 1, 0);
        fake.touch_held = thread_current()->held_max;
    }
    return count_down(&fake.sync_errors);
}

static int fake_some(struct super *super)
{
    (void)super;
    fake.somes++;
    return count_down(&fake.some_errors);
}

static void fake_put(struct super *super)
{
    (void)super;
    fake.puts++;
}

static const struct super_ops fake_super_ops = {
    .inode_alloc = fake_alloc, .inode_free = fake_free, .inode_read = fake_read,
    .evict = fake_evict, .sync_super = fake_sync, .write_some = fake_some, .put_super = fake_put,
};

static int fake_mount(struct super *super, const char *options)
{
    (void)options;
    super->ops = &fake_super_ops;
    super->reserve_probes = fake.reserve_probes;
    fake.super = super;
    int err = inode_get(super, FAKE_ROOT, &super->root);
    if (!err && fake.fail_mount) {
        struct inode *root = super->root;
        super->root = NULL;
        inode_put(root);
        err = -EINVAL;
    }
    return err;
}

static const struct fs_type_ops fake_type_ops = {.mount = fake_mount};
static const struct fs_type fake_fs_type = {.name = "fake", .ops = &fake_type_ops};

const struct fs_type *const fs_types[] = {
    &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, &fake_fs_type, NULL,
};

static void fake_start(struct fake orders)
{
    fake = orders;
    assert_int_equal(vfs_mount("fake", "/mnt", "fake", 0, ""), 0);
}

/* Ends the mount; nothing may be left of it. */
static void fake_end(void)
{
    assert_int_equal(vfs_unmount("/mnt", false), 0);
    assert_int_equal(fake.puts, 1);
    assert_int_equal(fake.allocated, 0);
}
