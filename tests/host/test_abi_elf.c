// SPDX-License-Identifier: MIT
/*
 * The ELF headers that the loader reads: a good one, every way to be refused, and damage at random. Nothing here
 * needs the runtime. The file under test is included: src/abi is not part of the host library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <abi/elf.c>
#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>

#define FILE_BYTES 0x3000
#define PHDRS 4
#define LIMIT ARCH_APP_END

enum { LOAD = 1, INTERP = 3, TLS = 7, GNU_STACK = 0x6474e551 };
enum { X = 1, W = 2, R = 4 };

static uint8_t file[FILE_BYTES];

static uint8_t *phdr(unsigned index)
{
    return file + ELF_HEADER_BYTES + (size_t)index * ELF_PHDR_BYTES;
}

static void set_phdr(unsigned index, uint32_t type, uint32_t flags, uint64_t offset, uint64_t address,
                     uint64_t file_bytes, uint64_t memory_bytes)
{
    uint8_t *p = phdr(index);
    put_le32(p, type);
    put_le32(p + 4, flags);
    put_le64(p + 8, offset);
    put_le64(p + 16, address);
    put_le64(p + 24, address);
    put_le64(p + 32, file_bytes);
    put_le64(p + 40, memory_bytes);
    put_le64(p + 48, 4096);
}

/* As musl-gcc -static makes them: headers and code, data with bss, thread-local data, the stack's access. */
static int make_file(void **state)
{
    (void)state;
    memset(file, 0, sizeof(file));
    memcpy(file, "\177ELF\2\1\1", 7);
    put_le16(file + 16, 2);
    put_le16(file + 18, 62);
    put_le32(file + 20, 1);
    put_le64(file + 24, 0x401000);
    put_le64(file + 32, ELF_HEADER_BYTES);
    put_le16(file + 52, ELF_HEADER_BYTES);
    put_le16(file + 54, ELF_PHDR_BYTES);
    put_le16(file + 56, PHDRS);
    set_phdr(0, LOAD, R | X, 0, 0x400000, 0x1800, 0x1800);
    set_phdr(1, LOAD, R | W, 0x1ff0, 0x402ff0, 0x100, 0x2000);
    set_phdr(2, TLS, R, 0x1ff0, 0x402ff0, 0, 16);
    set_phdr(3, GNU_STACK, R | W, 0, 0, 0, 0);
    return 0;
}

static int read_file(struct elf_image *image, const char **why)
{
    *why = NULL;
    int error = elf_read_header(file, sizeof(file), FILE_BYTES, image, why);
    if (error)
        return error;
    return elf_read_segments(file + image->phdr_offset, FILE_BYTES, LIMIT, image, why);
}

static void accepts(void)
{
    struct elf_image image;
    const char *why;
    assert_int_equal(read_file(&image, &why), 0);
    assert_null(why);
}

static void refuses(const char *text)
{
    struct elf_image image;
    const char *why;
    assert_int_equal(read_file(&image, &why), -ENOEXEC);
    assert_non_null(why);
    if (!strstr(why, text))
        fail_msg("refused with \"%s\" and not \"%s\"", why, text);
    make_file(NULL);
}

static void test_good(void **state)
{
    struct elf_image image;
    const char *why;
    (void)state;
    assert_int_equal(read_file(&image, &why), 0);
    assert_false(image.position_independent);
    assert_int_equal(image.entry, 0x401000);
    assert_int_equal(image.phdr_address, 0x400000 + ELF_HEADER_BYTES);
    assert_int_equal(image.phdr_count, PHDRS);
    assert_int_equal(image.low, 0x400000);
    assert_int_equal(image.high, 0x405000);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.segments[0].access, ARCH_READ | ARCH_EXEC);
    assert_int_equal(image.segments[1].access, ARCH_READ | ARCH_WRITE);
    assert_int_equal(image.segments[1].file_bytes, 0x100);
    assert_int_equal(image.segments[1].memory_bytes, 0x2000);
}

static void test_position_independent(void **state)
{
    struct elf_image image;
    const char *why;
    (void)state;
    put_le16(file + 16, 3);
    put_le64(file + 24, 0x1000);
    set_phdr(0, LOAD, R | X, 0, 0, 0x1800, 0x1800);
    set_phdr(1, LOAD, R | W, 0x1ff0, 0x2ff0, 0x100, 0x2000);
    assert_int_equal(read_file(&image, &why), 0);
    assert_true(image.position_independent);
    assert_int_equal(image.low, 0);
    put_le16(file + 16, 2);
    refuses("page 0");
}

