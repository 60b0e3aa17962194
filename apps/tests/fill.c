// SPDX-License-Identifier: MIT
/*
 * A full file system: `fill [DIR]` writes until ENOSPC, checks that what was written is there, that
 * files can still be read and removed, and that the space comes back. Not for a large disk.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include <include/check.h>

static uint32_t buf[1024];

static void pattern(uint32_t number)
{
    for (uint32_t i = 0; i < 1024; i++)
        buf[i] = number * 2654435761u + i;
}

/* Write blocks until there is no room; returns how many whole ones fitted. */
static uint32_t fill_up(int fd)
{
    uint32_t number;

    for (number = 0;; number++) {
        ssize_t done;

        pattern(number);
        done = pwrite(fd, buf, sizeof(buf), (off_t)number * (off_t)sizeof(buf));
        if (done != (ssize_t)sizeof(buf)) {
            if (done < 0)
                EQUAL(errno, ENOSPC);
            return number;
        }
    }
}

static void check_blocks(int fd, uint32_t count)
{
    static uint32_t got[1024];

    for (uint32_t number = 0; number < count; number++) {
        pattern(number);
        EQUAL(pread(fd, got, sizeof(got), (off_t)number * (off_t)sizeof(got)), (long)sizeof(got));
        if (!CHECK(memcmp(got, buf, sizeof(got)) == 0))
            return;
    }
}

int main(int argc, char **argv)
{
    struct statfs before, after;
    uint32_t count;
    int fd;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (OK(chdir(argc > 1 ? argv[1] : ".")) < 0)
        return check_end("fill");
    sync();
    OK(statfs(".", &before));
    fd = OK(open("filler", O_RDWR | O_CREAT | O_EXCL, 0644));
    count = fill_up(fd);
    CHECK(count > 0);
    FAILS(pwrite(fd, buf, sizeof(buf), (off_t)(count + 8) * (off_t)sizeof(buf)), ENOSPC);
    OK(fsync(fd));
    check_blocks(fd, count);
    pattern(0);
    EQUAL(pwrite(fd, buf, sizeof(buf), 0), (long)sizeof(buf)); /* needs no new block */
    OK(fsync(fd));
    OK(close(fd));
    fd = OK(open("filler", O_RDWR));
    check_blocks(fd, count);
    OK(ftruncate(fd, 0));
    sync();
    CHECK(fill_up(fd) + 16 >= count);
    OK(close(fd));
    OK(unlink("filler"));
    for (int i = 0; i < 100; i++) {
        sync();
        OK(statfs(".", &after));
        if (after.f_bfree >= before.f_bfree)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    CHECK(after.f_bfree >= before.f_bfree);
    printf("fill: %u blocks of 4 KiB fitted\n", count);
    return check_end("fill");
}
