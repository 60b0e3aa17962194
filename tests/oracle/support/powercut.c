// SPDX-License-Identifier: MIT
/*
 * Power cuts from a record that QEMU's blklogwrites made of all writes and flushes of a disk.
 *
 *     powercut LOG                      prints how many flushes there are
 *     powercut LOG BASE CUT NOTES SEED BLOCK FIRST STEP -- COMMAND ARG...
 *
 * BASE is the disk as it was before. For every flush there are two cuts: right at it, and somewhere
 * before the next one, where of the writes since that flush only some are there: each block of BLOCK
 * bytes by itself, drawn from SEED. What came before the flush is there. For every cut the disk is
 * put into the file CUT, the notes (see durable.c) that were written up to there into NOTES, and
 * COMMAND is run with the cut's name as one more argument. A status of it but 0 is a bad cut. Only
 * every STEPth flush is done, from FIRST on.
 *
 * It ends with `cuts N bad N flushes N writes N notes N` and 1 if any was bad.
 *
 * Source: the format is that of Linux's dm-log-writes (Documentation/admin-guide/device-mapper).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAGIC 0x6a736677736872u
enum { FLUSH = 1, DISCARD = 4, MARK = 8, SECTOR = 512 };

struct super {
    uint64_t magic, version, entries;
    uint32_t sector_bytes;
};
struct entry {
    uint64_t sector, sectors, flags, data_bytes;
};

static struct { uint64_t flags, offset, bytes; const uint8_t *data; } *writes;
static size_t write_count;
static uint8_t *base;
static size_t base_bytes;
static uint64_t random_state;
static const char *cut_path, *notes_path;
static char **command;
static unsigned cuts, bad, notes_seen;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static uint8_t *load(const char *path, size_t *bytes)
{
    int fd = open(path, O_RDONLY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        die(path);
    uint8_t *data = malloc((size_t)st.st_size);
    *bytes = 0;
    while (data && *bytes < (size_t)st.st_size) {
        ssize_t n = read(fd, data + *bytes, (size_t)st.st_size - *bytes);
        if (n <= 0)
            die(path);
        *bytes += (size_t)n;
    }
    if (!data)
        die(path);
    close(fd);
    return data;
}

/* The count in the record's head may be old: what is behind it is looked at too. */
static void parse(const uint8_t *log, size_t bytes)
{
    const struct super *super = (const struct super *)log;
    size_t at, unit = bytes > sizeof(*super) ? super->sector_bytes : 0, room = 0;

    if (unit < SECTOR || super->magic != MAGIC || super->version != 1) {
        fprintf(stderr, "powercut: the record has no head\n");
        exit(2);
    }
    for (at = unit; at + unit <= bytes;) {
        const struct entry *e = (const struct entry *)(log + at);
        size_t data = e->flags & DISCARD ? 0 : e->sectors * unit;
        if (write_count >= super->entries || at + unit + data > bytes)
            break;
        if (write_count == room) {
            room = room ? 2 * room : 1024;
            writes = realloc(writes, room * sizeof(*writes));
            if (!writes)
                die("memory");
        }
        writes[write_count].flags = e->flags;
        writes[write_count].offset = e->sector * unit;
        writes[write_count].bytes = data;
        writes[write_count++].data = log + at + unit;
        at += unit + data;
    }
}

static uint64_t below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return limit ? random_state % limit : 0;
}

static void apply(uint8_t *disk, size_t index, size_t from, size_t bytes)
{
    uint64_t offset = writes[index].offset + from;

    if (offset < base_bytes)
        memcpy(disk + offset, writes[index].data + from,
               bytes < base_bytes - offset ? bytes : base_bytes - offset);
}

static void save(const char *path, const uint8_t *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    static const uint8_t zeroes[65536];

    if (fd < 0 || ftruncate(fd, (off_t)bytes))
        die(path);
    for (size_t at = 0; at < bytes; at += sizeof(zeroes)) {
        size_t part = bytes - at < sizeof(zeroes) ? bytes - at : sizeof(zeroes);
        if (memcmp(data + at, zeroes, part) && pwrite(fd, data + at, part, (off_t)at) != (ssize_t)part)
            die(path);
    }
    close(fd);
}

