// SPDX-License-Identifier: MIT
/*
 * Disk images for host tests: made with mke2fs, judged with e2fsck and debugfs, and shown to the
 * runtime as a block device "NAME" whose requests go to the file with pread and pwrite. The device
 * can fail chosen requests, record what is written and flushed, and complete late (from an
 * interrupt), so that threads interleave at every request.
 *
 * The tools are run from the test's own context or from a thread; they see the file as the device
 * left it.
 */
#pragma once

#include <block/bdev.h>

struct image_event {
    enum bio_op op; /* BIO_WRITE or BIO_FLUSH */
    uint64_t offset;
    uint32_t bytes;
    uint8_t *data;
};

struct image {
    struct bdev bdev;
    char path[128];
    int fd; /* -1: not attached */

    /* Faults: request number fail_at (from 0, counted in requests) and the fail_count - 1 after it
     * fail. */
    uint64_t requests, fail_at, fail_count;
    bool fail_reads_only, fail_writes_only;
    uint64_t failed;

    bool late; /* complete from an interrupt, not from submit() */
    struct irq irq;
    bool irq_attached, irq_posted;
    struct list waiting;

    bool record;
    struct image_event *events;
    size_t event_count, event_room;
};

/* A folder for this process's images, removed at exit. */
const char *image_dir(void);
/* Runs a shell command made like printf; its exit status. Its output is shown if it is not
 * @expected. */
int image_shell(int expected, const char *format, ...) printf_like(2, 3);

/* Makes a file of @bytes with `mke2fs -t ext2 @options`, filled from @source_dir (NULL: empty). */
void image_make(struct image *image, const char *name, uint64_t bytes, const char *options,
                const char *source_dir);
/* The same on a disk that held something else: full of @fill where mke2fs writes nothing. */
void image_make_used(struct image *image, const char *name, uint64_t bytes, const char *options,
                     uint8_t fill);
/* Makes the struct for a file that is there already, by its name in image_dir(). */
void image_adopt(struct image *image, const char *name);
/* Registers the device NAME. */
void image_attach(struct image *image);
void image_detach(struct image *image);
void image_remove(struct image *image);

/* e2fsck -fn: must find nothing; returns whether that is so, and shows what it said if not. */
bool image_is_clean(const struct image *image);
/* debugfs: copies the file @name of the filesystem to @out_path. */
void image_dump(const struct image *image, const char *name, const char *out_path);

/* Recording. */
void image_record_start(struct image *image);
void image_record_clear(struct image *image);
