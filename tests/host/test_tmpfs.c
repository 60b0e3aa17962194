// SPDX-License-Identifier: MIT
/*
 * tmpfs: contents, holes, truncation, links, renames, directories while they change, limits, and no
 * leaks.
 */
#include "vfs_fixture.h"

#include <rt/sync.h>

const struct fs_type *const fs_types[] = { &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, NULL };

static char buffer[64 * 1024], pattern[64 * 1024];

static void fill_pattern(void)
{
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)(i * 7 + i / 251);
}

VFS_TEST(test_contents)
{
    struct file *file = must_open("/tmp/f", OPEN_READ_WRITE | OPEN_CREATE);

    fill_pattern();
    for (unsigned round = 0; round < 200; round++) {
        uint64_t offset = (round * 7919u) % 50000;
        size_t bytes = (round * 131u) % 9000;
        assert_int_equal(vfs_write(file, pattern + offset, bytes, offset), (ssize_t)bytes);
    }
    uint64_t size = file->inode->size;
    ssize_t length = vfs_read(file, buffer, sizeof(buffer), 0);
    assert_int_equal(length, (ssize_t)size);
    for (size_t i = 0; i < (size_t)length; i++)
        assert_true(buffer[i] == pattern[i] || buffer[i] == 0);
    assert_int_equal(vfs_write(file, pattern, sizeof(pattern), 0), (ssize_t)sizeof(pattern));
    assert_int_equal(vfs_read(file, buffer, sizeof(buffer), 0), (ssize_t)sizeof(buffer));
    assert_memory_equal(buffer, pattern, sizeof(pattern));
    assert_int_equal(vfs_read(file, buffer, 10, sizeof(pattern) - 3), 3);
    assert_int_equal(vfs_read(file, buffer, 10, sizeof(pattern) + 3), 0);
    assert_int_equal(file->inode->blocks, sizeof(pattern) / 512);
    file_put(file);
    assert_int_equal(vfs_unlink(NULL, "/tmp/f"), 0);
}

VFS_TEST(test_sparse)
{
    static const uint64_t places[] = { 0, 5000, MIB(1), GIB(3) + 17, GIB(5000), INT64_MAX - 10 };
    uint64_t pages = page_count_free();
    struct file *file = must_open("/tmp/sparse", OPEN_READ_WRITE | OPEN_CREATE);

    for (unsigned i = 0; i < ARRAY_COUNT(places); i++)
        assert_int_equal(vfs_write(file, "0123456789", 10, places[i]), 10);
    assert_int_equal(file->inode->size, INT64_MAX);
    assert_int_equal(file->inode->blocks, 6 * 8);
    for (unsigned i = 0; i < ARRAY_COUNT(places); i++) {
        assert_int_equal(vfs_read(file, buffer, 10, places[i]), 10);
        assert_memory_equal(buffer, "0123456789", 10);
    }
    assert_int_equal(vfs_read(file, buffer, 4096, GIB(2)), 4096);
    for (unsigned i = 0; i < 4096; i++)
        assert_int_equal(buffer[i], 0);
    /* Cut down from the end, page by page. */
    for (unsigned i = ARRAY_COUNT(places); i-- > 1;) {
        assert_int_equal(vfs_truncate(file, places[i] + 4), 0);
        assert_int_equal(vfs_truncate(file, places[i] + 8), 0);
        assert_int_equal(vfs_read(file, buffer, 10, places[i]), 8);
        assert_memory_equal(buffer, "0123\0\0\0\0", 8);
        assert_int_equal(file->inode->blocks, 8 * (i + 1));
    }
    assert_int_equal(vfs_truncate(file, 0), 0);
    assert_int_equal(file->inode->blocks, 0);
    assert_int_equal(vfs_truncate(file, GIB(9)), 0);
    assert_int_equal(file->inode->blocks, 0);
    file_put(file);
    assert_int_equal(vfs_unlink(NULL, "/tmp/sparse"), 0);
    assert_true(page_count_free() + 16 > pages);
}

static uint32_t links_of(const char *name)
{
    struct path path;

    assert_int_equal(path_walk(NULL, name, 0, &path), 0);
    uint32_t links = path.inode->nlink;
    path_put(&path);
    return links;
}

