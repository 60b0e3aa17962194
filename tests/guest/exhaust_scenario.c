// SPDX-License-Identifier: MIT
/* The scenario itself. Steps are idempotent: each says what must be on the disk once it is done. */
#include "exhaust_scenario.h"

#include <block/bdev.h>
#include <drivers/stacked/loop.h>
#include <lib/errno.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/fail.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/thread.h>
#include <rt/xstack.h>
#include <vfs/vfs.h>

#define KEEP_BYTES 14000u
#define MADE_BYTES 17000u
#define TRUNC_BYTES 15000u
#define TRUNC_KEPT 5000u
#define DATA_BYTES 20000u

/* A level's steps; how many of them are done is its progress. */
enum done {
    DONE_CLEARED, DONE_CREATED, DONE_WRITTEN, DONE_SYNCED, DONE_VICTIM, DONE_DIR, DONE_RENAMED, DONE_DIR_SYNCED,
    DONE_TRUNC_MADE, DONE_TRUNC_CUT, DONE_TRUNC_SYNCED, DONE_UNLINKED, DONE_ALL,
};

struct step {
    const char *name;
    int (*perform)(struct scenario *s, int level);
};

static void wrong(struct scenario *s, const char *what, int level, int error)
{
    if (!s->wrong[0])
        snprintf(s->wrong, sizeof(s->wrong), "%s at level %d: %s", what, level, error ? errno_name(error) : "wrong");
}

static const char *path_of(char *room, int level, const char *name)
{
    snprintf(room, 64, "/x/l%d/%s", level, name);
    return room;
}

static const char *named(struct scenario *s, int level, const char *name) { return path_of(s->name, level, name); }

/* ---- files of a pattern ---- */

static uint8_t pattern(int level, char file, uint32_t at)
{
    uint32_t x = (at / 4 + 1) * 2654435761u + (uint32_t)level * 40503u + (uint8_t)file * 97u;
    return (uint8_t)(x >> (8 + at % 4 * 5));
}

static int write_pattern(struct scenario *s, const char *path, int level, char file, uint32_t bytes)
{
    struct file *f;
    int err = vfs_open(NULL, path, OPEN_READ_WRITE | OPEN_CREATE, 0644, &f);
    if (err)
        return err;
    for (uint32_t i = 0; i < bytes; i++)
        s->data[i] = pattern(level, file, i);
    uint32_t done = 0;
    while (!err && done < bytes) {
        ssize_t n = vfs_write(f, s->data + done, bytes - done, done);
        err = n < 0 ? (int)n : n == 0 ? -EPROTO : 0;
        done += n > 0 ? (uint32_t)n : 0;
    }
    file_put(f);
    return err;
}

/* -ENOENT; -EUCLEAN: it is there, and not as it must be. */
static int read_pattern(struct scenario *s, const char *path, int level, char file, uint32_t bytes)
{
    struct file *f;
    int err = vfs_open(NULL, path, OPEN_READ, 0, &f);
    if (err)
        return err;
    memset(s->data, 0xee, bytes);
    uint32_t done = 0;
    while (!err && done < bytes) {
        ssize_t n = vfs_read(f, s->data + done, bytes - done, done);
        err = n < 0 ? (int)n : n == 0 ? -EUCLEAN : 0;
        done += n > 0 ? (uint32_t)n : 0;
    }
    if (!err && f->inode->size != bytes)
        err = -EUCLEAN;
    for (uint32_t i = 0; i < bytes && !err; i++)
        err = s->data[i] == pattern(level, file, i) ? 0 : -EUCLEAN;
    file_put(f);
    return err;
}

static int sync_path(const char *path, unsigned flags)
{
    struct file *f;
    int err = vfs_open(NULL, path, OPEN_READ | flags, 0, &f);
    if (err)
        return err;
    err = vfs_sync(f, false);
    file_put(f);
    return err;
}

static int gone(int err) { return err == -ENOENT ? 0 : err; }

/* ---- comparing with the disk ---- */

static int must_be(struct scenario *s, int level, const char *name, char file, bool there, uint32_t bytes)
{
    int err = read_pattern(s, named(s, level, name), level, file, bytes);
    if (there || !err)
        return there ? err == -ENOENT ? -EUCLEAN : err : -EUCLEAN;
    return gone(err);
}

static int verify(struct scenario *s, int level)
{
    uint32_t p = s->progress[level];
    bool renamed = p > DONE_RENAMED, made = p > DONE_CREATED;
    int err = must_be(s, level, "keep", 'k', true, KEEP_BYTES);
    if (!err)
        err = must_be(s, level, "new", 'n', made && !renamed, p > DONE_WRITTEN ? MADE_BYTES : 0);
    if (!err)
        err = must_be(s, level, "dir/moved", 'n', renamed, MADE_BYTES);
    if (!err)
        err = must_be(s, level, "victim", 'v', p > DONE_VICTIM && p <= DONE_UNLINKED, 3000);
    if (!err)
        err = must_be(s, level, "trunc", 't', p > DONE_TRUNC_MADE, p > DONE_TRUNC_CUT ? TRUNC_KEPT : TRUNC_BYTES);
    return err;
}

