// SPDX-License-Identifier: MIT
/*
 * Pipes and waiting for them: order, atomic writes, the end of either side, poll and select, and the
 * calls that have nothing to wait for.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

enum { WRITERS = 4, RECORDS = 200, RECORD_BYTES = 1000 };

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void test_basics(void)
{
    int fds[2], waiting;
    char text[8] = "";
    int *volatile bad = (int *)16;
    struct stat s;

    OK(pipe2(fds, O_CLOEXEC));
    EQUAL(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    EQUAL(fcntl(fds[1], F_GETFL) & O_ACCMODE, O_WRONLY);
    OK(fstat(fds[0], &s));
    CHECK(S_ISFIFO(s.st_mode));
    EQUAL(write(fds[1], "abcdef", 6), 6);
    OK(ioctl(fds[0], FIONREAD, &waiting));
    EQUAL(waiting, 6);
    EQUAL(read(fds[0], text, 4), 4);
    EQUAL(read(fds[0], text + 4, 4), 2);
    CHECK(!strcmp(text, "abcdef"));
    EQUAL(read(fds[0], text, 0), 0);
    FAILS(read(fds[1], text, 1), EBADF);
    FAILS(write(fds[0], text, 1), EBADF);
    FAILS(lseek(fds[0], 0, SEEK_SET), ESPIPE);
    FAILS(pread(fds[0], text, 1, 0), ESPIPE);
    FAILS(write(fds[1], (void *)16, 5), EFAULT);
    struct iovec parts[3] = { { "x", 1 }, { "", 0 }, { "yz", 2 } };
    EQUAL(writev(fds[1], parts, 3), 3);
    OK(close(fds[1]));
    EQUAL(read(fds[0], text, 8), 3);
    EQUAL(read(fds[0], text, 8), 0);
    OK(close(fds[0]));
    FAILS(pipe2(fds, 0x40000000), EINVAL);
    FAILS(pipe(bad), EFAULT);
}

static void test_nonblocking(void)
{
    static char block[4096];
    long bytes = 0, step;
    int fds[2];

    OK(pipe2(fds, O_NONBLOCK));
    FAILS(read(fds[0], block, 1), EAGAIN);
    while ((step = write(fds[1], block, sizeof(block))) > 0)
        bytes += step;
    EQUAL(errno, EAGAIN);
    EQUAL(bytes, fcntl(fds[1], F_GETPIPE_SZ));
    EQUAL(read(fds[0], block, 100), 100);
    FAILS(write(fds[1], block, 200), EAGAIN); /* as a whole or not at all */
    OK(close(fds[0]));
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(fds[1], block, 1), EPIPE);
    OK(close(fds[1]));
}

struct writer {
    pthread_t thread;
    int fd, number;
};

static void *write_records(void *argument)
{
    struct writer *w = argument;
    char record[RECORD_BYTES];

    memset(record, 'a' + w->number, sizeof(record));
    for (int i = 0; i < RECORDS; i++)
        EQUAL(write(w->fd, record, sizeof(record)), RECORD_BYTES);
    return NULL;
}

/* Records of several writers come whole, and a reader gets all of them. */
static void test_writers(void)
{
    struct writer writers[WRITERS];
    int fds[2], counts[WRITERS] = { 0 }, torn = 0;
    char record[RECORD_BYTES];

    OK(pipe(fds));
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .fd = fds[1], .number = i };
        EQUAL(pthread_create(&writers[i].thread, NULL, write_records, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS * RECORDS; i++) {
        size_t have = 0;
        while (have < sizeof(record)) {
            ssize_t got = read(fds[0], record + have, sizeof(record) - have);
            if (!CHECK(got > 0))
                return;
            have += (size_t)got;
        }
        for (int k = 1; k < RECORD_BYTES; k++)
            torn += record[k] != record[0];
        counts[record[0] - 'a']++;
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        EQUAL(counts[i], RECORDS);
    }
    EQUAL(torn, 0);
    close(fds[0]);
    close(fds[1]);
}

static void *write_much(void *argument)
{
    int fd = *(int *)argument;
    static char block[300000];

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)(i * 7 >> 3);
    EQUAL(write(fd, block, sizeof(block)), (long)sizeof(block));
    close(fd);
    return NULL;
}

