// SPDX-License-Identifier: MIT
/*
 * Finding the halts of a program: as many in busybox as objdump finds, with its section headers and without; and whatever
 * stands in its tables, no look outside of the file and of what was loaded (the sanitizer sees to that). The files
 * under test are included: src/abi is not part of the host library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <rt/heap.h>
#include <vfs/vfs.h>

static ssize_t sample_read(struct file *file, void *dst, size_t bytes, uint64_t offset);
static void sample_ref(struct file *file) { (void)file; }

#define vfs_read sample_read
#define file_ref sample_ref
#define file_put sample_ref
#define heap_alloc malloc
#define heap_free free
#include <abi/elf.c>
#include <abi/halts.c>
#include <abi/symbols.c>
#include <arch/x86_64/insn.c>

#define SAMPLE "/bin/busybox"
#define ROUNDS 150

static uint8_t *original, *bytes_of_file;
static size_t file_bytes;
static uint8_t *memory;
static size_t memory_bytes;
static struct elf_image image;
static struct inode inode;
static struct file sample = {.inode = &inode};

static ssize_t sample_read(struct file *file, void *dst, size_t bytes, uint64_t offset)
{
    assert_ptr_equal(file, &sample);
    if (offset >= file_bytes)
        return 0;
    size_t count = MIN(bytes, file_bytes - offset);
    memcpy(dst, bytes_of_file + offset, count);
    return (ssize_t)count;
}

static int read_sample(void **state)
{
    const char *why = NULL;
    FILE *stream = fopen(SAMPLE, "rb");

    (void)state;
    assert_non_null(stream);
    fseek(stream, 0, SEEK_END);
    file_bytes = (size_t)ftell(stream);
    rewind(stream);
    original = malloc(file_bytes);
    bytes_of_file = malloc(file_bytes);
    assert_int_equal(fread(original, 1, file_bytes, stream), file_bytes);
    fclose(stream);
    inode.size = file_bytes;
    if (elf_read_header(original, ELF_HEADER_BYTES, file_bytes, &image, &why) ||
        elf_read_segments(original + image.phdr_offset, file_bytes, ARCH_APP_END, &image, &why))
        fail_msg("%s %s", SAMPLE, why);
    memory_bytes = image.high - image.low;
    memory = malloc(memory_bytes);
    return 0;
}

static int forget_sample(void **state)
{
    (void)state;
    free(original);
    free(bytes_of_file);
    free(memory);
    return 0;
}

/* Loads the file as it is now, and looks for halts. */
static uint32_t find(void)
{
    uint64_t bias = (uintptr_t)memory - image.low;

    memset(memory, 0, memory_bytes);
    for (uint32_t i = 0; i < image.segment_count; i++) {
        const struct elf_segment *s = &image.segments[i];
        memcpy(memory + (s->address - image.low), bytes_of_file + s->offset, s->file_bytes);
    }
    free(halts.at);
    halts.at = NULL;
    halts.count = 0;
    symbols_start(&sample, bias);
    halts_replace(&image, bias);
    symbols_stop();
    return halts.count;
}

static uint32_t halts_by_objdump(void)
{
    unsigned count = 0;
    FILE *stream = popen("objdump -d '" SAMPLE "' | grep -cE '\thlt *$'", "r");
    assert_non_null(stream);
    assert_int_equal(fscanf(stream, "%u", &count), 1);
    pclose(stream);
    return count;
}

static void test_all(void **state)
{
    (void)state;
    uint32_t wanted = halts_by_objdump();
    assert_true(wanted > 0);
    memcpy(bytes_of_file, original, file_bytes);
    assert_int_equal(find(), wanted);
    for (uint32_t i = 0; i < halts.count; i++) {
        struct arch_frame frame = {.rip = halts.at[i] + 1, .vector = ARCH_VECTOR_TRAP};
        assert_true(halts_contain(halts.at[i]));
        assert_false(halts_contain(halts.at[i] + 1));
        halts_fix_frame(&frame);
        assert_true(frame.rip == halts.at[i] && frame.vector == ARCH_VECTOR_PRIVILEGE);
        frame.vector = ARCH_VECTOR_TRAP;
        halts_fix_frame(&frame);
        assert_int_equal(frame.vector, ARCH_VECTOR_TRAP);
    }
}

