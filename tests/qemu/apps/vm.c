// SPDX-License-Identifier: MIT
/* The address space: mremap, reservations, advice, brk at its limits, mapped files, buffers of calls. `vm DIR`. */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <include/check.h>

#define PAGE 4096ul
#define MIB (1024ul * 1024ul)
#define RW (PROT_READ | PROT_WRITE)

static unsigned char *map_at(void *at, size_t bytes, int protection, int flags)
{
    void *p = mmap(at, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void fill(unsigned char *p, size_t pages, int first)
{
    for (size_t i = 0; i < pages; i++)
        memset(p + i * PAGE, first + (int)i, PAGE);
}

static int filled(const unsigned char *p, size_t pages, int first)
{
    for (size_t i = 0; i < pages * PAGE; i++)
        if (p[i] != (unsigned char)(first + i / PAGE))
            return 0;
    return 1;
}

static void test_remap(void)
{
    unsigned char *area = map_at(NULL, 64 * PAGE, PROT_NONE, 0), *p, *q;

    p = map_at(area, 8 * PAGE, RW, MAP_FIXED);
    CHECK(p == area);
    fill(p, 8, 1);
    q = mremap(p, 8 * PAGE, 4 * PAGE, 0);
    CHECK(q == p && filled(q, 4, 1));
    q = mremap(p, 4 * PAGE, 8 * PAGE, 0); /* the hole that the shrinking made */
    CHECK(q == p && filled(q, 4, 1) && q[4 * PAGE] == 0 && q[8 * PAGE - 1] == 0);
    CHECK(mremap(p, 8 * PAGE, 16 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
    q = mremap(p, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && q != p && filled(q, 4, 1) && q[4 * PAGE] == 0 && q[16 * PAGE - 1] == 0);
    fill(q, 16, 1);
    p = mremap(q, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + 32 * PAGE);
    CHECK(p == area + 32 * PAGE && filled(p, 16, 1));
    p = mremap(p + 4 * PAGE, 4 * PAGE, 12 * PAGE, MREMAP_MAYMOVE); /* out of the middle */
    CHECK(p != MAP_FAILED && filled(p, 4, 5) && filled(area + 32 * PAGE, 4, 1) &&
          filled(area + 40 * PAGE, 8, 9));
    CHECK(mremap(area + 30 * PAGE, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
    CHECK(mremap(p + 1, PAGE, PAGE, 0) == MAP_FAILED && errno == EINVAL);
    CHECK(mremap(p, PAGE, 0, 0) == MAP_FAILED && errno == EINVAL);
    OK(munmap(p, 12 * PAGE));
    OK(munmap(area, 64 * PAGE));
}

static unsigned long free_mib(void)
{
    struct sysinfo info;
    OK(sysinfo(&info));
    return info.freeram * info.mem_unit / MIB;
}

/* Memory is promised at mmap and given back at munmap; PROT_NONE and NORESERVE promise nothing. */
static void test_reservations(void)
{
    size_t most = free_mib() * MIB;
    unsigned char *p = map_at(NULL, 1ul << 44, PROT_NONE, 0), *q;

    CHECK(p != NULL);
    OK(munmap(p, 1ul << 44));
    p = map_at(NULL, 1ul << 40, RW, MAP_NORESERVE);
    CHECK(p != NULL);
    if (p) {
        for (size_t at = 0; at < 1ul << 24; at += 1ul << 20)
            p[at] = 1;
        OK(munmap(p, 1ul << 24));
        OK(mprotect(p + (1ul << 24), 1ul << 24, PROT_NONE));
    }
    CHECK(map_at(NULL, 2 * most, RW, 0) == NULL && errno == ENOMEM);
    q = map_at(NULL, 2 * most, PROT_NONE, 0);
    FAILS(mprotect(q, 2 * most, RW), ENOMEM);
    OK(mprotect(q, 16 * PAGE, RW));
    fill(q, 16, 3);
    OK(munmap(q, 2 * most));
    for (int i = 0; i < 20; i++) { /* each round needs what the one before gave back */
        q = map_at(NULL, most / 2, RW, 0);
        CHECK(q != NULL);
        if (q) {
            q[0] = q[most / 2 - 1] = 1;
            OK(munmap(q, most / 2));
        }
    }
    for (int i = 0; i < 2000; i++) {
        q = map_at(NULL, 4 * PAGE, RW, 0);
        fill(q, 4, i);
        OK(munmap(q + PAGE, PAGE));
        OK(munmap(q, 4 * PAGE));
    }
    CHECK(free_mib() * MIB + MIB >= most);
}

static void test_placement(void)
{
    unsigned char *p = map_at(NULL, 16 * PAGE, RW, 0), *q;

    OK(munmap(p, 16 * PAGE));
    q = map_at(p, 4 * PAGE, RW, 0);
    CHECK(q == p); /* a hint that is free is taken */
    p = map_at(q, 4 * PAGE, RW, 0);
    CHECK(p && p != q);
    CHECK(map_at(q + PAGE, 4 * PAGE, RW, 0x100000) == NULL && errno == EEXIST);
    CHECK(map_at((void *)PAGE, PAGE, RW, MAP_FIXED) == NULL && errno == EPERM);
    CHECK(map_at((void *)0x7ffffffff000, PAGE, RW, MAP_FIXED) == NULL && errno == ENOMEM);
    CHECK(map_at(q + 1, PAGE, RW, MAP_FIXED) == NULL && errno == EINVAL);
    OK(munmap(p, 4 * PAGE));
    OK(munmap(q, 4 * PAGE));
}

static void test_advice(void)
{
    unsigned char *p = map_at(NULL, 8 * PAGE, RW, 0);

    fill(p, 8, 1);
    OK(mprotect(p + 3 * PAGE, PAGE, PROT_READ));
    OK(madvise(p + 2 * PAGE, 3 * PAGE, MADV_DONTNEED));
    CHECK(filled(p, 2, 1) && filled(p + 5 * PAGE, 3, 6));
    for (size_t i = 2 * PAGE; i < 5 * PAGE; i++)
        if (!CHECK(p[i] == 0))
            break;
    p[2 * PAGE] = 1;
    OK(madvise(p, 8 * PAGE, MADV_WILLNEED));
    FAILS(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
    FAILS(madvise(p, PAGE, 999), EINVAL);
    OK(munmap(p + PAGE, PAGE));
    FAILS(madvise(p, 8 * PAGE, MADV_DONTNEED), ENOMEM);
    OK(munmap(p, 8 * PAGE));
}

/* What PROT_NONE hides is there again afterwards; a call never writes through it. */
static void test_hidden(void)
{
    unsigned char *p = map_at(NULL, 4 * PAGE, RW, 0);
    int zero = OK(open("/dev/zero", O_RDONLY));

    fill(p, 4, 7);
    OK(mprotect(p + PAGE, PAGE, PROT_NONE));
    FAILS(read(zero, p + PAGE, 16), EFAULT);
    EQUAL(read(zero, p + PAGE - 16, 16), 16);
    EQUAL(read(zero, p + PAGE - 16, 32), 16);
    FAILS(syscall(SYS_uname, p + PAGE), EFAULT);
    OK(mprotect(p, 4 * PAGE, PROT_READ));
    FAILS(syscall(SYS_uname, p + 2 * PAGE), EFAULT);
    CHECK(filled(p + PAGE, 3, 8));
    FAILS(read(zero, (void *)0xffff800000000000ul, 16), EFAULT);
    FAILS(write(1, (void *)0xffff800000000000ul, 16), EFAULT);
    FAILS(write(1, (void *)0x7ffffffffff8, 16), EFAULT);
    FAILS(read(zero, NULL, 16), EFAULT);
    OK(close(zero));
    OK(munmap(p, 4 * PAGE));
}

static void test_brk(void)
{
    uintptr_t begin = (uintptr_t)syscall(SYS_brk, 0);

    EQUAL(syscall(SYS_brk, begin + 5), (long)begin + 5);
    *(volatile char *)begin = 1;
    EQUAL(syscall(SYS_brk, begin + (1ul << 40)), (long)begin + 5); /* more than there is */
    EQUAL(syscall(SYS_brk, 0x7ffffffff000), (long)begin + 5);
    EQUAL(syscall(SYS_brk, begin + MIB), (long)(begin + MIB));
    for (uintptr_t p = begin + 5; p < begin + MIB; p += 512)
        if (!CHECK(*(volatile char *)p == 0))
            break;
    EQUAL(syscall(SYS_brk, begin), (long)begin);
}

/* Every element of a vector counts, also the ones that are empty or lie in a fresh page. */
static void test_vectors(const char *folder)
{
    enum { COUNT = 1024 };
    static struct iovec v[COUNT + 1];
    unsigned char *p = map_at(NULL, COUNT * PAGE, RW, 0), *q = map_at(NULL, COUNT * PAGE, RW, 0);
    char path[256];

    snprintf(path, sizeof(path), "%s/vm.vectors", folder);
    int fd = OK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
    long total = 0;
    for (size_t i = 0; i < COUNT; i++) {
        v[i] = (struct iovec){p + i * PAGE + i % 100, i % 5 ? i : 0};
        memset(v[i].iov_base, (int)i, v[i].iov_len);
        total += (long)v[i].iov_len;
    }
    EQUAL(writev(fd, v, COUNT), total);
    EQUAL(lseek(fd, 0, SEEK_CUR), total);
    for (size_t i = 0; i < COUNT; i++)
        v[i].iov_base = q + i * PAGE + i % 100;
    EQUAL(preadv(fd, v, COUNT, 0), total);
    for (size_t i = 0; i < COUNT; i++)
        if (!CHECK(memcmp(p + i * PAGE + i % 100, v[i].iov_base, v[i].iov_len) == 0))
            break;
    EQUAL(pwritev(fd, v, 3, total - 3), 3);
    FAILS(readv(fd, v, COUNT + 1), EINVAL);
    FAILS(readv(fd, v, -1), EINVAL);
    EQUAL(readv(fd, v, 0), 0);
    FAILS(writev(fd, (void *)16, 2), EFAULT);
    v[1] = (struct iovec){p, (size_t)-1};
    FAILS(writev(fd, v, 2), EINVAL);
    OK(lseek(fd, 0, SEEK_SET));
    v[0] = (struct iovec){p, 10};
    v[1] = (struct iovec){(void *)0x10000, 10};
    EQUAL(writev(fd, v, 2), 10); /* as far as it goes */
    FAILS(pread(fd, p, 4, -1), EINVAL);
    FAILS(pread(1, p, 4, 0), ESPIPE);
    FAILS(lseek(1, 0, SEEK_CUR), ESPIPE);
    OK(close(fd));
    OK(unlink(path));
    OK(munmap(p, COUNT * PAGE));
    OK(munmap(q, COUNT * PAGE));
}

static void test_files(const char *folder)
{
    char path[256];
    unsigned char *p;

    snprintf(path, sizeof(path), "%s/vm.map", folder);
    int fd = OK(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));
    OK(ftruncate(fd, 2 * (long)MIB));
    EQUAL(pwrite(fd, "end", 3, 2 * (long)MIB - 3), 3);
    p = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(p != MAP_FAILED && p[0] == 0 && memcmp(p + 2 * MIB - 3, "end", 3) == 0);
    OK(madvise(p, 2 * MIB, MADV_DONTNEED)); /* it comes back from the file */
    CHECK(memcmp(p + 2 * MIB - 3, "end", 3) == 0);
    OK(msync(p, PAGE, MS_SYNC));
    OK(munmap(p, 2 * MIB));
    p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 2 * MIB); /* behind the end: not to be touched */
    CHECK(p != MAP_FAILED);
    OK(munmap(p, 4 * PAGE));
    OK(close(fd));
    fd = OK(open(path, O_WRONLY));
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES);
    OK(close(fd));
    OK(unlink(path));
    fd = OK(open(folder, O_RDONLY));
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV);
    OK(close(fd));
}

/* All threads fault, map and unmap at once. */
static void *churn(void *argument)
{
    for (int i = 0; i < 300; i++) {
        size_t pages = 1 + (size_t)(i * 7 + (intptr_t)argument) % 40;
        unsigned char *p = map_at(NULL, pages * PAGE, RW, 0);
        if (!CHECK(p != NULL))
            return NULL;
        fill(p, pages, i);
        if (i % 3 == 0)
            p = mremap(p, pages * PAGE, 2 * pages * PAGE, MREMAP_MAYMOVE);
        CHECK(p != MAP_FAILED && filled(p, pages, i));
        OK(munmap(p, i % 3 ? pages * PAGE : 2 * pages * PAGE));
    }
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[8];
    for (intptr_t i = 0; i < 8; i++)
        EQUAL(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (int i = 0; i < 8; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "/tmp";

    setvbuf(stdout, NULL, _IOLBF, 0);
    test_remap();
    test_reservations();
    test_placement();
    test_advice();
    test_hidden();
    test_brk();
    test_vectors(folder);
    test_files(folder);
    test_threads();
    return check_end("vm");
}