static void test_large(void)
{
    pthread_t thread;
    int fds[2];
    char part[999];
    size_t have = 0, wrong = 0;
    ssize_t got;

    OK(pipe(fds));
    EQUAL(pthread_create(&thread, NULL, write_much, &fds[1]), 0);
    while ((got = read(fds[0], part, sizeof(part))) > 0)
        for (ssize_t i = 0; i < got; i++, have++)
            wrong += part[i] != (char)(have * 7 >> 3);
    EQUAL(got, 0);
    EQUAL(have, 300000);
    EQUAL(wrong, 0);
    pthread_join(thread, NULL);
    close(fds[0]);
}

static void *write_later(void *argument)
{
    usleep(50000);
    EQUAL(write(*(int *)argument, "x", 1), 1);
    return NULL;
}

static void test_poll(void)
{
    struct timespec short_time = { .tv_nsec = 20000000 };
    pthread_t thread;
    int fds[2], file = OK(open("/dev/null", O_RDWR));
    long long begin;
    char c;

    OK(pipe(fds));
    struct pollfd p[3] = { { fds[0], POLLIN, 0 }, { -1, POLLIN, 0 }, { fds[0], POLLOUT, 0 } };
    EQUAL(poll(p, 3, 0), 0);
    begin = now_ms();
    EQUAL(poll(p, 1, 30), 0);
    CHECK(now_ms() - begin >= 29);
    EQUAL(ppoll(p, 1, &short_time, NULL), 0);
    EQUAL(pthread_create(&thread, NULL, write_later, &fds[1]), 0);
    EQUAL(poll(p, 1, 10000), 1);
    EQUAL(p[0].revents, POLLIN);
    pthread_join(thread, NULL);
    p[1] = (struct pollfd){ fds[1], POLLOUT | POLLIN, 0 };
    p[2] = (struct pollfd){ file, POLLIN | POLLOUT, 0 };
    EQUAL(poll(p, 3, -1), 3);
    EQUAL(p[1].revents, POLLOUT);
    EQUAL(p[2].revents, POLLIN | POLLOUT);
    EQUAL(read(fds[0], &c, 1), 1);
    close(fds[1]);
    EQUAL(poll(p, 1, -1), 1);
    EQUAL(p[0].revents, POLLHUP);
    EQUAL(poll(p + 1, 1, -1), 1);
    EQUAL(p[1].revents, POLLNVAL);
    close(fds[0]);
    OK(pipe(fds));
    close(fds[0]);
    p[0] = (struct pollfd){ fds[1], 0, 0 };
    EQUAL(poll(p, 1, -1), 1);
    EQUAL(p[0].revents, POLLERR);
    close(fds[1]);
    close(file);
    FAILS(poll((void *)16, 1, 0), EFAULT);
    EQUAL(poll(NULL, 0, 1), 0);
}

static void test_select(void)
{
    struct timeval t = { .tv_usec = 30000 };
    struct timespec ts = { .tv_sec = 5 };
    pthread_t thread;
    fd_set in, out;
    int fds[2];

    OK(pipe(fds));
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(fds[0], &in);
    EQUAL(select(fds[1] + 1, &in, NULL, NULL, &t), 0);
    CHECK(!FD_ISSET(fds[0], &in));
    FD_SET(fds[0], &in);
    FD_SET(fds[1], &out);
    EQUAL(select(fds[1] + 1, &in, &out, NULL, NULL), 1);
    CHECK(!FD_ISSET(fds[0], &in) && FD_ISSET(fds[1], &out));
    FD_SET(fds[0], &in);
    EQUAL(pthread_create(&thread, NULL, write_later, &fds[1]), 0);
    EQUAL(pselect(fds[0] + 1, &in, NULL, NULL, &ts, NULL), 1);
    CHECK(FD_ISSET(fds[0], &in));
    pthread_join(thread, NULL);
    close(fds[0]);
    close(fds[1]);
    FD_SET(fds[0], &in);
    FAILS(select(fds[0] + 1, &in, NULL, NULL, NULL), EBADF);
    FAILS(select(-1, NULL, NULL, NULL, NULL), EINVAL);
}

