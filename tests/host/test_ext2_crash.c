// SPDX-License-Identifier: MIT
/*
 * ext2 and power cuts: everything written and flushed is recorded while a workload runs; then the
 * disk is put together as it may be after a cut: all up to the last flush, and any part of what was
 * written after it. e2fsck repairs it and finds leaks at most: no block in two files, none in use
 * that is marked free, no name of an inode that is not there. What was synced before is there, byte
 * by byte; a file replaced by rename is the old or the new one, and the new one has one of its
 * names. The same without e2fsck. EXT2_CRASH_SEED, EXT2_CRASH_STEP (1: every moment that differs).
 */
#include "test_ext2.h"

#include <fcntl.h>
#include <unistd.h>

static struct image image, victim;
static uint64_t random_state;

/* What a file must contain after a cut between the events @from and @until. */
struct promise {
    char path[80];
    uint64_t seed;
    size_t bytes;
    size_t from, until;
};
#define PROMISES_MAX 2000
static struct promise promises[PROMISES_MAX];
static size_t promise_count;

static void promise(const char *path, uint64_t seed, size_t bytes)
{
    assert_true(promise_count < PROMISES_MAX);
    struct promise *p = &promises[promise_count++];
    *p = (struct promise){
        .seed = seed, .bytes = bytes, .from = image.event_count, .until = SIZE_MAX
    };
    snprintf(p->path, sizeof(p->path), "%s", path);
}

/* From now on @path may change. */
static void release(const char *path)
{
    for (size_t i = 0; i < promise_count; i++)
        if (!strcmp(promises[i].path, path) && promises[i].until == SIZE_MAX)
            promises[i].until = image.event_count;
}

static void write_synced(const char *path, uint64_t seed, size_t bytes)
{
    release(path);
    struct file *file = open_file(path, OPEN_READ_WRITE | OPEN_CREATE | OPEN_TRUNCATE);
    uint8_t *data = malloc(bytes);
    pattern_fill(data, bytes, seed, 0);
    assert_int_equal(vfs_write(file, data, bytes, 0), bytes);
    free(data);
    OK(vfs_sync(file, false));
    file_put(file);
    promise(path, seed, bytes);
}

/* Overwrites in place: until it is synced either content may be there, so nothing is promised in
 * between. */
static void overwrite_synced(const char *path, uint64_t seed, size_t bytes, bool data_only)
{
    release(path);
    struct file *file = open_file(path, OPEN_READ_WRITE);
    uint8_t *data = malloc(bytes);
    pattern_fill(data, bytes, seed, 0);
    assert_int_equal(vfs_write(file, data, bytes, 0), bytes);
    free(data);
    OK(vfs_sync(file, data_only));
    file_put(file);
    promise(path, seed, bytes);
}

static void remove_file(const char *path)
{
    release(path);
    OK(vfs_unlink(NULL, path));
}

/* "/m/atomic": a new content is synced under another name and renamed over it. */
#define ATOMIC_BYTES 30000
static uint64_t atomic_seed;
static size_t atomic_at[100]; /* events before the rename to generation i began */

static const char *atomic_temporary(uint64_t generation)
{
    return generation % 2 ? "/m/tmp" : "/m/d0/tmp";
}

static void replace_atomic(void)
{
    atomic_seed++;
    const char *temporary = atomic_temporary(atomic_seed);
    write_synced(temporary, 1000 + atomic_seed, ATOMIC_BYTES);
    release(temporary);
    atomic_at[atomic_seed] = image.event_count;
    OK(vfs_rename(NULL, temporary, NULL, "/m/atomic", false));
    if (random_below(&random_state, 2)) {
        struct file *file = open_file("/m", OPEN_READ | OPEN_DIRECTORY);
        OK(vfs_sync(file, false));
        file_put(file);
    }
}

/* A directory with a synced file moves between two others; the file is always found in one of them.
 * */
