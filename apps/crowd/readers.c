// SPDX-License-Identifier: MIT
/*
 * The threads: each waits at the barrier, reads a block, checks it, and ends. They have the smallest stack that
 * the C library allows: what they need lies in their structures.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crowd.h"

struct reader {
    pthread_t thread;
    void *buf;
};

struct reads reads;
static struct reader *readers;
static unsigned reader_count;
static int data_fd;
static bool same_block;
static uint32_t place_count; /* blocks for threads */
static uint64_t stride;
static _Atomic uint64_t next_turn;
static pthread_barrier_t barrier;

int read_block(int fd, void *buf, uint32_t number)
{
    const struct block_id id = { .seed = CROWD_SEED, .number = number };
    struct block_finding finding;
    ssize_t got = pread(fd, buf, BLOCK_BYTES, (off_t)number * BLOCK_BYTES);

    if (got != BLOCK_BYTES)
        return got < 0 ? -errno : -EIO;
    block_check(buf, &id, 1, 1, &finding);
    return finding.verdict == BLOCK_GOOD ? 0 : -EILSEQ;
}

/* The @place-th block that is for the threads. */
static uint32_t block_at(uint32_t place) { return place + place / (WARM_EVERY - 1) + 1; }

static void count_result(int error)
{
    int expected = 0;

    if (error == -EILSEQ)
        atomic_fetch_add(&reads.wrong, 1);
    else if (error) {
        atomic_fetch_add(&reads.failed, 1);
        atomic_compare_exchange_strong(&reads.error, &expected, -error);
    } else {
        atomic_fetch_add(&reads.good, 1);
    }
}

/* Reads until the disk goes on again: a block that was cached by chance (read ahead) does not end a thread. */
static void *reader_run(void *argument)
{
    struct reader *r = argument;
    int error;

    atomic_fetch_add(&reads.ready, 1);
    pthread_barrier_wait(&barrier);
    do {
        uint64_t turn = atomic_fetch_add(&next_turn, 1);
        uint32_t block = same_block ? 1 : block_at(turn * stride % place_count);

        atomic_fetch_add(&reads.entered, 1);
        error = read_block(data_fd, r->buf, block);
        atomic_fetch_add(&reads.left, 1);
        count_result(error);
    } while (!error && !reads.released && next_turn < place_count && !same_block);
    atomic_fetch_add(&reads.ended, 1);
    return NULL;
}

static unsigned common_divisor(unsigned a, unsigned b)
{
    while (b) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Not in the order of the file: so no read is taken for the next of a sequence and brings its neighbours along. */
static unsigned pick_stride(unsigned count)
{
    unsigned stride = count / 3 * 2;

    while (common_divisor(stride, count) != 1)
        stride++;
    return stride;
}

int readers_start(const struct options *o, int fd)
{
    pthread_attr_t attr;
    void *bufs;

    data_fd = fd;
    same_block = o->same;
    place_count = places_for(o->threads);
    stride = pick_stride(place_count);
    readers = calloc(o->threads, sizeof(*readers));
    if (!readers || posix_memalign(&bufs, BLOCK_BYTES, (size_t)o->threads * BLOCK_BYTES))
        return -ENOMEM;
    pthread_barrier_init(&barrier, NULL, o->threads + 1);
    pthread_attr_init(&attr);
    int error = pthread_attr_setstacksize(&attr, o->stack_bytes);
    for (unsigned i = 0; i < o->threads && !error; i++) {
        struct reader *r = &readers[i];

        r->buf = (char *)bufs + (size_t)i * BLOCK_BYTES;
        *(volatile char *)r->buf = 0; /* there, before the memory is looked at */
        error = pthread_create(&r->thread, &attr, reader_run, r);
        reader_count += !error;
    }
    pthread_attr_destroy(&attr);
    return -error;
}

void readers_go(void) { pthread_barrier_wait(&barrier); }

void readers_join(void)
{
    for (unsigned i = 0; i < reader_count; i++)
        pthread_join(readers[i].thread, NULL);
}
