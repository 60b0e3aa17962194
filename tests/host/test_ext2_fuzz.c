// SPDX-License-Identifier: MIT
/*
 * ext2 against a model: threads do random operations, each in a tree of its own on one filesystem
 * whose device completes late and out of order, and compare every result with a tree in memory;
 * again after remounts and with debugfs. e2fsck finds nothing, ever. Seeds: EXT2_FUZZ_SEED,
 * EXT2_FUZZ_OPS (operations a thread, a round).
 */
#include "test_ext2_model.h"

#define THREADS 3

static struct image image;
static struct model models[THREADS];

/* debugfs reads the same: up to three files a model. */
static void dump_model(struct model *m)
{
    int left = 3;
    for (int e = 0; e < ENTRIES_MAX && left; e++) {
        if (m->entries[e].node < 0 || !mode_is_file(m->nodes[m->entries[e].node].mode))
            continue;
        struct node *n = &m->nodes[m->entries[e].node];
        char path[2048], out[128];
        path_of(m, m->entries[e].dir, m->entries[e].name, path, sizeof(path));
        snprintf(out, sizeof(out), "%s/dump", image_dir());
        image_dump(&image, path + 2, out);
        FILE *f = fopen(out, "rb");
        assert_non_null(f);
        uint8_t *data = malloc(n->size + 1);
        assert_int_equal(fread(data, 1, n->size + 1, f), n->size);
        assert_memory_equal(data, n->data, n->size);
        free(data);
        fclose(f);
        left--;
    }
}

/* ---- rounds ---- */

static uint64_t operations_per_round;

static void worker(void *argument)
{
    struct model *m = argument;
    for (uint64_t i = 0; i < operations_per_round; i++) {
        one_operation(m);
        thread_yield();
    }
    m->done = true;
}
static const struct thread_def worker_def = { .name = "fuzz", .run = worker };

STEP(prepare_step)
{
    OK(mount_image(&image, 0));
    for (int i = 0; i < THREADS; i++)
        OK(make_dir(models[i].root));
}

STEP(round_step)
{
    for (int i = 0; i < THREADS; i++) {
        models[i].done = false;
        OK(thread_create(&worker_def, &models[i], NULL));
    }
    for (bool all = false; !all; thread_sleep_ns(NS_PER_MS)) {
        all = true;
        for (int i = 0; i < THREADS; i++)
            all &= models[i].done;
    }
    for (int i = 0; i < THREADS; i++)
        check_model(&models[i]);
    OK(vfs_unmount("/m", false));
}

STEP(check_step)
{
    OK(mount_image(&image, 0));
    for (int i = 0; i < THREADS; i++)
        check_model(&models[i]);
}

STEP(end_step) { OK(vfs_unmount("/m", false)); }

static void fuzz(const char *options, uint64_t bytes, uint64_t seed, int rounds)
{
    image_make(&image, "fuzz", bytes, options, NULL);
    image.late = true;
    image_attach(&image);
    for (int i = 0; i < THREADS; i++) {
        struct model *m = &models[i];
        memset(m, 0, sizeof(*m));
        sprintf(m->root, "/m/t%d", i);
        m->random = seed * 100 + (uint64_t)i;
        m->nodes[0] = (struct node){ .mode = MODE_DIR, .links = 1 };
        for (int e = 0; e < ENTRIES_MAX; e++)
            m->entries[e].node = -1;
    }
    run(&prepare_step, NULL);
    for (int round = 0; round < rounds; round++) {
        run(&round_step, NULL);
        if (!image_is_clean(&image))
            print_error("seed %lu, options %s, round %d\n", (unsigned long)seed, options, round);
        assert_true(image_is_clean(&image));
        for (int i = 0; i < THREADS; i++)
            dump_model(&models[i]);
        run(&check_step, NULL);
    }
    run(&end_step, NULL);
    image_detach(&image);
    image_remove(&image);
    uint64_t operations = 0, no_space = 0;
    for (int i = 0; i < THREADS; i++) {
        operations += models[i].operations;
        no_space += models[i].no_space;
        for (int n = 0; n < NODES_MAX; n++)
            free(models[i].nodes[n].data);
    }
    print_message("%s: %lu operations, %lu refused for space\n", options, (unsigned long)operations,
                  (unsigned long)no_space);
}

static void test_roomy(void **state)
{
    (void)state;
    uint64_t seed = env_number("EXT2_FUZZ_SEED", 1);
    fuzz("-b 1024 " PLAIN, MIB(32), seed, 3);
    fuzz("-b 2048 " PLAIN, MIB(32), seed + 1, 3);
    fuzz("-b 4096 " PLAIN, MIB(64), seed + 2, 3);
}

/* Small enough to be full most of the time, in groups of 512 blocks. */
static void test_tight(void **state)
{
    (void)state;
    uint64_t seed = env_number("EXT2_FUZZ_SEED", 1);
    fuzz("-b 1024 -g 512 -N 96 " PLAIN, MIB(2), seed + 10, 3);
    fuzz("-b 1024 -g 1024 -I 256 -m 0 " PLAIN, MIB(3), seed + 11, 3);
    fuzz("-b 4096 -N 64 " PLAIN, MIB(4), seed + 12, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roomy),
        cmocka_unit_test(test_tight),
    };
    operations_per_round = env_number("EXT2_FUZZ_OPS", 400);
    machine_boot("stack.extra=4");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
