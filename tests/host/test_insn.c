// SPDX-License-Identifier: MIT
/*
 * Instruction lengths, judged by objdump: everything that it finds in the C library (with its vector code), in
 * busybox and in bash. The file under test is included: the CPU's part is not in the host library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arch/x86_64/insn.c>
#include <lib/string.h>

#define WRONG_SHOWN 10

struct tally {
    unsigned long seen, wrong, refused, halts, calls;
};

/* Mnemonics of what only a kernel executes, and of what is none: the decoder takes neither. */
static bool is_no_programs(const char *text)
{
    static const char *const mnemonics[] = {
        "(bad)", "in ", "out ", "ins", "outs", "cli", "sti", "iret", "lret", "lcall", "ljmp", "ud0", "int1", "icebp",
        "sldt", "str ", "lldt", "ltr", "verr", "verw", "sgdt", "sidt", "lgdt", "lidt", "smsw", "lmsw", "invlpg",
        "clts", "sysret", "sysexit", "sysenter", "invd", "wbinvd", "wrmsr", "rdmsr", "rdpmc", "getsec", "vm", "rsm",
        "femms", "loadall", "ud1", "rex", "data16", "lock (bad)", "addr32",
    };
    for (unsigned i = 0; i < ARRAY_COUNT(mnemonics); i++)
        if (strncmp(text, mnemonics[i], strlen(mnemonics[i])) == 0)
            return true;
    return strstr(text, "(bad)") || strstr(text, "%cr") || strstr(text, "%db");
}

/* "  401000:\t48 89 e5 \tmov %rsp,%rbp": the bytes, and where the text begins; 0 for other lines. */
static unsigned parse(const char *line, uint8_t *bytes, const char **text)
{
    const char *at = strchr(line, '\t'), *end = at ? strchr(at + 1, '\t') : NULL;
    unsigned count = 0;

    if (!end)
        return 0;
    for (at++; at + 2 <= end && at[0] != ' ' && count < INSN_BYTES_MAX; at += 3)
        bytes[count++] = (uint8_t)strtoul(at, NULL, 16);
    *text = end + 1;
    return count;
}

static void judge(const char *line, struct tally *tally)
{
    enum arch_insn_kind kind = ARCH_INSN_PLAIN;
    uint8_t bytes[INSN_BYTES_MAX];
    const char *text;

    unsigned count = parse(line, bytes, &text);
    if (count == 0)
        return;
    tally->seen++;
    unsigned got = arch_insn_decode(bytes, count, &kind);
    bool fwait = bytes[0] == 0x9b;        /* objdump joins it with the next one */
    bool call = strncmp(text, "call", 4) == 0 || strstr(text, " call ");
    bool ok = got == count || (got == 1 && fwait);
    if (got == 0 && is_no_programs(text)) {
        tally->refused++;
        ok = true;
    } else if (ok) {
        ok = (kind == ARCH_INSN_CALL) == call && (kind == ARCH_INSN_HALT) == (count == 1 && bytes[0] == 0xf4);
        /* cut off, it is refused */
        for (unsigned cut = 0; ok && !fwait && cut < count; cut++)
            ok = arch_insn_decode(bytes, cut, &kind) == 0 || bytes[0] == 0x9b;
    }
    tally->calls += call;
    tally->halts += count == 1 && bytes[0] == 0xf4;
    if (!ok && tally->wrong++ < WRONG_SHOWN)
        print_error("got %u of %u: %s", got, count, line);
}

static void compare(const char *file, unsigned long least)
{
    char command[300], line[1000];
    struct tally tally = {0};

    snprintf(command, sizeof(command), "objdump -d -w '%s' 2>/dev/null", file);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    while (fgets(line, sizeof(line), stream))
        judge(line, &tally);
    pclose(stream);
    print_message("%s: %lu instructions, %lu calls, %lu halts, %lu refused, %lu wrong\n", file, tally.seen, tally.calls,
                  tally.halts, tally.refused, tally.wrong);
    assert_int_equal(tally.wrong, 0);
    assert_true(tally.seen >= least);
}

static void test_c_library(void **state)
{
    (void)state;
    compare("/lib/x86_64-linux-gnu/libc.so.6", 200000);
}

static void test_busybox(void **state)
{
    (void)state;
    compare("/bin/busybox", 50000);
}

static void test_shell(void **state)
{
    (void)state;
    compare("/bin/bash", 100000);
}

/* What objdump reads in another way than some CPUs, or that no program has. */
static void test_refused(void **state)
{
    static const struct { uint8_t bytes[INSN_BYTES_MAX]; unsigned count; } samples[] = {
        {{0x66, 0xe8, 1, 2, 3, 4}, 6},       /* a near call with an operand-size prefix */
        {{0x66, 0x0f, 0x84, 1, 2, 3, 4}, 7}, /* and a near jump */
        {{0xfa}, 1}, {{0xfb}, 1},            /* cli, sti */
        {{0x0f, 0x01, 0x15, 1, 2, 3, 4}, 7}, /* lgdt */
        {{0x0f, 0x22, 0xd8}, 3},             /* mov to cr3 */
        {{0xe6, 0x80}, 2}, {{0xec}, 1},      /* out, in */
        {{0xff, 0x28}, 2},                   /* far jump */
        {{0x48, 0x48, 0x89, 0xe5}, 4},       /* two REX */
        {{0x66, 0xc5, 0xf8, 0x77}, 4},       /* VEX behind a prefix */
        {{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}, 15},
        {{0x06}, 1}, {{0xea}, 1}, {{0x0f, 0x0a}, 2}, {{0x0f}, 1}, {{0x48}, 1}, {{0}, 0},
    };
    enum arch_insn_kind kind;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(samples); i++)
        if (arch_insn_decode(samples[i].bytes, samples[i].count, &kind) != 0)
            fail_msg("sample %u is taken", i);
}

/* A halt is one only without prefixes; calls by all ways. */
static void test_kinds(void **state)
{
    static const struct { uint8_t bytes[9]; unsigned count; enum arch_insn_kind kind; } samples[] = {
        {{0xf4}, 1, ARCH_INSN_HALT},
        {{0xf3, 0xf4}, 2, ARCH_INSN_PLAIN},
        {{0xe8, 1, 2, 3, 4}, 5, ARCH_INSN_CALL},
        {{0xff, 0xd0}, 2, ARCH_INSN_CALL},
        {{0x41, 0xff, 0x94, 0xc4, 1, 2, 3, 4}, 8, ARCH_INSN_CALL},
        {{0xff, 0xe0}, 2, ARCH_INSN_PLAIN},
        {{0xb0, 0xf4}, 2, ARCH_INSN_PLAIN},
    };
    enum arch_insn_kind kind;

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(samples); i++) {
        assert_int_equal(arch_insn_decode(samples[i].bytes, samples[i].count, &kind), samples[i].count);
        assert_int_equal(kind, samples[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_c_library),
        cmocka_unit_test(test_busybox),
        cmocka_unit_test(test_shell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