VFS_TEST(test_links)
{
    make_file("/tmp/a", "same");
    assert_int_equal(vfs_link(NULL, "/tmp/a", NULL, "/tmp/b", 0), 0);
    assert_int_equal(links_of("/tmp/a"), 2);
    assert_int_equal(vfs_rename(NULL, "/tmp/a", NULL, "/tmp/b", false),
                     0); /* the same file: stays */
    assert_int_equal(links_of("/tmp/a"), 2);
    assert_int_equal(vfs_unlink(NULL, "/tmp/a"), 0);
    assert_string_equal(text_of("/tmp/b"), "same");
    assert_int_equal(links_of("/tmp/b"), 1);
    assert_int_equal(vfs_symlink(NULL, "b", "/tmp/s"), 0);
    assert_int_equal(vfs_link(NULL, "/tmp/s", NULL, "/tmp/s2", 0), 0); /* of the link itself */
    assert_int_equal(vfs_readlink(NULL, "/tmp/s2", buffer, 100), 1);
    assert_int_equal(vfs_link(NULL, "/tmp/s", NULL, "/tmp/b2", WALK_FOLLOW), 0);
    assert_int_equal(links_of("/tmp/b"), 2);
    assert_string_equal(names_in("/tmp"), "b s s2 b2 ");
    assert_int_equal(vfs_unlink(NULL, "/tmp/b"), 0);
    assert_int_equal(vfs_unlink(NULL, "/tmp/b2"), 0);
    assert_int_equal(vfs_unlink(NULL, "/tmp/s"), 0);
    assert_int_equal(vfs_unlink(NULL, "/tmp/s2"), 0);
}

VFS_TEST(test_rename)
{
    make_file("/tmp/a", "A");
    make_file("/tmp/b", "B");
    assert_int_equal(vfs_rename(NULL, "/tmp/a", NULL, "/tmp/b", false), 0);
    assert_string_equal(text_of("/tmp/b"), "A");
    assert_int_equal(try_open("/tmp/a", OPEN_READ), -ENOENT);
    assert_int_equal(make_dir("/tmp/d1"), 0);
    assert_int_equal(make_dir("/tmp/d2"), 0);
    assert_int_equal(make_dir("/tmp/d1/sub"), 0);
    assert_int_equal(links_of("/tmp"), 4);
    assert_int_equal(links_of("/tmp/d1"), 3);
    assert_int_equal(vfs_rename(NULL, "/tmp/d1/sub", NULL, "/tmp/d2/moved/", false), 0);
    assert_int_equal(links_of("/tmp/d1"), 2);
    assert_int_equal(links_of("/tmp/d2"), 3);
    make_file("/tmp/d2/moved/../here", "x"); /* ".." follows the move */
    assert_string_equal(names_in("/tmp/d2"), "moved here ");
    assert_int_equal(vfs_rename(NULL, "/tmp/d1", NULL, "/tmp/d2/moved", false),
                     0); /* an empty one is replaced */
    assert_int_equal(links_of("/tmp"), 3);
    assert_int_equal(links_of("/tmp/d2"), 3);
    assert_int_equal(vfs_rename(NULL, "/tmp/d2/moved", NULL, "/tmp/d2/renamed", true), 0);
    assert_string_equal(names_in("/tmp/d2"), "here renamed ");
    assert_int_equal(vfs_rename(NULL, "/tmp/d2/here", NULL, "/tmp/b", false), 0);
    assert_string_equal(text_of("/tmp/b"), "x");
    assert_int_equal(vfs_rmdir(NULL, "/tmp/d2/renamed"), 0);
    assert_int_equal(vfs_rmdir(NULL, "/tmp/d2"), 0);
    assert_int_equal(vfs_unlink(NULL, "/tmp/b"), 0);
    assert_int_equal(links_of("/tmp"), 2);
}

/* A directory that changes while it is read shows every lasting entry once. */
VFS_TEST(test_readdir_while_changing)
{
    static struct name_sink names;
    char name[32];
    struct file *dir;

    assert_int_equal(make_dir("/tmp/many"), 0);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "/tmp/many/k%02u", i);
        make_file(name, "");
    }
    dir = must_open("/tmp/many", OPEN_READ);
    names = (struct name_sink){ .sink = { &name_sink_ops } };
    for (unsigned i = 0; i < 100; i += 5) {
        names.room = i ? 5 : 7;
        assert_int_equal(vfs_readdir(dir, &names.sink), 0);
        snprintf(name, sizeof(name), "/tmp/many/k%02u", i);
        assert_int_equal(vfs_unlink(NULL, name), 0);
        snprintf(name, sizeof(name), "/tmp/many/n%02u", i);
        make_file(name, "");
    }
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "k%02u ", i);
        char *at = strstr(names.text, name);
        assert_non_null(at);
        assert_null(strstr(at + 1, name));
    }
    dir->position = 0;
    names = (struct name_sink){ .sink = { &name_sink_ops }, .room = SIZE_MAX };
    assert_int_equal(vfs_readdir(dir, &names.sink), 0);
    assert_int_equal(strlen(names.text), 100 * 4);
    file_put(dir);
}

