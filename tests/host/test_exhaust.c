// SPDX-License-Identifier: MIT
/*
 * Exhaustive exhaustion on the host port: the scenario of tests/guest/exhaust_scenario.h on a ram disk, with
 * every probe switching, once for the kth take, page or heap allocation and device request refused, and once with
 * all behind it refused too until the caller has met an error. Behind each run, and behind the whole scenario done
 * again, every level is judged by e2fsck.
 *
 * EXHAUST_SAMPLE=N   so many k of each kind besides the first ones (default 16; 0: every k)
 * EXHAUST_FIRST=N    so many first ones (default 8)
 * EXHAUST_SEED=N     of the sample (default 1)
 * EXHAUST_ONLY=KIND:K   one k of take, page, heap or device, in all four ways
 * EXHAUST_VERBOSE=1  a line for each k
 */
#include "test_ext2.h"

#include <unistd.h>

#include <drivers/ram.h>
#include <drivers/stacked/loop.h>
#include <guest/exhaust_scenario.h>
#include <rt/fail.h>
#include <rt/xstack.h>

#define BATCH 64

static const char *const kind_names[FAIL_KINDS] = {"take", "page", "heap", "device"};
static const int kind_errors[FAIL_KINDS] = {-EIO, -ENOMEM, -ENOMEM, -EIO};

static struct scenario scenario;
static struct scenario_balance balance;
static struct bdev *disk;
static uint8_t *pristine;
static size_t pristine_bytes;
static unsigned images;
static uint64_t failures_met;

STEP(loop_start_step) { OK(loop_start()); }
STEP(populate_step) { OK(scenario_populate(&scenario)); }
static enum fail_kind armed_kind;
static uint64_t armed_nth, armed_count = 1, seen;
STEP(scenario_step)
{
    fail_arm(armed_kind, armed_nth, armed_count);
    scenario_run(&scenario);
    seen = fail_seen(armed_kind);
    fail_arm(armed_kind, 0, 0);
}
STEP(balance_step) { scenario_balance(&balance); }
STEP(init_step)
{
    OK(scenario_init(&scenario));
    OK(ram_disk_create("tower", pristine_bytes, &disk));
    scenario.disk = disk;
}

static char balance_text[160];
STEP(balanced_step) { scenario_balanced(&balance, balance_text, sizeof(balance_text)); }

static bool reading;
STEP(transfer_step)
{
    struct bdev *bdev;
    OK(bdev_open(disk->dev, &bdev));
    OK(reading ? bdev_read(bdev, pristine, pristine_bytes, 0) : bdev_write(bdev, pristine, pristine_bytes, 0));
    bdev_close(bdev);
}

static void transfer(bool to_memory)
{
    reading = to_memory;
    run(&transfer_step, NULL);
}

/* ---- images for the judge ---- */

/* Judges what was kept, two at a time. */
static void judge(void)
{
    if (!images)
        return;
    char here[200];
    assert_non_null(getcwd(here, sizeof(here)));
    int bad = image_shell(0,
                          "cd %s && ls slot-* | xargs -P 2 -n 1 sh -c '%s/tools/tower-check $0 %d >$0.log || "
                          "{ echo $0; cat $0.log; exit 1; }'",
                          image_dir(), here, SCENARIO_LEVELS - 1);
    assert_int_equal(bad, 0);
    image_shell(0, "rm -f %s/slot-*", image_dir());
    images = 0;
}

static void keep_image(const char *kind, uint64_t k, const char *state)
{
    char path[160];
    uint8_t *kept = pristine;
    pristine = malloc(pristine_bytes);
    transfer(true);
    snprintf(path, sizeof(path), "%s/slot-%s-%lu-%s", image_dir(), kind, (unsigned long)k, state);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(pristine, 1, pristine_bytes, f), pristine_bytes);
    assert_int_equal(fclose(f), 0);
    free(pristine);
    pristine = kept;
    if (++images == BATCH)
        judge();
}

static void make_pristine(void)
{
    const char *block = getenv("EXHAUST_BLOCK");
    image_shell(0, "./spillway tower -o %s/tower --levels %d --block %s --data 160K", image_dir(),
                SCENARIO_LEVELS - 1, block ? block : "1K");
    char path[120];
    snprintf(path, sizeof(path), "%s/tower", image_dir());
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    pristine_bytes = (size_t)ftell(f);
    rewind(f);
    pristine = malloc(pristine_bytes);
    assert_int_equal(fread(pristine, 1, pristine_bytes, f), pristine_bytes);
    fclose(f);
}

/* ---- runs ---- */

