// SPDX-License-Identifier: MIT
/*
 * The errors of path calls over tmpfs, path walks, open flags, mounts, the current directory,
 * descriptors.
 */
#include "vfs_fixture.h"

const struct fs_type *const fs_types[] = { &tmpfs_fs_type, &sysfs_fs_type, &devfs_fs_type, NULL };

/* ---- the table of errors ---- */

enum call {
    MKDIR,
    MKNOD,
    CREATE,
    CREATE_NEW,
    READ,
    WRITE,
    OPEN_DIR,
    NO_FOLLOW,
    TRUNC,
    UNLINK,
    RMDIR,
    RENAME,
    RENAME_NEW,
    LINK,
    SYMLINK,
    READLINK,
    TRUNCATE,
    CHDIR,
    MOUNT,
    UMOUNT,
    TMPFILE,
};

struct error_case {
    enum call call;
    const char *a, *b;
    int expected;
};

static const char *long_name(size_t length)
{
    static char name[8192];

    memset(name, 'x', length);
    name[0] = '/';
    name[length] = 0;
    return name;
}

static int do_call(const struct error_case *c)
{
    char link[64];

    switch (c->call) {
    case MKDIR:
        return make_dir(c->a);
    case MKNOD:
        return vfs_create_node(NULL, c->a, MODE_FIFO | 0644, 0);
    case CREATE:
        return try_open(c->a, OPEN_READ_WRITE | OPEN_CREATE);
    case CREATE_NEW:
        return try_open(c->a, OPEN_READ_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE);
    case READ:
        return try_open(c->a, OPEN_READ);
    case WRITE:
        return try_open(c->a, OPEN_WRITE);
    case OPEN_DIR:
        return try_open(c->a, OPEN_READ | OPEN_DIRECTORY);
    case NO_FOLLOW:
        return try_open(c->a, OPEN_READ | OPEN_NOFOLLOW);
    case TRUNC:
        return try_open(c->a, OPEN_READ | OPEN_TRUNCATE);
    case TMPFILE:
        return try_open(c->a, OPEN_WRITE | OPEN_DIRECTORY | 020000000);
    case UNLINK:
        return vfs_unlink(NULL, c->a);
    case RMDIR:
        return vfs_rmdir(NULL, c->a);
    case RENAME:
        return vfs_rename(NULL, c->a, NULL, c->b, false);
    case RENAME_NEW:
        return vfs_rename(NULL, c->a, NULL, c->b, true);
    case LINK:
        return vfs_link(NULL, c->a, NULL, c->b, 0);
    case SYMLINK:
        return vfs_symlink(NULL, c->a, c->b);
    case READLINK:
        return (int)MIN(vfs_readlink(NULL, c->a, link, sizeof(link)), (ssize_t)0);
    case TRUNCATE:
        return vfs_truncate_path(NULL, c->a, 1);
    case CHDIR:
        return vfs_chdir(NULL, c->a);
    case MOUNT:
        return vfs_mount("none", c->a, c->b, 0, "");
    case UMOUNT:
        return vfs_unmount(c->a, false);
    }
    return -ENOSYS;
}

/*
 * The tree:
 * /t/{f,d/,full/{x},dir2/{sub/{deep/}},lf->f,ld->d,la->/t/d,broken->none,loop->loop,l1->l2->...,m/
 * (mount)}
 */
