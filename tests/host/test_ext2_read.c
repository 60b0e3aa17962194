// SPDX-License-Identifier: MIT
/* ext2, reading: trees that mke2fs -d wrote, read back byte by byte; features taken, and refused by
 * name. */
#include "test_ext2.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arch/host/host.h>

static struct image image;
static char tree[128];

/* ---- the tree on the host ---- */

static void host_file(const char *name, uint64_t seed, uint64_t offset, size_t bytes)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", tree, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    uint8_t *data = malloc(bytes + 1);
    pattern_fill(data, bytes, seed, offset);
    assert_int_equal(pwrite(fd, data, bytes, (off_t)offset), bytes);
    free(data);
    close(fd);
}

static void make_tree(void)
{
    static const size_t sizes[] = {
        0,         1,          1023,    1024,    4095, 4096, 4097, 12 * 1024, 12 * 1024 + 1,
        48 * 1024, 270 * 1024, 1100000, 5000001,
    };
    char name[64];
    snprintf(tree, sizeof(tree), "%s/tree", image_dir());
    assert_int_equal(image_shell(0, "mkdir -p %s/sub/deep/deeper %s/many %s/empty", tree, tree,
                                 tree),
                     0);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        sprintf(name, "size%zu", sizes[i]);
        host_file(name, i, 0, sizes[i]);
    }
    host_file("sub/deep/deeper/leaf", 50, 0, 3000);
    host_file("sub/sparse", 51, 3000000, 5000);
    for (int i = 0; i < 600; i++) {
        sprintf(name, "many/entry-with-a-name-of-some-length-%d", i);
        host_file(name, 60, 0, i % 7 * 10);
    }
    image_shell(
        0,
        "cd %s && ln -s sub/deep short && ln -s $(printf 'l%%.0s' $(seq 59)) l59 &&"
        " ln -s $(printf 'l%%.0s' $(seq 60)) l60 && ln -s $(printf 'l%%.0s' $(seq 900)) l900 &&"
        " ln size4097 sub/hard && touch -d @1234567890 size1 && chmod 751 size1",
        tree);
}

/* ---- comparing ---- */

static void compare_file(const char *host, const char *ours, const struct stat *st)
{
    struct file *file = open_file(ours, OPEN_READ);
    int fd = open(host, O_RDONLY | O_CLOEXEC);
    static uint8_t expected[50000], got[50000];
    assert_int_equal(file->inode->size, st->st_size);
    for (uint64_t offset = 0; offset <= (uint64_t)st->st_size; offset += 49999) {
        ssize_t n = pread(fd, expected, 49999, (off_t)offset);
        assert_int_equal(vfs_read(file, got, 49999, offset), n);
        assert_memory_equal(got, expected, (size_t)n);
    }
    close(fd);
    file_put(file);
}

static void compare_symlink(const char *host, const char *ours)
{
    char expected[1000], got[1000];
    ssize_t n = readlink(host, expected, sizeof(expected));
    assert_int_equal(vfs_readlink(NULL, ours, got, sizeof(got)), n);
    assert_memory_equal(got, expected, (size_t)n);
}

struct name_count {
    struct dir_sink sink;
    uint32_t count;
};
static bool name_count_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                            uint32_t mode, uint64_t next_offset)
{
    (void)number, (void)mode, (void)next_offset;
    if (length != 10 || memcmp(name, "lost+found", 10))
        container_of(sink, struct name_count, sink)->count++;
    return true;
}
static const struct dir_sink_ops name_count_ops = { .emit = name_count_emit };

static void compare_dir(const char *host, const char *ours)
{
    struct name_count names = { .sink = { &name_count_ops } };
    struct file *file = open_file(ours, OPEN_READ | OPEN_DIRECTORY);
    OK(vfs_readdir(file, &names.sink));
    file_put(file);
    DIR *dir = opendir(host);
    uint32_t count = 0;
    for (struct dirent *d; (d = readdir(dir)); count++) {
        char host_name[512], our_name[512];
        struct stat st;
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        snprintf(host_name, sizeof(host_name), "%s/%s", host, d->d_name);
        snprintf(our_name, sizeof(our_name), "%s/%s", ours, d->d_name);
        assert_int_equal(lstat(host_name, &st), 0);
        struct path path;
        OK(path_walk(NULL, our_name, 0, &path));
        assert_int_equal(path.inode->mode, st.st_mode);
        assert_int_equal(path.inode->uid, st.st_uid);
        assert_int_equal(path.inode->mtime.seconds, st.st_mtim.tv_sec);
        if (!S_ISDIR(st.st_mode))
            assert_int_equal(path.inode->nlink, st.st_nlink);
        path_put(&path);
        if (S_ISDIR(st.st_mode))
            compare_dir(host_name, our_name);
        else if (S_ISLNK(st.st_mode))
            compare_symlink(host_name, our_name);
        else
            compare_file(host_name, our_name, &st);
    }
    closedir(dir);
    assert_int_equal(names.count, count);
}

