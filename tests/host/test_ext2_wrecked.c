// SPDX-License-Identifier: MIT
/*
 * ext2 on wrecked images: superblock, descriptors, inodes, directories, indirect blocks and bitmaps
 * are changed at random, by seed, and everything is tried on what can still be mounted. Whatever
 * comes back is an errno or data; nothing hangs, nothing is reported by the sanitizers, and the
 * mount can be ended. EXT2_WRECK_SEED, EXT2_WRECK_COUNT (of each of three kinds of filesystem).
 * EXT2_WRECK_KEEP=DIR: the wrecks are written to DIR/NUMBER, for somebody else, and not tried.
 */
#include "test_ext2.h"

#include <fcntl.h>
#include <unistd.h>

#include <arch/host/host.h>
#include <fs/ext2/ext2_disk.h>

static struct image image;
static uint8_t *pristine, *wrecked;
static size_t image_bytes;
static uint32_t block_bytes;
static uint64_t seed_now;
static uint64_t random_state;

/* What a fuzzer wants (tests/fuzz/ext2.c); all choices behind that are the seed's. */
static const uint8_t *wishes;
static size_t wishes_bytes;

static uint64_t below(uint64_t limit)
{
    uint32_t wish;
    if (wishes_bytes < sizeof(wish))
        return random_below(&random_state, limit);
    memcpy(&wish, wishes, sizeof(wish));
    wishes += sizeof(wish);
    wishes_bytes -= sizeof(wish);
    return wish % limit;
}

/* ---- what lies where, from the pristine bytes ---- */

#define PLACES_MAX 400
static uint32_t dir_blocks[PLACES_MAX], dir_block_count;
static uint32_t indirect_blocks[PLACES_MAX], indirect_count;
static uint32_t inodes[PLACES_MAX], inode_count; /* byte offsets */

static const struct ext2_super_disk *super(void)
{
    return (const void *)(pristine + EXT2_SUPER_OFFSET);
}

static const struct ext2_group_disk *group(uint32_t index)
{
    return (const struct ext2_group_disk *)(pristine +
                                            (super()->first_data_block + 1) * block_bytes) +
           index;
}

static void note(uint32_t *places, uint32_t *count, uint32_t place)
{
    if (place && *count < PLACES_MAX)
        places[(*count)++] = place;
}

static void note_inode(uint32_t offset)
{
    const struct ext2_inode_disk *inode = (const void *)(pristine + offset);
    if (!inode->links_count)
        return;
    note(inodes, &inode_count, offset);
    for (uint32_t i = 0; i < EXT2_DIRECT && mode_is_dir(inode->mode); i++)
        note(dir_blocks, &dir_block_count, inode->block[i]);
    if (!mode_is_file(inode->mode))
        return;
    for (uint32_t i = EXT2_SINGLE; i <= EXT2_TRIPLE; i++)
        note(indirect_blocks, &indirect_count, inode->block[i]);
    if (inode->block[EXT2_DOUBLE])
        note(indirect_blocks, &indirect_count,
             *(const uint32_t *)(pristine + inode->block[EXT2_DOUBLE] * block_bytes));
}

static void survey(void)
{
    uint32_t inode_bytes = super()->revision ? super()->inode_bytes : 128;
    uint32_t groups = super()->inodes_count / super()->inodes_per_group;
    block_bytes = 1024u << super()->log_block_size;
    dir_block_count = indirect_count = inode_count = 0;
    for (uint32_t g = 0; g < groups; g++)
        for (uint32_t i = 0; i < super()->inodes_per_group; i++)
            note_inode(group(g)->inode_table * block_bytes + i * inode_bytes);
}

/* ---- wrecking ---- */

static uint32_t odd_number(void)
{
    static const uint32_t numbers[] = { 0,          1,          2,         3,      7,
                                        8,          12,         0x7fff,    0x8000, 0xffff,
                                        0x7fffffff, 0x80000000, 0xffffffff };
    switch (below(4)) {
    case 0:
        return numbers[below(ARRAY_COUNT(numbers))];
    case 1:
        return (uint32_t)below(image_bytes / block_bytes + 3);
    case 2:
        return (uint32_t)random_next(&random_state);
    default:
        return 1u << below(32);
    }
}

/* Puts an odd number of 1, 2 or 4 bytes somewhere in [offset, offset + bytes), aligned. */
static void spoil(size_t offset, size_t bytes)
{
    uint32_t width = 1u << below(3), number = odd_number();
    size_t at = offset + below(bytes / width) * width;
    if (at + 4 <= image_bytes)
        memcpy(wrecked + at, &number, width);
}

static void spoil_pointer(size_t offset)
{
    uint32_t number = odd_number();
    if (below(3) == 0)
        number = indirect_blocks[below(indirect_count)];
    else if (below(3) == 0)
        number = dir_blocks[below(dir_block_count)];
    memcpy(wrecked + offset, &number, 4);
}