static void make_tree(void)
{
    assert_int_equal(make_dir("/t"), 0);
    make_file("/t/f", "text");
    assert_int_equal(make_dir("/t/d"), 0);
    assert_int_equal(make_dir("/t/full/"), 0);
    make_file("/t/full/x", "");
    assert_int_equal(make_dir("/t/dir2"), 0);
    assert_int_equal(make_dir("/t/dir2/sub"), 0);
    assert_int_equal(make_dir("/t/dir2/sub/deep"), 0);
    assert_int_equal(vfs_symlink(NULL, "f", "/t/lf"), 0);
    assert_int_equal(vfs_symlink(NULL, "d", "/t/ld"), 0);
    assert_int_equal(vfs_symlink(NULL, "/t/d", "/t/la"), 0);
    assert_int_equal(vfs_symlink(NULL, "none", "/t/broken"), 0);
    assert_int_equal(vfs_symlink(NULL, "loop", "/t/loop"), 0);
    assert_int_equal(vfs_symlink(NULL, "ld/", "/t/lslash"), 0);
    assert_int_equal(make_dir("/t/m"), 0);
    assert_int_equal(vfs_mount("none", "/t/m", "tmpfs", 0, ""), 0);
    make_file("/t/m/inside", "");
    assert_int_equal(make_dir("/t/ro"), 0);
    assert_int_equal(vfs_mount("none", "/t/ro", "sysfs", MOUNT_READ_ONLY, ""), 0);
    assert_int_equal(vfs_create_node(NULL, "/t/fifo", MODE_FIFO | 0644, 0), 0);
}