/* ---- steps at one level ---- */

static int clear_all(struct scenario *s, int level)
{
    static const char *const files[] = {"new", "dir/moved", "victim", "trunc"};
    int err = 0;
    for (unsigned i = 0; i < 4 && !err; i++)
        err = gone(vfs_unlink(NULL, named(s, level, files[i])));
    return err ? err : gone(vfs_rmdir(NULL, named(s, level, "dir")));
}

/* It did not exist: so it must not after a failure either. */
static int create(struct scenario *s, int level)
{
    struct file *f;
    int err = vfs_open(NULL, named(s, level, "new"), OPEN_READ_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE, 0644, &f);
    if (!err)
        file_put(f);
    return err;
}

static int write_new(struct scenario *s, int level)
{
    return write_pattern(s, named(s, level, "new"), level, 'n', MADE_BYTES);
}

static int sync_new(struct scenario *s, int level) { return sync_path(named(s, level, "new"), 0); }

static int make_victim(struct scenario *s, int level)
{
    return write_pattern(s, named(s, level, "victim"), level, 'v', 3000);
}

static int make_dir(struct scenario *s, int level)
{
    return vfs_create_node(NULL, named(s, level, "dir"), MODE_DIR | 0755, 0);
}

static int rename_new(struct scenario *s, int level)
{
    return vfs_rename(NULL, named(s, level, "new"), NULL, path_of(s->name2, level, "dir/moved"), false);
}

static int sync_dir(struct scenario *s, int level) { return sync_path(named(s, level, "dir"), OPEN_DIRECTORY); }

static int make_trunc(struct scenario *s, int level)
{
    return write_pattern(s, named(s, level, "trunc"), level, 't', TRUNC_BYTES);
}

static int cut_trunc(struct scenario *s, int level)
{
    return vfs_truncate_path(NULL, named(s, level, "trunc"), TRUNC_KEPT);
}

static int sync_trunc(struct scenario *s, int level) { return sync_path(named(s, level, "trunc"), 0); }

static int unlink_victim(struct scenario *s, int level) { return vfs_unlink(NULL, named(s, level, "victim")); }

static const struct step level_steps[DONE_ALL] = {
    [DONE_CLEARED] = {"clear", clear_all},
    [DONE_CREATED] = {"create", create},
    [DONE_WRITTEN] = {"write", write_new},
    [DONE_SYNCED] = {"fsync", sync_new},
    [DONE_VICTIM] = {"write-victim", make_victim},
    [DONE_DIR] = {"mkdir", make_dir},
    [DONE_RENAMED] = {"rename", rename_new},
    [DONE_DIR_SYNCED] = {"fsync-dir", sync_dir},
    [DONE_TRUNC_MADE] = {"write-trunc", make_trunc},
    [DONE_TRUNC_CUT] = {"truncate", cut_trunc},
    [DONE_TRUNC_SYNCED] = {"fsync-trunc", sync_trunc},
    [DONE_UNLINKED] = {"unlink", unlink_victim},
};
static const struct step verify_step = {"verify", verify};

/* ---- mounting ---- */

static int attach_next(struct scenario *s, int level)
{
    struct file *file;
    int err = vfs_open(NULL, path_of(s->name, level - 1, "next.img"), OPEN_READ_WRITE, 0, &file);
    if (err)
        return err;
    err = loop_attach_file(file, false, &s->loops[level]);
    file_put(file);
    return err;
}

static int mount_level(struct scenario *s, int level)
{
    int err = level ? attach_next(s, level) : 0;
    if (err)
        return err;
    snprintf(s->name, 64, "/dev/%s", level ? s->loops[level]->name : s->disk->name);
    err = vfs_mount(s->name, path_of(s->name2, level, ""), "ext2", 0, "");
    if (err && level && s->loops[level]->sector_count)
        loop_detach(s->loops[level]);
    s->mounted[level] = !err;
    return err;
}
static const struct step mount_step = {"mount", mount_level};

static int unmount_level(struct scenario *s, int level)
{
    int err = vfs_unmount(path_of(s->name2, level, ""), false);
    s->mounted[level] = err != 0;
    return err;
}
static const struct step unmount_step = {"unmount", unmount_level};

/* ---- the run ---- */

/* Whether the run goes on behind this step. */
static bool attempt(struct scenario *s, const struct step *step, int level)
{
    int err = step->perform(s, level);
    if (!err)
        return true;
    if (!s->failures++) {
        s->failed_step = step->name;
        s->failed_level = level;
        s->failed_error = err;
    } else {
        wrong(s, "a second failure", level, err);
    }
    if (err != s->expected)
        wrong(s, step->name, level, err);
    fail_heal();
    int tries = s->lasting && s->expected == -EIO ? SCENARIO_LEVELS : 1;
    while (err && err == s->expected && tries--)
        err = step->perform(s, level);
    if (err)
        wrong(s, "trying again", level, err);
    return !err && !s->give_up;
}

