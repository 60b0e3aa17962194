// SPDX-License-Identifier: MIT
/*
 * Ends in the way that its argument says, with threads in every state: in the app, in a futex, asleep, writing.
 * The status must come out, and the machine must end soon.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int running;

static void *spin(void *unused)
{
    running++;
    for (;;)
        ;
    return unused;
}

static void *wait_for_lock(void *unused)
{
    running++;
    pthread_mutex_lock(&held);
    return unused;
}

static void *sleep_long(void *unused)
{
    running++;
    sleep(100000);
    return unused;
}

static void *write_on(void *unused)
{
    char block[4096] = {1};
    int fd = open("/tmp/ends", O_RDWR | O_CREAT, 0600);
    running++;
    for (;;)
        if (pwrite(fd, block, sizeof(block), 0) != sizeof(block))
            return unused;
}

/* Two that wait for what never comes: room in a pipe for the rest of a write, and a lock on @path. */
static int pipe_fds[2];
static const char *path;

static void *write_too_much(void *unused)
{
    static char bytes[65536 + 100];
    running++;
    if (write(pipe_fds[1], bytes, sizeof(bytes)) < 0)
        exit(96);
    return unused;
}

static void *lock_twice(void *unused)
{
    int a = open(path, O_RDWR | O_CREAT, 0600), b = open(path, O_RDWR);
    if (a < 0 || b < 0 || flock(a, LOCK_EX))
        exit(95);
    running++;
    flock(b, LOCK_EX);
    exit(94);
    return unused;
}

static int end_waits(void)
{
    char bytes[50];
    pthread_t t;
    if (pipe(pipe_fds) || pthread_create(&t, NULL, write_too_much, NULL) || pthread_create(&t, NULL, lock_twice, NULL))
        return 93;
    while (running < 2)
        usleep(1000);
    usleep(20000);
    if (read(pipe_fds[0], bytes, sizeof(bytes)) != sizeof(bytes))
        return 92;
    usleep(20000);
    return 9;
}

static void start_all(void)
{
    static void *(*const runs[])(void *) = {spin, wait_for_lock, sleep_long, write_on};
    pthread_mutex_lock(&held);
    for (int i = 0; i < 16; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, runs[i % 4], NULL))
            exit(98);
    }
    while (running < 16)
        usleep(1000);
    puts("ends: all run");
    fflush(stdout);
}

static void *exit_from_thread(void *status)
{
    usleep(20000);
    exit((int)(long)status);
}

static void *end_last(void *unused)
{
    usleep(50000);
    puts("ends: the last one");
    return unused;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    pthread_t t;

    if (strcmp(way, "busy") == 0) {
        start_all();
        return 7;
    }
    if (strcmp(way, "waits") == 0) {
        path = argv[2];
        return end_waits();
    }
    if (strcmp(way, "thread") == 0) {
        start_all();
        pthread_create(&t, NULL, exit_from_thread, (void *)8l);
        pause();
    }
    if (strcmp(way, "last") == 0) {
        pthread_create(&t, NULL, end_last, NULL);
        pthread_exit(NULL);
    }
    if (strcmp(way, "raw") == 0) {
        pthread_create(&t, NULL, end_last, NULL);
        syscall(SYS_exit, 5);
    }
    if (strcmp(way, "fork") == 0)
        return fork() == -1 && errno == ENOSYS && fork() == -1 && execv("/x", argv) == -1 &&
               errno == ENOSYS && syscall(9999) == -1 && syscall(9999) == -1 && errno == ENOSYS ? 6 : 97;
    return argc > 1 ? atoi(way) : 0;
}