/* clang-format off */
static const struct error_case error_cases[] = {
    {MKDIR, "/", NULL, -EEXIST}, {MKDIR, "/t", NULL, -EEXIST}, {MKDIR, "/t/f", NULL, -EEXIST},
    {MKDIR, "/t/none/a", NULL, -ENOENT}, {MKDIR, "/t/f/a", NULL, -ENOTDIR},
    {MKDIR, "", NULL, -ENOENT}, {MKDIR, "/t/.", NULL, -EEXIST}, {MKDIR, "/t/..", NULL, -EEXIST},
    {MKDIR, "/t/broken", NULL, -EEXIST}, {MKDIR, "/t/ro/new", NULL, -EROFS},
    {MKDIR, "/t/ro/stack", NULL, -EEXIST}, {MKDIR, "/sys/new", NULL, -EPERM},
    {MKNOD, "/t/new/", NULL, -ENOENT}, {MKNOD, "/t/f", NULL, -EEXIST},
    {MKNOD, "/t/f/", NULL, -EEXIST}, {READ, "/t/none", NULL, -ENOENT},
    {READ, "/t/f/", NULL, -ENOTDIR}, {READ, "/t/f/x", NULL, -ENOTDIR},
    {READ, "/t/f/.", NULL, -ENOTDIR}, {READ, "/t/f/..", NULL, -ENOTDIR}, {READ, "/t/d", NULL, 0},
    {READ, "/t/broken", NULL, -ENOENT}, {READ, "/t/loop", NULL, -ELOOP},
    {READ, "/t/loop/x", NULL, -ELOOP}, {READ, "/t/lf/", NULL, -ENOTDIR},
    {READ, "/t/lslash", NULL, 0}, {READ, "/t/fifo", NULL, -ENXIO}, {READ, "", NULL, -ENOENT},
    {WRITE, "/t/d", NULL, -EISDIR}, {WRITE, "/t/ro/stack/total", NULL, -EROFS},
    {TRUNC, "/t/d", NULL, -EISDIR}, {TRUNC, "/t/ro/stack/total", NULL, -EROFS},
    {TMPFILE, "/t/d", NULL, -EOPNOTSUPP}, {OPEN_DIR, "/t/f", NULL, -ENOTDIR},
    {OPEN_DIR, "/t/ld", NULL, 0}, {NO_FOLLOW, "/t/lf", NULL, -ELOOP},
    {NO_FOLLOW, "/t/ld/", NULL, 0}, {NO_FOLLOW, "/t/ld/../f", NULL, 0},
    {CREATE, "/t/d", NULL, -EISDIR}, {CREATE, "/t/new/", NULL, -EISDIR},
    {CREATE, "/t/d/.", NULL, -EISDIR}, {CREATE, "/", NULL, -EISDIR},
    {CREATE, "/t/loop", NULL, -ELOOP}, {CREATE, "/t/ro/new", NULL, -EROFS},
    {CREATE, "/sys/new", NULL, -EACCES}, {CREATE, "/t/none/new", NULL, -ENOENT},
    {CREATE_NEW, "/t/f", NULL, -EEXIST}, {CREATE_NEW, "/t/broken", NULL, -EEXIST},
    {CREATE_NEW, "/t/d", NULL, -EEXIST}, {CREATE_NEW, "/t/d/..", NULL, -EEXIST},
    {UNLINK, "/t/none", NULL, -ENOENT}, {UNLINK, "/t/d", NULL, -EISDIR},
    {UNLINK, "/t/f/", NULL, -ENOTDIR}, {UNLINK, "/t/d/", NULL, -EISDIR},
    {UNLINK, "/t/d/.", NULL, -EISDIR}, {UNLINK, "/", NULL, -EISDIR},
    {UNLINK, "/t/ro/stack/total", NULL, -EROFS}, {UNLINK, "/t/ro/none", NULL, -EROFS},
    {UNLINK, "/sys/stack/total", NULL, -EPERM}, {RMDIR, "/t/none", NULL, -ENOENT},
    {RMDIR, "/t/f", NULL, -ENOTDIR}, {RMDIR, "/t/full", NULL, -ENOTEMPTY},
    {RMDIR, "/t/d/.", NULL, -EINVAL}, {RMDIR, "/t/d/..", NULL, -ENOTEMPTY},
    {RMDIR, "/", NULL, -EBUSY}, {RMDIR, "/t/ld", NULL, -ENOTDIR}, {RMDIR, "/t/m", NULL, -EBUSY},
    {RENAME, "/t/none", "/t/a", -ENOENT}, {RENAME, "/t/f", "/t/none/a", -ENOENT},
    {RENAME, "/t/f", "/t/d", -EISDIR}, {RENAME, "/t/d", "/t/f", -ENOTDIR},
    {RENAME, "/t/d", "/t/full", -ENOTEMPTY}, {RENAME, "/t/dir2", "/t/dir2/sub/x", -EINVAL},
    {RENAME, "/t/dir2", "/t/dir2/x", -EINVAL}, {RENAME, "/t/dir2/sub/deep", "/t/dir2", -ENOTEMPTY},
    {RENAME, "/t/dir2/sub", "/t/dir2", -ENOTEMPTY}, {RENAME, "/t/f", "/t/m/f", -EXDEV},
    {RENAME, "/t/m", "/t/q", -EBUSY}, {RENAME, "/t/d", "/t/m", -EBUSY},
    {RENAME, "/t/d/.", "/t/q", -EBUSY}, {RENAME, "/t/d", "/t/d/..", -EBUSY},
    {RENAME, "/", "/t/q", -EBUSY}, {RENAME, "/t/f/", "/t/q", -ENOTDIR},
    {RENAME, "/t/f", "/t/q/", -ENOTDIR}, {RENAME, "/t/f", "/t/f", 0},
    {RENAME_NEW, "/t/f", "/t/lf", -EEXIST}, {RENAME, "/t/ro/stack/total", "/t/ro/x", -EROFS},
    {LINK, "/t/d", "/t/q", -EPERM}, {LINK, "/t/f", "/t/m/f", -EXDEV},
    {LINK, "/t/f", "/t/d", -EEXIST}, {LINK, "/t/none", "/t/q", -ENOENT},
    {LINK, "/t/f", "/t/q/", -ENOENT}, {SYMLINK, "", "/t/q", -ENOENT},
    {SYMLINK, "x", "/t/f", -EEXIST}, {SYMLINK, "x", "/t/q/", -ENOENT},
    {READLINK, "/t/f", NULL, -EINVAL}, {READLINK, "/t/d", NULL, -EINVAL},
    {READLINK, "/t/lf", NULL, 0}, {TRUNCATE, "/t/d", NULL, -EISDIR},
    {TRUNCATE, "/t/fifo", NULL, -EINVAL}, {TRUNCATE, "/t/none", NULL, -ENOENT},
    {TRUNCATE, "/t/ro/stack/total", NULL, -EROFS}, {CHDIR, "/t/f", NULL, -ENOTDIR},
    {CHDIR, "/t/none", NULL, -ENOENT}, {MOUNT, "/t/f", "tmpfs", -ENOTDIR},
    {MOUNT, "/t/none", "tmpfs", -ENOENT}, {MOUNT, "/t/d", "nofs", -ENODEV},
    {UMOUNT, "/t/d", NULL, -EINVAL}, {UMOUNT, "/t/none", NULL, -ENOENT},
    {UMOUNT, "/", NULL, -EBUSY},
};
/* clang-format on */

