// SPDX-License-Identifier: MIT
/*
 * The file that is read: sealed blocks of nestio's format, level 0, generation 1. It is made where the image is
 * made (this program runs on Linux too), so that nothing of it is cached when the readers come.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crowd.h"

uint32_t places_for(unsigned threads) { return threads + threads / 4 + 64; }

uint32_t blocks_needed(unsigned threads)
{
    uint32_t places = places_for(threads);

    /* Of every WARM_EVERY blocks the first is not for the threads, and neither is the last of all. */
    return places + (places + WARM_EVERY - 2) / (WARM_EVERY - 1) + 1;
}

int make_file(const struct options *o)
{
    static uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
    uint32_t count = blocks_needed(o->threads);
    int fd = open(o->make, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    for (uint32_t i = 0; fd >= 0 && i < count; i++) {
        struct block_id id = { .seed = CROWD_SEED, .number = i };
        block_fill(block, &id, 1);
        if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
            goto out_failed;
    }
    if (fd >= 0 && close(fd) == 0) {
        printf("crowd: made %s: %u blocks for %u threads\n", o->make, count, o->threads);
        return 0;
    }
out_failed:
    fprintf(stderr, "crowd: %s: %s\n", o->make, strerror(errno));
    return 1;
}
