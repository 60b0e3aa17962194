// SPDX-License-Identifier: MIT
/*
 * Files that must survive a power cut.
 *
 *     durable write DIR                             makes, syncs, changes, renames and removes files
 *                                                   for ever, and says on the console what is safe
 *     durable load COUNT DEVICE OFFSET DIR...       the same in every DIR at once, COUNT files each;
 *                                                   what is safe goes to the disk itself, as a note
 *     durable check DIR [NUMBER] <WHAT WAS SAID     looks for all of that in a folder; with NUMBER
 *                                                   only lines that begin with it count
 *
 *   synced N      file N has its bytes and its name
 *   renamed N     it is now under its second name
 *   changing N    from here on its bytes may be others …
 *   changed N     … and now they are the second ones
 *   removing N    from here on it may be gone
 *
 * A note is one sector, written straight to DEVICE at OFFSET + 512 * (number of DIR), behind the
 * filesystem: "spillway-note NUMBER synced N". Who has a record of all writes in their order has
 * the notes at the right places among them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 100000, BYTES_MAX = 300000, KEEP = 60, NOTE_BYTES = 512, DIRS_MAX = 16 };

struct load {
    int dir, notes;                   /* open; notes -1: to the console */
    unsigned number, count, keep;
    off_t offset;
    bool small;
    pthread_t thread;
    unsigned char buf[BYTES_MAX];
};

static struct load loads[DIRS_MAX];
static unsigned char got[BYTES_MAX];
static char state[FILES_MAX];
static bool moved[FILES_MAX];

static size_t bytes_of(unsigned number, bool small)
{
    return number % 11 != 10 ? number * 7919 % 13000 : small ? 60000 : BYTES_MAX;
}

static void fill(unsigned char *buf, unsigned number, bool second, size_t count)
{
    uint32_t value = number * 2654435761u + 1 + second;

    for (size_t i = 0; i < count; i++)
        buf[i] = (unsigned char)((value = value * 1664525 + 1013904223) >> 24);
}

static const char *name_of(char name[64], unsigned number, bool second)
{
    snprintf(name, 64, "%s%u/%s%u", second ? "moved" : "folder", number / 8 % 5,
             second ? "second-name-" : "file", number);
    return name;
}

static void must(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void say(struct load *load, const char *what, unsigned number)
{
    if (load->notes < 0) {
        printf("%s %u\n", what, number);
        return;
    }
    char *note = aligned_alloc(NOTE_BYTES, NOTE_BYTES);
    must(note != NULL, "memory");
    memset(note, 0, NOTE_BYTES);
    snprintf(note, NOTE_BYTES, "spillway-note %u %s %u\n", load->number, what, number);
    must(pwrite(load->notes, note, NOTE_BYTES, load->offset) == NOTE_BYTES, "note");
    free(note);
}

/* One file, from its making to the word that it is safe. */
static void make_one(struct load *load, unsigned number)
{
    size_t count = bytes_of(number, load->small);
    char old[64], new[64];
    int fd = openat(load->dir, name_of(old, number, false), O_WRONLY | O_CREAT | O_EXCL, 0644);

    fill(load->buf, number, false, count);
    must(fd >= 0, "open");
    must(write(fd, load->buf, count) == (ssize_t)count, "write");
    must(fsync(fd) == 0, "fsync");
    say(load, "synced", number);
    if (number % 3 == 0) {
        must(renameat(load->dir, old, load->dir, name_of(new, number, true)) == 0, "rename");
        must(fsync(fd) == 0, "fsync of a renamed file");
        say(load, "renamed", number);
    }
    if (number % 7 == 3) {
        say(load, "changing", number);
        fill(load->buf, number, true, count);
        must(pwrite(fd, load->buf, count, 0) == (ssize_t)count, "write again");
        must(fsync(fd) == 0, "fsync of a changed file");
        say(load, "changed", number);
    }
    must(close(fd) == 0, "close");
}

static void *run(void *argument)
{
    struct load *load = argument;
    char name[64];

    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "folder%d", i);
        must(mkdirat(load->dir, name, 0755) == 0, "mkdir");
        snprintf(name, sizeof(name), "moved%d", i);
        must(mkdirat(load->dir, name, 0755) == 0, "mkdir");
    }
    for (unsigned number = 0; number < load->count; number++) {
        make_one(load, number);
        /* Blocks of the removed ones are used again. */
        if (number >= load->keep && number % 4) {
            unsigned old = number - load->keep;
            say(load, "removing", old);
            must(unlinkat(load->dir, name_of(name, old, old % 3 == 0), 0) == 0, "unlink");
        }
    }
    return NULL;
}