VFS_TEST(test_errors)
{
    make_tree();
    for (unsigned i = 0; i < ARRAY_COUNT(error_cases); i++) {
        const struct error_case *c = &error_cases[i];
        int err = do_call(c);
        if (err != c->expected)
            print_error("case %u: call %u %s %s: %d, expected %d\n", i, c->call, c->a,
                        c->b ? c->b : "", err, c->expected);
        assert_int_equal(err, c->expected);
    }
    assert_int_equal(try_open(long_name(256), OPEN_READ), -ENOENT);
    assert_int_equal(try_open(long_name(257), OPEN_READ), -ENAMETOOLONG);
    assert_int_equal(make_dir(long_name(257)), -ENAMETOOLONG);
    assert_int_equal(try_open(long_name(4096), OPEN_READ), -ENAMETOOLONG);
    assert_string_equal(names_in("/t"), "f d full dir2 lf ld la broken loop lslash m ro fifo ");
}

/* ---- walks ---- */

static uint64_t number_of(const struct path *base, const char *name, unsigned flags)
{
    struct path path;

    assert_int_equal(path_walk(base, name, flags, &path), 0);
    uint64_t number = path.inode->number ^ path.inode->super->dev << 32;
    path_put(&path);
    return number;
}

VFS_TEST(test_walk)
{
    struct path base, out;
    uint64_t f = number_of(NULL, "/t/f", 0), d = number_of(NULL, "/t/d", 0),
             root = number_of(NULL, "/", 0);

    assert_int_equal(number_of(NULL, "//t///f", 0), f);
    assert_int_equal(number_of(NULL, "/t/./d/../lf", WALK_FOLLOW), f);
    assert_true(number_of(NULL, "/t/lf", 0) != f);
    assert_int_equal(number_of(NULL, "/t/ld/", 0), d);
    assert_int_equal(number_of(NULL, "/t/la/../ld/.", 0), d);
    assert_int_equal(number_of(NULL, "/../../..", 0), root);
    assert_int_equal(number_of(NULL, "/t/m/..", 0), number_of(NULL, "/t", 0));
    assert_int_equal(number_of(NULL, "/t/m/../f", 0), f);
    assert_int_equal(path_walk(NULL, "/t/m", WALK_DIRECTORY, &base), 0);
    assert_int_equal(number_of(&base, "../f", 0), f);
    assert_int_equal(number_of(&base, "/t/f", 0), f);
    assert_int_equal(number_of(&base, ".", 0), number_of(NULL, "/t/m/", 0));
    path_put(&base);
    assert_int_equal(path_walk(NULL, "/t/f", 0, &base), 0);
    assert_int_equal(path_walk(&base, "x", 0, &out), -ENOTDIR);
    path_put(&base);
    assert_int_equal(path_walk(NULL, "/t/lf", WALK_FOLLOW | WALK_DIRECTORY, &out), -ENOTDIR);
}

