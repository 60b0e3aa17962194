// SPDX-License-Identifier: MIT
/*
 * The line discipline: what is typed, what is echoed, what a read gets. The file under test is
 * included: src/abi is not part of the host library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <abi/tty.c>

/* Some object of the library must be linked, and the probes bring the rest of the kernel. */
#include <vfs/vfs.h>
const struct fs_type *const fs_types[] = {NULL};

static struct tty tty;

/* Types all of it; the last signal. */
static int type(const char *text)
{
    int signal = 0;

    for (; *text; text++) {
        int got = tty_type(&tty, (uint8_t)*text);
        signal = got ? got : signal;
    }
    return signal;
}

static void expect_read(uint32_t bytes, const char *wanted)
{
    char text[100] = "";

    assert_true(tty_is_ready(&tty));
    assert_int_equal(tty_take(&tty, text, bytes), strlen(wanted));
    assert_string_equal(text, wanted);
}

static void expect_echo(const char *wanted)
{
    tty.echo[tty.echo_count] = 0;
    assert_string_equal(tty.echo, wanted);
    tty.echo_count = 0;
}

static void test_lines(void **state)
{
    (void)state;
    tty_init(&tty);
    type("ab");
    assert_false(tty_is_ready(&tty));
    type("\rsecond\n");
    expect_echo("ab\nsecond\n");
    expect_read(100, "ab\n");
    expect_read(3, "sec");
    assert_int_equal(tty_readable(&tty), 4);
    expect_read(100, "ond\n");
    assert_false(tty_is_ready(&tty));
}

static void test_editing(void **state)
{
    (void)state;
    tty_init(&tty);
    type("x\177\177ab\177c\n");
    expect_echo("x\b \bab\b \bc\n");
    expect_read(100, "ac\n");
    type("one two  \027three\n");
    expect_read(100, "one three\n");
    type("gone\025\001\177kept\n");
    expect_read(100, "kept\n");
    type("a\026\003\026\004\n");
    expect_read(100, "a\003\004\n");
    tty.echo_count = 0;
    type("\001\177\n");
    expect_echo("^A\b \b\b \b\n");
}

static void test_end_of_file(void **state)
{
    (void)state;
    tty_init(&tty);
    type("\004");
    expect_read(100, "");
    type("abc\004def\004\004");
    expect_read(3, "abc");
    expect_read(100, "def");
    expect_read(100, "");
    assert_false(tty_is_ready(&tty));
    type("abcd\004");
    expect_read(2, "ab");
    expect_read(100, "cd");
    assert_false(tty_is_ready(&tty));
}

static void test_signals(void **state)
{
    (void)state;
    tty_init(&tty);
    assert_int_equal(type("line\npart\003"), SIGINT);
    assert_false(tty_is_ready(&tty));
    expect_echo("line\npart^C");
    assert_int_equal(type("\034"), SIGQUIT);
    assert_int_equal(type("\032"), SIGTSTP);
}

static void test_raw(void **state)
{
    struct linux_termios raw;

    (void)state;
    tty_init(&tty);
    type("typed ");
    raw = tty.termios;
    raw.input = 0;
    raw.local = 0;
    tty.echo_count = 0;
    tty_set(&tty, &raw, false);
    expect_read(100, "typed ");
    assert_int_equal(type("\003\004\r\177"), 0);
    expect_echo("");
    expect_read(100, "\003\004\r\177");
    type("x");
    tty_set(&tty, &raw, true);
    assert_false(tty_is_ready(&tty));
}

/* Without a newline a line ends where the buffer does; nothing is lost and all can be read. */
static void test_full(void **state)
{
    static char text[TTY_BYTES];
    uint32_t typed = 0;

    (void)state;
    tty_init(&tty);
    while (tty_has_room(&tty)) {
        tty_type(&tty, 'a' + typed % 26);
        tty.echo_count = 0;
        typed++;
    }
    assert_int_equal(typed, TTY_BYTES - 1);
    assert_true(tty_is_ready(&tty));
    assert_int_equal(tty_take(&tty, text, sizeof(text)), typed);
    for (uint32_t i = 0; i < typed; i++)
        assert_int_equal(text[i], 'a' + i % 26);
    assert_true(tty_has_room(&tty));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_editing),
        cmocka_unit_test(test_end_of_file), cmocka_unit_test(test_signals),
        cmocka_unit_test(test_raw),     cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
