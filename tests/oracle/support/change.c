// SPDX-License-Identifier: MIT
/*
 * A series of changes to a folder, the same for the same seed: `change DIR SEED COUNT`. Each call
 * is printed with what it gave, what was read included, so two systems can be compared by their
 * output and by what they leave in the folder. Names are of many lengths, writes lie at the
 * borders of direct, indirect and double indirect blocks.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES = 90, FOLDERS = 8, BUF_BYTES = 24576, PATH_BYTES = 600 };
/* Of a symbolic link. A loop of longer ones is ELOOP on Linux, but ENAMETOOLONG where a path with
   its links expanded has 4096 bytes at most. */
enum { LINK_BYTES = 90 };

static const char *const folders[FOLDERS] = { ".", "a", "a/b", "a/b/c", "d", "d/e", "g", "a/h" };
static const char *const folder_names[] = { "a", "b", "c", "d", "e", "g", "h", "f" };
/* In KiB: where the pointers of 1, 2 and 4 KiB blocks change their kind; and some others. */
static const unsigned borders[] = { 0, 1, 12, 24, 48, 268, 1048, 2000, 4144, 5000 };

static uint64_t state;
static unsigned char buf[BUF_BYTES];
static char path[PATH_BYTES], other[PATH_BYTES];

static uint32_t below(uint32_t limit)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(state >> 33) % limit;
}

/* A file's path; seldom one for a folder. */
static const char *choose(char *to)
{
    const char *folder = folders[below(FOLDERS)];

    if (below(12) == 0) {
        snprintf(to, PATH_BYTES, "%s/%s", folder, folder_names[below(8)]);
    } else {
        unsigned name = below(NAMES), pad = name * 37 % 252;

        snprintf(to, PATH_BYTES, "%s/f%02u%.*s", folder, name, (int)pad,
                 "................................................................"
                 "................................................................"
                 "................................................................"
                 "................................................................");
    }
    return to;
}

static off_t choose_offset(void)
{
    off_t offset = (off_t)borders[below(sizeof(borders) / sizeof(borders[0]))] * 1024;

    offset += (off_t)below(6000) - 3000;
    return offset < 0 ? 0 : offset;
}

static uint32_t sum_of(const unsigned char *bytes, size_t count)
{
    uint32_t sum = 2166136261u;

    while (count--)
        sum = (sum ^ *bytes++) * 16777619u;
    return sum;
}

static void do_write(void)
{
    size_t count = 1 + below(below(4) ? 3000 : BUF_BYTES);
    off_t offset = choose_offset();
    uint32_t value = below(1u << 30);
    int fd = open(choose(path), O_WRONLY | O_CREAT | (below(8) ? 0 : O_APPEND), 0640);
    ssize_t done = -1;

    for (size_t i = 0; i < count; i++)
        buf[i] = (unsigned char)((value = value * 1664525 + 1013904223) >> 24);
    errno = fd < 0 ? errno : 0;
    if (fd >= 0) {
        done = pwrite(fd, buf, count, offset);
        if (below(10) == 0 && fsync(fd) < 0)
            printf("fsync: %s\n", strerror(errno));
        close(fd);
    }
    printf("write %s %lld %zu: %zd, %s\n", path, (long long)offset, count, done, strerror(errno));
}

static void do_read(void)
{
    int fd = open(choose(path), O_RDONLY | O_NOFOLLOW);
    ssize_t got = -1;
    uint32_t sum = 0;

    errno = fd < 0 ? errno : 0;
    if (fd >= 0) {
        got = pread(fd, buf, 1 + below(BUF_BYTES), choose_offset());
        if (got > 0)
            sum = sum_of(buf, (size_t)got);
        close(fd);
    }
    printf("read %s: %zd, sum %08x, %s\n", path, got, sum, strerror(errno));
}

/* The names of a folder, whatever their order. */
static void do_list(void)
{
    const char *folder = folders[below(FOLDERS)];
    DIR *dir = opendir(folder);
    struct dirent *entry;
    uint32_t sum = 0, count = 0;

    while (dir && (entry = readdir(dir))) {
        sum += sum_of((const unsigned char *)entry->d_name, strlen(entry->d_name)) ^ entry->d_type;
        count++;
    }
    if (dir)
        closedir(dir);
    printf("list %s: %u names, sum %08x\n", folder, count, sum);
}

static void do_stat(void)
{
    struct stat st;

    if (lstat(choose(path), &st) < 0)
        printf("stat %s: -\n", path);
    else if (S_ISDIR(st.st_mode))
        printf("stat %s: folder %o, %u names\n", path, st.st_mode, (unsigned)st.st_nlink);
    else
        printf("stat %s: %o, %u names, %lld bytes\n", path, st.st_mode, (unsigned)st.st_nlink,
               (long long)st.st_size);
}

static void change(void)
{
    int result = 0;
    const char *what = "";

    errno = 0;
    other[0] = '\0';
    switch (below(24)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        do_write();
        return;
    case 7:
    case 8:
        do_read();
        return;
    case 9:
        do_list();
        return;
    case 10:
    case 11:
        do_stat();
        return;
    case 12:
    case 13:
        what = "truncate";
        result = truncate(choose(path), choose_offset());
        break;
    case 14:
    case 15:
    case 16:
        what = "rename";
        choose(path), choose(other);
        result = rename(path, other);
        break;
    case 17:
    case 18:
        what = "unlink";
        result = unlink(choose(path));
        break;
    case 19:
        what = "mkdir";
        result = mkdir(strcpy(path, folders[1 + below(FOLDERS - 1)]), 0750);
        break;
    case 20:
        what = "rmdir";
        result = rmdir(strcpy(path, folders[1 + below(FOLDERS - 1)]));
        break;
    case 21:
        what = "symlink";
        choose(other);
        do
            choose(path);
        while (strlen(path) > LINK_BYTES);
        result = symlink(path, other);
        break;
    case 22:
        what = "link";
        choose(path), choose(other);
        result = link(path, other);
        break;
    default:
        what = "chmod";
        result = chmod(choose(path), 0600 + below(64));
        break;
    }
    printf("%s %s %s: %s\n", what, path, other, result < 0 ? strerror(errno) : "done");
}

int main(int argc, char **argv)
{
    long count = argc == 4 ? atol(argv[3]) : 0;

    if (count <= 0 || chdir(argv[1]) < 0) {
        perror("change DIR SEED COUNT");
        return 2;
    }
    state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15ull;
    umask(022);
    for (int i = 1; i < FOLDERS; i++)
        mkdir(folders[i], 0750);
    for (long i = 0; i < count; i++)
        change();
    return 0;
}