static void spoil_one(void)
{
    uint32_t g = (uint32_t)below(super()->inodes_count / super()->inodes_per_group), block;
    size_t inode = inodes[below(inode_count)];
    switch (below(14)) {
    case 0:
        spoil(EXT2_SUPER_OFFSET, 104);
        break;
    case 1:
        spoil((super()->first_data_block + 1) * block_bytes + g * 32, 20);
        break;
    case 2:
    case 3:
    case 4:
        spoil(inode, 128);
        break;
    case 5:
    case 6:
        spoil_pointer(inode + 40 + below(EXT2_POINTERS) * 4);
        break;
    case 7:
    case 8:
    case 9:
        block = dir_blocks[below(dir_block_count)];
        spoil(block * block_bytes, below(2) ? 64 : block_bytes);
        break;
    case 10:
    case 11:
        block = indirect_blocks[below(indirect_count)];
        for (uint64_t n = 1 + below(40); n; n--)
            spoil_pointer(block * block_bytes + below(below(2) ? 8 : block_bytes / 4) * 4);
        break;
    case 12:
        block = below(2) ? group(g)->block_bitmap : group(g)->inode_bitmap;
        memset(wrecked + block * block_bytes + below(block_bytes - 40), below(2) ? 0 : 0xff,
               1 + below(40));
        break;
    case 13:
        spoil(below(image_bytes / 4), 4096);
        break;
    }
}

/* ---- everything that can be done ---- */

static void expect_errno(long result, const char *what)
{
    static const int known[] = {
        EIO,          EUCLEAN, ENOENT,    ENOTDIR, EISDIR,     EEXIST, ENOSPC,
        EINVAL,       EROFS,   ENOTEMPTY, EMLINK,  EPERM,      ELOOP,  EFBIG,
        ENAMETOOLONG, EBUSY,   ENXIO,     EACCES,  EOPNOTSUPP, ENODEV, EXDEV,
    };
    for (size_t i = 0; i < ARRAY_COUNT(known) && result < 0; i++)
        if (result == -known[i])
            return;
    if (result < 0)
        print_error("seed %lu: %s: %s\n", (unsigned long)seed_now, what, errno_name((int)result));
    assert_true(result >= 0);
}

#define VISITS_MAX 120
struct visit {
    char path[400];
};
static struct visit visits[VISITS_MAX];
static uint32_t visit_count;

struct visit_sink {
    struct dir_sink sink;
    const char *dir;
    uint32_t taken;
};

static bool visit_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                       uint32_t mode, uint64_t next_offset)
{
    struct visit_sink *v = container_of(sink, struct visit_sink, sink);
    (void)number, (void)mode, (void)next_offset;
    if (visit_count == VISITS_MAX || v->taken++ > 40)
        return false;
    if (name[0] == '.' || strlen(v->dir) + length + 2 > sizeof(visits[0].path))
        return true;
    snprintf(visits[visit_count++].path, sizeof(visits[0].path), "%s/%.*s", v->dir, (int)length,
             name);
    return true;
}
static const struct dir_sink_ops visit_sink_ops = { .emit = visit_emit };

static uint8_t scratch[70000];

static void look_at(const char *path)
{
    struct file *file;
    expect_errno(vfs_readlink(NULL, path, (char *)scratch, 1000), "readlink");
    long err = vfs_open(NULL, path, OPEN_READ | OPEN_NONBLOCK, 0, &file);
    expect_errno(err, "open");
    if (err)
        return;
    uint64_t size = file->inode->size;
    if (mode_is_dir(file->inode->mode)) {
        struct visit_sink v = { .sink = { &visit_sink_ops }, .dir = path };
        expect_errno(vfs_readdir(file, &v.sink), "readdir");
    } else if (mode_is_file(file->inode->mode)) {
        expect_errno(vfs_read(file, scratch, sizeof(scratch), 0), "read");
        expect_errno(vfs_read(file, scratch, sizeof(scratch), size > 60000 ? size - 60000 : 0),
                     "read");
        expect_errno(vfs_read(file, scratch, sizeof(scratch), size / 2), "read");
    }
    file_put(file);
}

static void change(const char *path)
{
    char other[500];
    struct file *file;
    snprintf(other, sizeof(other), "%s-new", path);
    switch (below(9)) {
    case 0:
    case 1:
        if (vfs_open(NULL, path, OPEN_READ_WRITE | OPEN_NONBLOCK, 0, &file))
            break;
        if (mode_is_file(file->inode->mode)) {
            uint64_t offset = below(2) ? below(400000) : file->inode->size;
            expect_errno(vfs_write(file, scratch, 1 + below(9000), offset), "write");
            expect_errno(vfs_sync(file, below(2)), "fsync");
        }
        file_put(file);
        break;
    case 2:
        expect_errno(vfs_unlink(NULL, path), "unlink");
        break;
    case 3:
        expect_errno(vfs_rmdir(NULL, path), "rmdir");
        break;
    case 4:
        expect_errno(vfs_truncate_path(NULL, path, below(400000)), "truncate");
        break;
    case 5:
        expect_errno(make_dir(other), "mkdir");
        break;
    case 6:
        expect_errno(vfs_rename(NULL, path, NULL, visits[below(visit_count)].path, false),
                     "rename");
        break;
    case 7:
        expect_errno(vfs_link(NULL, path, NULL, other, 0), "link");
        break;
    case 8:
        expect_errno(vfs_create_node(NULL, other, MODE_FILE | 0600, 0), "create");
        break;
    }
}

