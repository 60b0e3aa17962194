// SPDX-License-Identifier: MIT
/*
 * Memory of the program: mmap, munmap, mprotect, brk, malloc; fresh memory is zero. `mem [DIR]`:
 * with a folder also private mappings of a file.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <include/check.h>

#define PAGE 4096ul
#define MIB (1024ul * 1024ul)

static unsigned char *map(size_t bytes, int protection, int flags)
{
    void *p = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    return CHECK(p != MAP_FAILED) ? p : NULL;
}

static int all_bytes(const unsigned char *p, size_t bytes, unsigned char value)
{
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != value)
            return 0;
    }
    return 1;
}

static void test_demand_zero(void)
{
    unsigned char *p = map(64 * MIB, PROT_READ | PROT_WRITE, 0);

    if (!p)
        return;
    CHECK(((uintptr_t)p & (PAGE - 1)) == 0);
    for (size_t at = 0; at < 64 * MIB; at += MIB + PAGE) {
        CHECK(all_bytes(p + at, 64, 0));
        memset(p + at, 0x5a, 64);
    }
    for (size_t at = 0; at < 64 * MIB; at += MIB + PAGE)
        CHECK(all_bytes(p + at, 64, 0x5a) && p[at + 64] == 0);
    OK(munmap(p, 64 * MIB));
    p = map(4 * MIB, PROT_READ | PROT_WRITE, 0);
    CHECK(p && all_bytes(p, 4 * MIB, 0)); /* the same frames may come back: zeroed */
    OK(munmap(p, 4 * MIB));
}

static void test_partial_unmap(void)
{
    unsigned char *p = map(16 * PAGE, PROT_READ | PROT_WRITE, 0), *q;

    if (!p)
        return;
    for (size_t i = 0; i < 16; i++)
        memset(p + i * PAGE, (int)i + 1, PAGE);
    OK(munmap(p + 4 * PAGE, 4 * PAGE));
    OK(munmap(p + 4 * PAGE, 4 * PAGE)); /* a hole: no error */
    CHECK(all_bytes(p + 3 * PAGE, PAGE, 4) && all_bytes(p + 8 * PAGE, PAGE, 9));
    q = mmap(p + 5 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    CHECK(q == p + 5 * PAGE && all_bytes(q, 2 * PAGE, 0));
    q = mmap(p + 10 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0);
    CHECK(q == p + 10 * PAGE && all_bytes(q, PAGE, 0)); /* over what was there */
    CHECK(all_bytes(p + 9 * PAGE, PAGE, 10) && all_bytes(p + 11 * PAGE, PAGE, 12));
    OK(munmap(p, 16 * PAGE));
    FAILS(munmap(p + 1, PAGE), EINVAL);
    FAILS(munmap(p, 0), EINVAL);
    CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    EQUAL(errno, EINVAL);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED);
    EQUAL(errno, EBADF);
    CHECK(mmap(NULL, 1ul << 50, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    EQUAL(errno, ENOMEM);
}

static void test_protect(void)
{
    unsigned char *p = map(8 * PAGE, PROT_READ | PROT_WRITE, 0), *reserve;

    if (!p)
        return;
    memset(p, 7, 8 * PAGE);
    OK(mprotect(p + PAGE, 2 * PAGE, PROT_READ));
    CHECK(all_bytes(p, 8 * PAGE, 7));
    FAILS(pread(-1, p, 1, 0), EBADF);
    OK(mprotect(p + PAGE, PAGE, PROT_NONE));
    OK(mprotect(p, 8 * PAGE, PROT_READ | PROT_WRITE));
    CHECK(all_bytes(p, 8 * PAGE, 7));
    memset(p, 8, 8 * PAGE);
    FAILS(syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), EINVAL); /* the library rounds */
    OK(munmap(p + 2 * PAGE, PAGE));
    FAILS(mprotect(p, 8 * PAGE, PROT_READ), ENOMEM);
    OK(munmap(p, 8 * PAGE));
    reserve = map(1024 * MIB, PROT_NONE, MAP_NORESERVE);
    for (size_t at = 0; reserve && at < 1024 * MIB; at += 256 * MIB) {
        OK(mprotect(reserve + at, 4 * PAGE, PROT_READ | PROT_WRITE));
        CHECK(all_bytes(reserve + at, 4 * PAGE, 0));
        memset(reserve + at, 1, 4 * PAGE);
    }
    if (reserve)
        OK(munmap(reserve, 1024 * MIB));
}

/* Buffers that a call must not touch, or only as far as they reach. */
static void test_calls_and_protection(const char *folder)
{
    unsigned char *p = map(2 * PAGE, PROT_READ | PROT_WRITE, 0);
    char path[256];
    int fd;

    if (!p || !folder)
        return;
    snprintf(path, sizeof(path), "%s/mem.bin", folder);
    fd = OK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
    memset(p, 0x33, 2 * PAGE);
    EQUAL(write(fd, p, 2 * PAGE), 2 * (long)PAGE);
    OK(mprotect(p, PAGE, PROT_READ));
    FAILS(pread(fd, p, 100, 0), EFAULT);
    EQUAL(pwrite(fd, p, 100, 0), 100);
    OK(mprotect(p, PAGE, PROT_NONE));
    FAILS(pwrite(fd, p, 100, 0), EFAULT);
    OK(munmap(p, PAGE));
    FAILS(pread(fd, p, 100, 0), EFAULT);
    EQUAL(pread(fd, p + PAGE, PAGE, 0), (long)PAGE);
    OK(munmap(p + PAGE, PAGE));
    OK(close(fd));
    OK(unlink(path));
}

static void test_file_mapping(const char *folder)
{
    unsigned char *p, seen = 0;
    char path[256];
    int fd;

    if (!folder)
        return;
    snprintf(path, sizeof(path), "%s/map.bin", folder);
    fd = OK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0644));
    for (int i = 0; i < 5000; i++)
        EQUAL(write(fd, &(unsigned char){ (unsigned char)(i / 16) }, 1), 1);
    p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (CHECK(p != MAP_FAILED)) {
        CHECK(p[0] == 0 && p[4999] == (unsigned char)(4999 / 16) && p[5000] == 0 && p[8191] == 0);
        p[16] = 99;
        EQUAL(pread(fd, &seen, 1, 16), 1);
        EQUAL(seen, 1); /* private: the file is as it was */
        OK(munmap(p, 2 * PAGE));
    }
    p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    if (CHECK(p != MAP_FAILED)) {
        CHECK(p[0] == (unsigned char)(4096 / 16) && p[1000] == 0);
        OK(munmap(p, PAGE));
    }
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 5) == MAP_FAILED && errno == EINVAL);
    OK(close(fd));
    OK(unlink(path));
}

