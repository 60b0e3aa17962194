// SPDX-License-Identifier: MIT
/*
 * src/lib: memory and strings against libc's, the formatter against libc's printf, numbers,
 * distances, lists. The kernel's own mem* and str* are compiled in here under names that begin with
 * k_.
 */
#undef SPILLWAY_HOST
#define memcpy k_memcpy
#define memmove k_memmove
#define memset k_memset
#define memcmp k_memcmp
#define memchr k_memchr
#define strlen k_strlen
#define strnlen k_strnlen
#define strcmp k_strcmp
#define strncmp k_strncmp
#define strchr k_strchr
#define strrchr k_strrchr
#define strstr k_strstr
#include "../../src/lib/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strstr
#define SPILLWAY_HOST 1

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/format.h>
#include <lib/list.h>

static unsigned next_random(void)
{
    static unsigned state = 12345;

    return state = state * 1103515245u + 12345u, state >> 8;
}

static int sign(int v) { return (v > 0) - (v < 0); }

/* ---- memory ---- */

static void fill(unsigned char *p, size_t n)
{
    while (n--)
        *p++ = (unsigned char)next_random();
}

static void test_memory_against_libc(void **state)
{
    unsigned char a[300], b[300], c[300];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = next_random() % 150, from = next_random() % 150, to = next_random() % 150;
        fill(a, sizeof(a));
        memcpy(b, a, sizeof(a));
        memmove(b + to, b + from, n);
        memcpy(c, a, sizeof(a));
        assert_ptr_equal(k_memmove(c + to, c + from, n), c + to);
        assert_memory_equal(b, c, sizeof(b));
        assert_ptr_equal(k_memcpy(b + to, a + from, n), b + to);
        assert_memory_equal(b + to, a + from, n);
        int byte = (int)(next_random() % 512);
        memset(c + to, byte, n);
        memcpy(b, c, sizeof(b));
        fill(b + to, n);
        k_memset(b + to, byte, n);
        assert_memory_equal(b, c, sizeof(b));
        if (n)
            b[to + next_random() % n] ^= (unsigned char)(next_random() % 3 == 0);
        assert_int_equal(sign(k_memcmp(b + to, c + to, n)), sign(memcmp(b + to, c + to, n)));
        assert_ptr_equal(k_memchr(a, a[from], n), memchr(a, a[from], n));
    }
}

static void test_strings_against_libc(void **state)
{
    static const char *const words[] = { "",         "a",           "ab",
                                         "abc",      "b",           "aab",
                                         "aaab",     "stack.extra", "stack.extra_size",
                                         "\xff\x80", "xaab",        "aa" };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        const char *s = words[i];
        assert_int_equal(k_strlen(s), strlen(s));
        assert_int_equal(k_strnlen(s, 2), strnlen(s, 2));
        for (int c = 0; c < 256; c++) {
            assert_ptr_equal(k_strchr(s, c), strchr(s, c));
            assert_ptr_equal(k_strrchr(s, c), strrchr(s, c));
        }
        for (size_t j = 0; j < ARRAY_COUNT(words); j++) {
            const char *t = words[j];
            assert_int_equal(sign(k_strcmp(s, t)), sign(strcmp(s, t)));
            for (size_t n = 0; n < 13; n++)
                assert_int_equal(sign(k_strncmp(s, t, n)), sign(strncmp(s, t, n)));
            assert_ptr_equal(k_strstr(s, t), strstr(s, t));
            assert_int_equal(str_starts_with(s, t), strncmp(s, t, strlen(t)) == 0);
        }
    }
}

static void test_str_copy(void **state)
{
    char small[4] = "???";

    (void)state;
    assert_int_equal(str_copy(small, "ab", sizeof(small)), 2);
    assert_string_equal(small, "ab");
    assert_int_equal(str_copy(small, "abcdef", sizeof(small)), 6);
    assert_string_equal(small, "abc");
    assert_int_equal(str_copy(small, "xyz", 0), 3);
    assert_string_equal(small, "abc");
}

static void test_distance(void **state)
{
    char long_a[101], long_b[101];

    (void)state;
    assert_int_equal(str_distance("", ""), 0);
    assert_int_equal(str_distance("", "abc"), 3);
    assert_int_equal(str_distance("abc", ""), 3);
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("stack.extr", "stack.extra"), 1);
    assert_int_equal(str_distance("flaw", "lawn"), 2);
    memset(long_a, 'a', 100);
    memset(long_b, 'b', 100);
    long_a[100] = long_b[100] = 0;
    assert_int_equal(str_distance(long_a, long_b), 63);
}