#define HOME_SEED 500
static const char *const homes[] = { "/m/d0/home", "/m/d1/home", "/m/d2/n/home" };
static size_t home_from;
static uint64_t home_moves;

static void make_home(void)
{
    OK(make_dir("/m/d2/n"));
    OK(make_dir(homes[0]));
    write_synced("/m/d0/home/file", HOME_SEED, 5000);
    release("/m/d0/home/file");
    home_from = image.event_count;
}

static void move_home(void)
{
    uint64_t from = home_moves++ % 3, to = home_moves % 3;
    OK(vfs_rename(NULL, homes[from], NULL, homes[to], false));
    if (random_below(&random_state, 2))
        write_synced("/m/d1/other", home_moves, 2000);
}

static void unsynced_noise(uint64_t i)
{
    char path[80], other[80];
    sprintf(path, "/m/d%lu/noise%lu", (unsigned long)(i % 3), (unsigned long)(i % 5));
    sprintf(other, "/m/d%lu/other%lu", (unsigned long)((i + 1) % 3), (unsigned long)(i % 4));
    switch (random_below(&random_state, 6)) {
    case 0:
        OK(write_pattern(path, i, 0, random_below(&random_state, 60000) + 1));
        break;
    case 1:
        vfs_unlink(NULL, path);
        break;
    case 2:
        vfs_rename(NULL, path, NULL, other, false);
        break;
    case 3:
        vfs_truncate_path(NULL, path, random_below(&random_state, 30000));
        break;
    case 4:
        vfs_link(NULL, path, NULL, other, 0);
        break;
    case 5:
        vfs_unlink(NULL, other);
        break;
    }
}

STEP(workload_step)
{
    char path[80];
    OK(mount_image(&image, 0));
    for (int i = 0; i < 3; i++) {
        sprintf(path, "/m/d%d", i);
        OK(make_dir(path));
    }
    make_home();
    for (uint64_t i = 0; i < 60; i++) {
        sprintf(path, "/m/d%lu/f%lu", (unsigned long)(i % 3),
                (unsigned long)random_below(&random_state, 6));
        unsynced_noise(i);
        switch (random_below(&random_state, 7)) {
        case 0:
        case 1:
            write_synced(path, i + 1, random_below(&random_state, 3) ? 5000 + i * 10 : 150000);
            break;
        case 2:
            write_synced(path, i + 1, 40000);
            overwrite_synced(path, i + 100, 40000, i % 2);
            break;
        case 3:
            write_synced(path, i + 1, 90000);
            remove_file(path);
            break;
        case 4:
            if (atomic_seed < 90)
                replace_atomic();
            break;
        case 6:
            move_home();
            break;
        case 5:
            sprintf(path, "/m/d%lu/n%lu", (unsigned long)(i % 3), (unsigned long)i);
            OK(make_dir(path));
            strcat(path, "/deep");
            OK(make_dir(path));
            strcat(path, "/file");
            write_synced(path, i + 1, 3000);
            break;
        }
    }
    OK(vfs_unmount("/m", false));
}

/* ---- after the cut ---- */

static uint8_t *base; /* the image before the first event */
static uint8_t *disk;
static size_t image_bytes;

static void apply(size_t index)
{
    const struct image_event *event = &image.events[index];
    if (event->op == BIO_WRITE)
        memcpy(disk + event->offset, event->data, event->bytes);
}

static size_t cut_at; /* events from here on never happened */

static uint64_t kept, atomics_seen;

static bool there(const char *path)
{
    struct path found;
    if (path_walk(NULL, path, 0, &found))
        return false;
    path_put(&found);
    return true;
}

