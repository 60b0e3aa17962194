// SPDX-License-Identifier: MIT
/*
 * ext2 when requests fail and memory is out: a scenario of all kinds of changes is run once for
 * every request it makes, with that request failing; an operation either happens or leaves nothing
 * behind, works when tried again, nothing leaks, and e2fsck finds nothing.
 */
#include "test_ext2.h"

static struct image image;
static char pristine[160];

#define OPERATIONS 20

/* A transfer that ended early counts as a failure; the next attempt says which. */
#define SHORT (-EAGAIN)
static int whole(ssize_t done, size_t bytes)
{
    return done == (ssize_t)bytes ? 0 : done < 0 ? (int)done : SHORT;
}

static int write_file(const char *name, uint64_t seed, uint64_t offset, size_t bytes, bool sync)
{
    struct file *file;
    int err = vfs_open(NULL, name, OPEN_READ_WRITE | OPEN_CREATE, 0644, &file);
    if (err)
        return err;
    uint8_t *data = malloc(bytes);
    pattern_fill(data, bytes, seed, offset);
    err = whole(vfs_write(file, data, bytes, offset), bytes);
    free(data);
    if (!err && sync)
        err = vfs_sync(file, false);
    file_put(file);
    return err;
}

static int read_file(const char *name, uint64_t seed, size_t bytes)
{
    struct file *file;
    int err = vfs_open(NULL, name, OPEN_READ, 0, &file);
    if (err)
        return err;
    uint8_t *data = malloc(bytes);
    err = whole(vfs_read(file, data, bytes, 0), bytes);
    for (size_t i = 0; i < bytes && !err; i++)
        assert_int_equal(data[i], pattern_at(seed, i));
    free(data);
    file_put(file);
    return err;
}

static int sync_dir(const char *name)
{
    struct file *file;
    int err = vfs_open(NULL, name, OPEN_READ | OPEN_DIRECTORY, 0, &file);
    if (err)
        return err;
    err = vfs_sync(file, false);
    file_put(file);
    return err;
}

static char long_target[301];

/* The image already has /old (pattern 9, 300000 bytes), /dir with 40 entries, /gone, /hard. */
static int operation(int number)
{
    switch (number) {
    case 0:
        return read_file("/m/old", 9, 300000);
    case 1:
        return write_file("/m/new", 1, 0, 40000, false);
    case 2:
        return make_dir("/m/made");
    case 3:
        return write_file("/m/made/inside", 2, 0, 3000, true);
    case 4:
        return vfs_rename(NULL, "/m/dir/e3", NULL, "/m/made/moved", false);
    case 5:
        return vfs_link(NULL, "/m/hard", NULL, "/m/made/hard2", 0);
    case 6:
        return vfs_symlink(NULL, long_target, "/m/slow");
    case 7:
        return vfs_unlink(NULL, "/m/gone");
    case 8:
        return vfs_truncate_path(NULL, "/m/old", 50000);
    case 9:
        return sync_dir("/m/made");
    case 10:
        return write_file("/m/old", 9, 300000, 1000, false);
    case 11:
        return vfs_rename(NULL, "/m/dir/e4", NULL, "/m/dir/e5", false);
    case 12:
        return vfs_create_node(NULL, "/m/node", MODE_FIFO | 0600, 0);
    case 13:
        return make_dir("/m/made/sub");
    case 14:
        return vfs_rename(NULL, "/m/made/sub", NULL, "/m/sub", false);
    case 15:
        return vfs_rmdir(NULL, "/m/sub");
    case 16:
        return write_file("/m/far", 3, 20000000, 5000, true);
    case 17:
        return vfs_unlink(NULL, "/m/far");
    case 18:
        return sync_dir("/m");
    case 19:
        return write_file("/m/new", 1, 40000, 300000, true);
    }
    abort();
}