static uint64_t mounted;

STEP(try_step)
{
    long err = mount_image(&image, below(8) ? 0 : MOUNT_READ_ONLY);
    expect_errno(err, "mount");
    if (err)
        return;
    mounted++;
    visit_count = 0;
    look_at("/m");
    for (uint32_t i = 0; i < visit_count; i++)
        look_at(visits[i].path);
    for (uint32_t i = 0; i < visit_count; i++)
        change(visits[i].path);
    expect_errno(vfs_sync_all(), "sync");
    for (uint32_t i = 0; i < visit_count; i++)
        look_at(visits[i].path);
    err = vfs_unmount("/m", false);
    if (err)
        print_error("seed %lu: unmount: %s\n", (unsigned long)seed_now, errno_name((int)err));
    assert_int_equal(err, 0);
}

/* ---- */

STEP(populate_step)
{
    char name[100];
    OK(mount_image(&image, 0));
    for (int d = 0; d < 4; d++) {
        sprintf(name, "/m/d%d", d);
        OK(make_dir(name));
        for (int i = 0; i < 12; i++) {
            sprintf(name, "/m/d%d/file-with-some-name-%d", d, i);
            OK(write_pattern(name, 1, 0, (size_t)(i * i) * 40));
        }
    }
    OK(write_pattern("/m/middle", 2, 0, 100000));
    OK(write_pattern("/m/large", 3, 0, 400000));
    OK(write_pattern("/m/far", 4, 90000000, 3000));
    OK(make_dir("/m/d1/e"));
    OK(make_dir("/m/d1/e/f"));
    OK(vfs_symlink(NULL, "middle", "/m/fast"));
    OK(vfs_symlink(NULL, "a-target-that-does-not-fit-into-the-sixty-bytes-of-the-pointers",
                   "/m/slow"));
    OK(vfs_unmount("/m", false));
}

static void load(const char *options)
{
    image_make(&image, "x", MIB(2), options, NULL);
    image_attach(&image);
    run(&populate_step, NULL);
    image_detach(&image);
    assert_true(image_is_clean(&image));
    int fd = open(image.path, O_RDONLY | O_CLOEXEC);
    image_bytes = MIB(2);
    pristine = malloc(image_bytes);
    wrecked = malloc(image_bytes);
    assert_int_equal(pread(fd, pristine, image_bytes, 0), image_bytes);
    close(fd);
    survey();
}

/* The wreck becomes a file of its own, if that is asked for. */
static bool keep_wreck(void)
{
    const char *dir = getenv("EXT2_WRECK_KEEP");
    char path[400];
    if (!dir)
        return false;
    snprintf(path, sizeof(path), "%s/%lu", dir, (unsigned long)seed_now);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_int_equal(pwrite(fd, wrecked, image_bytes, 0), image_bytes);
    close(fd);
    return true;
}

static void wreck_many(const char *options, uint64_t seed, uint64_t count)
{
    static char console[65536];
    load(options);
    mounted = 0;
    host_console_capture(console, sizeof(console));
    for (seed_now = seed; seed_now < seed + count; seed_now++) {
        random_state = seed_now * 77;
        memcpy(wrecked, pristine, image_bytes);
        for (uint64_t n = 1 + below(4); n; n--)
            spoil_one();
        if (keep_wreck())
            continue;
        int fd = open(image.path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, wrecked, image_bytes, 0), image_bytes);
        close(fd);
        image_adopt(&image, "x");
        image_attach(&image);
        run(&try_step, NULL);
        image_detach(&image);
    }
    host_console_capture(NULL, 0);
    print_message("%s: %lu wrecks, %lu could be mounted\n", options, (unsigned long)count,
                  (unsigned long)mounted);
    free(pristine);
    free(wrecked);
    image_remove(&image);
}

static void test_wrecked(void **state)
{
    (void)state;
    uint64_t seed = env_number("EXT2_WRECK_SEED", 1), count = env_number("EXT2_WRECK_COUNT", 3334);
    wreck_many("-b 1024 -g 1024 " PLAIN, seed, count);
    wreck_many("-b 2048 -r 0 -O none", seed + 10000, count);
    wreck_many("-b 4096 -O none,filetype,dir_index,ext_attr,resize_inode,sparse_super",
               seed + 20000, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_wrecked) };
    machine_boot("stack.extra=4");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
