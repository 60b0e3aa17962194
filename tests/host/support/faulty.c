// SPDX-License-Identifier: MIT
#include "faulty.h"

#include <stdlib.h>
#include <string.h>

#include <lib/errno.h>
#include <lib/format.h>

static bool count_down(unsigned *at)
{
    return *at && --*at == 0;
}

static int decide(struct faulty *f, const struct bio *bio)
{
    uint64_t end = bio->sector + bio_bytes(bio) / SECTOR_BYTES;
    bool fail;

    if (bio->op == BIO_READ) {
        f->reads++;
        fail = count_down(&f->fail_read_at) || f->fail_reads;
    } else if (bio->op == BIO_WRITE) {
        f->writes++;
        fail = count_down(&f->fail_write_at) || f->fail_writes ||
               (f->bad_sector >= bio->sector && f->bad_sector < end);
    } else {
        f->flushes++;
        fail = f->fail_flushes;
    }
    return fail ? f->error : 0;
}

static void finish(struct faulty *f, struct bio *bio)
{
    char *at = f->data + bio->sector * SECTOR_BYTES;
    int err = decide(f, bio);

    for (uint32_t i = 0; i < bio->vec_count && !err; i++) {
        struct bio_vec *vec = &bio->vecs[i];
        if (bio->op == BIO_READ)
            memcpy(vec->data, at, vec->bytes);
        else
            memcpy(at, vec->data, vec->bytes);
        at += vec->bytes;
    }
    bio_complete(bio, err);
}

void faulty_release(struct faulty *f, unsigned index)
{
    struct list *link = f->held.next;

    while (index--)
        link = link->next;
    if (link == &f->held)
        abort();
    list_remove(link);
    f->held_count--;
    finish(f, list_entry(link, struct bio, link));
}

void faulty_release_all(struct faulty *f)
{
    while (f->held_count)
        faulty_release(f, 0);
}

static void faulty_fire(struct timer *timer)
{
    struct faulty *f = container_of(timer, struct faulty, timer);

    if (f->held_count)
        faulty_release(f, (unsigned)rand_r(&f->seed) % f->held_count);
    if (f->held_count)
        timer_start(timer, arch_now_ns() + 50 * NS_PER_US);
}

static const struct timer_ops faulty_timer_ops = {.fire = faulty_fire};

static void faulty_submit(struct bdev *bdev, struct bio *bio)
{
    struct faulty *f = bdev->driver;

    if (!f->hold && !f->shuffle) {
        finish(f, bio);
        return;
    }
    list_push_back(&f->held, &bio->link);
    f->held_count++;
    if (f->held_count > f->most_held)
        f->most_held = f->held_count;
    if (f->shuffle && !f->timer.armed)
        timer_start(&f->timer, arch_now_ns() + 50 * NS_PER_US);
}

static const struct bdev_ops direct_ops = {.submit = faulty_submit};
static const struct bdev_ops stacked_ops = {.submit_stacked = faulty_submit};

struct faulty *faulty_create(const char *name, uint64_t bytes, bool stacked)
{
    static unsigned minor;
    struct faulty *f = calloc(1, sizeof(*f));

    if (!f || !(f->data = calloc(1, bytes)))
        abort();
    f->bdev = (struct bdev){ .ops = stacked ? &stacked_ops : &direct_ops,
                             .driver = f,
                             .dev = DEV_NUMBER(240, minor++),
                             .block_bytes = SECTOR_BYTES,
                             .sector_count = bytes / SECTOR_BYTES,
                             .level = stacked,
                             .has_cache = true };
    snprintf(f->bdev.name, sizeof(f->bdev.name), "%s", name);
    f->bad_sector = UINT64_MAX;
    f->error = -EIO;
    f->seed = 1;
    list_init(&f->held);
    timer_init(&f->timer, &faulty_timer_ops);
    if (bdev_register(&f->bdev))
        abort();
    return f;
}

void faulty_destroy(struct faulty *f)
{
    if (f->held_count || bdev_unregister(&f->bdev))
        abort();
    timer_cancel(&f->timer);
    free(f->data);
    free(f);
}