static uint64_t dice = 4711;

static uint32_t roll(void)
{
    dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(dice >> 33);
}

static void damage(uint64_t start, uint64_t bytes, unsigned times)
{
    static const uint8_t nasty[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, 4, 0x10};
    for (unsigned i = 0; bytes && i < times; i++)
        bytes_of_file[start + roll() % bytes] = roll() % 2 ? nasty[roll() % sizeof(nasty)] : (uint8_t)roll();
}

/* Where the records of .eh_frame are in the file. */
static void eh_frame_in_file(uint64_t *start, uint64_t *bytes)
{
    uint64_t sections = le64(original + 40);
    *start = *bytes = 0;
    for (uint32_t i = 0; i < le16(original + 60); i++) {
        const uint8_t *s = original + sections + i * 64;
        const uint8_t *names = original + sections + le16(original + 62) * 64;
        if (strcmp((const char *)original + le64(names + 24) + le32(s), ".eh_frame") != 0)
            continue;
        *start = le64(s + 24);
        *bytes = le64(s + 32);
    }
}

static void test_damage(void **state)
{
    uint64_t sections = le64(original + 40), records, records_bytes;
    uint32_t most = halts_by_objdump(), found = 0;

    (void)state;
    eh_frame_in_file(&records, &records_bytes);
    assert_true(records_bytes > 1000);
    for (unsigned round = 0; round < ROUNDS; round++) {
        memcpy(bytes_of_file, original, file_bytes);
        if (round % 4 == 0)
            damage(40, 24, 1 + roll() % 3);
        if (round % 4 == 1)
            damage(sections, le16(original + 60) * UINT64_C(64), 1 + roll() % 40);
        if (round % 4 >= 2)
            damage(records, round % 8 < 4 ? 64 : records_bytes, 1 + roll() % 400);
        found += find();
    }
    print_message("%u halts in %u rounds, of %u each without damage\n", found, ROUNDS, most);
}

/* A table of symbols that says what it likes: names are cut and terminated, sizes are not believed. */
static void test_symbols(void **state)
{
    static struct symbol_reader reader;
    struct symbol symbol;
    char name[16];
    uint64_t table = file_bytes / 2, strings = file_bytes / 4, sections = 4096;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        memcpy(bytes_of_file, original, 4096);
        uint8_t *header = bytes_of_file + sections;
        put_le64(bytes_of_file + 40, sections);
        put_le16(bytes_of_file + 58, 64);
        put_le16(bytes_of_file + 60, 2);
        put_le16(bytes_of_file + 62, 1);
        memset(header, 0, 128);
        put_le32(header + 4, SECTION_SYMBOLS);
        put_le64(header + 24, table);
        put_le64(header + 32, 24 * 400);
        put_le32(header + 40, 1);
        put_le64(header + 56, 24);
        put_le64(header + 64 + 24, strings);
        put_le64(header + 64 + 32, 100);
        if (round)
            damage(sections, 128, roll() % 4);
        for (unsigned i = 0; i < 24 * 400; i++)
            bytes_of_file[table + i] = i % 24 < 4 ? 0 : (uint8_t)roll();
        for (unsigned i = 0; i < 400; i++) {
            put_le32(bytes_of_file + table + i * 24, roll() % 120);
            bytes_of_file[table + i * 24 + 4] = TYPE_FUNCTION;
        }
        symbols_start(&sample, 0);
        unsigned count = 0;
        if (symbols_open(&reader) == 0) {
            for (; count < 1000 && symbols_next(&reader, &symbol); count++) {
                symbols_name(&reader, symbol.name, name, sizeof(name));
                assert_true(strlen(name) < sizeof(name));
            }
        }
        assert_true(round || count > 300);
        symbols_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_symbols),
    };
    return cmocka_run_group_tests(tests, read_sample, forget_sample);
}
