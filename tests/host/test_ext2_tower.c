// SPDX-License-Identifier: MIT
/*
 * ext2 in a file in ext2 in a file in ext2, through loop devices: threads write and fsync blocks in
 * every level at once; with stacks enough nothing fails, with too few some operations are refused
 * and nothing that was acknowledged is lost. Every level is clean afterwards, and has what was
 * acknowledged.
 */
#include "test_ext2.h"

#include <drivers/stacked/loop.h>
#include <rt/xstack.h>

#define LEVELS 4
#define THREADS 3
#define BLOCKS 24
#define FILE_BLOCK_BYTES 4096

static struct image image, taken;
static struct bdev *loops[LEVELS];

/* Of block i of the file of thread t in level l: the last acknowledged generation, and the last one
 * issued. */
static uint32_t acknowledged[LEVELS][THREADS][BLOCKS], issued[LEVELS][THREADS][BLOCKS];
static uint64_t done_operations, refused_operations;
static bool thread_done[THREADS];

static uint64_t seed_of(int level, int thread, uint32_t generation)
{
    return ((uint64_t)level * 100 + (uint64_t)thread) * 100000 + generation;
}

static void file_name(char *out, int level, int thread)
{
    sprintf(out, "/l%d/nest%d", level, thread);
}

STEP(mount_all_step)
{
    char source[40], target[40];
    for (int l = 0; l < LEVELS; l++) {
        sprintf(target, "/l%d", l);
        int err = make_dir(target);
        assert_true(!err || err == -EEXIST);
        if (l == 0) {
            OK(mount_on(&image, target, 0));
            continue;
        }
        sprintf(source, "/l%d/next.img", l - 1);
        struct file *file = open_file(source, OPEN_READ_WRITE);
        OK(loop_attach_file(file, false, &loops[l]));
        file_put(file);
        snprintf(source, sizeof(source), "/dev/%s", loops[l]->name);
        OK(vfs_mount(source, target, "ext2", 0, ""));
    }
}

STEP(unmount_all_step)
{
    char target[40];
    for (int l = LEVELS - 1; l >= 0; l--) {
        sprintf(target, "/l%d", l);
        OK(vfs_unmount(target, false));
    }
}

STEP(make_files_step)
{
    char name[40];
    for (int l = 0; l < LEVELS; l++) {
        for (int t = 0; t < THREADS; t++) {
            file_name(name, l, t);
            struct file *file = open_file(name, OPEN_READ_WRITE | OPEN_CREATE);
            OK(vfs_truncate(file, BLOCKS * FILE_BLOCK_BYTES));
            OK(vfs_sync(file, false));
            file_put(file);
        }
    }
    memset(acknowledged, 0, sizeof(acknowledged));
    memset(issued, 0, sizeof(issued));
}

/* The generation a block holds, or -1: none that it may hold. */
static int64_t generation_in(const uint8_t *data, int level, int thread, uint32_t low,
                             uint32_t high)
{
    for (uint32_t g = low; g <= high; g++) {
        bool same = true;
        for (size_t i = 0; i < FILE_BLOCK_BYTES && same; i++)
            same = data[i] == (g ? pattern_at(seed_of(level, thread, g), i) : 0);
        if (same)
            return g;
    }
    return -1;
}

static bool is_refusal(long err, uint64_t before)
{
    return err == -EIO && xstack_refusals() > before;
}

static void one_operation(int thread, uint64_t *random, uint8_t *data)
{
    char name[40];
    int level = (int)random_below(random, LEVELS);
    uint32_t block = (uint32_t)random_below(random, BLOCKS);
    uint64_t refusals = xstack_refusals();
    struct file *file;
    file_name(name, level, thread);
    long err = vfs_open(NULL, name, OPEN_READ_WRITE, 0, &file);
    if (!err && random_below(random, 2)) {
        uint32_t generation = ++issued[level][thread][block];
        pattern_fill(data, FILE_BLOCK_BYTES, seed_of(level, thread, generation), 0);
        err = vfs_write(file, data, FILE_BLOCK_BYTES, block * FILE_BLOCK_BYTES);
        err = err == FILE_BLOCK_BYTES ? vfs_sync(file, random_below(random, 2))
              : err < 0               ? err
                                      : -EPROTO;
        if (!err)
            acknowledged[level][thread][block] = generation;
        file_put(file);
    } else if (!err) {
        err = vfs_read(file, data, FILE_BLOCK_BYTES, block * FILE_BLOCK_BYTES);
        if (err > 0) {
            assert_int_equal(err, FILE_BLOCK_BYTES);
            assert_true(generation_in(data, level, thread, acknowledged[level][thread][block],
                                      issued[level][thread][block]) >= 0);
            err = 0;
        }
        file_put(file);
    }
    if (err && !is_refusal(err, refusals))
        print_error("level %d: %s\n", level, errno_name((int)err));
    assert_true(!err || is_refusal(err, refusals));
    *(err ? &refused_operations : &done_operations) += 1;
}

