// SPDX-License-Identifier: MIT
/* src/lib/text_grid: what stands where after text of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <lib/text_grid.h>

#define COLS 10u
#define ROWS 3u

static char cells[COLS * ROWS];
static struct text_grid grid;

/* The three lines after @text, written to an empty screen; the blanks at their ends do not count. */
static void shows(const char *text, const char *first, const char *second, const char *third)
{
    const char *want[ROWS] = { first, second, third };

    text_grid_init(&grid, cells, COLS, ROWS);
    text_grid_write(&grid, text, strlen(text));
    for (uint32_t row = 0; row < ROWS; row++) {
        char line[COLS + 1] = "", padded[COLS + 1];
        for (uint32_t col = 0; col < COLS; col++)
            line[col] = text_grid_at(&grid, col, row);
        memset(padded, ' ', COLS);
        padded[COLS] = 0;
        memcpy(padded, want[row], strlen(want[row]));
        assert_string_equal(line, padded);
    }
}

static void test_lines(void **state)
{
    (void)state;
    shows("", "", "", "");
    shows("one\ntwo", "one", "two", "");
    shows("0123456789\nabc", "0123456789", "abc", "");
    shows("0123456789abc", "0123456789", "abc", "");
    shows("1\n2\n3", "1", "2", "3");
    shows("1\n2\n3\n", "2", "3", "");
    shows("1\n2\n3\n4\n5\n6\n7", "5", "6", "7");
    shows("long\nlong\nlong\nx\ny\nz", "x", "y", "z");
}

static void test_controls(void **state)
{
    (void)state;
    shows("abc\rX", "Xbc", "", "");
    shows("abc\b\bX", "aXc", "", "");
    shows("\b\bX", "X", "", "");
    shows("a\tb", "a       b", "", "");
    shows("a\t\t\tb\nc", "a        b", "c", "");
    shows("a\a\v\fb", "ab", "", "");
    shows("0123456789\r\nx", "0123456789", "x", "");
}

static void test_escapes(void **state)
{
    (void)state;
    shows("a\033[1;31mb\033[0mc", "abc", "", "");
    shows("\033[2J\033[01;01Hx", "x", "", "");
    shows("a\033cb", "ab", "", "");
    shows("a\033[31\nb", "a", "b", "");
    shows("a\033[\033[1mb", "ab", "", "");
}

static void test_utf8(void **state)
{
    (void)state;
    shows("gr\xc3\xbc\xc3\x9f", "gr??", "", "");
    shows("\xe2\x94\x80|\xf0\x9f\x98\x80|", "?|?|", "", "");
    shows("a\x7f" "b", "ab", "", "");
}

static void test_any_bytes(void **state)
{
    (void)state;
    srand(1);
    text_grid_init(&grid, cells, COLS, ROWS);
    for (int i = 0; i < 200000; i++) {
        char byte = (char)rand();
        text_grid_write(&grid, &byte, 1);
        assert_in_range(grid.col, 0, COLS);
        assert_in_range(grid.row, 0, ROWS - 1);
        assert_in_range(grid.top, 0, ROWS - 1);
    }
    for (size_t i = 0; i < sizeof(cells); i++)
        assert_in_range(cells[i], ' ', '~');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_controls),  cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_utf8),    cmocka_unit_test(test_any_bytes),
    };

    return cmocka_run_group_tests_name("text_grid", tests, NULL, NULL);
}
