// SPDX-License-Identifier: MIT
/*
 * crowd: many threads inside a read at the same time.
 *
 *     crowd --make FILE --threads 1000      before: FILE goes to the deepest level of a tower of filesystems
 *     crowd --file FILE --threads 1000
 *
 * An ordinary POSIX program. Each thread has the smallest stack there is and reads a block of its own that is in no
 * cache. With --probe it waits until the disk has stopped answering, so that nobody leaves before all are in;
 * whoever stopped the disk lets it go on at the line "let the disk go on". That they are inside, and have reached the disk, is
 * counted: calls of pread() that have not returned, and requests given to disks (getrusage()).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "crowd.h"

uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_ms(unsigned ms) { nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL); }

/* Blocks of 4 KiB that this program's threads have asked disks for. */
static uint64_t disk_blocks(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_inblock * 512 / BLOCK_BYTES;
}

static _Noreturn void fail(const char *what, int error)
{
    printf("crowd: error: %s: %s (errno %d)\n", what, strerror(error), error);
    exit(1);
}

/* Reads what the reads of all threads need besides their own blocks: what says where these lie, on every level. */
static void warm_up(int fd, unsigned threads, void *buf)
{
    uint32_t count = blocks_needed(threads);

    for (uint32_t i = 0; i < count; i = i < count - 1 && i + WARM_EVERY >= count ? count - 1 : i + WARM_EVERY) {
        int error = read_block(fd, buf, i);
        if (error)
            fail("reading what goes before", -error);
    }
}

/* ---- whether the disk has stopped ---- */

struct probe {
    pthread_t thread;
    const char *path;
    void *buf;
    _Atomic unsigned answers, error;
    _Atomic bool stop;
};

/* A read of the device itself comes from no cache: on Linux because it is asked for, here always. */
static void *probe_run(void *argument)
{
    struct probe *p = argument;
    int fd = open(p->path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd < 0)
        fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        p->error = (unsigned)errno;
    while (!p->error && !p->stop) {
        if (pread(fd, p->buf, BLOCK_BYTES, 0) < 0)
            p->error = (unsigned)errno;
        p->answers++;
        pause_ms(20);
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* Until a read has been under way for half a second. */
static void wait_until_stopped(struct probe *p, const struct options *o, void *buf)
{
    uint64_t end = now_ms() + o->wait_seconds * 1000ull, since = now_ms();
    unsigned answers = 0;

    p->path = o->probe;
    p->buf = buf;
    if (pthread_create(&p->thread, NULL, probe_run, p))
        fail("the thread that watches the disk", errno);
    printf("crowd: waiting until the disk stops\n");
    while (now_ms() - since < 500) {
        pause_ms(10);
        if (p->error)
            fail(o->probe, (int)p->error);
        if (p->answers != answers) {
            answers = p->answers;
            since = now_ms();
        }
        if (now_ms() > end)
            fail("the disk did not stop", ETIMEDOUT);
    }
}

/* ---- the crowd ---- */

/* Until all that have not ended (refused) are inside and have asked the disk, or it takes too long; returns how many
   are inside. */
static unsigned wait_until_inside(const struct options *o, uint64_t blocks_before, uint64_t *asked)
{
    uint64_t end = now_ms() + o->wait_seconds * 1000ull;

    for (;;) {
        unsigned left = reads.left, inside = reads.entered - left;
        *asked = disk_blocks() - blocks_before;
        if ((inside + reads.ended == o->threads && *asked >= (o->same && inside ? 1 : inside)) || now_ms() > end)
            return inside;
        pause_ms(20);
    }
}

static void print_pool(const char *when)
{
    static const char *const names[] = { "extra_max", "total", "in_use", "free", "most_held", "refusals", "deepest" };
    char path[64];

    if (sys_value("/sys/stack/total") < 0)
        return;
    printf("crowd: extra stacks %s:", when);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "/sys/stack/%s", names[i]);
        printf(" %s %lld%s", names[i], (long long)sys_value(path), i + 1 < sizeof(names) / sizeof(names[0]) ? "," : "\n");
    }
}

static int report(const struct options *o, unsigned inside, uint64_t asked)
{
    bool good = inside == o->threads && reads.good >= o->threads && !reads.wrong && !reads.failed;

    if (reads.failed)
        printf("crowd: %u reads failed, the first with %s (errno %d)\n", reads.failed, strerror(reads.error), reads.error);
    printf("crowd: verdict=%s threads=%u inside=%u asked=%llu good=%u wrong=%u failed=%u total=%lld free=%lld\n",
           good ? "ok" : "bad", o->threads, inside, (unsigned long long)asked, reads.good, reads.wrong, reads.failed,
           (long long)sys_value("/sys/stack/total"), (long long)sys_value("/sys/stack/free"));
    return !good;
}

static int run(const struct options *o)
{
    static char bufs[2][BLOCK_BYTES] __attribute__((aligned(4096)));
    static struct probe probe;
    uint64_t start, asked, created, filled, drained;
    int fd = open(o->file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        fail(o->file, errno);
    printf("crowd: %u threads on %zu bytes of stack read %s\n", o->threads, o->stack_bytes, o->file);
    warm_up(fd, o->threads, bufs[0]);
    memory_note(0);
    start = now_ms();
    int error = readers_start(o, fd);
    if (error)
        fail("starting the threads", -error);
    while (reads.ready < o->threads)
        pause_ms(1);
    created = now_ms() - start;
    if (o->probe)
        wait_until_stopped(&probe, o, bufs[1]);
    uint64_t before = disk_blocks();
    start = now_ms();
    readers_go();
    unsigned inside = wait_until_inside(o, before, &asked);
    filled = now_ms() - start;
    pause_ms(o->probe ? 200 : 0); /* for what the kernel tidies up behind them */
    memory_note(1);
    print_pool("while inside");
    uint64_t list_start = now_ms();
    unsigned listed = sys_threads_listed();
    printf("crowd: /sys/stack/threads lists %u of them, in %llu ms\n", listed, (unsigned long long)(now_ms() - list_start));
    printf("crowd: %u of %u are inside, requests to disks: %llu\n", inside, o->threads, (unsigned long long)asked);
    start = now_ms();
    probe.stop = reads.released = true;
    printf("crowd: let the disk go on\n");
    while (reads.ended < o->threads)
        pause_ms(1);
    drained = now_ms() - start;
    start = now_ms();
    readers_join();
    if (o->probe)
        pthread_join(probe.thread, NULL);
    memory_print(o->threads);
    printf("crowd: ms to start %llu, to get in %llu, to get out %llu, to end %llu\n", (unsigned long long)created,
           (unsigned long long)filled, (unsigned long long)drained, (unsigned long long)(now_ms() - start));
    print_pool("at the end");
    return report(o, inside, asked);
}

int main(int argc, char **argv)
{
    static struct options options;

    setvbuf(stdout, NULL, _IOLBF, 0);
    options_read(&options, argc, argv);
    return options.make ? make_file(&options) : run(&options);
}