/* 40 links in a row are followed, 41 are not; a chain within directories counts the same. */
VFS_TEST(test_symlink_limit)
{
    char name[32], target[32];

    assert_int_equal(make_dir("/chain"), 0);
    make_file("/chain/l0", "end");
    for (unsigned i = 1; i <= 41; i++) {
        snprintf(name, sizeof(name), "/chain/l%u", i);
        snprintf(target, sizeof(target), "l%u", i - 1);
        assert_int_equal(vfs_symlink(NULL, target, name), 0);
    }
    assert_int_equal(try_open("/chain/l40", OPEN_READ), 0);
    assert_int_equal(try_open("/chain/l41", OPEN_READ), -ELOOP);
    assert_int_equal(try_open("/chain/l41", OPEN_READ | OPEN_PATH | OPEN_NOFOLLOW), 0);
    /* A link that grows the rest beyond what a path may have. */
    char *big = malloc(4096);
    memset(big, 'y', 4095);
    for (unsigned i = 100; i < 4095; i += 100)
        big[i] = '/';
    big[4090] = 0;
    assert_int_equal(vfs_symlink(NULL, big, "/chain/big"), 0);
    assert_int_equal(try_open("/chain/big/and/more", OPEN_READ), -ENAMETOOLONG);
    assert_int_equal(try_open("/chain/big", OPEN_READ), -ENOENT);
    free(big);
    /* Creation through a dangling link makes the target. */
    assert_int_equal(vfs_symlink(NULL, "made", "/chain/to"), 0);
    assert_int_equal(try_open("/chain/to", OPEN_WRITE | OPEN_CREATE), 0);
    assert_int_equal(try_open("/chain/made", OPEN_READ), 0);
}

/* ---- open files ---- */

VFS_TEST(test_file_modes)
{
    char text[16];
    struct file *file;
    struct path base;

    make_file("/modes", "0123456789");
    file = must_open("/modes", OPEN_WRITE | OPEN_APPEND);
    assert_int_equal(vfs_read(file, text, 4, 0), -EBADF);
    assert_int_equal(vfs_write(file, "ab", 2, 3), 2);
    assert_int_equal(file->append_end, 12);
    assert_int_equal(vfs_truncate(file, 11), 0);
    assert_int_equal(vfs_truncate(file, UINT64_C(1) << 63), -EINVAL);
    assert_int_equal(vfs_sync(file, false), 0);
    file_put(file);
    assert_string_equal(text_of("/modes"), "0123456789a");
    file = must_open("/modes", OPEN_READ);
    assert_int_equal(vfs_write(file, "x", 1, 0), -EBADF);
    assert_int_equal(vfs_truncate(file, 0), -EINVAL);
    assert_int_equal(vfs_read(file, text, 4, UINT64_C(1) << 63), -EINVAL);
    assert_int_equal(vfs_read(file, text, 4, 11), 0);
    assert_int_equal(vfs_ioctl(file, 1, 0), -ENOTTY);
    file_put(file);
    file = must_open("/modes", OPEN_READ_WRITE);
    assert_int_equal(vfs_write(file, "x", 1, INT64_MAX), -EFBIG);
    file_put(file);
    file = must_open("/modes", OPEN_PATH);
    assert_int_equal(vfs_read(file, text, 1, 0), -EBADF);
    assert_int_equal(vfs_sync(file, true), -EBADF);
    file_put(file);
    file = must_open("/", OPEN_READ);
    assert_int_equal(vfs_read(file, text, 1, 0), -EISDIR);
    assert_int_equal(vfs_sync(file, false), 0);
    file_put(file);
    assert_int_equal(vfs_open(NULL, "/modes", 3, 0, &file), -EINVAL);
    /* A removed file lives as long as it is open; a removed directory takes no names. */
    file = must_open("/modes", OPEN_READ);
    assert_int_equal(vfs_unlink(NULL, "/modes"), 0);
    assert_int_equal(vfs_read(file, text, 4, 0), 4);
    assert_int_equal(file->inode->nlink, 0);
    file_put(file);
    assert_int_equal(make_dir("/gone"), 0);
    assert_int_equal(path_walk(NULL, "/gone", 0, &base), 0);
    assert_int_equal(vfs_rmdir(NULL, "/gone"), 0);
    assert_int_equal(vfs_create_node(&base, "x", MODE_DIR, 0), -ENOENT);
    assert_int_equal(vfs_open(&base, "x", OPEN_CREATE | OPEN_WRITE, 0, &file), -ENOENT);
    path_put(&base);
}

/* ---- mounts ---- */

