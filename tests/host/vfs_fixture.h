// SPDX-License-Identifier: MIT
/*
 * What the tests of vfs share: a machine with the tree of vfs_start(), and short forms of the
 * calls.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fs/devfs/devfs.h>
#include <fs/sysfs/sysfs.h>
#include <fs/tmpfs/tmpfs.h>
#include <lib/format.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <support/rt.h>
#include <vfs/vfs.h>

/* A test body runs as a thread of the runtime. */
#define VFS_TEST(test)                                                                             \
    static void test##_body(void *argument);                                                       \
    static void test(void **state)                                                                 \
    {                                                                                              \
        static const struct thread_def def = {.name = #test, .run = test##_body};                  \
        (void)state;                                                                               \
        rt_run(&def, NULL);                                                                        \
    }                                                                                              \
    static void test##_body(void *argument __attribute__((unused)))

static void fixture_start(void *argument)
{
    (void)argument;
    if (vfs_start())
        abort();
}

__attribute__((unused)) static void fixture_boot(const char *parameters)
{
    static const struct thread_def def = {.name = "start", .run = fixture_start};

    rt_boot(MIB(64), parameters);
    rt_run(&def, NULL);
}

__attribute__((unused)) static struct file *must_open(const char *name, unsigned flags)
{
    struct file *file = NULL;
    int err = vfs_open(NULL, name, flags, 0644, &file);

    if (err)
        print_error("open %s: %s\n", name, errno_name(err));
    assert_int_equal(err, 0);
    return file;
}

/* A file with these contents, in place of what was there. */
__attribute__((unused)) static void make_file(const char *name, const char *text)
{
    struct file *file = must_open(name, OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE);

    assert_int_equal(vfs_write(file, text, strlen(text), 0), (ssize_t)strlen(text));
    file_put(file);
}

__attribute__((unused)) static int make_dir(const char *name)
{
    return vfs_create_node(NULL, name, MODE_DIR | 0755, 0);
}

/* The error of an open; what was opened is closed again. */
__attribute__((unused)) static int try_open(const char *name, unsigned flags)
{
    struct file *file;
    int err = vfs_open(NULL, name, flags, 0644, &file);

    if (!err)
        file_put(file);
    return err;
}

/* What a file contains, as text in a static buffer. */
__attribute__((unused)) static const char *text_of(const char *name)
{
    static char text[8192];
    struct file *file = must_open(name, OPEN_READ);
    ssize_t length = vfs_read(file, text, sizeof(text) - 1, 0);

    assert_true(length >= 0);
    text[length] = 0;
    file_put(file);
    return text;
}

/* A directory's names, except the dots, with blanks between, in its own order. */
struct name_sink {
    struct dir_sink sink;
    char text[4096];
    size_t room;                      /* entries still taken */
};

static bool name_sink_emit(struct dir_sink *sink, const char *name, size_t length, uint64_t number,
                           uint32_t mode, uint64_t next_offset)
{
    struct name_sink *names = container_of(sink, struct name_sink, sink);

    (void)number, (void)mode, (void)next_offset;
    if (!names->room)
        return false;
    names->room--;
    if (!(length == 1 && name[0] == '.') && !(length == 2 && name[0] == '.' && name[1] == '.')) {
        strncat(names->text, name, length);
        strcat(names->text, " ");
    }
    return true;
}

static const struct dir_sink_ops name_sink_ops = {.emit = name_sink_emit};

__attribute__((unused)) static const char *names_in(const char *dir)
{
    static struct name_sink names;
    struct file *file = must_open(dir, OPEN_READ | OPEN_DIRECTORY);

    names = (struct name_sink){.sink = {&name_sink_ops}, .room = SIZE_MAX};
    assert_int_equal(vfs_readdir(file, &names.sink), 0);
    file_put(file);
    return names.text;
}
