// SPDX-License-Identifier: MIT
/*
 * Several threads that write and sync one filesystem at the same time: `syncs [DIR]`. Each has files of its own
 * and makes them longer all the time, so that every fsync and syncfs has to write all that is dirty. All must get
 * on: syncs that hold each other up for ever do not end this program.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <include/check.h>

#define THREADS 4u
#define FILES 3u
#define ROUNDS 60u
#define PIECE 1024u

static const char *directory;

static void fill(unsigned char *piece, unsigned number, unsigned round)
{
    for (unsigned i = 0; i < PIECE; i++)
        piece[i] = (unsigned char)(number * 31 + round * 7 + i);
}

static void *worker(void *argument)
{
    unsigned id = (unsigned)(uintptr_t)argument;
    unsigned char piece[PIECE], got[PIECE];
    int fds[FILES];
    char name[256];

    for (unsigned f = 0; f < FILES; f++) {
        snprintf(name, sizeof(name), "%s/syncs-%u-%u", directory, id, f);
        fds[f] = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
        CHECK(fds[f] >= 0);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned f = 0; f < FILES; f++) {
            fill(piece, id * FILES + f, round);
            EQUAL(pwrite(fds[f], piece, PIECE, (off_t)round * PIECE), PIECE);
        }
        if ((round + id) % 2)
            EQUAL(fsync(fds[round % FILES]), 0);
        else
            EQUAL(syncfs(fds[0]), 0);
    }
    for (unsigned f = 0; f < FILES; f++) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            fill(piece, id * FILES + f, round);
            EQUAL(pread(fds[f], got, PIECE, (off_t)round * PIECE), PIECE);
            CHECK(memcmp(piece, got, PIECE) == 0);
        }
        close(fds[f]);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];

    setvbuf(stdout, NULL, _IOLBF, 0);
    directory = argc > 1 ? argv[1] : "/tmp";
    for (uintptr_t id = 0; id < THREADS; id++)
        EQUAL(pthread_create(&threads[id], NULL, worker, (void *)id), 0);
    for (unsigned id = 0; id < THREADS; id++)
        pthread_join(threads[id], NULL);
    return check_end("syncs");
}