STEP(compare_step)
{
    OK(mount_image(&image, MOUNT_READ_ONLY));
    compare_dir(tree, "/m");
    struct file *file;
    assert_int_equal(vfs_open(NULL, "/m/new", OPEN_WRITE | OPEN_CREATE, 0644, &file), -EROFS);
    assert_int_equal(vfs_unlink(NULL, "/m/size1"), -EROFS);
    OK(vfs_unmount("/m", false));
}

/* Changes in a directory that may have an index, and in one with a file of shared attributes. */
STEP(change_step)
{
    char name[80];
    OK(mount_image(&image, 0));
    for (int i = 0; i < 600; i += 2) {
        sprintf(name, "/m/many/entry-with-a-name-of-some-length-%d", i);
        OK(vfs_unlink(NULL, name));
    }
    for (int i = 0; i < 100; i++) {
        sprintf(name, "/m/many/new%d", i);
        OK(write_pattern(name, 1, 0, 20));
    }
    OK(vfs_unlink(NULL, "/m/size1100000"));
    OK(vfs_truncate_path(NULL, "/m/size5000001", 300001));
    OK(vfs_unlink(NULL, "/m/l60"));
    OK(vfs_unmount("/m", false));
}

static void good(const char *options, bool index)
{
    image_make(&image, "r", MIB(24), options, tree);
    if (index)
        image_shell(0,
                    "PATH=$PATH:/sbin:/usr/sbin e2fsck -fyD %s && debugfs -R 'stat many' %s | grep "
                    "-q 'Flags: 0x1000'",
                    image.path, image.path);
    image_attach(&image);
    run(&compare_step, NULL);
    image_detach(&image);
    image_attach(&image);
    run(&change_step, NULL);
    image_detach(&image);
    assert_true(image_is_clean(&image));
    image_remove(&image);
}

static void test_block_sizes(void **state)
{
    (void)state;
    good("-b 1024 " PLAIN, false);
    good("-b 2048 " PLAIN, false);
    good("-b 4096 " PLAIN, false);
}

static void test_features(void **state)
{
    (void)state;
    good("-b 1024 -O none -r 0", false);
    good("-b 1024 -O none", false);
    good("-b 4096 -I 256 -O none,filetype,ext_attr,resize_inode,dir_index,sparse_super,large_file",
         false);
    good("-b 1024 -I 128 -O none,filetype,dir_index,sparse_super", true);
    good("-b 1024 -I 512 -O none,filetype,has_journal,sparse_super -J size=1", false);
}

/* ---- what is refused, and how ---- */

static int mount_error;
STEP(refused_step) { mount_error = mount_image(&image, 0); }

static char console[4096];

static void try_mount(void)
{
    image_attach(&image);
    host_console_capture(console, sizeof(console));
    run(&refused_step, NULL);
    host_console_capture(NULL, 0);
    image_detach(&image);
}

static void refused(const char *options, const char *said)
{
    image_make(&image, "no", MIB(8), options, NULL);
    try_mount();
    assert_int_equal(mount_error, -EINVAL);
    if (!strstr(console, said))
        print_error("%s said: %s\n", options, console);
    assert_non_null(strstr(console, said));
    assert_non_null(strstr(console, "/dev/no"));
    image_remove(&image);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("-O extents", "\"extents\"");
    refused("-O none,filetype,extents,64bit,flex_bg",
            "mke2fs -t ext2 -O none,filetype,sparse_super,large_file");
    refused("-O none,flex_bg", "\"flex_bg\"");
    refused("-O none,meta_bg", "\"meta_bg\"");
    refused("-O none,huge_file", "\"huge_file\"");
    refused("-O none,metadata_csum", "\"metadata_csum\"");
    refused("-O none,sparse_super2", "\"sparse_super2\"");
    refused("-O none,inline_data,extents", "\"inline_data\"");
    image_adopt(&image, "no");
    image_shell(0, "head -c 3000000 /dev/urandom >%s", image.path);
    try_mount();
    assert_int_equal(mount_error, -EINVAL);
    assert_non_null(strstr(console, "no magic number"));
    image_shell(0, "head -c 512 /dev/zero >%s", image.path);
    try_mount();
    assert_int_equal(mount_error, -EINVAL);
    image_shell(0, ": >%s", image.path);
    try_mount();
    assert_int_equal(mount_error, -ENXIO);
    image_remove(&image);
}

static void test_truncated(void **state)
{
    (void)state;
    image_make(&image, "short", MIB(8), "-b 1024 " PLAIN, NULL);
    image_shell(0, "truncate -s 5M %s", image.path);
    try_mount();
    assert_int_equal(mount_error, -EINVAL);
    assert_non_null(strstr(console, "truncated"));
    image_remove(&image);
}

static void test_needs_recovery(void **state)
{
    (void)state;
    image_make(&image, "j", MIB(16), "-O none,has_journal,filetype", NULL);
    image_shell(0, "PATH=$PATH:/sbin:/usr/sbin debugfs -w -R 'feature needs_recovery' %s",
                image.path);
    try_mount();
    assert_int_equal(mount_error, -EINVAL);
    assert_non_null(strstr(console, "\"needs_recovery\""));
    image_remove(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_sizes),    cmocka_unit_test(test_features),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_needs_recovery),
    };
    machine_boot("stack.extra=4");
    make_tree();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