static void test_epoll(void)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 7 }, got[4];
    struct itimerspec soon = { .it_value.tv_nsec = 30000000, .it_interval.tv_nsec = 10000000 };
    int set = (int)OK(epoll_create1(EPOLL_CLOEXEC)), counter = (int)OK(eventfd(0, EFD_NONBLOCK));
    int clock = (int)OK(timerfd_create(CLOCK_MONOTONIC, 0)), fds[2];
    uint64_t value = 5;

    OK(pipe(fds));
    OK(epoll_ctl(set, EPOLL_CTL_ADD, fds[0], &event));
    FAILS(epoll_ctl(set, EPOLL_CTL_ADD, fds[0], &event), EEXIST);
    event.data.u64 = 8;
    OK(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event));
    EQUAL(epoll_wait(set, got, 4, 10), 0);
    EQUAL(write(fds[1], "x", 1), 1);
    EQUAL(epoll_wait(set, got, 4, -1), 1);
    EQUAL(got[0].data.u64, 7);
    EQUAL(got[0].events, EPOLLIN);
    FAILS(read(counter, &value, 8), EAGAIN);
    EQUAL(write(counter, &value, 8), 8);
    EQUAL(epoll_wait(set, got, 4, -1), 2);
    EQUAL(read(counter, &value, 8), 8);
    EQUAL(value, 5);
    OK(epoll_ctl(set, EPOLL_CTL_DEL, fds[0], NULL));
    FAILS(epoll_ctl(set, EPOLL_CTL_MOD, fds[0], &event), ENOENT);
    EQUAL(epoll_wait(set, got, 4, 0), 0);
    event = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 9 };
    OK(epoll_ctl(set, EPOLL_CTL_ADD, clock, &event));
    OK(timerfd_settime(clock, 0, &soon, NULL));
    EQUAL(epoll_wait(set, got, 4, 10000), 1);
    EQUAL(got[0].data.u64, 9);
    EQUAL(epoll_wait(set, got, 4, 0), 0);
    usleep(50000);
    EQUAL(read(clock, &value, 8), 8);
    CHECK(value >= 4);
    soon = (struct itimerspec){ 0 };
    OK(timerfd_settime(clock, 0, &soon, NULL));
    FAILS(epoll_wait(counter, got, 4, 0), EINVAL);
    FAILS(epoll_wait(set, got, 0, 0), EINVAL);
    close(counter);
    close(clock);
    close(fds[0]);
    close(fds[1]);
    close(set);
}

static int epoll_set;

static void *wait_for_epoll(void *fd)
{
    struct epoll_event event;

    long long start = now_ms();
    EQUAL(epoll_wait(epoll_set, &event, 1, 4000), 1);
    EQUAL(now_ms() - start < 4000, 1);
    EQUAL(event.data.fd, *(int *)fd);
    return NULL;
}

/* What is ready already when it is added, or asked for again, ends a wait that goes on. */
static void test_epoll_added(void)
{
    int fds[2];
    struct epoll_event in = { .events = EPOLLIN | EPOLLONESHOT };
    pthread_t thread;

    epoll_set = (int)OK(epoll_create1(0));
    OK(pipe(fds));
    EQUAL(write(fds[1], "x", 1), 1);
    in.data.fd = fds[0];
    for (int i = 0; i < 2; i++) {
        EQUAL(pthread_create(&thread, NULL, wait_for_epoll, &fds[0]), 0);
        usleep(50000);
        OK(epoll_ctl(epoll_set, i ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fds[0], &in));
        EQUAL(pthread_join(thread, NULL), 0);
    }
    close(fds[0]);
    close(fds[1]);
    for (int i = 0; i < 8; i++) { /* other files with the same numbers, and perhaps in the same memory */
        OK(pipe(fds));
        FAILS(epoll_ctl(epoll_set, EPOLL_CTL_MOD, fds[0], &in), ENOENT);
        OK(epoll_ctl(epoll_set, EPOLL_CTL_ADD, fds[0], &in));
        close(fds[i % 2]);
        close(fds[!(i % 2)]);
    }
    close(epoll_set);
}

static void test_no_children(void)
{
    int status;

    FAILS(wait(&status), ECHILD);
    FAILS(waitpid(-1, &status, WNOHANG), ECHILD);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_basics();
    test_nonblocking();
    test_writers();
    test_large();
    test_poll();
    test_select();
    test_epoll();
    test_epoll_added();
    test_no_children();
    return check_end("pipes");
}
