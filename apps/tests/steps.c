// SPDX-License-Identifier: MIT
/*
 * Does what its arguments say, one after the other, and prints what came of each: for tests of
 * trouble, where the script knows what must fail. A file stays open from its first use to `close`.
 *
 *   write:PATH:OFFSET:BYTES[:SEED]   bytes that follow from SEED (default 1) and their place
 *   check:PATH:OFFSET:BYTES[:SEED]   reads and compares: "wrong at N" if it is something else
 *   fsync:PATH  fdatasync:PATH  sync  close:PATH  unlink:PATH  mkdir:PATH  truncate:PATH:BYTES
 *   mount:SOURCE:DIR  romount:SOURCE:DIR  remount:SOURCE:DIR (read-only)  umount:DIR
 *   list:DIR  free:DIR  sleep:MS  hoard:BYTES (takes memory in pieces of that size until there is no
 *   more) release:PIECES (gives so many back; 0: all)
 *   rename:OLD:NEW  link:OLD:NEW  symlink:TARGET:NEW  size:PATH
 *   many:PATH:COUNT  makes PATH0, PATH1, …; drop:PATH:COUNT removes them; have:PATH:COUNT looks each up
 *
 *   write:/m/a:0:4096: ok
 *   fsync:/m/a: EIO, 12 ms
 *
 * The status is 0 whatever came of them; 2 for an argument that is no step. `fsync:PATH` of a path
 * that cannot be opened prints the error of the open.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { OPEN_MAX = 32, PART = 65536, WORDS = 5 };

static struct {
    char path[256];
    int fd;
} opened[OPEN_MAX];
static unsigned char buffer[PART], wanted[PART];
static char said[128];

static int open_path(const char *path)
{
    int spare = -1;

    for (int i = 0; i < OPEN_MAX; i++) {
        if (!opened[i].path[0])
            spare = i;
        else if (!strcmp(opened[i].path, path))
            return opened[i].fd;
    }
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    if (fd < 0 && (errno == EISDIR || errno == EROFS))
        fd = open(path, O_RDONLY);
    if (fd < 0 || spare < 0)
        return fd;
    snprintf(opened[spare].path, sizeof(opened[0].path), "%s", path);
    opened[spare].fd = fd;
    return fd;
}

static int close_path(const char *path)
{
    for (int i = 0; i < OPEN_MAX; i++) {
        if (strcmp(opened[i].path, path))
            continue;
        opened[i].path[0] = 0;
        return close(opened[i].fd);
    }
    errno = EBADF;
    return -1;
}

static void pattern(unsigned char *at, uint64_t offset, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i++) {
        uint64_t value = (offset + i + seed * 1000003) * 0x9e3779b97f4a7c15u;
        at[i] = (unsigned char)(value >> 56);
    }
}

static int transfer(const char *path, uint64_t offset, uint64_t bytes, uint64_t seed, int writes)
{
    int fd = open_path(path);

    while (fd >= 0 && bytes) {
        size_t part = bytes < PART ? bytes : PART;
        pattern(wanted, offset, part, seed);
        ssize_t done = writes ? pwrite(fd, wanted, part, (off_t)offset)
                              : pread(fd, buffer, part, (off_t)offset);
        if (done < 0)
            return -1;
        if (done == 0) {
            snprintf(said, sizeof(said), "ends at %llu", (unsigned long long)offset);
            return 0;
        }
        for (ssize_t i = 0; !writes && i < done; i++) {
            if (buffer[i] == wanted[i])
                continue;
            snprintf(said, sizeof(said), "wrong at %llu", (unsigned long long)offset + (uint64_t)i);
            return 0;
        }
        offset += (uint64_t)done;
        bytes -= (uint64_t)done;
    }
    return fd < 0 ? -1 : 0;
}

static int sync_path(const char *path, int data_only)
{
    int fd = open_path(path);

    return fd < 0 ? -1 : data_only ? fdatasync(fd) : fsync(fd);
}

/* Reads the whole folder, and says how many names there are. */
static int list(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    if (!dir)
        return -1;
    errno = 0;
    while (readdir(dir))
        count++;
    int error = errno;
    closedir(dir);
    errno = error;
    snprintf(said, sizeof(said), "%u names", count);
    return error ? -1 : 0;
}

static int room(const char *path)
{
    struct statvfs fs;

    if (statvfs(path, &fs))
        return -1;
    snprintf(said, sizeof(said), "%llu blocks free, %llu for all, %llu inodes",
             (unsigned long long)fs.f_bfree, (unsigned long long)fs.f_bavail,
             (unsigned long long)fs.f_ffree);
    return 0;
}

static int size(const char *path)
{
    struct stat st;

    if (lstat(path, &st))
        return -1;
    snprintf(said, sizeof(said), "%lld bytes, %lld sectors, %lld links", (long long)st.st_size,
             (long long)st.st_blocks, (long long)st.st_nlink);
    return 0;
}

static int many(const char *verb, const char *path, uint64_t count)
{
    char name[300];
    struct stat st;

    for (uint64_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s%llu", path, (unsigned long long)i);
        int fd = *verb == 'm' ? open(name, O_WRONLY | O_CREAT | O_EXCL, 0644) : -1;
        int bad = *verb == 'm' ? fd < 0 || close(fd)
                  : *verb == 'd' ? unlink(name) : stat(name, &st);
        if (!bad)
            continue;
        snprintf(said, sizeof(said), "at %llu", (unsigned long long)i);
        return -1;
    }
    return 0;
}