static void verify_atomic(void)
{
    uint64_t begun = 0;
    while (begun < atomic_seed && atomic_at[begun + 1] < cut_at)
        begun++;
    if (there("/m/atomic")) {
        bool found = false;
        for (uint64_t i = 1; i <= begun && !found; i++)
            found = has_pattern("/m/atomic", 1000 + i, 0, ATOMIC_BYTES);
        assert_true(found);
        atomics_seen++;
    }
    /* The last rename that had begun when it was cut: its file was synced, and has one name or the
     * other. */
    if (begun && (begun == atomic_seed || !there(atomic_temporary(begun)) ||
                  !has_pattern(atomic_temporary(begun), 1000 + begun, 0, ATOMIC_BYTES))) {
        bool moved = there("/m/atomic") && has_pattern("/m/atomic", 1000 + begun, 0, ATOMIC_BYTES);
        bool stayed = there(atomic_temporary(begun)) &&
                      has_pattern(atomic_temporary(begun), 1000 + begun, 0, ATOMIC_BYTES);
        if (!moved && !stayed)
            print_error("cut at %zu: generation %lu of the replaced file is lost\n", cut_at,
                        (unsigned long)begun);
        assert_true(moved || stayed);
    }
}

static void verify_home(void)
{
    bool found = cut_at < home_from;
    for (size_t i = 0; i < ARRAY_COUNT(homes) && !found; i++) {
        char path[80];
        snprintf(path, sizeof(path), "%s/file", homes[i]);
        found = there(path) && has_pattern(path, HOME_SEED, 0, 5000);
    }
    if (!found)
        print_error("cut at %zu: the moving directory is lost\n", cut_at);
    assert_true(found);
}

/* What the disk held before: must not be seen in any file, not even one that was never synced. */
#define STALE 0xee

struct find_sink {
    struct dir_sink sink;
    char names[64][64];
    uint32_t count;
};
static bool find_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                      uint32_t mode, uint64_t next_offset)
{
    struct find_sink *f = container_of(sink, struct find_sink, sink);
    (void)number, (void)mode, (void)next_offset;
    if (f->count == ARRAY_COUNT(f->names))
        return false;
    if (name[0] != '.' && length < 64)
        snprintf(f->names[f->count++], 64, "%.*s", (int)length, name);
    return true;
}
static const struct dir_sink_ops find_sink_ops = { .emit = find_emit };

static bool shows_stale(const uint8_t *data, ssize_t bytes)
{
    for (ssize_t i = 0, run = 0; i < bytes; i++) {
        run = data[i] == STALE ? run + 1 : 0;
        if (run == 16)
            return true;
    }
    return false;
}

static void verify_fresh(const char *path, unsigned depth)
{
    static uint8_t data[300000];
    struct file *file;
    if (vfs_open(NULL, path, OPEN_READ, 0, &file))
        return;
    if (mode_is_file(file->inode->mode)) {
        bool stale = shows_stale(data, vfs_read(file, data, sizeof(data), 0));
        if (stale)
            print_error("cut at %zu: %s shows what the disk held before\n", cut_at, path);
        assert_false(stale);
    }
    struct find_sink *f = malloc(sizeof(*f));
    *f = (struct find_sink){ .sink = { &find_sink_ops } };
    bool directory =
        mode_is_dir(file->inode->mode) && depth < 6 && vfs_readdir(file, &f->sink) == 0;
    file_put(file);
    for (uint32_t i = 0; directory && i < f->count; i++) {
        char inner[400];
        snprintf(inner, sizeof(inner), "%s/%s", path, f->names[i]);
        verify_fresh(inner, depth + 1);
    }
    free(f);
}

STEP(verify_step)
{
    OK(mount_image(&victim, MOUNT_READ_ONLY));
    for (size_t i = 0; i < promise_count; i++) {
        const struct promise *p = &promises[i];
        if (p->from > cut_at || p->until < cut_at)
            continue;
        bool good = there(p->path) && has_pattern(p->path, p->seed, 0, p->bytes);
        if (!good)
            print_error("cut at %zu: %s is not as synced at %zu (until %zu)\n", cut_at, p->path,
                        p->from, p->until);
        assert_true(good);
        kept++;
    }
    verify_atomic();
    verify_home();
    verify_fresh("/m", 0);
    OK(vfs_unmount("/m", false));
}