static void test_brk(void)
{
    uintptr_t begin = (uintptr_t)syscall(SYS_brk, 0), end;

    CHECK(begin != 0);
    end = (uintptr_t)syscall(SYS_brk, begin + 10 * PAGE);
    EQUAL((long)(end - begin), 10 * (long)PAGE);
    if (end == begin + 10 * PAGE) {
        CHECK(all_bytes((unsigned char *)begin, 10 * PAGE, 0));
        memset((void *)begin, 1, 10 * PAGE);
        EQUAL(syscall(SYS_brk, begin + PAGE), (long)(begin + PAGE));
        EQUAL(syscall(SYS_brk, begin + 2 * PAGE), (long)(begin + 2 * PAGE));
        CHECK(*(unsigned char *)begin == 1);
    }
    EQUAL(syscall(SYS_brk, 1), (long)(begin + 2 * PAGE)); /* cannot: tells where it is */
    EQUAL(syscall(SYS_brk, begin), (long)begin);
}

/* A block of malloc, filled so that a neighbour's write shows. */
struct piece {
    unsigned char *p;
    size_t bytes;
    unsigned char value;
};

static void *test_malloc(void *argument)
{
    enum { PIECES = 200 };
    struct piece *pieces = calloc(PIECES, sizeof(*pieces));
    uint64_t random = 12345 + (uintptr_t)argument;

    if (!CHECK(pieces != NULL))
        return NULL;
    for (int i = 0; i < 20000; i++) {
        struct piece *piece;
        size_t bytes;

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        piece = &pieces[(random >> 33) % PIECES];
        bytes = 1 + (random >> 20) % ((random >> 60) ? 2000 : 300000);
        if (piece->p &&
            !CHECK(all_bytes(piece->p, piece->bytes < 64 ? piece->bytes : 64, piece->value)))
            break;
        if (i % 3 == 0 && piece->p) {
            piece->p = realloc(piece->p, bytes);
        } else {
            free(piece->p);
            piece->p = malloc(bytes);
        }
        if (!CHECK(piece->p != NULL))
            break;
        piece->bytes = bytes;
        piece->value = (unsigned char)(random >> 40);
        memset(piece->p, piece->value, bytes);
    }
    for (int i = 0; i < PIECES; i++)
        free(pieces[i].p);
    free(pieces);
    return NULL;
}

static void test_malloc_threads(void)
{
    pthread_t threads[4];

    for (uintptr_t i = 0; i < 4; i++)
        EQUAL(pthread_create(&threads[i], NULL, test_malloc, (void *)(i * 777)), 0);
    for (int i = 0; i < 4; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

static void test_many_mappings(void)
{
    enum { COUNT = 400 };
    static unsigned char *p[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        p[i] = map((1 + i % 7) * PAGE, PROT_READ | PROT_WRITE, 0);
        if (p[i])
            memset(p[i], (int)(i % 251), (1 + i % 7) * PAGE);
    }
    for (size_t i = 0; i < COUNT; i += 2)
        OK(munmap(p[i], (1 + i % 7) * PAGE));
    for (size_t i = 1; i < COUNT; i += 2) {
        CHECK(all_bytes(p[i], (1 + i % 7) * PAGE, (unsigned char)(i % 251)));
        OK(munmap(p[i], (1 + i % 7) * PAGE));
    }
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : NULL;

    setvbuf(stdout, NULL, _IOLBF, 0);
    test_demand_zero();
    test_partial_unmap();
    test_protect();
    test_brk();
    test_calls_and_protection(folder);
    test_file_mapping(folder);
    test_many_mappings();
    test_malloc(NULL);
    test_malloc_threads();
    return check_end("mem");
}
