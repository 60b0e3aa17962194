// SPDX-License-Identifier: MIT
/*
 * A tree of files in memory that says what a filesystem must show, and random operations that are
 * done to both and compared. One struct model is used by one thread, for the tree below its root.
 */
#pragma once

#include "test_ext2.h"

#define NODES_MAX 48
#define SIZE_MAX_BYTES 900000u

struct node {
    uint32_t mode;  /* 0: free */
    uint32_t links; /* names that lead here */
    uint8_t *data;  /* files: contents; symlinks: target */
    uint32_t size;
    uint64_t number; /* as the filesystem says; 0: not looked at */
};

struct entry {
    int dir, node; /* indices; node -1: free */
    char name[64];
};

#define ENTRIES_MAX 80
struct model {
    char root[32];
    uint64_t random;
    struct node nodes[NODES_MAX]; /* 0 is the root directory */
    struct entry entries[ENTRIES_MAX];
    uint64_t operations, no_space;
    bool done;
};

/* ---- the model's tree ---- */

static int find_entry(const struct model *m, int dir, const char *name)
{
    for (int i = 0; i < ENTRIES_MAX; i++)
        if (m->entries[i].node >= 0 && m->entries[i].dir == dir &&
            !strcmp(m->entries[i].name, name))
            return i;
    return -1;
}

static int free_entry(const struct model *m)
{
    for (int i = 0; i < ENTRIES_MAX; i++)
        if (m->entries[i].node < 0)
            return i;
    return -1;
}

static int free_node(const struct model *m)
{
    for (int i = 1; i < NODES_MAX; i++)
        if (!m->nodes[i].mode)
            return i;
    return -1;
}

static bool dir_is_empty(const struct model *m, int dir)
{
    for (int i = 0; i < ENTRIES_MAX; i++)
        if (m->entries[i].node >= 0 && m->entries[i].dir == dir)
            return false;
    return true;
}

/* Some node of the wanted type, or -1. */
static int pick_node(struct model *m, uint32_t type)
{
    for (int tries = 0; tries < 20; tries++) {
        int i = (int)random_below(&m->random, NODES_MAX);
        if (m->nodes[i].mode && (m->nodes[i].mode & MODE_TYPE) == type)
            return i;
    }
    return type == MODE_DIR ? 0 : -1;
}

static int pick_entry(struct model *m)
{
    for (int tries = 0; tries < 20; tries++) {
        int i = (int)random_below(&m->random, ENTRIES_MAX);
        if (m->entries[i].node >= 0)
            return i;
    }
    return -1;
}

static void path_of_dir(const struct model *m, int dir, char *out, size_t bytes)
{
    if (dir == 0) {
        snprintf(out, bytes, "%s", m->root);
        return;
    }
    for (int i = 0; i < ENTRIES_MAX; i++) {
        if (m->entries[i].node != dir)
            continue;
        path_of_dir(m, m->entries[i].dir, out, bytes);
        size_t length = strlen(out);
        snprintf(out + length, bytes - length, "/%s", m->entries[i].name);
        return;
    }
    abort();
}

static void path_of(const struct model *m, int dir, const char *name, char *out, size_t bytes)
{
    path_of_dir(m, dir, out, bytes);
    size_t length = strlen(out);
    snprintf(out + length, bytes - length, "/%s", name);
}

static void drop_link(struct model *m, int node)
{
    if (--m->nodes[node].links)
        return;
    free(m->nodes[node].data);
    memset(&m->nodes[node], 0, sizeof(m->nodes[node]));
}

static bool is_inside(const struct model *m, int dir, int ancestor)
{
    while (dir != ancestor && dir != 0) {
        for (int i = 0; i < ENTRIES_MAX; i++) {
            if (m->entries[i].node == dir) {
                dir = m->entries[i].dir;
                break;
            }
        }
    }
    return dir == ancestor;
}

/* ---- operations ---- */

static void new_name(struct model *m, char *out)
{
    static const char *const stems[] = { "a", "file", "some-longer-name-that-takes-room-in-a-block",
                                         "x.y", "dir" };
    sprintf(out, "%s%d", stems[random_below(&m->random, 5)], (int)random_below(&m->random, 12));
}

