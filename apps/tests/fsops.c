// SPDX-License-Identifier: MIT
/*
 * What file calls do in a folder, with the errno that Linux gives: `fsops [DIR]`. Makes and removes
 * DIR/fsops.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

static char big[65536];

static long make_file(const char *path, const char *text)
{
    int fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
    long done = OK(write(fd, text, strlen(text)));

    OK(close(fd));
    return done;
}

static void holds(int line, const char *path, const char *text)
{
    char buf[256] = "";
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

    check_that(got == (ssize_t)strlen(text) && memcmp(buf, text, got) == 0, line, path);
    if (fd >= 0)
        close(fd);
}
#define HOLDS(path, text) holds(__LINE__, path, text)

static off_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? -errno : st.st_size;
}

static long links_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? -errno : (long)st.st_nlink;
}

static void test_open(void)
{
    struct stat st;
    char name[257];
    int fd = OK(open("a", O_WRONLY | O_CREAT | O_EXCL, 0640));

    OK(fstat(fd, &st));
    CHECK(S_ISREG(st.st_mode));
    EQUAL(st.st_mode & 0777, 0640);
    EQUAL(st.st_nlink, 1);
    EQUAL(st.st_size, 0);
    FAILS(read(fd, big, 1), EBADF);
    OK(close(fd));
    FAILS(close(fd), EBADF);
    FAILS(open("a", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
    fd = OK(open("a", O_RDONLY));
    FAILS(write(fd, "x", 1), EBADF);
    FAILS(ftruncate(fd, 0), EINVAL);
    OK(close(fd));
    FAILS(open("none", O_RDONLY), ENOENT);
    FAILS(open("none/a", O_RDONLY | O_CREAT, 0644), ENOENT);
    FAILS(open("", O_RDONLY), ENOENT);
    FAILS(open("a/b", O_RDONLY), ENOTDIR);
    FAILS(open("a/", O_RDONLY), ENOTDIR);
    FAILS(open("a", O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open("new/", O_WRONLY | O_CREAT, 0644), EISDIR);
    FAILS(open(".", O_WRONLY), EISDIR);
    FAILS(open(".", O_RDWR | O_CREAT, 0644), EISDIR);
    memset(name, 'n', 256);
    name[256] = '\0';
    FAILS(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
    name[255] = '\0';
    OK(close(OK(open(name, O_WRONLY | O_CREAT, 0644))));
    EQUAL(size_of(name), 0);
    OK(unlink(name));
    memset(big, '/', 5000);
    big[5000] = '\0';
    FAILS(open(big, O_RDONLY), ENAMETOOLONG);
    FAILS(read(-1, big, 1), EBADF);
    FAILS(fstat(12345, &st), EBADF);
    FAILS(stat("none", &st), ENOENT);
    OK(unlink("a"));
}

static void test_read_write(void)
{
    struct iovec v[3] = { { "one", 3 }, { "", 0 }, { "two", 3 } };
    char x[4], y[4];
    struct iovec r[2] = { { x, 2 }, { y, 4 } };
    int fd = OK(open("rw", O_RDWR | O_CREAT | O_TRUNC, 0644));

    EQUAL(write(fd, "0123456789", 10), 10);
    EQUAL(lseek(fd, 0, SEEK_CUR), 10);
    EQUAL(read(fd, big, 5), 0);
    EQUAL(lseek(fd, 2, SEEK_SET), 2);
    EQUAL(read(fd, big, 3), 3);
    CHECK(memcmp(big, "234", 3) == 0);
    EQUAL(pread(fd, big, 100, 8), 2);
    EQUAL(pread(fd, big, 100, 10), 0);
    EQUAL(pread(fd, big, 100, 1000000), 0);
    EQUAL(pwrite(fd, "XY", 2, 0), 2);
    EQUAL(lseek(fd, 0, SEEK_CUR), 5);
    EQUAL(lseek(fd, -1, SEEK_END), 9);
    EQUAL(lseek(fd, -2, SEEK_CUR), 7);
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(lseek(fd, 0, 99), EINVAL);
    FAILS(pread(fd, big, 1, -1), EINVAL);
    FAILS(pwrite(fd, big, 1, -1), EINVAL);
    EQUAL(write(fd, "", 0), 0);
    EQUAL(lseek(fd, 20, SEEK_SET), 20);
    EQUAL(size_of("rw"), 10);
    EQUAL(writev(fd, v, 3), 6);
    EQUAL(size_of("rw"), 26);
    EQUAL(pread(fd, big, 100, 0), 26);
    CHECK(memcmp(big, "XY23456789\0\0\0\0\0\0\0\0\0\0onetwo", 26) == 0);
    EQUAL(lseek(fd, 20, SEEK_SET), 20);
    EQUAL(readv(fd, r, 2), 6);
    CHECK(memcmp(x, "on", 2) == 0 && memcmp(y, "etwo", 4) == 0);
    FAILS(readv(fd, r, -1), EINVAL);
    FAILS(writev(fd, v, 1025), EINVAL);
    OK(close(fd));
    fd = OK(open("rw", O_WRONLY | O_TRUNC));
    EQUAL(size_of("rw"), 0);
    OK(close(fd));
    OK(unlink("rw"));
}

static void test_append_dup(void)
{
    int fd, other;

    make_file("ap", "abc");
    fd = OK(open("ap", O_RDWR | O_APPEND));
    other = OK(open("ap", O_RDWR | O_APPEND));
    EQUAL(write(fd, "1", 1), 1);
    EQUAL(write(other, "2", 1), 1);
    EQUAL(write(fd, "3", 1), 1);
    EQUAL(lseek(fd, 0, SEEK_CUR), 6);
    OK(close(other));
    HOLDS("ap", "abc123");
    other = OK(dup(fd));
    EQUAL(lseek(other, 1, SEEK_SET), 1);
    EQUAL(lseek(fd, 0, SEEK_CUR), 1);
    CHECK((fcntl(fd, F_GETFL) & (O_APPEND | O_ACCMODE)) == (O_APPEND | O_RDWR));
    OK(fcntl(fd, F_SETFL, 0));
    EQUAL(pwrite(fd, "Z", 1, 0), 1);
    HOLDS("ap", "Zbc123");
    OK(close(fd));
    EQUAL(read(other, big, 10), 5);
    OK(close(other));
    fd = OK(open("ap", O_RDONLY | O_CLOEXEC));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    other = OK(fcntl(fd, F_DUPFD, 100));
    CHECK(other >= 100);
    EQUAL(fcntl(other, F_GETFD), 0);
    EQUAL(dup2(fd, other), other);
    FAILS(dup(-1), EBADF);
    OK(close(other));
    OK(close(fd));
    OK(unlink("ap"));
}

static bool zeros(const char *buf, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (buf[i])
            return false;
    }
    return true;
}

static void test_truncate(void)
{
    struct stat st;
    int fd = OK(open("tr", O_RDWR | O_CREAT | O_TRUNC, 0644));

    memset(big, 'q', sizeof(big));
    EQUAL(write(fd, big, 10000), 10000);
    OK(ftruncate(fd, 5000));
    EQUAL(size_of("tr"), 5000);
    OK(ftruncate(fd, 20000));
    EQUAL(pread(fd, big, sizeof(big), 0), 20000);
    CHECK(big[0] == 'q' && big[4999] == 'q');
    CHECK(zeros(big + 5000, 15000));
    OK(truncate("tr", 1));
    EQUAL(size_of("tr"), 1);
    OK(ftruncate(fd, 0));
    OK(fsync(fd));
    OK(fstat(fd, &st));
    EQUAL(st.st_size, 0);
    EQUAL(st.st_blocks, 0);
    EQUAL(pwrite(fd, "end", 3, 1000000), 3);
    EQUAL(size_of("tr"), 1000003);
    OK(fsync(fd));
    OK(fstat(fd, &st));
    CHECK(st.st_blocks * 512 < 100000);
    EQUAL(pread(fd, big, 4096, 500000), 4096);
    CHECK(zeros(big, 4096));
    FAILS(ftruncate(fd, -1), EINVAL);
    FAILS(ftruncate(-1, 0), EBADF);
    FAILS(truncate("none", 0), ENOENT);
    FAILS(truncate(".", 0), EISDIR);
    FAILS(truncate("tr", -1), EINVAL);
    FAILS(truncate("tr/x", 0), ENOTDIR);
    OK(fdatasync(fd));
    OK(close(fd));
    FAILS(fsync(fd), EBADF);
    OK(unlink("tr"));
}

static void test_folders(void)
{
    struct stat st;
    long links = links_of(".");

    OK(mkdir("d", 0755));
    EQUAL(links_of("."), links + 1);
    EQUAL(links_of("d"), 2);
    OK(stat("d", &st));
    CHECK(S_ISDIR(st.st_mode));
    FAILS(mkdir("d", 0755), EEXIST);
    FAILS(mkdir("none/d", 0755), ENOENT);
    FAILS(mkdir("", 0755), ENOENT);
    OK(mkdir("d/e/", 0755));
    EQUAL(links_of("d"), 3);
    make_file("d/f", "f");
    FAILS(mkdir("d/f", 0755), EEXIST);
    FAILS(mkdir("d/f/g", 0755), ENOTDIR);
    FAILS(rmdir("d"), ENOTEMPTY);
    FAILS(rmdir("d/f"), ENOTDIR);
    FAILS(rmdir("none"), ENOENT);
    FAILS(rmdir("d/."), EINVAL);
    FAILS(rmdir("d/e/.."), ENOTEMPTY);
    FAILS(rmdir("/"), EBUSY);
    FAILS(unlink("d"), EISDIR);
    FAILS(unlink("none"), ENOENT);
    FAILS(unlink("d/f/"), ENOTDIR);
    FAILS(unlink("d/f/g"), ENOTDIR);
    OK(unlink("d/f"));
    OK(rmdir("d/e"));
    EQUAL(links_of("d"), 2);
    OK(rmdir("d"));
    FAILS(stat("d", &st), ENOENT);
    EQUAL(links_of("."), links);
}

static void test_unlinked(void)
{
    struct stat st;
    int fd;

    make_file("gone", "still here");
    fd = OK(open("gone", O_RDWR));
    OK(unlink("gone"));
    FAILS(open("gone", O_RDONLY), ENOENT);
    OK(fstat(fd, &st));
    EQUAL(st.st_nlink, 0);
    EQUAL(pread(fd, big, 100, 0), 10);
    CHECK(memcmp(big, "still here", 10) == 0);
    EQUAL(pwrite(fd, "yes", 3, 10), 3);
    OK(fsync(fd));
    EQUAL(pread(fd, big, 100, 0), 13);
    make_file("gone", "another");
    EQUAL(pread(fd, big, 100, 0), 13);
    OK(close(fd));
    HOLDS("gone", "another");
    OK(unlink("gone"));
}

static void test_rename_files(void)
{
    struct stat a, b;

    make_file("r1", "one");
    make_file("r2", "two");
    OK(stat("r1", &a));
    OK(rename("r1", "r3"));
    OK(stat("r3", &b));
    EQUAL(b.st_ino, a.st_ino);
    FAILS(stat("r1", &b), ENOENT);
    OK(rename("r3", "r2"));
    HOLDS("r2", "one");
    FAILS(stat("r3", &b), ENOENT);
    OK(rename("r2", "r2"));
    HOLDS("r2", "one");
    FAILS(rename("none", "r2"), ENOENT);
    FAILS(rename("r2", "none/x"), ENOENT);
    FAILS(rename("r2", ""), ENOENT);
    FAILS(rename("r2/x", "r4"), ENOTDIR);
    FAILS(rename("r2", "r4/"), ENOTDIR);
    OK(mkdir("rd", 0755));
    FAILS(rename("r2", "rd"), EISDIR);
    FAILS(rename("rd", "r2"), ENOTDIR);
    OK(rename("r2", "rd/r2"));
    HOLDS("rd/r2", "one");
    OK(unlink("rd/r2"));
    OK(rmdir("rd"));
}

static void test_rename_folders(void)
{
    long links = links_of(".");
    struct stat here, up;

    OK(mkdir("p", 0755));
    OK(mkdir("q", 0755));
    OK(mkdir("p/s", 0755));
    make_file("p/s/f", "deep");
    EQUAL(links_of("."), links + 2);
    FAILS(rename("p", "p/s/p"), EINVAL);
    FAILS(rename("p", "p/x"), EINVAL);
    FAILS(rename("q", "p"), ENOTEMPTY);
    FAILS(rename("p/s", "p"), ENOTEMPTY);
    FAILS(rename("p/.", "q"), EBUSY);
    FAILS(rename("p", "q/.."), EBUSY);
    OK(rename("p/s", "q/s"));
    EQUAL(links_of("p"), 2);
    EQUAL(links_of("q"), 3);
    HOLDS("q/s/f", "deep");
    OK(stat("q", &here));
    OK(stat("q/s/..", &up));
    EQUAL(up.st_ino, here.st_ino);
    OK(rename("q", "p"));
    EQUAL(links_of("."), links + 1);
    HOLDS("p/s/f", "deep");
    OK(rename("p", "q/"));
    OK(unlink("q/s/f"));
    OK(rmdir("q/s"));
    OK(rmdir("q"));
    EQUAL(links_of("."), links);
}

/* Count what readdir() gives: @seen for each f000…f299, @others for the rest. */
static unsigned read_folder(DIR *dir, unsigned char *seen, unsigned *others)
{
    struct dirent *e;
    unsigned count = 0;

    memset(seen, 0, 300);
    *others = 0;
    while ((errno = 0, e = readdir(dir)) != NULL) {
        count++;
        if (e->d_name[0] == 'f')
            seen[atoi(e->d_name + 1) % 300]++;
        else
            (*others)++;
        CHECK(e->d_ino != 0);
        CHECK(e->d_type == DT_UNKNOWN || e->d_type == (e->d_name[0] == 'f' ? DT_REG : DT_DIR));
    }
    EQUAL(errno, 0);
    return count;
}