static void test_header_refused(void **state)
{
    struct elf_image image;
    const char *why;
    (void)state;
    assert_int_equal(elf_read_header(file, 0, 0, &image, &why), -ENOEXEC);
    assert_int_equal(elf_read_header((const uint8_t *)"#!/bin/sh\n", 10, 10, &image, &why), -ENOEXEC);
    assert_string_equal(why, "is not an ELF file");
    assert_int_equal(elf_read_header(file, 63, 63, &image, &why), -ENOEXEC);
    assert_string_equal(why, "is cut off within its ELF header");
    assert_int_equal(elf_read_header(file, 64, 100, &image, &why), -ENOEXEC);
    assert_string_equal(why, "is cut off within its program headers");
    file[4] = 1;
    refuses("another machine");
    put_le16(file + 18, 183);
    refuses("another machine");
    put_le16(file + 16, 1);
    refuses("not an executable");
    put_le16(file + 56, 0);
    refuses("no program headers");
    put_le16(file + 56, 65);
    refuses("unknown form");
    put_le16(file + 54, 32);
    refuses("unknown form");
    put_le64(file + 32, UINT64_MAX - 8);
    refuses("cut off within its program headers");
}

static void test_segments_refused(void **state)
{
    (void)state;
    set_phdr(2, INTERP, R, 0x100, 0x400100, 28, 28);
    refuses("is dynamically linked; link it with -static");
    set_phdr(1, LOAD, R | W | X, 0x1ff0, 0x402ff0, 0x100, 0x2000);
    refuses("both writable and executable");
    set_phdr(1, LOAD, R | W, 0x1ff0, 0x402ff0, 0x2001, 0x2000);
    refuses("larger in the file");
    set_phdr(1, LOAD, R | W, 0x2ff0, 0x402ff0, 0x11, 0x2000);
    refuses("beyond its end");
    set_phdr(1, LOAD, R | W, UINT64_MAX, 0x402ff0, 0x11, 0x2000);
    refuses("beyond its end");
    set_phdr(1, LOAD, R | W, 0x1ff0, LIMIT - 0x1000, 0x100, 0x1001);
    refuses("outside the address space");
    set_phdr(1, LOAD, R | W, 0x1ff0, UINT64_MAX - 0xfff, 0x100, 0x2000);
    refuses("outside the address space");
    set_phdr(1, LOAD, R | W, 0x1ff0, 0x402ff0, 0x100, UINT64_MAX);
    refuses("outside the address space");
    set_phdr(1, LOAD, R | W, 0x1ff0, 0x401800, 0x100, 0x2000);
    refuses("overlap");
    set_phdr(1, LOAD, R | W, 0x1ff0, 0x300000, 0x100, 0x2000);
    refuses("out of order");
    set_phdr(0, LOAD, R, 0, 0x400000, 0x1800, 0x1800);
    refuses("no entry point");
    put_le64(file + 24, 0);
    refuses("no entry point");
    put_le32(phdr(0), GNU_STACK);
    put_le32(phdr(1), GNU_STACK);
    refuses("nothing to load");
    set_phdr(0, LOAD, R | X, 0x1000, 0x401000, 0x800, 0x800);
    refuses("does not load its own program headers");
}

static void test_empty_segment_is_skipped(void **state)
{
    (void)state;
    set_phdr(3, LOAD, R | W | X, UINT64_MAX, UINT64_MAX, 0, 0);
    accepts();
}

/* Whatever stands in the headers: an answer, and segments that lie where they may. */
static void test_damage(void **state)
{
    uint64_t dice = 12345;
    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        struct elf_image image;
        const char *why;
        make_file(NULL);
        for (unsigned i = 0; i < 1 + round % 4; i++) {
            dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
            size_t at = (dice >> 33) % (ELF_HEADER_BYTES + 2 * ELF_PHDR_BYTES);
            file[at] = (uint8_t)(dice >> 24);
        }
        if (read_file(&image, &why)) {
            assert_non_null(why);
            continue;
        }
        assert_true(image.segment_count >= 1 && image.segment_count <= ELF_SEGMENTS_MAX);
        uint64_t end = image.low;
        for (uint32_t i = 0; i < image.segment_count; i++) {
            const struct elf_segment *s = &image.segments[i];
            assert_true(s->address >= end && s->memory_bytes >= s->file_bytes);
            assert_true(s->address + s->memory_bytes > s->address);
            assert_true(s->address + s->memory_bytes <= LIMIT);
            assert_true(s->offset + s->file_bytes <= FILE_BYTES);
            end = s->address + s->memory_bytes;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, make_file),
        cmocka_unit_test_setup(test_position_independent, make_file),
        cmocka_unit_test_setup(test_header_refused, make_file),
        cmocka_unit_test_setup(test_segments_refused, make_file),
        cmocka_unit_test_setup(test_empty_segment_is_skipped, make_file),
        cmocka_unit_test_setup(test_damage, make_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
