// SPDX-License-Identifier: MIT
/*
 * Locks on files, between open files of one process: flock, OFD ranges, and ranges of the process.
 * `locks DIR` works in a file there.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <include/check.h>

static char path[4096];

static int opened(int flags) { return (int)OK(open(path, flags | O_CREAT, 0644)); }

static int set(int fd, int command, short type, long start, long length)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

    return fcntl(fd, command, &l);
}

static struct flock get(int fd, int command, short type, long start, long length)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };

    OK(fcntl(fd, command, &l));
    return l;
}

static void test_flock(void)
{
    int a = opened(O_RDWR), b = opened(O_RDONLY), c = (int)OK(dup(a));

    OK(flock(a, LOCK_SH));
    OK(flock(b, LOCK_SH));
    FAILS(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    OK(flock(b, LOCK_UN));
    OK(flock(a, LOCK_EX | LOCK_NB));
    OK(flock(c, LOCK_EX | LOCK_NB)); /* the same open file */
    FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    close(a);
    FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    close(c);
    OK(flock(b, LOCK_EX | LOCK_NB));
    FAILS(flock(b, 77), EINVAL);
    FAILS(flock(-1, LOCK_SH), EBADF);
    close(b);
}

static void test_ranges(void)
{
    int a = opened(O_RDWR), b = opened(O_RDWR), r = opened(O_RDONLY);
    struct flock l;

    OK(set(a, F_OFD_SETLK, F_WRLCK, 100, 100));
    FAILS(set(b, F_OFD_SETLK, F_RDLCK, 150, 1), EAGAIN);
    FAILS(set(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
    OK(set(b, F_OFD_SETLK, F_WRLCK, 0, 100));
    OK(set(b, F_OFD_SETLK, F_WRLCK, 200, 0));
    l = get(b, F_OFD_GETLK, F_RDLCK, 0, 1000);
    EQUAL(l.l_type, F_WRLCK);
    EQUAL(l.l_start, 100);
    EQUAL(l.l_len, 100);
    EQUAL(l.l_pid, -1);
    l = get(a, F_OFD_GETLK, F_WRLCK, 5000, 1);
    EQUAL(l.l_start, 200);
    EQUAL(l.l_len, 0);
    OK(set(a, F_OFD_SETLK, F_UNLCK, 140, 20)); /* a hole in the middle */
    OK(set(b, F_OFD_SETLK, F_RDLCK, 140, 20));
    FAILS(set(b, F_OFD_SETLK, F_RDLCK, 139, 1), EAGAIN);
    FAILS(set(b, F_OFD_SETLK, F_RDLCK, 160, 1), EAGAIN);
    OK(set(a, F_OFD_SETLK, F_RDLCK, 100, 40)); /* weaker */
    OK(set(b, F_OFD_SETLK, F_RDLCK, 100, 40));
    FAILS(set(a, F_OFD_SETLK, F_WRLCK, 100, 1), EAGAIN);
    FAILS(set(r, F_OFD_SETLK, F_WRLCK, 9000, 1), EBADF);
    FAILS(set(r, F_OFD_SETLK, 7, 9000, 1), EINVAL);
    FAILS(set(r, F_OFD_SETLK, F_RDLCK, -1, 1), EINVAL);
    close(b);
    OK(set(a, F_OFD_SETLK, F_WRLCK, 0, 0));
    close(a);
    OK(set(r, F_OFD_SETLK, F_RDLCK, 0, 0));
    close(r);
}

static void test_process(void)
{
    int a = opened(O_RDWR), b = opened(O_RDWR), c = opened(O_RDWR);
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 10 };

    OK(ftruncate(a, 1000));
    OK(fcntl(a, F_SETLK, &l));
    OK(set(b, F_SETLK, F_WRLCK, 0, 0)); /* the same process */
    EQUAL(get(b, F_GETLK, F_WRLCK, 0, 0).l_type, F_UNLCK);
    FAILS(set(b, F_OFD_SETLK, F_RDLCK, 990, 1), EAGAIN);
    l = get(b, F_OFD_GETLK, F_RDLCK, 990, 1);
    EQUAL(l.l_pid, getpid());
    OK(flock(b, LOCK_EX | LOCK_NB)); /* another kind */
    FAILS(dup2(-1, c), EBADF); /* closes nothing */
    FAILS(set(b, F_OFD_SETLK, F_RDLCK, 990, 1), EAGAIN);
    close(c); /* any close of the file lets the process's locks go */
    OK(set(b, F_OFD_SETLK, F_WRLCK, 0, 0));
    FAILS(set(a, F_SETLK, F_RDLCK, 0, 1), EAGAIN);
    close(a);
    close(b);
}

struct waiting {
    int fd, done;
};

static void *wait_for_lock(void *argument)
{
    struct waiting *w = argument;

    OK(set(w->fd, F_OFD_SETLKW, F_WRLCK, 10, 10));
    __atomic_store_n(&w->done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_waiting(void)
{
    int a = opened(O_RDWR);
    struct waiting w = { .fd = opened(O_RDWR) };
    pthread_t thread;

    OK(set(a, F_OFD_SETLK, F_WRLCK, 0, 100));
    EQUAL(pthread_create(&thread, NULL, wait_for_lock, &w), 0);
    usleep(50000);
    EQUAL(__atomic_load_n(&w.done, __ATOMIC_SEQ_CST), 0);
    OK(set(a, F_OFD_SETLK, F_UNLCK, 15, 1));
    usleep(20000);
    EQUAL(__atomic_load_n(&w.done, __ATOMIC_SEQ_CST), 0);
    OK(set(a, F_OFD_SETLK, F_UNLCK, 0, 0));
    pthread_join(thread, NULL);
    EQUAL(w.done, 1);
    close(a);
    close(w.fd);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(path, sizeof(path), "%s/locked", argc > 1 ? argv[1] : "/tmp");
    test_flock();
    test_ranges();
    test_process();
    test_waiting();
    unlink(path);
    return check_end("locks");
}