static void test_errno_name(void **state)
{
    (void)state;
    assert_string_equal(errno_name(-EIO), "EIO");
    assert_string_equal(errno_name(EUCLEAN), "EUCLEAN");
    assert_string_equal(errno_name(0), "0");
    assert_string_equal(errno_name(-5000), "unknown error");
    assert_string_equal(errno_name(INT32_MIN), "unknown error");
    assert_string_equal(errno_name(EDESTADDRREQ), "unknown error");
}

/* ---- format ---- */

#define CHECK_FORMAT(...)                                                                          \
    do {                                                                                           \
        char expected_[200], got_[200];                                                            \
        struct strbuf sb_;                                                                         \
        strbuf_init(&sb_, got_, sizeof(got_));                                                     \
        snprintf(expected_, sizeof(expected_), __VA_ARGS__);                                       \
        strbuf_printf(&sb_, __VA_ARGS__);                                                          \
        assert_string_equal(got_, expected_);                                                      \
        assert_int_equal(sb_.length, strlen(expected_));                                           \
        assert_false(sb_.cut);                                                                     \
    } while (0)

#pragma GCC diagnostic ignored "-Wformat"

static void test_format_numbers(void **state)
{
    static const long values[] = { 0,    1,         -1,        9,         10,       255,
                                   4096, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        long v = values[i];
        CHECK_FORMAT("[%d] [%i] [%u] [%x] [%X] [%o]", (int)v, (int)v, (int)v, (int)v, (int)v,
                     (int)v);
        CHECK_FORMAT("[%ld] [%lu] [%lx] [%llX] [%lo]", v, v, v, (long long)v, v);
        CHECK_FORMAT("[%zd] [%zu] [%jd] [%tx]", v, v, v, v);
        CHECK_FORMAT("[%hhd] [%hhu] [%hd] [%hx]", (int)v, (int)v, (int)v, (int)v);
        CHECK_FORMAT("[%5ld] [%-5ld] [%05ld] [%+ld] [% ld]", v, v, v, v, v);
        CHECK_FORMAT("[%#lx] [%#lX] [%#010lx] [%-#10lx]", v, v, v, v);
        CHECK_FORMAT("[%.3ld] [%8.3ld] [%-8.3ld] [%+08.3ld] [%.0ld] [%.ld]", v, v, v, v, v, v);
        CHECK_FORMAT("[%.3lx] [%#.5lx] [%25lo] [%*ld] [%-*ld] [%.*ld]", v, v, v, 7, v, 7, v, 4, v);
        CHECK_FORMAT("[%*ld] [%.*ld]", -9, v, -1, v);
    }
}

static void test_format_text(void **state)
{
    (void)state;
    CHECK_FORMAT("plain");
    CHECK_FORMAT("%s|%5s|%-5s|%.2s|%5.1s|%s", "abc", "abc", "abc", "abc", "abc", "");
    CHECK_FORMAT("%c%c%3c|%-3c|", 'a', 'b', 'c', 'd');
    CHECK_FORMAT("100%% %s%%", "x");
    CHECK_FORMAT("%p", (void *)0x1234abcd);
    char unterminated[3] = { 'a', 'b', 'c' };
    CHECK_FORMAT("%.3s", unterminated);
}

static void test_format_odd(void **state)
{
    char text[64];
    struct strbuf sb;

    (void)state;
    strbuf_init(&sb, text, sizeof(text));
    strbuf_printf(&sb, "%y %s %", (char *)NULL);
    assert_string_equal(text, "%y (null) %");
}

static void test_format_cut(void **state)
{
    char text[8] = "1234567";
    struct strbuf sb;

    (void)state;
    strbuf_init(&sb, text, 5);
    strbuf_printf(&sb, "%d-%s", 12, "abc");
    assert_string_equal(text, "12-a");
    assert_true(sb.cut);
    assert_int_equal(sb.length, 4);
    assert_int_equal(text[5], '6');
    strbuf_init(&sb, text, 0);
    strbuf_puts(&sb, "x");
    assert_true(sb.cut);
    assert_int_equal(sb.length, 0);
}