VFS_TEST(test_mounts)
{
    struct file *file;
    struct strbuf out;
    char text[2048];

    assert_int_equal(make_dir("/mnt/a"), 0);
    make_file("/mnt/a/below", "below");
    assert_int_equal(vfs_mount("one", "/mnt/a", "tmpfs", 0, "size=1M"), 0);
    assert_int_equal(try_open("/mnt/a/below", OPEN_READ), -ENOENT);
    make_file("/mnt/a/f", "first");
    assert_int_equal(vfs_mount("two words", "/mnt/a", "tmpfs", 0, ""), 0); /* on top of it */
    assert_int_equal(try_open("/mnt/a/f", OPEN_READ), -ENOENT);
    assert_int_equal(make_dir("/mnt/a/in"), 0);
    assert_int_equal(vfs_mount("three", "/mnt/a/in", "tmpfs", MOUNT_READ_ONLY, ""), 0);
    strbuf_init(&out, text, sizeof(text));
    vfs_show_mounts(&out);
    assert_non_null(strstr(text, "none / tmpfs rw,noatime 0 0\n"));
    assert_non_null(strstr(
        text, "two\\040words /mnt/a tmpfs rw,noatime 0 0\nthree /mnt/a/in tmpfs ro,noatime 0 0\n"));
    assert_int_equal(vfs_unmount("/mnt/a", false), -EBUSY); /* a mount inside */
    assert_int_equal(vfs_unmount("/mnt/a/in", false), 0);
    assert_int_equal(vfs_rmdir(NULL, "/mnt/a/in"), 0);
    assert_int_equal(vfs_unmount("/mnt/a", false), 0);
    assert_string_equal(text_of("/mnt/a/f"), "first");
    file = must_open("/mnt/a/f", OPEN_READ);
    assert_int_equal(vfs_unmount("/mnt/a", false), -EBUSY); /* an open file */
    file_put(file);
    assert_int_equal(vfs_chdir(NULL, "/mnt/a"), 0);
    assert_int_equal(vfs_unmount("/mnt/a", false), -EBUSY); /* the current directory */
    assert_int_equal(vfs_chdir(NULL, "/"), 0);
    assert_int_equal(vfs_mount("x", "/mnt/a", "tmpfs", 0, "size=banana"), -EINVAL);
    assert_int_equal(vfs_mount("x", "/mnt/a", "tmpfs", 0, "colour=red"), -EINVAL);
    assert_int_equal(vfs_unmount("/mnt/a", false), 0);
    assert_string_equal(text_of("/mnt/a/below"), "below");
}

VFS_TEST(test_lazy_unmount)
{
    char text[8];
    struct file *file;

    assert_int_equal(vfs_mount("lazy", "/mnt/a", "tmpfs", 0, ""), 0);
    make_file("/mnt/a/f", "kept");
    file = must_open("/mnt/a/f", OPEN_READ);
    assert_int_equal(vfs_chdir(NULL, "/mnt/a"), 0);
    assert_int_equal(vfs_unmount("/mnt/a", true), 0);
    assert_int_equal(try_open("/mnt/a/f", OPEN_READ), -ENOENT);
    assert_int_equal(try_open("f", OPEN_READ), 0);
    assert_int_equal(vfs_getcwd(text, sizeof(text)), -ENOENT);
    assert_int_equal(vfs_read(file, text, 4, 0), 4);
    file_put(file);
    assert_int_equal(vfs_chdir(NULL, "/"), 0);
    thread_yield(); /* the worker ends it */
    assert_int_equal(vfs_unmount("/mnt/a", false), -EINVAL);
}

VFS_TEST(test_unmount_all)
{
    assert_int_equal(vfs_mount("u1", "/mnt/a", "tmpfs", 0, ""), 0);
    assert_int_equal(make_dir("/mnt/a/b"), 0);
    assert_int_equal(vfs_mount("u2", "/mnt/a/b", "tmpfs", 0, ""), 0);
    struct file *file = must_open("/mnt/a/b", OPEN_READ);
    assert_int_equal(vfs_sync_all(), 0);
    assert_int_equal(vfs_unmount_all(), -EBUSY);
    file_put(file);
    assert_int_equal(vfs_unmount_all(), 0);
    assert_string_equal(text_of("/mnt/a/below"), "below");
    assert_int_equal(try_open("/dev/null", OPEN_READ), 0);
    assert_int_equal(try_open("/t/m/inside", OPEN_READ), -ENOENT); /* of test_errors */
}