/* A failure that is allowed: the filesystem is full. */
static bool full(struct model *m, long result)
{
    if (result == -ENOSPC)
        m->no_space++;
    else if (result < 0)
        print_error("%s: unexpected %s\n", m->root, errno_name((int)result));
    assert_true(result >= 0 || result == -ENOSPC);
    return result == -ENOSPC;
}

static void do_create(struct model *m, uint32_t mode)
{
    char name[64], path[2048], target[600];
    int dir = pick_node(m, MODE_DIR), e = free_entry(m), n = free_node(m);
    new_name(m, name);
    if (e < 0 || n < 0)
        return;
    path_of(m, dir, name, path, sizeof(path));
    if (strlen(path) > 900)
        return;
    bool exists = find_entry(m, dir, name) >= 0;
    uint32_t length =
        1 + (uint32_t)random_below(&m->random, random_below(&m->random, 2) ? 59 : 590);
    memset(target, 'a' + (int)random_below(&m->random, 26), length);
    target[length] = 0;
    int err = mode_is_symlink(mode) ? vfs_symlink(NULL, target, path)
                                    : vfs_create_node(NULL, path, mode, 0);
    if (exists) {
        assert_int_equal(err, -EEXIST);
        return;
    }
    if (full(m, err))
        return;
    m->nodes[n] = (struct node){ .mode = mode, .links = 1 };
    if (mode_is_symlink(mode)) {
        m->nodes[n].data = malloc(length);
        memcpy(m->nodes[n].data, target, length);
        m->nodes[n].size = length;
    }
    m->entries[e].dir = dir;
    m->entries[e].node = n;
    strcpy(m->entries[e].name, name);
}

static struct file *open_node(struct model *m, int e, unsigned flags)
{
    char path[2048];
    path_of(m, m->entries[e].dir, m->entries[e].name, path, sizeof(path));
    return open_file(path, flags);
}

static int pick_file_entry(struct model *m)
{
    int e = pick_entry(m);
    return e >= 0 && mode_is_file(m->nodes[m->entries[e].node].mode) ? e : -1;
}

static uint32_t pick_offset(struct model *m)
{
    switch (random_below(&m->random, 4)) {
    case 0:
        return (uint32_t)random_below(&m->random, 16000);
    case 1:
        return (uint32_t)random_below(&m->random, 300000);
    case 2:
        return (uint32_t)random_below(&m->random, SIZE_MAX_BYTES / 4096) * 4096;
    default:
        return (uint32_t)random_below(&m->random, SIZE_MAX_BYTES);
    }
}

static void resize(struct node *n, uint32_t size)
{
    n->data = realloc(n->data, size ? size : 1);
    if (size > n->size)
        memset(n->data + n->size, 0, size - n->size);
    n->size = size;
}

static void do_write(struct model *m)
{
    int e = pick_file_entry(m);
    if (e < 0)
        return;
    struct node *n = &m->nodes[m->entries[e].node];
    uint32_t offset = random_below(&m->random, 3) ? pick_offset(m) : n->size;
    uint32_t bytes =
        1 + (uint32_t)random_below(&m->random, random_below(&m->random, 3) ? 5000 : 60000);
    if (offset + bytes > SIZE_MAX_BYTES)
        return;
    uint8_t *data = malloc(bytes);
    pattern_fill(data, bytes, random_next(&m->random), 0);
    struct file *file = open_node(m, e, OPEN_READ_WRITE);
    ssize_t done = vfs_write(file, data, bytes, offset);
    if (!full(m, done)) {
        if (offset + (uint32_t)done > n->size)
            resize(n, offset + (uint32_t)done);
        memcpy(n->data + offset, data, (size_t)done);
    }
    if (random_below(&m->random, 8) == 0)
        OK(vfs_sync(file, random_below(&m->random, 2)));
    file_put(file);
    free(data);
}

