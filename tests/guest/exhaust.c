// SPDX-License-Identifier: MIT
/*
 * app=exhaust: the scenario of exhaust_scenario.h for many k in one boot. The module is a tower as
 * `./spillway tower --levels 6` makes it; each k gets a fresh ram disk with it. Behind the run in which the kth is
 * refused, and behind the scenario done again, the disk's contents go to the next slot of /dev/vda, where
 * tests/qemu/exhaust.sh has e2fsck judge them. Needs a debug build (rt/fail.h).
 *
 *     app=exhaust -- take:1-64 take:65-0:20:7 device:1-0
 *
 * A word is KIND[+]:FIRST-LAST[:SAMPLE[:SEED]]; KIND is take, page, heap or device, with a + when also all behind the
 * kth are refused until the caller has met an error; LAST is 0 for all that the scenario reaches, and SAMPLE (about) so
 * many of them are taken. Lines: `reach KIND COUNT`, `ok KIND K …`, `not ok KIND K: …`, `slots USED BYTES`,
 * `next KIND K` when the disk was full before that k.
 */
#include "guest.h"

#include <init/setup.h>
#include <rt/log.h>
#include <rt/machine.h>

#ifdef SPILLWAY_FAIL

#include "exhaust_scenario.h"

#include <arch/boot_info.h>
#include <block/bdev.h>
#include <drivers/ram.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/format.h>
#include <lib/string.h>
#include <rt/fail.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <rt/param.h>

#define CHUNK_BYTES 32768u

static const char *const kind_names[FAIL_KINDS] = {"take", "page", "heap", "device"};
static const int kind_errors[FAIL_KINDS] = {-EIO, -ENOMEM, -ENOMEM, -EIO};

struct exhaust {
    struct scenario scenario;
    struct scenario_balance before;
    struct bdev *slots;               /* open */
    uint64_t slots_used, tower_bytes;
    char *tower;                      /* populated */
    char *chunk;
    char text[160];
    unsigned failures;
    uint64_t count;                   /* refused from the kth on: 1 or FAIL_ON */
};
static struct exhaust exhaust;

/* ---- disks ---- */

static int copy(struct bdev *from, struct bdev *to, uint64_t from_offset, uint64_t to_offset)
{
    char *chunk = exhaust.chunk;
    for (uint64_t at = 0; at < exhaust.tower_bytes; at += CHUNK_BYTES) {
        size_t part = MIN(exhaust.tower_bytes - at, (uint64_t)CHUNK_BYTES), zeros = 0;
        ssize_t n = bdev_read(from, chunk, part, from_offset + at);
        while (zeros < part && !chunk[zeros])
            zeros++;
        if (n == (ssize_t)part && zeros < part)
            n = bdev_write(to, chunk, part, to_offset + at);
        if (n != (ssize_t)part)
            return n < 0 ? (int)n : -EIO;
    }
    return 0;
}

static int fresh_disk(const char *tower)
{
    struct bdev *disk;
    int err = exhaust.scenario.disk ? ram_disk_destroy(exhaust.scenario.disk) : 0;
    exhaust.scenario.disk = NULL;
    if (!err)
        err = ram_disk_create("tower", exhaust.tower_bytes, &exhaust.scenario.disk);
    if (!err)
        err = bdev_open(exhaust.scenario.disk->dev, &disk);
    if (err)
        return err;
    ssize_t n = bdev_write(disk, tower, exhaust.tower_bytes, 0);
    bdev_close(disk);
    memset(exhaust.scenario.progress, 0, sizeof(exhaust.scenario.progress));
    return n == (ssize_t)exhaust.tower_bytes ? 0 : n < 0 ? (int)n : -EIO;
}

/* The ram disk's contents to the next slot, or to exhaust.tower. */
static int keep_disk(bool to_slot)
{
    struct bdev *disk;
    int err = bdev_open(exhaust.scenario.disk->dev, &disk);
    if (err)
        return err;
    if (to_slot)
        err = copy(disk, exhaust.slots, 0, exhaust.slots_used++ * exhaust.tower_bytes);
    else
        err = bdev_read(disk, exhaust.tower, exhaust.tower_bytes, 0) == (ssize_t)exhaust.tower_bytes ? 0 : -EIO;
    bdev_close(disk);
    return err;
}

static bool slots_full(void)
{
    return (exhaust.slots_used + 2) * exhaust.tower_bytes > exhaust.slots->sector_count * SECTOR_BYTES;
}

/* ---- one k ---- */

static bool run_armed(enum fail_kind kind, uint64_t nth, const char *what)
{
    struct scenario *s = &exhaust.scenario;
    s->expected = nth ? kind_errors[kind] : 0;
    s->lasting = kind == FAIL_DEVICE && exhaust.count > 1;
    fail_arm(kind, nth, exhaust.count);
    scenario_run(s);
    uint64_t seen = fail_seen(kind);
    fail_arm(kind, 0, 0);
    bool balanced = scenario_balanced(&exhaust.before, exhaust.text, sizeof(exhaust.text));
    if (balanced && !s->wrong[0])
        return true;
    exhaust.failures++;
    console_printf("not ok %s %lu: %s%s: %s; %s (met by %s, level %d; %lu seen)\n", kind_names[kind],
                   (unsigned long)nth, what, s->give_up ? ", given up" : "", s->wrong, exhaust.text,
                   s->failed_step ? s->failed_step : "nobody", s->failed_level, (unsigned long)seen);
    return false;
}

