// SPDX-License-Identifier: MIT
/*
 * Files that must survive a power cut: `durable write DIR` makes, syncs, renames and removes files
 * for ever and says on the console what is on the disk by then; `durable check DIR <CONSOLE` looks
 * for all of that in a folder.
 *
 *   synced N      file N has its bytes and its name
 *   renamed N     it is now under its second name
 *   removing N    from here on it may be gone
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 100000, BYTES_MAX = 300000, KEEP = 60 };

static unsigned char buf[BYTES_MAX], got[BYTES_MAX];
static char state[FILES_MAX];

static size_t bytes_of(unsigned number)
{
    return number % 11 == 10 ? BYTES_MAX : number * 7919 % 13000;
}

static void fill(unsigned number, size_t count)
{
    uint32_t value = number * 2654435761u + 1;

    for (size_t i = 0; i < count; i++)
        buf[i] = (unsigned char)((value = value * 1664525 + 1013904223) >> 24);
}

static const char *name_of(unsigned number, bool second)
{
    static char names[2][64];

    snprintf(names[second], sizeof(names[0]), "%s%u/%s%u", second ? "moved" : "folder",
             number / 8 % 5, second ? "second-name-" : "file", number);
    return names[second];
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

/* One file, from its making to the word that it is safe. */
static void make_one(unsigned number)
{
    size_t count = bytes_of(number);
    int fd = open(name_of(number, false), O_WRONLY | O_CREAT | O_EXCL, 0644);

    fill(number, count);
    must(fd >= 0, "open");
    must(write(fd, buf, count) == (ssize_t)count, "write");
    must(fsync(fd) == 0, "fsync");
    printf("synced %u\n", number);
    if (number % 3 == 0) {
        must(rename(name_of(number, false), name_of(number, true)) == 0, "rename");
        must(fsync(fd) == 0, "fsync of a renamed file");
        printf("renamed %u\n", number);
    }
    must(close(fd) == 0, "close");
}

static int write_all(void)
{
    char folder[32];

    for (int i = 0; i < 5; i++) {
        snprintf(folder, sizeof(folder), "folder%d", i);
        must(mkdir(folder, 0755) == 0, "mkdir");
        snprintf(folder, sizeof(folder), "moved%d", i);
        must(mkdir(folder, 0755) == 0, "mkdir");
    }
    for (unsigned number = 0; number < FILES_MAX; number++) {
        make_one(number);
        /* Blocks of the removed ones are used again. */
        if (number >= KEEP && number % 4) {
            printf("removing %u\n", number - KEEP);
            must(unlink(name_of(number - KEEP, (number - KEEP) % 3 == 0)) == 0, "unlink");
        }
    }
    return 0;
}

static bool good_file(unsigned number, bool second)
{
    size_t count = bytes_of(number);
    int fd = open(name_of(number, second), O_RDONLY);
    ssize_t done = fd < 0 ? -1 : read(fd, got, sizeof(got));

    if (fd >= 0)
        close(fd);
    fill(number, count);
    return done == (ssize_t)count && memcmp(buf, got, count) == 0;
}

/* While a rename was under way, either name will do. */
static bool good(unsigned number)
{
    bool moves = number % 3 == 0;

    return (moves && good_file(number, true)) || (state[number] != 'r' && good_file(number, false));
}

static int check_all(void)
{
    unsigned number, checked = 0, bad = 0;
    char line[256];

    while (fgets(line, sizeof(line), stdin)) {
        if (sscanf(line, "synced %u\n", &number) == 1 && number < FILES_MAX)
            state[number] = 's';
        else if (sscanf(line, "renamed %u\n", &number) == 1 && number < FILES_MAX)
            state[number] = 'r';
        else if (sscanf(line, "removing %u\n", &number) == 1 && number < FILES_MAX)
            state[number] = 0;
    }
    for (number = 0; number < FILES_MAX; number++) {
        if (!state[number])
            continue;
        checked++;
        if (!good(number) && ++bad <= 10)
            printf("lost: %s, %zu bytes, state %c\n", name_of(number, state[number] == 'r'),
                   bytes_of(number), state[number]);
    }
    printf("checked %u files, %u lost\n", checked, bad);
    return bad > 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 3 || chdir(argv[2]) < 0) {
        perror("durable write|check DIR");
        return 2;
    }
    return strcmp(argv[1], "write") == 0 ? write_all() : check_all();
}