static bool run_level(struct scenario *s, int level)
{
    for (uint32_t i = 0; i < DONE_ALL; i++) {
        bool go_on = attempt(s, &level_steps[i], level);
        if (s->wrong[0])
            return false;
        if (!i)
            s->progress[level] = 0;
        s->progress[level] = i + 1;
        if (!go_on)
            return false;
    }
    return true;
}

static bool run_mounted(struct scenario *s)
{
    for (int l = SCENARIO_LEVELS - 1; l >= 0; l -= s->only_verify ? 1 : 3)
        if (!attempt(s, &verify_step, l))
            return false;
    for (int l = SCENARIO_LEVELS - 1; l >= 0 && !s->only_verify; l -= 3)
        if (!run_level(s, l))
            return false;
    return true;
}

void scenario_run(struct scenario *s)
{
    s->failures = 0;
    s->failed_step = NULL;
    s->wrong[0] = 0;
    bool go_on = true;
    for (int l = 0; l < SCENARIO_LEVELS && go_on; l++)
        go_on = attempt(s, &mount_step, l);
    if (go_on)
        run_mounted(s);
    for (int l = SCENARIO_LEVELS - 1; l >= 0; l--)
        if (s->mounted[l])
            attempt(s, &unmount_step, l);
}

int scenario_populate(struct scenario *s)
{
    int err = 0;
    for (int l = 0; l < SCENARIO_LEVELS && !err; l++)
        err = mount_level(s, l);
    for (int l = SCENARIO_LEVELS - 1; l >= 0 && !err; l--) {
        err = write_pattern(s, named(s, l, "keep"), l, 'k', KEEP_BYTES);
        if (!err)
            err = sync_path(s->name, 0);
    }
    for (int l = SCENARIO_LEVELS - 1; l >= 0 && !err; l--)
        err = unmount_level(s, l);
    return err;
}

int scenario_init(struct scenario *s)
{
    *s = (struct scenario){.name = heap_alloc(64), .name2 = heap_alloc(64), .data = heap_alloc(DATA_BYTES)};
    if (!s->name || !s->name2 || !s->data)
        return -ENOMEM;
    int err = vfs_create_node(NULL, "/x", MODE_DIR | 0755, 0);
    for (int l = 0; l < SCENARIO_LEVELS && !err; l++)
        err = vfs_create_node(NULL, named(s, l, ""), MODE_DIR | 0755, 0);
    return err;
}

/* ---- what must be back ---- */

struct thread_count {
    struct thread_visitor visitor;
    uint64_t *count;
};

static void count_thread(const struct thread_visitor *visitor, struct thread *thread)
{
    (void)thread;
    ++*container_of(visitor, struct thread_count, visitor)->count;
}

void scenario_balance(struct scenario_balance *out)
{
    struct xstack_totals totals;
    *out = (struct scenario_balance){.heap_bytes = heap_bytes_in_use(), .free_pages = page_count_free()};
    xstack_totals(&totals);
    out->stacks_missing = totals.total - totals.free;
    out->in_use = totals.in_use;
    out->reserved = totals.reserved;
    struct thread_count counting = {.visitor = {.visit = count_thread}, .count = &out->threads};
    thread_for_each(&counting.visitor);
}

#define SLAB_SLACK 6                  /* pages: small objects come to lie in more or fewer pages */

static const char *difference(const struct scenario_balance *a, const struct scenario_balance *b)
{
    if (b->stacks_missing || b->in_use)
        return "an extra stack is out";
    if (a->reserved != b->reserved)
        return "private stacks";
    if (a->threads != b->threads)
        return "threads";
    if (a->heap_bytes != b->heap_bytes)
        return "heap";
    return b->free_pages + SLAB_SLACK < a->free_pages ? "pages" : NULL;
}

bool scenario_balanced(const struct scenario_balance *before, char *text, size_t size)
{
    struct scenario_balance now;
    const char *what = NULL;
    for (unsigned tries = 0; tries < 200; tries++) {
        scenario_balance(&now);
        what = difference(before, &now);
        if (!what)
            break;
        thread_sleep_ns(5 * NS_PER_MS);
    }
    if (what)
        snprintf(text, size, "%s: heap %ld, free pages %ld, threads %ld, reserved %ld, stacks out %ld", what,
                 (long)(now.heap_bytes - before->heap_bytes), (long)(now.free_pages - before->free_pages),
                 (long)(now.threads - before->threads), (long)(now.reserved - before->reserved),
                 (long)now.stacks_missing);
    else
        text[0] = 0;
    return !what;
}
