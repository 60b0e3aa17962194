// SPDX-License-Identifier: MIT
/*
 * Damaged filesystems: `wrecks DIR` mounts every file of DIR, by a loop device, reads all that it
 * finds there, changes it, and unmounts. Whatever comes back is an errno or data. One line a file;
 * status 0 when it has come to the end of all, 1 when a loop device or an unmount was refused.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMES_MAX = 200, LOOP_SET_FD = 0x4c00, LOOP_CLR_FD = 0x4c01, LOOP_CTL_GET_FREE = 0x4c82 };

static char found[NAMES_MAX][400], buffer[70000];
static unsigned found_count, calls, failed;

static void note(long result)
{
    calls++;
    failed += result < 0;
}

static void look_into(const char *dir)
{
    DIR *folder = opendir(dir);
    struct dirent *entry;
    unsigned taken = 0;

    note(folder ? 0 : -1);
    if (!folder)
        return;
    while (taken++ < 60 && (entry = readdir(folder)) && found_count < NAMES_MAX) {
        if (entry->d_name[0] == '.' || strlen(dir) > 120)
            continue;
        snprintf(found[found_count], sizeof(found[0]), "%.120s/%.255s", dir, entry->d_name);
        found_count++;
    }
    closedir(folder);
}

static void look_at(const char *path)
{
    struct stat st;
    long result = lstat(path, &st);

    note(result);
    note(readlink(path, buffer, 4096));
    if (result)
        return;
    if (S_ISDIR(st.st_mode))
        look_into(path);
    if (!S_ISREG(st.st_mode))
        return;
    int fd = open(path, O_RDONLY);
    note(fd);
    if (fd < 0)
        return;
    note(pread(fd, buffer, sizeof(buffer), 0));
    note(pread(fd, buffer, sizeof(buffer), st.st_size / 2));
    note(pread(fd, buffer, sizeof(buffer), st.st_size > 60000 ? st.st_size - 60000 : 0));
    close(fd);
}

static void change(const char *path, unsigned number)
{
    char other[500];
    struct stat st;
    int fd;

    snprintf(other, sizeof(other), "%s-new", path);
    switch (number % 8) {
    case 0:
    case 1:
        if (lstat(path, &st) || !S_ISREG(st.st_mode))
            break;
        fd = open(path, O_RDWR);
        note(fd);
        if (fd < 0)
            break;
        note(pwrite(fd, buffer, 9000, number % 16 < 8 ? st.st_size : 5000 * number));
        note(fsync(fd));
        close(fd);
        break;
    case 2: note(unlink(path)); break;
    case 3: note(rmdir(path)); break;
    case 4: note(truncate(path, 4000 * number)); break;
    case 5: note(mkdir(other, 0755)); break;
    case 6: note(rename(path, found[number * 7 % found_count])); break;
    case 7: note(link(path, other)); break;
    }
}

static int attach(const char *file, char device[32])
{
    int control = open("/dev/loop-control", O_RDWR), fd = open(file, O_RDWR);
    int number = ioctl(control, LOOP_CTL_GET_FREE);

    snprintf(device, 32, "/dev/loop%d", number);
    int loop = open(device, O_RDWR);
    int result = loop < 0 || fd < 0 ? -1 : ioctl(loop, LOOP_SET_FD, fd);
    close(control);
    close(fd);
    if (result)
        close(loop);
    return result ? -1 : loop;
}

/* 0, or 1 when it could not be taken away again. */
static int try_one(const char *file)
{
    char device[32];
    int bad = 0, loop = attach(file, device);

    if (loop < 0) {
        printf("%s: no loop device: %s\n", file, strerror(errno));
        return 1;
    }
    calls = failed = found_count = 0;
    int mounted = mount(device, "/w", "ext2", 0, "") == 0;
    if (mounted) {
        look_into("/w");
        for (unsigned i = 0; i < found_count; i++)
            look_at(found[i]);
        for (unsigned i = 0; i < found_count; i++)
            change(found[i], i);
        sync();
        for (unsigned i = 0, end = found_count; i < end; i++)
            look_at(found[i]);
        bad = umount("/w") != 0;
    }
    int error = errno;
    if (!bad)
        ioctl(loop, LOOP_CLR_FD, 0);
    close(loop);
    if (bad)
        printf("%s: UNMOUNT: %s\n", file, strerror(error));
    else if (mounted)
        printf("%s: %u calls, %u errors\n", file, calls, failed);
    else
        printf("%s: not mounted: %s\n", file, strerror(error));
    return bad;
}

int main(int argc, char **argv)
{
    static char names[NAMES_MAX][300];
    unsigned count = 0, bad = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!dir || (mkdir("/w", 0755) && errno != EEXIST)) {
        perror("wrecks DIR");
        return 2;
    }
    while ((entry = readdir(dir)) && count < NAMES_MAX)
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            snprintf(names[count++], sizeof(names[0]), "%s/%.255s", argv[1], entry->d_name);
    closedir(dir);
    for (unsigned i = 0; i < count; i++)
        bad += (unsigned)try_one(names[i]);
    printf("wrecks: %u files, %u bad\n", count, bad);
    return bad > 0;
}