static void test_readdir(void)
{
    unsigned char seen[300];
    unsigned others;
    char name[32];
    struct stat st;
    struct dirent *e;
    DIR *dir;

    OK(mkdir("rdir", 0755));
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "rdir/f%03d-%.*s", i, i % 17, "long-long-long-name");
        OK(close(OK(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644))));
    }
    dir = opendir("rdir");
    if (!CHECK(dir != NULL))
        return;
    EQUAL(read_folder(dir, seen, &others), 302);
    EQUAL(others, 2);
    for (int i = 0; i < 300; i++)
        EQUAL(seen[i], 1);
    rewinddir(dir);
    e = readdir(dir);
    long place = telldir(dir);
    e = readdir(dir);
    snprintf(name, sizeof(name), "%.31s", e ? e->d_name : "?");
    e = readdir(dir);
    seekdir(dir, place);
    e = readdir(dir);
    CHECK(e && strcmp(e->d_name, name) == 0);
    CHECK(e && fstatat(dirfd(dir), e->d_name, &st, 0) == 0);
    rewinddir(dir);
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == 'f')
            OK(unlinkat(dirfd(dir), e->d_name, 0));
    }
    rewinddir(dir);
    EQUAL(read_folder(dir, seen, &others), 2);
    OK(closedir(dir));
    OK(rmdir("rdir"));
    CHECK(opendir("none") == NULL && errno == ENOENT);
}

