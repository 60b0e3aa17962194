// SPDX-License-Identifier: MIT
/*
 * Mapped files: what a shared mapping, read and write see of each other, private copies, the end of
 * the file, truncation under a mapping, write-back while threads write. `mapped DIR` works in DIR,
 * and leaves the file `kept` there: KEPT_PAGES pages, each full of its number plus 'a'.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <include/check.h>

enum { PAGE = 4096, KEPT_PAGES = 20, WRITERS = 4, ROUNDS = 3000 };

static char path[4096];
static sigjmp_buf back;
static volatile sig_atomic_t last_signal;

static void on_fault(int signal)
{
    last_signal = signal;
    siglongjmp(back, 1);
}

/* The signal that touching it gives; 0: none. */
static int touch(volatile char *at, int write)
{
    last_signal = 0;
    if (!sigsetjmp(back, 1)) {
        char c = *at;
        if (write)
            *at = c;
    }
    return last_signal;
}

static int fresh(const char *name, off_t size)
{
    char text[4200];
    snprintf(text, sizeof(text), "%s/%s", path, name);
    int fd = (int)OK(open(text, O_RDWR | O_CREAT | O_TRUNC, 0644));
    OK(ftruncate(fd, size));
    return fd;
}

static void remove_it(const char *name)
{
    char text[4200];
    snprintf(text, sizeof(text), "%s/%s", path, name);
    OK(unlink(text));
}

static char *map(int fd, size_t pages, int protection, int flags, off_t offset)
{
    char *p = mmap(NULL, pages * PAGE, protection, flags, fd, offset);
    CHECK(p != MAP_FAILED);
    return p;
}

static void test_shared(void)
{
    int fd = fresh("shared", 3 * PAGE + 100);
    char *a = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *b = map(fd, 2, PROT_READ, MAP_SHARED, PAGE);
    char text[16] = "";
    struct stat s;

    a[PAGE + 5] = 'x'; /* a hole */
    EQUAL(b[5], 'x');
    EQUAL(pread(fd, text, 3, PAGE + 4), 3);
    CHECK(!memcmp(text, "\0x\0", 3));
    EQUAL(pwrite(fd, "hello", 5, PAGE + 10), 5);
    CHECK(!memcmp(b + 10, "hello", 5));
    CHECK(!memcmp(a + PAGE + 10, "hello", 5));
    OK(msync(a, 4 * PAGE, MS_SYNC));
    a[PAGE + 6] = 'y'; /* writable again after it was written out */
    OK(fsync(fd));
    a[PAGE + 7] = 'z';
    EQUAL(pread(fd, text, 3, PAGE + 5), 3);
    CHECK(!memcmp(text, "xyz", 3));
    OK(fstat(fd, &s));
    EQUAL(s.st_size, 3 * PAGE + 100);
    CHECK(s.st_blocks >= 2);
    EQUAL(a[3 * PAGE + 99], 0);
    a[3 * PAGE + 99] = 'e';
    a[3 * PAGE + 100] = 'f'; /* behind the end: lost */
    EQUAL(pread(fd, text, 16, 3 * PAGE + 99), 1);
    EQUAL(text[0], 'e');
    OK(close(fd)); /* the mapping stays */
    a[0] = 'c';
    EQUAL(touch(b, 1), SIGSEGV);
    OK(munmap(a + PAGE, PAGE)); /* a hole in the mapping */
    EQUAL(touch(a + PAGE, 0), SIGSEGV);
    EQUAL(touch(a + 2 * PAGE, 1), 0);
    EQUAL(b[5], 'x');
    OK(munmap(a, 4 * PAGE));
    OK(munmap(b, 2 * PAGE));
    remove_it("shared");
}