static int load_all(unsigned count, const char *device, off_t offset, char **dirs)
{
    unsigned used = 0;
    int notes = open(device, O_RDWR);

    must(notes >= 0, device);
    for (; dirs[used] && used < DIRS_MAX; used++) {
        loads[used] = (struct load){.notes = notes, .number = used, .count = count, .keep = 12,
                                    .offset = offset + used * NOTE_BYTES, .small = true};
        loads[used].dir = open(dirs[used], O_RDONLY | O_DIRECTORY);
        must(loads[used].dir >= 0, dirs[used]);
        must(pthread_create(&loads[used].thread, NULL, run, &loads[used]) == 0, "thread");
    }
    for (unsigned i = 0; i < used; i++)
        pthread_join(loads[i].thread, NULL);
    printf("durable: %u files in each of %u folders\n", count, used);
    return 0;
}

static bool good_file(unsigned number, bool second_name, bool small)
{
    size_t count = bytes_of(number, small);
    char name[64];
    int fd = open(name_of(name, number, second_name), O_RDONLY);
    ssize_t done = fd < 0 ? -1 : read(fd, got, sizeof(got));

    if (fd >= 0)
        close(fd);
    if (done != (ssize_t)count)
        return false;
    if (state[number] == 'c')
        return true;
    fill(loads[0].buf, number, state[number] == '2', count);
    return memcmp(loads[0].buf, got, count) == 0;
}

/* While a rename was under way, either name will do. */
static bool good(unsigned number, bool small)
{
    bool moves = number % 3 == 0;

    return (moves && good_file(number, true, small)) ||
           (!moved[number] && good_file(number, false, small));
}

static void take_word(const char *line)
{
    static const struct { const char *format; char state; } words[] = {
        {"synced %u\n", 's'}, {"renamed %u\n", 'm'}, {"changing %u\n", 'c'},
        {"changed %u\n", '2'}, {"removing %u\n", 0},
    };
    unsigned number;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (sscanf(line, words[i].format, &number) != 1 || number >= FILES_MAX)
            continue;
        if (words[i].state == 'm')
            moved[number] = true;
        else
            state[number] = words[i].state;
    }
}

static int check_all(const char *only)
{
    unsigned number, checked = 0, bad = 0;
    char line[256], name[64];
    size_t skip = only ? strlen(only) : 0;

    while (fgets(line, sizeof(line), stdin)) {
        if (!only)
            take_word(line);
        else if (!strncmp(line, only, skip) && line[skip] == ' ')
            take_word(line + skip + 1);
    }
    for (number = 0; number < FILES_MAX; number++) {
        if (!state[number])
            continue;
        checked++;
        if (!good(number, only != NULL) && ++bad <= 10)
            printf("lost: %s, %zu bytes, state %c\n", name_of(name, number, moved[number]),
                   bytes_of(number, only != NULL), state[number]);
    }
    printf("checked %u files, %u lost\n", checked, bad);
    return bad > 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 5 && !strcmp(argv[1], "load"))
        return load_all((unsigned)atoi(argv[2]), argv[3], atoll(argv[4]), argv + 5);
    if (argc < 3 || chdir(argv[2]) < 0) {
        perror("durable write|load|check …");
        return 2;
    }
    if (!strcmp(argv[1], "check"))
        return check_all(argv[3]);
    loads[0] = (struct load){.notes = -1, .count = FILES_MAX, .keep = KEEP};
    loads[0].dir = open(".", O_RDONLY | O_DIRECTORY);
    must(loads[0].dir >= 0, argv[2]);
    run(&loads[0]);
    return 0;
}