static void test_at_and_cwd(void)
{
    char before[512], after[512];
    int dir, fd;

    OK(mkdir("at", 0755));
    dir = OK(open("at", O_RDONLY | O_DIRECTORY));
    fd = OK(openat(dir, "f", O_WRONLY | O_CREAT, 0644));
    OK(close(fd));
    OK(mkdirat(dir, "g", 0755));
    EQUAL(size_of("at/f"), 0);
    FAILS(openat(dir, "../none", O_RDONLY), ENOENT);
    FAILS(openat(-5, "f", O_RDONLY), EBADF);
    FAILS(read(dir, big, 10), EISDIR);
    OK(renameat(dir, "f", dir, "h"));
    OK(unlinkat(dir, "h", 0));
    FAILS(unlinkat(dir, "g", 0), EISDIR);
    OK(unlinkat(dir, "g", AT_REMOVEDIR));
    OK(fsync(dir));
    CHECK(getcwd(before, sizeof(before)) != NULL);
    OK(chdir("at"));
    CHECK(getcwd(after, sizeof(after)) != NULL);
    CHECK(strncmp(after, before, strlen(before)) == 0 &&
          strcmp(after + strlen(before), "/at") == 0);
    OK(chdir(".."));
    OK(fchdir(dir));
    CHECK(getcwd(after, 3) == NULL && errno == ERANGE);
    OK(chdir(before));
    FAILS(chdir("none"), ENOENT);
    make_file("notdir", "");
    FAILS(chdir("notdir"), ENOTDIR);
    OK(access("notdir", F_OK));
    FAILS(access("none", F_OK), ENOENT);
    OK(unlink("notdir"));
    OK(close(dir));
    OK(rmdir("at"));
}