static uint64_t operations_each;

static void nest(void *argument)
{
    int thread = (int)(uintptr_t)argument;
    uint64_t random = 1000 + (uint64_t)thread;
    uint8_t *data = malloc(FILE_BLOCK_BYTES);
    for (uint64_t i = 0; i < operations_each; i++) {
        one_operation(thread, &random, data);
        thread_yield();
    }
    free(data);
    thread_done[thread] = true;
}
static const struct thread_def nest_def = { .name = "nest", .run = nest };

STEP(nest_step)
{
    done_operations = refused_operations = 0;
    for (uintptr_t t = 0; t < THREADS; t++) {
        thread_done[t] = false;
        OK(thread_create(&nest_def, (void *)t, NULL));
    }
    for (bool all = false; !all; thread_sleep_ns(NS_PER_MS)) {
        all = true;
        for (int t = 0; t < THREADS; t++)
            all &= thread_done[t];
    }
}

STEP(verify_step)
{
    char name[40];
    uint8_t *data = malloc(FILE_BLOCK_BYTES);
    for (int l = 0; l < LEVELS; l++) {
        for (int t = 0; t < THREADS; t++) {
            file_name(name, l, t);
            struct file *file = open_file(name, OPEN_READ);
            for (uint32_t b = 0; b < BLOCKS; b++) {
                assert_int_equal(vfs_read(file, data, FILE_BLOCK_BYTES, b * FILE_BLOCK_BYTES),
                                 FILE_BLOCK_BYTES);
                assert_true(generation_in(data, l, t, acknowledged[l][t][b], issued[l][t][b]) >= 0);
            }
            file_put(file);
        }
    }
    free(data);
}

/* Takes level after level out of the one below with debugfs, and has e2fsck look at each. */
static void check_levels(void)
{
    char name[80], out[200];
    assert_true(image_is_clean(&image));
    image_shell(0, "cp %s %s/level0", image.path, image_dir());
    for (int l = 1; l < LEVELS; l++) {
        sprintf(name, "level%d", l - 1);
        image_adopt(&taken, name);
        snprintf(out, sizeof(out), "%s/level%d", image_dir(), l);
        image_dump(&taken, "/next.img", out);
        sprintf(name, "level%d", l);
        image_adopt(&taken, name);
        assert_true(image_is_clean(&taken));
    }
}

static void make_tower(const char *const *blocks)
{
    char options[100], folder[120];
    snprintf(folder, sizeof(folder), "%s/tower", image_dir());
    for (int l = LEVELS - 1; l >= 0; l--) {
        snprintf(options, sizeof(options), "-b %s %s", blocks[l % 3], PLAIN);
        image_make(&image, l ? "inner" : "tower0", MIB(6) + MIB(4) * (uint64_t)(LEVELS - l),
                   options, l == LEVELS - 1 ? NULL : folder);
        image_shell(0, "mkdir -p %s && mv %s %s/next.img", folder, image.path, folder);
    }
    image_shell(0, "mv %s/next.img %s", folder, image.path);
}

static void run_tower(uint64_t stacks)
{
    OK(xstack_resize(64));
    run(&mount_all_step, NULL);
    run(&make_files_step, NULL);
    OK(xstack_resize((uint32_t)stacks));
    run(&nest_step, NULL);
    OK(xstack_resize(64));
    run(&verify_step, NULL);
    run(&unmount_all_step, NULL);
    check_levels();
    run(&mount_all_step, NULL);
    run(&verify_step, NULL);
    run(&unmount_all_step, NULL);
    print_message("%lu stacks: %lu operations done, %lu refused\n", (unsigned long)stacks,
                  (unsigned long)done_operations, (unsigned long)refused_operations);
}

STEP(loop_start_step) { OK(loop_start()); }

static void test_tower(void **state)
{
    static const uint64_t stacks[] = { 64, 12, 3, 0 };
    static const char *const mixed[] = { "4096", "1024", "2048" };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(stacks); i++) {
        make_tower(i % 2 ? mixed : block_sizes);
        image_attach(&image);
        run_tower(stacks[i]);
        image_detach(&image);
        assert_true(stacks[i] == 64 ? refused_operations == 0
                                    : stacks[i] > 3 || refused_operations > 0);
        image_remove(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_tower) };
    operations_each = env_number("EXT2_TOWER_OPS", 150);
    machine_boot("stack.extra=64 stack.need=force log=error");
    run(&loop_start_step, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