static void test_private(void)
{
    int fd = fresh("private", 2 * PAGE);
    char text[4];

    EQUAL(pwrite(fd, "file", 4, 0), 4);
    char *p = map(fd, 2, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    char *q = map(fd, 2, PROT_READ, MAP_PRIVATE, 0);
    memcpy(p, "mine", 4);
    EQUAL(pread(fd, text, 4, 0), 4);
    CHECK(!memcmp(text, "file", 4));
    CHECK(!memcmp(q, "file", 4));
    OK(madvise(p, PAGE, MADV_DONTNEED));
    CHECK(!memcmp(p, "file", 4));
    OK(mprotect(q, PAGE, PROT_READ | PROT_WRITE));
    q[0] = 'q';
    EQUAL(p[0], 'f');
    OK(munmap(p, 2 * PAGE));
    OK(munmap(q, 2 * PAGE));
    close(fd);
    remove_it("private");
}

static void test_end(int flags)
{
    int fd = fresh("end", PAGE + 10);
    char *p = map(fd, 4, PROT_READ | PROT_WRITE, flags, 0);
    static const char block[PAGE];

    EQUAL(touch(p + PAGE, 1), 0);
    EQUAL(touch(p + PAGE + 4000, 1), 0);
    EQUAL(touch(p + 2 * PAGE, 0), SIGBUS);
    EQUAL(touch(p + 3 * PAGE, 1), SIGBUS);
    FAILS(write(fd, p + 2 * PAGE, 10), EFAULT);
    EQUAL(pread(fd, p + PAGE - 5, PAGE, 0), PAGE); /* into the mapping, over what is there */
    OK(ftruncate(fd, 3 * PAGE));
    EQUAL(touch(p + 2 * PAGE, 1), 0);
    p[2 * PAGE] = 't';
    OK(ftruncate(fd, 10));
    EQUAL(touch(p + PAGE, 1), SIGBUS);
    EQUAL(touch(p + 2 * PAGE, 0), SIGBUS);
    EQUAL(touch(p, 1), 0);
    OK(ftruncate(fd, 4 * PAGE));
    EQUAL(touch(p + 2 * PAGE, 0), 0);
    EQUAL(p[2 * PAGE], 0);
    CHECK(!memcmp(p + PAGE, block, PAGE));
    OK(munmap(p, 4 * PAGE));
    close(fd);
    remove_it("end");
}

static void test_refusals(void)
{
    int fd = fresh("refused", PAGE), fds[2];
    char text[4200];

    snprintf(text, sizeof(text), "%s/refused", path);
    int in = (int)OK(open(text, O_RDONLY)), out = (int)OK(open(text, O_WRONLY));
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, out, 0) == MAP_FAILED && errno == EACCES);
    CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, in, 0) == MAP_FAILED && errno == EACCES);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 100) == MAP_FAILED && errno == EINVAL);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 99, 0) == MAP_FAILED && errno == EBADF);
    OK(pipe(fds));
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[0], 0) == MAP_FAILED);
    char *p = map(in, 1, PROT_READ, MAP_SHARED, 0);
    FAILS(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
    OK(munmap(p, PAGE));
    p = map(in, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
    EQUAL(touch(p, 1), 0);
    FAILS(msync(p + 1, PAGE, MS_SYNC), EINVAL);
    FAILS(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    OK(munmap(p, PAGE));
    FAILS(msync(p, PAGE, MS_SYNC), ENOMEM);
    close(in);
    close(out);
    close(fd);
    close(fds[0]);
    close(fds[1]);
    remove_it("refused");
}

static void test_io_with_mapping(void)
{
    int fd = fresh("io", 8 * PAGE), other = fresh("other", 8 * PAGE);
    char *p = map(fd, 8, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    char *q = map(other, 8, PROT_READ | PROT_WRITE, MAP_SHARED, 0);

    for (int i = 0; i < 8 * PAGE; i++)
        p[i] = (char)(i * 3 >> 2);
    EQUAL(pwrite(other, p + 100, 7 * PAGE, 50), 7 * PAGE); /* from a mapping into a mapped file */
    CHECK(!memcmp(q + 50, p + 100, 7 * PAGE));
    OK(msync(q, 8 * PAGE, MS_SYNC));
    EQUAL(pread(fd, q + 3, 6 * PAGE, 11), 6 * PAGE); /* from a file into a mapping */
    CHECK(!memcmp(q + 3, p + 11, 6 * PAGE));
    EQUAL(pwrite(fd, p, PAGE, 2 * PAGE), PAGE); /* within one file */
    CHECK(!memcmp(p, p + 2 * PAGE, PAGE));
    remove_it("io");
    EQUAL(p[5], (char)(15 >> 2));
    p[5] = 'd'; /* a file without a name */
    OK(msync(p, PAGE, MS_SYNC));
    char *r = mremap(p, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
    CHECK(r != MAP_FAILED);
    EQUAL(r[5], 'd');
    EQUAL(touch(r + 8 * PAGE, 1), SIGBUS);
    r[6] = 'm';
    char c;
    EQUAL(pread(fd, &c, 1, 6), 1);
    EQUAL(c, 'm');
    OK(munmap(r, 9 * PAGE));
    OK(munmap(q, 8 * PAGE));
    close(fd);
    close(other);
    remove_it("other");
}

static char *counters;
static void *count_up(void *argument)
{
    volatile uint32_t *mine = (volatile uint32_t *)(counters + (intptr_t)argument * (PAGE - 64));

    for (int i = 0; i < ROUNDS; i++) {
        ++*mine;
        if (i % 100 == 0)
            usleep(1000);
    }
    return NULL;
}

/* Pages are written out again and again while they change: no change is lost. */
static void test_write_back(void)
{
    int fd = fresh("counters", 4 * PAGE);
    pthread_t threads[WRITERS];
    uint32_t value;

    counters = map(fd, 4, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
    for (intptr_t i = 0; i < WRITERS; i++)
        EQUAL(pthread_create(&threads[i], NULL, count_up, (void *)i), 0);
    for (int i = 0; i < 15; i++)
        OK(i % 2 ? fsync(fd) : msync(counters, 4 * PAGE, MS_SYNC));
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    OK(munmap(counters, 4 * PAGE));
    for (int i = 0; i < WRITERS; i++) {
        EQUAL(pread(fd, &value, sizeof(value), i * (PAGE - 64)), 4);
        EQUAL(value, ROUNDS);
    }
    close(fd);
    remove_it("counters");
}

/* Synced once, and changed again: the end of the program writes that out. */
static void leave_kept(void)
{
    int fd = fresh("kept", KEPT_PAGES * PAGE);
    char *p = map(fd, KEPT_PAGES, PROT_READ | PROT_WRITE, MAP_SHARED, 0);

    close(fd);
    memset(p, '-', KEPT_PAGES * PAGE);
    OK(msync(p, KEPT_PAGES * PAGE, MS_SYNC));
    for (int i = 0; i < KEPT_PAGES; i++)
        memset(p + i * PAGE, 'a' + i, PAGE);
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_fault };

    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof(path), "%s", argc > 1 ? argv[1] : "/tmp");
    OK(sigaction(SIGSEGV, &action, NULL));
    OK(sigaction(SIGBUS, &action, NULL));
    test_shared();
    test_private();
    test_end(MAP_SHARED);
    test_end(MAP_PRIVATE);
    test_refusals();
    test_io_with_mapping();
    test_write_back();
    leave_kept();
    return check_end("mapped");
}
