// SPDX-License-Identifier: MIT
/*
 * Console output must come out whole and in order: many-element writev, partial lines, stderr. What
 * it prints is always the same: compare it with `console` on Linux. `console` checks the return
 * values itself.
 */
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <include/check.h>

enum { PIECES = 1024 };

static struct iovec pieces[PIECES + 1];
static char digits[PIECES][8];

/* One line a number, each number, colon and newline an element of its own; in one call. */
static void test_many_elements(void)
{
    long sum = 0;
    int count = 0;

    for (int i = 0; count + 3 <= PIECES; i++) {
        snprintf(digits[i], sizeof(digits[i]), "%03d", i);
        pieces[count++] = (struct iovec){ digits[i], 3 };
        pieces[count++] = (struct iovec){ (i % 5) ? ";" : "", (i % 5) ? 1 : 0 };
        pieces[count++] = (struct iovec){ (i % 16 == 15) ? "\n" : " ", 1 };
    }
    for (int i = 0; i < count; i++)
        sum += (long)pieces[i].iov_len;
    EQUAL(writev(1, pieces, count), sum);
    EQUAL(write(1, "\n", 1), 1);
    FAILS(writev(1, pieces, -1), EINVAL);
    FAILS(writev(1, pieces, PIECES + 1), EINVAL);
    EQUAL(writev(1, pieces, 0), 0);
    FAILS(write(99, "x", 1), EBADF);
    FAILS(write(1, (void *)16, 5), EFAULT);
    EQUAL(write(1, "", 0), 0);
}

/* A line in single characters, then one that is longer than any buffer. */
static void test_partial_lines(void)
{
    static const char text[] = "console: one character after the other\n";
    static char line[20001];

    for (const char *c = text; *c; c++)
        EQUAL(write(1, c, 1), 1);
    for (int i = 0; i < 20000; i++)
        line[i] = i % 100 == 99 ? '\n' : (char)('a' + i % 26);
    EQUAL(write(1, line, 20000), 20000);
}

/* The C library's own buffer and writev, with text left over from before. */
static void test_stdio(void)
{
    setvbuf(stdout, NULL, _IOFBF, 4096);
    for (int i = 0; i < 300; i++)
        printf("console: line %04d%s", i, i % 3 == 2 ? "\n" : ", ");
    printf("%s", "a long tail: ");
    for (int i = 0; i < 12; i++)
        printf("%0100d", i);
    printf("\n");
    EQUAL(fflush(stdout), 0);
    fprintf(stderr, "console: to stderr, %d, %s\n", 42, "unbuffered");
}

int main(void)
{
    test_many_elements();
    test_partial_lines();
    test_stdio();
    return check_end("console");
}