static void do_read(struct model *m)
{
    int e = pick_file_entry(m);
    if (e < 0)
        return;
    struct node *n = &m->nodes[m->entries[e].node];
    uint32_t offset = random_below(&m->random, 2) ? pick_offset(m) : 0;
    uint32_t bytes = 1 + (uint32_t)random_below(&m->random, 40000);
    uint8_t *data = malloc(bytes);
    struct file *file = open_node(m, e, OPEN_READ);
    ssize_t done = vfs_read(file, data, bytes, offset);
    ssize_t expected = offset >= n->size ? 0 : (ssize_t)MIN(bytes, n->size - offset);
    assert_int_equal(done, expected);
    if (done > 0)
        assert_memory_equal(data, n->data + offset, (size_t)done);
    file_put(file);
    free(data);
}

static void do_truncate(struct model *m)
{
    int e = pick_file_entry(m);
    if (e < 0)
        return;
    struct node *n = &m->nodes[m->entries[e].node];
    uint32_t size = random_below(&m->random, 3)
                        ? pick_offset(m)
                        : (uint32_t)random_below(&m->random, 2) * n->size / 2;
    struct file *file = open_node(m, e, OPEN_READ_WRITE);
    if (!full(m, vfs_truncate(file, size)))
        resize(n, size);
    file_put(file);
}

static void do_remove(struct model *m)
{
    int e = pick_entry(m);
    if (e < 0)
        return;
    char path[2048];
    int node = m->entries[e].node;
    path_of(m, m->entries[e].dir, m->entries[e].name, path, sizeof(path));
    if (mode_is_dir(m->nodes[node].mode)) {
        int err = vfs_rmdir(NULL, path);
        if (!dir_is_empty(m, node)) {
            assert_int_equal(err, -ENOTEMPTY);
            return;
        }
        assert_int_equal(err, 0);
    } else {
        /* Half the time somebody has it open for a while longer. */
        struct file *file = NULL;
        if (mode_is_file(m->nodes[node].mode) && m->nodes[node].links == 1 &&
            random_below(&m->random, 2))
            file = open_node(m, e, OPEN_READ_WRITE);
        assert_int_equal(vfs_unlink(NULL, path), 0);
        if (file) {
            assert_true(vfs_write(file, "gone", 4, 100) != -EIO);
            file_put(file);
        }
    }
    m->entries[e].node = -1;
    drop_link(m, node);
}

static void do_rename(struct model *m)
{
    char from[2048], to[2048], name[64];
    int e = pick_entry(m), dir = pick_node(m, MODE_DIR);
    new_name(m, name);
    if (e < 0)
        return;
    int node = m->entries[e].node, target = find_entry(m, dir, name);
    path_of(m, m->entries[e].dir, m->entries[e].name, from, sizeof(from));
    path_of(m, dir, name, to, sizeof(to));
    if (strlen(to) > 900)
        return;
    int err = vfs_rename(NULL, from, NULL, to, false);
    bool directory = mode_is_dir(m->nodes[node].mode);
    if (target >= 0 && m->entries[target].node == node) {
        assert_int_equal(err, 0);
        return;
    }
    if (directory && is_inside(m, dir, node)) {
        assert_true(err == -EINVAL || err == -ENOTEMPTY);
        return;
    }
    if (target >= 0 && is_inside(m, m->entries[e].dir, m->entries[target].node)) {
        assert_true(err == -ENOTEMPTY || err == -EISDIR);
        return;
    }
    if (target >= 0) {
        const struct node *t = &m->nodes[m->entries[target].node];
        if (directory != mode_is_dir(t->mode)) {
            assert_int_equal(err, directory ? -ENOTDIR : -EISDIR);
            return;
        }
        if (directory && !dir_is_empty(m, m->entries[target].node)) {
            assert_int_equal(err, -ENOTEMPTY);
            return;
        }
    }
    if (full(m, err))
        return;
    if (target >= 0) {
        int old = m->entries[target].node;
        m->entries[target].node = -1;
        drop_link(m, old);
    }
    m->entries[e].dir = dir;
    strcpy(m->entries[e].name, name);
}