struct piece {
    struct piece *next;
    size_t bytes;
};
static struct piece *pieces;

static int hoard(size_t bytes)
{
    unsigned count = 0;

    for (;; count++) {
        struct piece *piece =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece == MAP_FAILED)
            break;
        memset(piece, 1, bytes);
        *piece = (struct piece){.next = pieces, .bytes = bytes};
        pieces = piece;
    }
    snprintf(said, sizeof(said), "after %u", count);
    return -1;
}

static int release(uint64_t count)
{
    for (uint64_t done = 0; pieces && (!count || done < count); done++) {
        struct piece *piece = pieces;
        pieces = piece->next;
        if (munmap(piece, piece->bytes))
            return -1;
    }
    return 0;
}

static int pause_ms(uint64_t ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    return nanosleep(&time, NULL);
}

static int do_mount(const char *verb, const char *source, const char *dir)
{
    unsigned long flags = !strcmp(verb, "romount")   ? MS_RDONLY
                          : !strcmp(verb, "remount") ? MS_REMOUNT | MS_RDONLY : 0;

    return mount(source, dir, "ext2", flags, "");
}

static uint64_t number(const char *word)
{
    return word ? strtoull(word, NULL, 0) : 0;
}

/* 0, -1 with errno, or -2: no such step. */
static int step(char **w)
{
    const char *verb = w[0], *path = w[1];
    uint64_t seed = w[4] ? number(w[4]) : 1;

    if (!strcmp(verb, "sync"))
        return sync(), 0;
    if (!path)
        return -2;
    if (!strcmp(verb, "write") || !strcmp(verb, "check"))
        return transfer(path, number(w[2]), number(w[3]), seed, *verb == 'w');
    if (!strcmp(verb, "fsync") || !strcmp(verb, "fdatasync"))
        return sync_path(path, verb[1] == 'd');
    if (!strcmp(verb, "close"))
        return close_path(path);
    if (!strcmp(verb, "unlink"))
        return unlink(path);
    if (!strcmp(verb, "mkdir"))
        return mkdir(path, 0755);
    if (!strcmp(verb, "umount"))
        return umount(path);
    if (!strcmp(verb, "list"))
        return list(path);
    if (!strcmp(verb, "free"))
        return room(path);
    if (!strcmp(verb, "size"))
        return size(path);
    if (!strcmp(verb, "hoard"))
        return hoard(number(path));
    if (!strcmp(verb, "release"))
        return release(number(path));
    if (!strcmp(verb, "sleep"))
        return pause_ms(number(path));
    if (!w[2])
        return -2;
    if (!strcmp(verb, "mount") || !strcmp(verb, "romount") || !strcmp(verb, "remount"))
        return do_mount(verb, path, w[2]);
    if (!strcmp(verb, "truncate"))
        return truncate(path, (off_t)number(w[2]));
    if (!strcmp(verb, "rename"))
        return rename(path, w[2]);
    if (!strcmp(verb, "link"))
        return link(path, w[2]);
    if (!strcmp(verb, "symlink"))
        return symlink(path, w[2]);
    if (!strcmp(verb, "many") || !strcmp(verb, "drop") || !strcmp(verb, "have"))
        return many(verb, path, number(w[2]));
    return -2;
}

static const char *error_name(int error)
{
    static const struct { int error; const char *name; } names[] = {
        {EIO, "EIO"}, {ENOENT, "ENOENT"}, {EEXIST, "EEXIST"}, {ENOSPC, "ENOSPC"},
        {ENOMEM, "ENOMEM"}, {EROFS, "EROFS"}, {EINVAL, "EINVAL"}, {EUCLEAN, "EUCLEAN"},
        {ENXIO, "ENXIO"}, {EBUSY, "EBUSY"}, {ENOTDIR, "ENOTDIR"}, {EISDIR, "EISDIR"},
        {EFBIG, "EFBIG"}, {EMLINK, "EMLINK"}, {ENAMETOOLONG, "ENAMETOOLONG"}, {ELOOP, "ELOOP"},
        {ENODEV, "ENODEV"}, {ENOTEMPTY, "ENOTEMPTY"}, {EBADF, "EBADF"}, {EPERM, "EPERM"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].error == error)
            return names[i].name;
    return strerror(error);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        char *words[WORDS + 1] = {0}, *text = strdup(argv[i]), *save = NULL;
        struct timespec before, after;
        int count = 0;
        for (char *w = strtok_r(text, ":", &save); w && count < WORDS; w = strtok_r(NULL, ":", &save))
            words[count++] = w;
        said[0] = 0;
        clock_gettime(CLOCK_MONOTONIC, &before);
        int result = words[0] ? step(words) : -2, error = errno;
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (result == -2) {
            fprintf(stderr, "steps: no such step: %s\n", argv[i]);
            return 2;
        }
        long ms = (after.tv_sec - before.tv_sec) * 1000 +
                  (after.tv_nsec - before.tv_nsec) / 1000000;
        printf("%s: %s%s%s", argv[i], result ? error_name(error) : *said ? "" : "ok",
               result && *said ? " " : "", said);
        if (ms >= 500)
            printf(", %ld ms", ms);
        printf("\n");
        free(text);
    }
    return 0;
}