/* Done already: a failure after the fact (the sync behind a write) leaves the change in place. */
static bool is_done(int number, int err)
{
    switch (number) {
    case 2:
    case 5:
    case 6:
    case 12:
    case 13:
        return err == -EEXIST;
    case 4:
    case 7:
    case 11:
    case 14:
    case 15:
    case 17:
        return err == -ENOENT;
    }
    return false;
}

static uint64_t failures_seen;
static int mount_result;
static bool heal;

STEP(scenario_step)
{
    mount_result = mount_image(&image, 0);
    if (mount_result) {
        failures_seen++;
        return;
    }
    for (int i = 0; i < OPERATIONS; i++) {
        int err = operation(i);
        if (!err)
            continue;
        failures_seen++;
        if (err != -EIO && err != SHORT && !is_done(i, err))
            print_error("operation %d: %s\n", i, errno_name(err));
        assert_true(err == -EIO || err == SHORT || is_done(i, err));
        if (heal)
            image.fail_at = UINT64_MAX;
        err = operation(i);
        if (err && !is_done(i, err))
            print_error("operation %d, again: %s\n", i, errno_name(err));
        assert_true(!err || is_done(i, err));
    }
    int err = vfs_unmount("/m", false);
    if (err) {
        failures_seen++;
        image.fail_at = UINT64_MAX;
        OK(vfs_unmount("/m", false));
    }
}

STEP(verify_step)
{
    OK(mount_image(&image, 0));
    assert_true(has_pattern("/m/new", 1, 0, 340000));
    assert_true(has_pattern("/m/made/inside", 2, 0, 3000));
    assert_true(has_pattern("/m/old", 9, 0, 50000));
    assert_true(has_pattern("/m/old", 9, 300000, 1000));
    struct file *file = open_file("/m/old", OPEN_READ);
    static uint8_t hole[250000];
    assert_int_equal(vfs_read(file, hole, sizeof(hole), 50000), sizeof(hole));
    for (size_t i = 0; i < sizeof(hole); i++)
        assert_int_equal(hole[i], 0);
    file_put(file);
    char text[400];
    assert_int_equal(vfs_readlink(NULL, "/m/slow", text, sizeof(text)), 300);
    struct path path;
    OK(path_walk(NULL, "/m/made/moved", 0, &path));
    path_put(&path);
    OK(path_walk(NULL, "/m/made/hard2", 0, &path));
    assert_int_equal(path.inode->nlink, 2);
    path_put(&path);
    assert_int_equal(path_walk(NULL, "/m/gone", 0, &path), -ENOENT);
    assert_int_equal(path_walk(NULL, "/m/dir/e4", 0, &path), -ENOENT);
    assert_int_equal(path_walk(NULL, "/m/far", 0, &path), -ENOENT);
    OK(vfs_unmount("/m", false));
}

STEP(populate_step)
{
    char name[40];
    OK(mount_image(&image, 0));
    OK(write_pattern("/m/old", 9, 0, 300000));
    OK(write_pattern("/m/gone", 8, 0, 100000));
    OK(write_pattern("/m/hard", 7, 0, 10));
    OK(make_dir("/m/dir"));
    for (int i = 0; i < 40; i++) {
        sprintf(name, "/m/dir/e%d", i);
        OK(write_pattern(name, 6, 0, 1 + (size_t)i));
    }
    OK(vfs_unmount("/m", false));
}

static void make_pristine(const char *options)
{
    memset(long_target, 't', 300);
    image_make(&image, "f", MIB(4), options, NULL);
    image_attach(&image);
    run(&populate_step, NULL);
    image_detach(&image);
    assert_true(image_is_clean(&image));
    snprintf(pristine, sizeof(pristine), "%s/pristine", image_dir());
    image_shell(0, "cp %s %s", image.path, pristine);
}

