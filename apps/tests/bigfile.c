// SPDX-License-Identifier: MIT
/*
 * Files beyond the direct blocks: `bigfile [DIR [MIB]]` writes MIB (default 8) MiB and sparse
 * pieces at every border of direct, indirect and double indirect blocks for 1, 2 and 4 KiB blocks,
 * reads all back, and frees it again.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

enum { CHUNK_MAX = 70001 };

static unsigned char buf[CHUNK_MAX], expected[CHUNK_MAX];

/* The byte at @offset of every file here. */
static unsigned char byte_at(uint64_t offset)
{
    uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15ull;

    return (unsigned char)((x ^ x >> 29) >> (offset % 8 * 8));
}

static void fill(unsigned char *to, uint64_t offset, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = byte_at(offset + i);
}

/* Sequential, in chunks of a size that fits no block. */
static void test_sequential(uint64_t bytes)
{
    int fd = OK(open("big", O_RDWR | O_CREAT | O_TRUNC, 0644));
    uint64_t at = 0;

    while (at < bytes) {
        size_t chunk = 1 + at % CHUNK_MAX;
        ssize_t done;

        if (chunk < 3000)
            chunk += 20000;
        if (chunk > bytes - at)
            chunk = bytes - at;
        fill(buf, at, chunk);
        done = OK(write(fd, buf, chunk));
        if (done <= 0)
            break;
        at += (uint64_t)done;
    }
    EQUAL((long long)at, (long long)bytes);
    OK(fsync(fd));
    EQUAL(lseek(fd, 0, SEEK_SET), 0);
    for (at = 0; at < bytes;) {
        ssize_t got = read(fd, buf, 65536 - 7);

        if (got <= 0) {
            CHECK(!"read ended early");
            break;
        }
        fill(expected, at, (size_t)got);
        if (!CHECK(memcmp(buf, expected, (size_t)got) == 0))
            break;
        at += (uint64_t)got;
    }
    OK(close(fd));
    OK(unlink("big"));
}

/* Where a block map of blocks of @block bytes changes its depth. */
static void borders(uint64_t block, uint64_t *out)
{
    uint64_t per = block / 4;

    out[0] = 12 * block;
    out[1] = (12 + per) * block;
    out[2] = (12 + 2 * per) * block;
    out[3] = (12 + 3 * per) * block;
}

static void test_sparse(void)
{
    static const uint64_t blocks[] = { 1024, 2048, 4096 };
    struct stat st;
    uint64_t at[4], end = 0;
    int fd = OK(open("sparse", O_RDWR | O_CREAT | O_TRUNC, 0644));

    for (int b = 0; b < 3; b++) {
        borders(blocks[b], at);
        for (int i = 0; i < 4; i++) {
            fill(buf, at[i] - 100, 200);
            EQUAL(pwrite(fd, buf, 200, (off_t)at[i] - 100), 200);
            if (at[i] + 100 > end)
                end = at[i] + 100;
        }
    }
    OK(fsync(fd));
    OK(fstat(fd, &st));
    EQUAL(st.st_size, (long long)end);
    CHECK(st.st_blocks * 512 < 400000);
    for (int b = 0; b < 3; b++) {
        borders(blocks[b], at);
        for (int i = 0; i < 4; i++) {
            EQUAL(pread(fd, buf, 200, (off_t)at[i] - 100), 200);
            fill(expected, at[i] - 100, 200);
            CHECK(memcmp(buf, expected, 200) == 0);
        }
    }
    EQUAL(pread(fd, buf, 4096, 150 * 1024), 4096);
    memset(expected, 0, 4096);
    CHECK(memcmp(buf, expected, 4096) == 0);
    OK(ftruncate(fd, 30000)); /* frees the double indirect part, keeps some of the rest */
    OK(fsync(fd));
    OK(fstat(fd, &st));
    CHECK(st.st_blocks * 512 < 60000);
    borders(1024, at);
    EQUAL(pread(fd, buf, 200, (off_t)at[0] - 100), 200);
    fill(expected, at[0] - 100, 200);
    CHECK(memcmp(buf, expected, 200) == 0);
    OK(ftruncate(fd, 0));
    OK(fsync(fd));
    OK(fstat(fd, &st));
    EQUAL(st.st_blocks, 0);
    OK(close(fd));
    OK(unlink("sparse"));
}

int main(int argc, char **argv)
{
    uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 8;
    struct statfs before, after;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (OK(chdir(argc > 1 ? argv[1] : ".")) < 0)
        return check_end("bigfile");
    OK(statfs(".", &before));
    test_sequential(mib << 20);
    test_sparse();
    for (int i = 0; i < 100; i++) {
        sync();
        OK(statfs(".", &after));
        if (after.f_bfree >= before.f_bfree)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    CHECK(after.f_bfree >= before.f_bfree);
    return check_end("bigfile");
}