VFS_TEST(test_limits)
{
    struct fs_stat stat;
    struct file *file;
    struct path root;
    uint64_t heap = heap_bytes_in_use(), pages = page_count_free();

    assert_int_equal(vfs_mount("small", "/mnt", "tmpfs", 0, "size=128K"), 0);
    file = must_open("/mnt/f", OPEN_READ_WRITE | OPEN_CREATE);
    assert_int_equal(vfs_write(file, pattern, sizeof(pattern), 0), (ssize_t)sizeof(pattern));
    assert_int_equal(vfs_write(file, pattern, sizeof(pattern), sizeof(pattern)),
                     (ssize_t)sizeof(pattern));
    assert_int_equal(vfs_write(file, "x", 1, 2 * sizeof(pattern)), -ENOSPC);
    assert_int_equal(vfs_write(file, "x", 1, 0), 1);
    assert_int_equal(file->inode->size, 2 * sizeof(pattern));
    assert_int_equal(path_walk(NULL, "/mnt", 0, &root), 0);
    assert_int_equal(vfs_statfs(&root, &stat), 0);
    assert_int_equal(stat.blocks, 32);
    assert_int_equal(stat.blocks_free, 0);
    assert_int_equal(stat.type, 0x01021994);
    assert_int_equal(vfs_truncate(file, 4096 * 30), 0);
    assert_int_equal(vfs_write(file, pattern, 4 * 4096, 4096 * 31), 2 * 4096); /* as much as fits */
    path_put(&root);
    int err = 0;
    for (unsigned i = 0; !err; i++) {
        char name[32];
        snprintf(name, sizeof(name), "/mnt/e%u", i);
        err = make_dir(name);
    }
    assert_int_equal(err, -ENOSPC);
    file_put(file);
    assert_int_equal(vfs_unmount("/mnt", false), 0);
    assert_true(heap_bytes_in_use() <= heap);
    assert_true(page_count_free() + 32 > pages);
}

/* Memory runs out before the limit does. */
VFS_TEST(test_out_of_memory)
{
    struct file *file = must_open("/tmp/big", OPEN_READ_WRITE | OPEN_CREATE);
    uint64_t offset = 0;
    ssize_t n;

    while (page_alloc(3))
        ; /* the rest of the machine is gone, up to crumbs */
    while ((n = vfs_write(file, pattern, sizeof(pattern), offset)) > 0)
        offset += (uint64_t)n;
    assert_int_equal(n, -ENOMEM);
    assert_int_equal(file->inode->size, offset);
    assert_int_equal(vfs_read(file, buffer, 4096, 0), offset ? 4096 : 0);
    file_put(file);
    assert_int_equal(vfs_unlink(NULL, "/tmp/big"), 0);
    assert_non_null(page_alloc(0));
}

/* ---- threads ---- */

#define THREADS 6
#define ROUNDS 60

static void churn(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    char mine[48], other[48], text[16];

    for (unsigned i = 0; i < ROUNDS; i++) {
        snprintf(mine, sizeof(mine), "/tmp/churn/%u/f%u", (id + i) % 3, id);
        snprintf(other, sizeof(other), "/tmp/churn/%u/g%u", (id + i + 1) % 3, i % 4);
        struct file *file = must_open(mine, OPEN_READ_WRITE | OPEN_CREATE | OPEN_APPEND);
        assert_int_equal(vfs_write(file, "abc", 3, 0), 3);
        thread_yield();
        assert_int_equal(vfs_read(file, text, 3, 0), 3);
        int err = vfs_rename(NULL, mine, NULL, other, false);
        assert_true(err == 0);
        thread_yield();
        err = vfs_unlink(NULL, other);
        assert_true(err == 0 || err == -ENOENT);
        file_put(file);
    }
}

struct churn_start {
    unsigned id;
    struct semaphore *ended;
};

static void churn_thread(void *argument)
{
    struct churn_start *start = argument;

    churn((void *)(uintptr_t)start->id);
    semaphore_up(start->ended);
}

VFS_TEST(test_threads)
{
    static const struct thread_def def = { .name = "churn", .run = churn_thread };
    struct churn_start starts[THREADS];
    struct semaphore ended;

    semaphore_init(&ended, 0);
    assert_int_equal(make_dir("/tmp/churn"), 0);
    assert_int_equal(make_dir("/tmp/churn/0"), 0);
    assert_int_equal(make_dir("/tmp/churn/1"), 0);
    assert_int_equal(make_dir("/tmp/churn/2"), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        starts[i] = (struct churn_start){ i, &ended };
        assert_int_equal(thread_create(&def, &starts[i], NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(semaphore_down(&ended, WAIT_FOREVER));
    assert_string_equal(names_in("/tmp/churn/0"), "");
    assert_string_equal(names_in("/tmp/churn/1"), "");
    assert_string_equal(names_in("/tmp/churn/2"), "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_readdir_while_changing),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_out_of_memory),
    };

    fixture_boot("");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
