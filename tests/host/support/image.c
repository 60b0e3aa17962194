// SPDX-License-Identifier: MIT
#define _GNU_SOURCE
#include "image.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arch/host/host.h>
#include <lib/errno.h>
#include <rt/assert.h>

#define MAJOR 240u

static char dir[64];

/* A name keeps its number, as real devices do. */
static uint32_t minor_of(const char *name)
{
    static char names[256][BDEV_NAME_BYTES];
    uint32_t i = 0;
    while (names[i][0] && strcmp(names[i], name))
        i++;
    ASSERT(i < 255, "up to 255 images a process");
    snprintf(names[i], sizeof(names[i]), "%s", name);
    return i;
}

static void remove_dir(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    if (system(command))
        fprintf(stderr, "image: %s stays\n", dir);
}

const char *image_dir(void)
{
    if (!dir[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(dir, sizeof(dir), "%.40s/spillway-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(dir))
            panic("image: no temporary folder");
        atexit(remove_dir);
    }
    return dir;
}

int image_shell(int expected, const char *format, ...)
{
    char *command = NULL, *whole = NULL;
    va_list ap;
    va_start(ap, format);
    int length = vasprintf(&command, format, ap);
    va_end(ap);
    ASSERT(length >= 0, "memory");
    length = asprintf(&whole, "{ %s ; } >%s/out 2>&1 </dev/null", command, image_dir());
    ASSERT(length >= 0, "memory");
    int status = system(whole);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    if (status != expected) {
        fprintf(stderr, "$ %s\n[exit %d, expected %d]\n", command, status, expected);
        fflush(stderr);
        snprintf(whole, (size_t)length + 1, "head -40 %s/out >&2", image_dir());
        if (system(whole))
            fprintf(stderr, "(no output)\n");
    }
    free(whole);
    free(command);
    return status;
}

void image_adopt(struct image *image, const char *name)
{
    memset(image, 0, sizeof(*image));
    image->fd = -1;
    image->fail_at = UINT64_MAX;
    list_init(&image->waiting);
    snprintf(image->path, sizeof(image->path), "%s/%s", image_dir(), name);
    snprintf(image->bdev.name, sizeof(image->bdev.name), "%s", name);
}

static void mke2fs(const struct image *image, const char *options, const char *source_dir)
{
    int status =
        image_shell(0, "PATH=$PATH:/sbin:/usr/sbin mke2fs -q -F -t ext2 -E nodiscard %s %s%s %s",
                    options, source_dir ? "-d " : "", source_dir ? source_dir : "", image->path);
    if (status)
        panic("image: mke2fs failed");
}

void image_make(struct image *image, const char *name, uint64_t bytes, const char *options,
                const char *source_dir)
{
    image_adopt(image, name);
    unlink(image->path);
    int fd = open(image->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes))
        panic("image: no file");
    close(fd);
    mke2fs(image, options, source_dir);
}

void image_make_used(struct image *image, const char *name, uint64_t bytes, const char *options,
                     uint8_t fill)
{
    uint8_t block[4096];
    image_adopt(image, name);
    int fd = open(image->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    memset(block, fill, sizeof(block));
    for (uint64_t at = 0; at < bytes; at += sizeof(block))
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            panic("image: no file");
    close(fd);
    mke2fs(image, options, NULL);
}

/* ---- the device ---- */

static void record(struct image *image, const struct bio *bio)
{
    if (!image->record || bio->op == BIO_READ)
        return;
    if (image->event_count == image->event_room) {
        image->event_room = image->event_room * 2 + 64;
        image->events = realloc(image->events, image->event_room * sizeof(*image->events));
        ASSERT(image->events, "memory");
    }
    struct image_event *event = &image->events[image->event_count++];
    *event = (struct image_event){ .op = bio->op, .offset = bio->sector * SECTOR_BYTES };
    event->bytes = (uint32_t)bio_bytes(bio);
    if (!event->bytes)
        return;
    event->data = malloc(event->bytes);
    ASSERT(event->data, "memory");
    uint8_t *at = event->data;
    for (uint32_t i = 0; i < bio->vec_count; i++) {
        memcpy(at, bio->vecs[i].data, bio->vecs[i].bytes);
        at += bio->vecs[i].bytes;
    }
}

static bool must_fail(struct image *image, const struct bio *bio)
{
    if ((image->fail_reads_only && bio->op != BIO_READ) ||
        (image->fail_writes_only && bio->op == BIO_READ))
        return false;
    uint64_t number = image->requests++;
    return number >= image->fail_at && number - image->fail_at < image->fail_count;
}

static int transfer(struct image *image, const struct bio *bio)
{
    off_t offset = (off_t)(bio->sector * SECTOR_BYTES);
    for (uint32_t i = 0; i < bio->vec_count; i++) {
        const struct bio_vec *vec = &bio->vecs[i];
        ssize_t done = bio->op == BIO_WRITE ? pwrite(image->fd, vec->data, vec->bytes, offset)
                                            : pread(image->fd, vec->data, vec->bytes, offset);
        if (done < 0)
            return -EIO;
        if ((size_t)done < vec->bytes && bio->op == BIO_READ)
            memset((char *)vec->data + done, 0, vec->bytes - (size_t)done);
        offset += vec->bytes;
    }
    return 0;
}

static int serve(struct image *image, const struct bio *bio)
{
    if (must_fail(image, bio)) {
        image->failed++;
        return -EIO;
    }
    record(image, bio);
    return transfer(image, bio);
}

static void image_submit(struct bdev *bdev, struct bio *bio)
{
    struct image *image = bdev->driver;
    if (!image->late) {
        bio_complete(bio, serve(image, bio));
        return;
    }
    bool on = arch_irq_save();
    list_push_back(&image->waiting, &bio->link);
    if (!image->irq_posted)
        host_post_irq(&image->irq);
    image->irq_posted = true;
    arch_irq_restore(on);
}

/* Reads and writes reach the file only now, the last one first. */
static void image_irq(struct irq *irq)
{
    struct image *image = container_of(irq, struct image, irq);
    image->irq_posted = false;
    while (!list_empty(&image->waiting)) {
        struct bio *bio = list_last(&image->waiting, struct bio, link);
        list_remove(&bio->link);
        bio_complete(bio, serve(image, bio));
    }
}

static const struct irq_ops image_irq_ops = { .handle = image_irq };
static const struct bdev_ops image_bdev_ops = { .submit = image_submit };

void image_attach(struct image *image)
{
    image->fd = open(image->path, O_RDWR | O_CLOEXEC);
    off_t bytes = image->fd < 0 ? -1 : lseek(image->fd, 0, SEEK_END);
    if (bytes < 0)
        panic("image: cannot open");
    image->bdev.ops = &image_bdev_ops;
    image->bdev.driver = image;
    image->bdev.sector_count = (uint64_t)bytes / SECTOR_BYTES;
    if (!image->bdev.block_bytes)
        image->bdev.block_bytes = SECTOR_BYTES;
    image->bdev.has_cache = true;
    image->bdev.dev = DEV_NUMBER(MAJOR, minor_of(image->bdev.name));
    if (image->late && !image->irq_attached) {
        image->irq.ops = &image_irq_ops;
        if (arch_irq_attach(&image->irq))
            panic("image: no interrupt");
        image->irq_attached = true;
    }
    if (bdev_register(&image->bdev))
        panic("image: not registered");
}

void image_detach(struct image *image)
{
    int err = bdev_unregister(&image->bdev);
    ASSERT(err == 0, "the device is closed when it is detached");
    if (image->irq_attached)
        arch_irq_detach(&image->irq);
    image->irq_attached = false;
    close(image->fd);
    image->fd = -1;
}

void image_remove(struct image *image)
{
    image_record_clear(image);
    unlink(image->path);
}

/* ---- judges ---- */

bool image_is_clean(const struct image *image)
{
    return image_shell(0, "PATH=$PATH:/sbin:/usr/sbin e2fsck -fn %s", image->path) == 0;
}

void image_dump(const struct image *image, const char *name, const char *out_path)
{
    unlink(out_path);
    image_shell(0, "PATH=$PATH:/sbin:/usr/sbin debugfs -R 'dump \"%s\" %s' %s && test -f %s", name,
                out_path, image->path, out_path);
}

/* ---- recording ---- */

void image_record_start(struct image *image)
{
    image_record_clear(image);
    image->record = true;
}

void image_record_clear(struct image *image)
{
    for (size_t i = 0; i < image->event_count; i++)
        free(image->events[i].data);
    free(image->events);
    image->events = NULL;
    image->event_count = image->event_room = 0;
    image->record = false;
}