static void save_notes(size_t end)
{
    static const char head[] = "spillway-note ";
    FILE *out = fopen(notes_path, "w");

    if (!out)
        die(notes_path);
    notes_seen = 0;
    /* QEMU makes one write of several neighbours: a note may lie anywhere in it. */
    for (size_t i = 0; i < end; i++) {
        for (size_t at = 0; at + SECTOR <= writes[i].bytes; at += SECTOR) {
            const char *text = (const char *)writes[i].data + at;
            if (memcmp(text, head, sizeof(head) - 1))
                continue;
            fprintf(out, "%.*s", SECTOR - (int)sizeof(head), text + sizeof(head) - 1);
            notes_seen++;
        }
    }
    if (fclose(out))
        die(notes_path);
}

static void judge(const uint8_t *disk, size_t end, const char *name)
{
    int status, count = 0;

    save(cut_path, disk, base_bytes);
    save_notes(end);
    while (command[count])
        count++;
    char **args = calloc((size_t)count + 2, sizeof(*args));
    memcpy(args, command, (size_t)count * sizeof(*args));
    args[count] = strdup(name);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(args[0], args);
        die(args[0]);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        die("fork");
    cuts++;
    bad += status != 0;
    free(args[count]);
    free(args);
}

/* Of the writes from @first to @end some blocks, on a copy of the disk. */
static void judge_some(const uint8_t *disk, size_t flush, size_t first, size_t end, size_t block)
{
    static const unsigned shares[] = {0, 25, 50, 75, 90, 100};
    unsigned share = shares[below(sizeof(shares) / sizeof(shares[0]))], taken = 0, all = 0;
    uint8_t *copy = malloc(base_bytes);
    char name[128];

    if (!copy)
        die("memory");
    memcpy(copy, disk, base_bytes);
    for (size_t i = first; i < end; i++) {
        for (size_t at = 0; at < writes[i].bytes; at += block, all++) {
            size_t part = writes[i].bytes - at < block ? writes[i].bytes - at : block;
            if (below(100) >= share)
                continue;
            apply(copy, i, at, part);
            taken++;
        }
    }
    snprintf(name, sizeof(name), "flush %zu + %u of %u blocks, entries %zu to %zu", flush, taken, all,
             first, end);
    judge(copy, end, name);
    free(copy);
}

static void cut_all(size_t first, size_t step, uint64_t seed, size_t block)
{
    char name[64];
    size_t flush = 0;

    for (size_t i = 0; i < write_count; i++) {
        if ((writes[i].flags & FLUSH) && flush++ % step == first) {
            size_t next = i + 1;
            while (next < write_count && !(writes[next].flags & FLUSH))
                next++;
            snprintf(name, sizeof(name), "flush %zu, entry %zu", flush - 1, i);
            judge(base, i, name);
            random_state = (seed + 1) * 0x9e3779b97f4a7c15u + flush * 1000003;
            if (next > i + 1)
                judge_some(base, flush - 1, i + 1, i + 2 + below(next - i - 1), block);
        }
        if (!(writes[i].flags & (DISCARD | MARK)))
            apply(base, i, 0, writes[i].bytes);
    }
}

int main(int argc, char **argv)
{
    size_t bytes, flushes = 0;

    if (argc != 2 && (argc < 11 || strcmp(argv[9], "--"))) {
        fprintf(stderr, "usage: powercut LOG [BASE CUT NOTES SEED BLOCK FIRST STEP -- COMMAND ARG...]\n");
        return 2;
    }
    const uint8_t *log = load(argv[1], &bytes);
    parse(log, bytes);
    for (size_t i = 0; i < write_count; i++)
        flushes += (writes[i].flags & FLUSH) != 0;
    if (argc == 2) {
        printf("%zu\n", flushes);
        return 0;
    }
    base = load(argv[2], &base_bytes);
    cut_path = argv[3];
    notes_path = argv[4];
    command = argv + 10;
    cut_all(strtoul(argv[7], NULL, 10), strtoul(argv[8], NULL, 10), strtoull(argv[5], NULL, 10),
            strtoul(argv[6], NULL, 10));
    printf("cuts %u bad %u flushes %zu writes %zu notes %u\n", cuts, bad, flushes, write_count, notes_seen);
    return bad > 0;
}