/* One run with requests [at, at + count) failing; returns how many requests there were. */
static uint64_t run_with(uint64_t at, uint64_t count, bool heal_on_failure)
{
    image_shell(0, "cp %s %s", pristine, image.path);
    image_adopt(&image, "f");
    image_attach(&image);
    image.fail_at = at;
    image.fail_count = count;
    heal = heal_on_failure;
    run(&scenario_step, NULL);
    uint64_t requests = image.requests;
    image.fail_at = UINT64_MAX;
    if (mount_result) {
        assert_true(mount_result == -EIO || mount_result == -ENOMEM);
        run(&scenario_step, NULL);
    }
    image_detach(&image);
    bool clean = image_is_clean(&image);
    if (!clean)
        print_error("request %lu failed, %lu in a row\n", (unsigned long)at, (unsigned long)count);
    assert_true(clean);
    image_attach(&image);
    run(&verify_step, NULL);
    image_detach(&image);
    return requests;
}

static void every_failure(const char *options, uint64_t step)
{
    make_pristine(options);
    uint64_t requests = run_with(UINT64_MAX, 0, false);
    uint64_t heap = heap_bytes_in_use(), runs = 0;
    failures_seen = 0;
    for (uint64_t k = 0; k < requests; k += step, runs++)
        run_with(k, 1, false);
    for (uint64_t k = 0; k < requests; k += 3 * step, runs++)
        run_with(k, UINT64_MAX, true);
    assert_true(heap_bytes_in_use() <= heap);
    print_message("%s: %lu requests, %lu runs, %lu failures met\n", options,
                  (unsigned long)requests, (unsigned long)runs, (unsigned long)failures_seen);
    assert_true(failures_seen > runs / 2);
    image_remove(&image);
}

static void test_requests(void **state)
{
    (void)state;
    every_failure("-b 1024 -g 1024 " PLAIN, env_number("EXT2_FAULT_STEP", 3));
    every_failure("-b 4096 " PLAIN, env_number("EXT2_FAULT_STEP", 3));
}

/* ---- memory ---- */

static void *hoard; /* a list of frames */

static void hoard_all_but(uint64_t left)
{
    void *page;
    while ((page = page_alloc(0))) {
        *(void **)page = hoard;
        hoard = page;
    }
    while (left-- && hoard) {
        page = hoard;
        hoard = *(void **)page;
        page_free(page, 0);
    }
}

static void hoard_release(void)
{
    while (hoard) {
        void *page = hoard;
        hoard = *(void **)page;
        page_free(page, 0);
    }
}

static uint64_t frames_left;
static uint64_t out_of_memory;

/* Each operation is first tried with only so many frames free. */
STEP(scarce_step)
{
    OK(mount_image(&image, 0));
    for (int i = 0; i < OPERATIONS; i++) {
        hoard_all_but(frames_left);
        int err = operation(i);
        hoard_release();
        if (!err)
            continue;
        out_of_memory++;
        if (err != -ENOMEM && err != SHORT)
            print_error("operation %d with %lu frames: %s\n", i, (unsigned long)frames_left,
                        errno_name(err));
        assert_true(err == -ENOMEM || err == SHORT);
        err = operation(i);
        assert_true(!err || is_done(i, err));
    }
    OK(vfs_unmount("/m", false));
}

static void test_memory(void **state)
{
    (void)state;
    make_pristine("-b 1024 -g 1024 " PLAIN);
    for (frames_left = 0; frames_left < 64; frames_left += 1 + frames_left / 8) {
        image_shell(0, "cp %s %s", pristine, image.path);
        image_adopt(&image, "f");
        image_attach(&image);
        run(&scarce_step, NULL);
        image_detach(&image);
        assert_true(image_is_clean(&image));
        image_attach(&image);
        run(&verify_step, NULL);
        image_detach(&image);
    }
    print_message("%lu operations met a lack of memory\n", (unsigned long)out_of_memory);
    image_remove(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_memory),
    };
    machine_boot("stack.extra=4 log=error");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