/* @nth 0: nothing is refused. */
static void run_armed(enum fail_kind kind, uint64_t nth, const char *what)
{
    scenario.expected = nth ? kind_errors[kind] : 0;
    scenario.lasting = kind == FAIL_DEVICE && armed_count > 1;
    armed_kind = kind;
    armed_nth = nth;
    run(&scenario_step, NULL);
    run(&balanced_step, NULL);
    if (scenario.wrong[0] || balance_text[0])
        print_error("%s %lu of %lu, %s%s: %s; %s (met by %s at level %d: %s)\n", kind_names[kind],
                    (unsigned long)nth, (unsigned long)seen, what, scenario.give_up ? ", given up" : "",
                    scenario.wrong, balance_text, scenario.failed_step ? scenario.failed_step : "nobody",
                    scenario.failed_level, errno_name(scenario.failed_error));
    assert_string_equal(scenario.wrong, "");
    assert_string_equal(balance_text, "");
}

static void one_k(enum fail_kind kind, uint64_t k, bool give_up)
{
    const char *name = kind_names[kind];
    transfer(false);
    memset(scenario.progress, 0, sizeof(scenario.progress));
    scenario.give_up = give_up;
    run_armed(kind, k, "failing");
    failures_met += scenario.failures;
    const char *met = scenario.failed_step;
    int level = scenario.failed_level;
    keep_image(name, k, "failed");
    run_armed(kind, 0, "again");
    keep_image(name, k, "again");
    scenario.only_verify = true;
    run_armed(kind, 0, "verifying");
    scenario.only_verify = false;
    if (getenv("EXHAUST_VERBOSE"))
        print_message("%s %lu: met by %s, level %d: %s\n", name, (unsigned long)k, met ? met : "nobody", level,
                      give_up ? "given up" : "went on");
}

/* How many of @kind the scenario makes from a fresh tower. */
static uint64_t reach(enum fail_kind kind)
{
    transfer(false);
    memset(scenario.progress, 0, sizeof(scenario.progress));
    scenario.expected = 0;
    armed_kind = kind;
    armed_nth = 0;
    run(&scenario_step, NULL);
    assert_string_equal(scenario.wrong, "");
    return seen;
}

/* Of about @sample k, 0: of all. */
static void some_k(enum fail_kind kind, uint64_t first, uint64_t sample)
{
    uint64_t all = reach(kind), random = env_number("EXHAUST_SEED", 1), runs = 0;
    failures_met = 0;
    for (uint64_t k = 1; k <= all; k++) {
        if (sample && k > first && random_below(&random, all) >= sample)
            continue;
        one_k(kind, k, runs++ % 2);
    }
    judge();
    print_message("%s%s: %lu reached, %lu refused, %lu met by the caller\n", kind_names[kind],
                  armed_count > 1 ? " and all behind it" : "", (unsigned long)all, (unsigned long)runs,
                  (unsigned long)failures_met);
    assert_true(failures_met > 0);
}

static void every_k(enum fail_kind kind)
{
    uint64_t sample = env_number("EXHAUST_SAMPLE", 16);
    armed_count = 1;
    some_k(kind, env_number("EXHAUST_FIRST", 8), sample);
    armed_count = FAIL_ON;
    some_k(kind, 0, sample ? sample / 2 + 1 : 0);
}

static void test_takes(void **state) { (void)state, every_k(FAIL_TAKE); }
static void test_pages(void **state) { (void)state, every_k(FAIL_PAGE); }
static void test_heap(void **state) { (void)state, every_k(FAIL_HEAP); }
static void test_requests(void **state) { (void)state, every_k(FAIL_DEVICE); }

static void test_one(void **state)
{
    const char *only = getenv("EXHAUST_ONLY"), *colon = strchr(only, ':');
    (void)state;
    for (enum fail_kind kind = 0; kind < FAIL_KINDS; kind++)
        if (!strncmp(only, kind_names[kind], strlen(kind_names[kind])))
            for (int way = 0; way < 4; way++) {
                armed_count = way / 2 ? FAIL_ON : 1;
                one_k(kind, strtoull(colon + 1, NULL, 0), way % 2);
            }
    judge();
}

/* Twice, so that what is kept for good is there. */
static void warm_up(void)
{
    make_pristine();
    run(&loop_start_step, NULL);
    run(&init_step, NULL);
    transfer(false);
    run(&populate_step, NULL);
    transfer(true);
    keep_image("pristine", 0, "populated");
    judge();
    for (int i = 0; i < 2; i++)
        reach(FAIL_TAKE);
    run(&balance_step, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_requests),
    };
    const struct CMUnitTest only[] = {cmocka_unit_test(test_one)};
    machine_boot("stack.extra=64 stack.need=force log=error");
    warm_up();
    return getenv("EXHAUST_ONLY") ? cmocka_run_group_tests(only, NULL, NULL)
                                  : cmocka_run_group_tests(tests, NULL, NULL);
}