static void test_statfs(void)
{
    struct statfs before, during, after;
    int fd;

    sync();
    OK(statfs(".", &before));
    CHECK(before.f_bsize >= 512 && before.f_bsize <= 65536);
    CHECK(before.f_bfree <= before.f_blocks && before.f_bavail <= before.f_bfree);
    fd = OK(open("sf", O_RDWR | O_CREAT | O_TRUNC, 0644));
    memset(big, 's', sizeof(big));
    EQUAL(write(fd, big, sizeof(big)), (long)sizeof(big));
    OK(fsync(fd));
    OK(fstatfs(fd, &during));
    CHECK(before.f_bfree - during.f_bfree >= sizeof(big) / before.f_bsize);
    CHECK(before.f_bfree - during.f_bfree < 2 * sizeof(big) / before.f_bsize + 8);
    OK(close(fd));
    OK(unlink("sf"));
    for (int i = 0; i < 100; i++) {
        sync();
        OK(statfs(".", &after));
        if (after.f_bfree >= before.f_bfree)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    CHECK(after.f_bfree >= before.f_bfree);
    EQUAL(after.f_ffree, before.f_ffree);
    FAILS(statfs("none", &after), ENOENT);
}

static void test_bad_pointers(void)
{
    struct stat st;
    int fd = OK(open("bp", O_RDWR | O_CREAT | O_TRUNC, 0644));

    EQUAL(write(fd, "abc", 3), 3);
    FAILS(pread(fd, (void *)16, 3, 0), EFAULT);
    FAILS(pwrite(fd, (void *)16, 3, 0), EFAULT);
    FAILS(open((const char *)16, O_RDONLY), EFAULT);
    FAILS(syscall(SYS_fstat, fd, (void *)16), EFAULT); /* the library would touch it itself */
    OK(fstat(fd, &st));
    EQUAL(st.st_size, 3);
    OK(close(fd));
    OK(unlink("bp"));
}

static void test_times_and_devices(void)
{
    struct stat root, here, st, later;

    make_file("tm", "1");
    OK(stat("tm", &st));
    nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 100000000 }, NULL);
    make_file("tm", "22");
    OK(stat("tm", &later));
    CHECK(later.st_mtime > st.st_mtime);
    EQUAL(later.st_ino, st.st_ino);
    OK(stat("/", &root));
    OK(stat(".", &here));
    EQUAL(st.st_dev, here.st_dev);
    if (root.st_dev != here.st_dev)
        FAILS(rename("tm", "/fsops-other-device"), EXDEV);
    OK(unlink("tm"));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(0);
    if (OK(chdir(argc > 1 ? argv[1] : ".")) < 0)
        return check_end("fsops");
    OK(mkdir("fsops", 0755));
    if (OK(chdir("fsops")) < 0)
        return check_end("fsops");
    test_open();
    test_read_write();
    test_append_dup();
    test_truncate();
    test_folders();
    test_unlinked();
    test_rename_files();
    test_rename_folders();
    test_readdir();
    test_at_and_cwd();
    test_statfs();
    test_bad_pointers();
    test_times_and_devices();
    OK(chdir(".."));
    OK(rmdir("fsops"));
    return check_end("fsops");
}
