// SPDX-License-Identifier: MIT
/*
 * shallow FOLDER THREADS: so many threads, one after the other, write, sync and read a file in FOLDER. Then what
 * /sys/stack/growth says of all threads that have ended: how many pages of stack they had at most, and the faults.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char name[200];

static void *work(void *unused)
{
    static char block[4096], back[4096];
    int file = open(name, O_RDWR | O_CREAT, 0600);

    memset(block, 'x', sizeof(block));
    if (file < 0 || pwrite(file, block, sizeof(block), 0) != sizeof(block) || fsync(file) ||
        pread(file, back, sizeof(back), 0) != sizeof(back) || memcmp(block, back, sizeof(block)))
        exit(3);
    close(file);
    return unused;
}

static void show(const char *file)
{
    char text[4096], path[100];
    snprintf(path, sizeof(path), "/sys/stack/growth/%s", file);
    int fd = open(path, O_RDONLY);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (bytes < 0)
        exit(4);
    text[bytes] = 0;
    close(fd);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        printf("%s: %s\n", file, line);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    snprintf(name, sizeof(name), "%s/shallow", argv[1]);
    for (int i = 0; i < atoi(argv[2]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, NULL))
            return 5;
    }
    usleep(20000);
    show("faults");
    show("histogram");
    return 0;
}