static void do_link(struct model *m)
{
    char from[2048], to[2048], name[64];
    int e = pick_entry(m), dir = pick_node(m, MODE_DIR), fresh = free_entry(m);
    new_name(m, name);
    if (e < 0 || fresh < 0 || mode_is_dir(m->nodes[m->entries[e].node].mode))
        return;
    path_of(m, m->entries[e].dir, m->entries[e].name, from, sizeof(from));
    path_of(m, dir, name, to, sizeof(to));
    if (strlen(to) > 900)
        return;
    int err = vfs_link(NULL, from, NULL, to, 0);
    if (find_entry(m, dir, name) >= 0) {
        assert_int_equal(err, -EEXIST);
        return;
    }
    if (full(m, err))
        return;
    m->nodes[m->entries[e].node].links++;
    m->entries[fresh].dir = dir;
    m->entries[fresh].node = m->entries[e].node;
    strcpy(m->entries[fresh].name, name);
}

static void one_operation(struct model *m)
{
    uint64_t what = random_below(&m->random, 100);
    m->operations++;
    if (what < 8)
        do_create(m, MODE_FILE | 0644);
    else if (what < 13)
        do_create(m, MODE_DIR | 0755);
    else if (what < 16)
        do_create(m, MODE_SYMLINK | 0777);
    else if (what < 45)
        do_write(m);
    else if (what < 70)
        do_read(m);
    else if (what < 77)
        do_truncate(m);
    else if (what < 85)
        do_remove(m);
    else if (what < 93)
        do_rename(m);
    else if (what < 97)
        do_link(m);
    else
        thread_sleep_ns(NS_PER_MS);
}

/* ---- comparing all ---- */

static void check_file(struct model *m, int e)
{
    struct node *n = &m->nodes[m->entries[e].node];
    struct file *file = open_node(m, e, OPEN_READ);
    assert_int_equal(file->inode->size, n->size);
    assert_int_equal(file->inode->nlink, n->links);
    uint8_t *data = malloc(n->size + 1);
    assert_int_equal(vfs_read(file, data, n->size + 1, 0), n->size);
    assert_memory_equal(data, n->data, n->size);
    free(data);
    file_put(file);
}

static void check_symlink(struct model *m, int e)
{
    char path[2048], text[700];
    struct node *n = &m->nodes[m->entries[e].node];
    path_of(m, m->entries[e].dir, m->entries[e].name, path, sizeof(path));
    assert_int_equal(vfs_readlink(NULL, path, text, sizeof(text)), n->size);
    assert_memory_equal(text, n->data, n->size);
}

struct count_sink {
    struct dir_sink sink;
    struct model *m;
    int dir;
    uint32_t count;
};

static bool count_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                       uint32_t mode, uint64_t next_offset)
{
    struct count_sink *c = container_of(sink, struct count_sink, sink);
    char text[256];
    (void)number, (void)next_offset;
    memcpy(text, name, length);
    text[length] = 0;
    if (!strcmp(text, ".") || !strcmp(text, ".."))
        return true;
    int e = find_entry(c->m, c->dir, text);
    assert_true(e >= 0);
    assert_int_equal(mode & MODE_TYPE, c->m->nodes[c->m->entries[e].node].mode & MODE_TYPE);
    c->count++;
    return true;
}
static const struct dir_sink_ops count_sink_ops = { .emit = count_emit };

static void check_dir(struct model *m, int dir)
{
    char path[2048];
    struct count_sink c = { .sink = { &count_sink_ops }, .m = m, .dir = dir };
    uint32_t expected = 0;
    path_of_dir(m, dir, path, sizeof(path));
    struct file *file = open_file(path, OPEN_READ | OPEN_DIRECTORY);
    OK(vfs_readdir(file, &c.sink));
    file_put(file);
    for (int i = 0; i < ENTRIES_MAX; i++)
        expected += m->entries[i].node >= 0 && m->entries[i].dir == dir;
    assert_int_equal(c.count, expected);
}

static void check_model(struct model *m)
{
    check_dir(m, 0);
    for (int e = 0; e < ENTRIES_MAX; e++) {
        if (m->entries[e].node < 0)
            continue;
        uint32_t mode = m->nodes[m->entries[e].node].mode;
        if (mode_is_file(mode))
            check_file(m, e);
        else if (mode_is_symlink(mode))
            check_symlink(m, e);
        else
            check_dir(m, m->entries[e].node);
    }
}