/* New directories that were not synced may be there without their parent: then ".." leads nowhere, and
 * no name leads to them. */
static void check_cut(bool repair)
{
    image_adopt(&victim, "victim");
    int fd = open(victim.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, disk, image_bytes, 0), image_bytes);
    close(fd);
    if (repair) {
        int status =
            image_shell(0,
                        "PATH=$PATH:/sbin:/usr/sbin; e2fsck -fy %s >%s/fsck; [ $? -le 1 ] && "
                        "! grep -v \"Entry '..' in <\" %s/fsck | grep -i -e multiply -e 'illegal "
                        "block' -e corrupt -e 'deleted/unused' "
                        "-e 'bitmap differences:.* +' -e 'invalid mode' && e2fsck -fn %s",
                        victim.path, image_dir(), image_dir(), victim.path);
        if (status) {
            print_error("cut at %zu of %zu\n", cut_at, image.event_count);
            image_shell(1, "cat %s/fsck", image_dir());
        }
        assert_int_equal(status, 0);
    }
    image_attach(&victim);
    run(&verify_step, NULL);
    image_detach(&victim);
}

/* Cuts that differ: before a flush, when all since the one before may be there or not; when a sync
 * ended. */
static bool is_moment(size_t at)
{
    if (at == image.event_count || image.events[at].op == BIO_FLUSH)
        return true;
    for (size_t i = 0; i < promise_count; i++)
        if (promises[i].from == at)
            return true;
    return false;
}

/* The disk after a cut at cut_at: nothing since the last flush (0), half of it, or most. */
static void cut(int subset)
{
    size_t flush = 0;
    for (size_t i = 0; i < cut_at; i++)
        if (image.events[i].op == BIO_FLUSH)
            flush = i;
    memcpy(disk, base, image_bytes);
    for (size_t i = 0; i < cut_at; i++)
        if (i < flush || random_below(&random_state, 4) < (uint64_t)subset * 3 / 2)
            apply(i);
}

static void crash(const char *options, uint64_t seed)
{
    random_state = seed;
    promise_count = 0;
    atomic_seed = kept = atomics_seen = home_moves = 0;
    image_make_used(&image, "c", MIB(4), options, STALE);
    image_bytes = MIB(4);
    base = malloc(image_bytes);
    disk = malloc(image_bytes);
    int fd = open(image.path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, base, image_bytes, 0), image_bytes);
    close(fd);
    image_attach(&image);
    image_record_start(&image);
    run(&workload_step, NULL);
    image.record = false;
    image_detach(&image);
    assert_true(image_is_clean(&image));

    uint64_t step = env_number("EXT2_CRASH_STEP", 6), cuts = 0, moments = 0;
    for (cut_at = 0; cut_at <= image.event_count; cut_at++) {
        if (!is_moment(cut_at) || moments++ % step != seed % step)
            continue;
        for (int subset = 0; subset < 3; subset++) {
            cut(subset);
            check_cut(true);
            check_cut(false);
            cuts++;
        }
    }
    print_message("%s: %zu writes and flushes, %lu cuts, %lu synced files checked, %lu times the "
                  "replaced one, "
                  "%lu moves\n",
                  options, image.event_count, (unsigned long)cuts, (unsigned long)kept,
                  (unsigned long)atomics_seen, (unsigned long)home_moves);
    free(base);
    free(disk);
    image_remove(&image);
}

static void test_cuts(void **state)
{
    (void)state;
    uint64_t seed = env_number("EXT2_CRASH_SEED", 1);
    crash("-b 1024 -g 1024 " PLAIN, seed);
    crash("-b 4096 " PLAIN, seed + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cuts) };
    machine_boot("stack.extra=4 log=error");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