/* ---- the current directory ---- */

VFS_TEST(test_cwd)
{
    char text[64];
    struct path base;

    assert_int_equal(make_dir("/c"), 0);
    assert_int_equal(make_dir("/c/one"), 0);
    assert_int_equal(make_dir("/c/one/two"), 0);
    assert_int_equal(vfs_mount("c", "/c/one/two", "tmpfs", 0, ""), 0);
    assert_int_equal(make_dir("/c/one/two/three"), 0);
    assert_int_equal(vfs_getcwd(text, sizeof(text)), 1);
    assert_string_equal(text, "/");
    assert_int_equal(vfs_chdir(NULL, "c/one/two/three"), 0);
    assert_int_equal(vfs_getcwd(text, sizeof(text)), 16);
    assert_string_equal(text, "/c/one/two/three");
    assert_int_equal(vfs_getcwd(text, 16), -ERANGE);
    assert_int_equal(vfs_rename(NULL, "/c/one", NULL, "/c/uno", false), 0);
    assert_int_equal(vfs_getcwd(text, sizeof(text)), 16);
    assert_string_equal(text, "/c/uno/two/three");
    assert_int_equal(path_walk(NULL, "/c", 0, &base), 0);
    assert_int_equal(vfs_chdir(&base, "uno"), 0);
    path_put(&base);
    assert_int_equal(make_dir("away"), 0);
    assert_int_equal(vfs_chdir(NULL, "away"), 0);
    assert_int_equal(vfs_rmdir(NULL, "../away"), 0);
    assert_int_equal(vfs_getcwd(text, sizeof(text)), -ENOENT);
    assert_int_equal(vfs_chdir(NULL, "/"), 0);
    assert_int_equal(vfs_unmount("/c/uno/two", false), 0);
}

/* ---- descriptors ---- */

VFS_TEST(test_descriptors)
{
    struct file *file = must_open("/dev/null", OPEN_READ_WRITE);

    assert_null(fd_get(0));
    assert_null(fd_get(-1));
    assert_null(fd_get(FD_MAX));
    assert_int_equal(fd_close(0), -EBADF);
    assert_int_equal(fd_install(file, 0, false), 0);
    assert_int_equal(fd_duplicate(0, 5, true), 5);
    assert_int_equal(fd_duplicate(0, 0, true), 0);
    assert_int_equal(fd_duplicate(1, 2, false), -EBADF);
    assert_int_equal(fd_duplicate(0, FD_MAX, false), -EBADF);
    assert_true(fd_close_on_exec(5));
    assert_false(fd_close_on_exec(0));
    assert_int_equal(fd_set_close_on_exec(0, true), 0);
    assert_true(fd_close_on_exec(0));
    assert_int_equal(fd_set_close_on_exec(9, true), -EBADF);
    assert_int_equal(file->refs, 2);
    file_ref(file);
    assert_int_equal(fd_install(file, 5, false), 6);
    assert_int_equal(fd_install(file, FD_MAX, false), -EINVAL);
    for (int fd = 7; fd < FD_MAX; fd++) {
        file_ref(file);
        assert_int_equal(fd_install(file, 7, false), fd);
    }
    assert_int_equal(fd_install(file, 7, false), -EMFILE);
    assert_ptr_equal(fd_get(6), file);
    file_put(file);
    assert_int_equal(fd_close(3), -EBADF);
    fd_close_all();
    assert_null(fd_get(6));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_symlink_limit), cmocka_unit_test(test_file_modes),
        cmocka_unit_test(test_mounts),        cmocka_unit_test(test_lazy_unmount),
        cmocka_unit_test(test_unmount_all),   cmocka_unit_test(test_cwd),
        cmocka_unit_test(test_descriptors),
    };

    fixture_boot("");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