static int one_k(enum fail_kind kind, uint64_t k, bool give_up)
{
    struct scenario *s = &exhaust.scenario;
    int err = fresh_disk(exhaust.tower);
    if (err)
        return err;
    s->give_up = give_up;
    bool good = run_armed(kind, k, "the failing run");
    const char *step = s->failed_step ? s->failed_step : "nobody";
    int level = s->failed_level;
    err = keep_disk(true);
    good = good && run_armed(kind, 0, "again");
    if (!err)
        err = keep_disk(true);
    s->only_verify = true;
    good = good && run_armed(kind, 0, "verifying");
    s->only_verify = false;
    if (good)
        console_printf("ok %s %lu: met by %s, level %d%s\n", kind_names[kind], (unsigned long)k, step, level,
                       give_up ? ", given up" : "");
    return err;
}

/* How often the scenario does it on a fresh disk; on the way everything that is kept for good is made. */
static int reach(enum fail_kind kind, uint64_t *out)
{
    struct scenario *s = &exhaust.scenario;
    int err = fresh_disk(exhaust.tower);
    if (err)
        return err;
    s->expected = 0;
    fail_arm(kind, 0, 0);
    scenario_run(s);
    *out = fail_seen(kind);
    fail_arm(kind, 0, 0);
    thread_sleep_ns(50 * NS_PER_MS);
    scenario_balance(&exhaust.before);
    if (!s->wrong[0])
        return 0;
    console_printf("not ok reach: %s\n", s->wrong);
    return -EIO;
}

/* ---- the words behind -- ---- */

struct range {
    enum fail_kind kind;
    uint64_t first, last, sample, seed;
    bool lasting;
};

static uint64_t number_at(const char **at)
{
    uint64_t n = 0;
    while (**at >= '0' && **at <= '9')
        n = n * 10 + (uint64_t)(*(*at)++ - '0');
    return n;
}

static bool parse(const char *at, struct range *range)
{
    size_t length = 0;
    *range = (struct range){.seed = 1};
    while (range->kind < FAIL_KINDS) {
        length = strlen(kind_names[range->kind]);
        if (!strncmp(at, kind_names[range->kind], length) && (at[length] == ':' || at[length] == '+'))
            break;
        range->kind++;
    }
    if (range->kind == FAIL_KINDS)
        return false;
    range->lasting = at[length] == '+';
    at += length + range->lasting;
    if (*at++ != ':')
        return false;
    range->first = number_at(&at);
    if (*at++ != '-' || !range->first)
        return false;
    range->last = number_at(&at);
    if (*at == ':' && at++)
        range->sample = number_at(&at);
    if (*at == ':' && at++)
        range->seed = number_at(&at);
    return !*at;
}

static bool chosen(struct range *range, uint64_t count)
{
    range->seed = range->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return !range->sample || (range->seed >> 33) % count < range->sample;
}

static int run_range(struct range *range)
{
    uint64_t all, runs = 0;
    int err = reach(range->kind, &all);
    if (err)
        return err;
    exhaust.count = range->lasting ? FAIL_ON : 1;
    console_printf("reach %s %lu\n", kind_names[range->kind], (unsigned long)all);
    uint64_t last = range->last && range->last < all ? range->last : all;
    for (uint64_t k = range->first; k <= last && !err; k++) {
        if (!chosen(range, last - range->first + 1))
            continue;
        if (slots_full()) {
            console_printf("next %s%s %lu\n", kind_names[range->kind], range->lasting ? "+" : "", (unsigned long)k);
            return 0;
        }
        err = one_k(range->kind, k, (k + runs++) % 3 == 0);
    }
    return err;
}

static int prepare(void)
{
    const struct boot_module *module = &boot_info.modules[0];
    if (!boot_info.module_count)
        return -ENOENT;
    exhaust.tower_bytes = align_down(module->end - module->start, SECTOR_BYTES);
    exhaust.tower = heap_alloc(exhaust.tower_bytes);
    exhaust.chunk = heap_alloc(CHUNK_BYTES);
    if (!exhaust.tower || !exhaust.chunk)
        return -ENOMEM;
    int err = bdev_open_name("vda", &exhaust.slots);
    if (!err)
        err = scenario_init(&exhaust.scenario);
    if (!err)
        err = fresh_disk(arch_phys_to_virt(module->start));
    if (!err)
        err = scenario_populate(&exhaust.scenario);
    return err ? err : keep_disk(false);
}

unsigned guest_exhaust(void)
{
    uint64_t unused;
    int err = prepare();
    if (!err)
        err = reach(FAIL_TAKE, &unused);
    for (uint32_t i = 0; i < params.arg_count && !err; i++) {
        struct range range;
        err = parse(params.args[i], &range) ? run_range(&range) : -EINVAL;
        if (err)
            console_printf("exhaust: %s: %s\n", params.args[i], errno_name(err));
    }
    if (!err)
        err = bdev_flush(exhaust.slots);
    console_printf("slots %lu %lu\n", (unsigned long)exhaust.slots_used, (unsigned long)exhaust.tower_bytes);
    if (err)
        console_printf("exhaust: %s\n", errno_name(err));
    return err ? EXIT_SETUP : exhaust.failures ? 1 : 0;
}

#else

unsigned guest_exhaust(void)
{
    console_printf("exhaust: only in a debug build\n");
    return EXIT_SETUP;
}

#endif