static void test_format_raw(void **state)
{
    char text[100];
    struct strbuf sb;
    const uint64_t args[] = { (uint64_t)-5, (uint64_t)(uintptr_t) "name",
                              UINT64_C(0xffffffff00000001), 0xabcdef };

    (void)state;
    strbuf_init(&sb, text, sizeof(text));
    strbuf_print_raw(&sb, "%d %s %u %#lx %d", args, 4);
    assert_string_equal(text, "-5 name 1 0xabcdef 0");
    strbuf_init(&sb, text, sizeof(text));
    strbuf_print_raw(&sb, "%d %s", args, 0);
    assert_string_equal(text, "0 (null)");
}

/* ---- numbers ---- */

static void check_number(const char *s, bool suffix, int error, uint64_t value)
{
    uint64_t got = 77;

    assert_int_equal(parse_u64(s, suffix, &got), error);
    assert_true(got == (error ? 77 : value));
}

static void test_parse(void **state)
{
    (void)state;
    check_number("0", false, 0, 0);
    check_number("18446744073709551615", false, 0, UINT64_MAX);
    check_number("18446744073709551616", false, -ERANGE, 0);
    check_number("99999999999999999999999999", false, -ERANGE, 0);
    check_number("0x", false, -EINVAL, 0);
    check_number("0xfF", false, 0, 255);
    check_number("0x10000000000000000", false, -ERANGE, 0);
    check_number("", false, -EINVAL, 0);
    check_number("-1", false, -EINVAL, 0);
    check_number("+1", false, -EINVAL, 0);
    check_number(" 1", false, -EINVAL, 0);
    check_number("4x", true, -EINVAL, 0);
    check_number("4K", false, -EINVAL, 0);
    check_number("4K", true, 0, 4096);
    check_number("4k", true, 0, 4096);
    check_number("2M", true, 0, 2 << 20);
    check_number("20G", true, 0, UINT64_C(20) << 30);
    check_number("4KK", true, -EINVAL, 0);
    check_number("4KB", true, -EINVAL, 0);
    check_number("K", true, -EINVAL, 0);
    check_number("17179869183G", true, 0, UINT64_C(17179869183) << 30);
    check_number("17179869184G", true, -ERANGE, 0);
    check_number("99999999999999999999x", true, -EINVAL, 0);
}

static void test_bits(void **state)
{
    unsigned char bytes[8];

    (void)state;
    assert_int_equal(align_up(4097, 4096), 8192);
    assert_int_equal(align_up(4096, 4096), 4096);
    assert_int_equal(align_down(8191, 4096), 4096);
    assert_true(is_pow2(1) && is_pow2(4096) && !is_pow2(0) && !is_pow2(6));
    assert_int_equal(log2_ceil(1), 0);
    assert_int_equal(log2_ceil(5), 3);
    assert_int_equal(log2_floor(5), 2);
    put_le32(bytes, 0x01020304);
    assert_int_equal(bytes[0], 4);
    assert_int_equal(le16(bytes + 2), 0x0102);
}

struct element {
    int value;
    struct list link;
};

static void test_list(void **state)
{
    struct list head = LIST_INIT(head), more = LIST_INIT(more);
    struct element e[5], *pos, *tmp;
    int sum = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        e[i].value = i;
        list_push_back(i < 3 ? &head : &more, &e[i].link);
    }
    list_splice_back(&head, &more);
    assert_true(list_empty(&more));
    list_for_each (pos, &head, link)
        sum = sum * 10 + pos->value;
    assert_int_equal(sum, 1234);
    list_for_each_safe (pos, tmp, &head, link)
        if (pos->value % 2)
            list_remove(&pos->link);
    list_remove(&e[1].link);
    assert_ptr_equal(list_first(&head, struct element, link), &e[0]);
    assert_ptr_equal(list_last(&head, struct element, link), &e[4]);
    list_push_front(&head, &e[3].link);
    assert_ptr_equal(list_pop_front(&head), &e[3].link);
    assert_ptr_equal(list_pop_front(&more), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_against_libc),
        cmocka_unit_test(test_strings_against_libc),
        cmocka_unit_test(test_str_copy),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_errno_name),
        cmocka_unit_test(test_format_numbers),
        cmocka_unit_test(test_format_text),
        cmocka_unit_test(test_format_odd),
        cmocka_unit_test(test_format_cut),
        cmocka_unit_test(test_format_raw),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_list),
    };

    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
