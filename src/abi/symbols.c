// SPDX-License-Identifier: MIT
/*
 * The program's symbol table: see symbols.h. Source: System V ABI, ELF-64 object file format 1.5.
 */
#include <abi/symbols.h>

#include <abi/elf.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/assert.h>
#include <vfs/vfs.h>

enum { SECTION_BYTES = 64, SECTIONS_MAX = 4096, SYMBOL_BYTES = 24, SECTION_SYMBOLS = 2 };
enum { TYPE_NONE = 0, TYPE_FUNCTION = 2, TYPE_INDIRECT = 10 };

#define SECTION_NAME_MAX 16
/* No table of this size is a program's; reading it would take long. */
#define TABLE_BYTES_MAX MIB(64)

static struct {
    struct file *file;
    uint64_t bias;
} program;

void symbols_start(struct file *file, uint64_t bias)
{
    file_ref(file);
    program.file = file;
    program.bias = bias;
}

void symbols_stop(void)
{
    if (program.file)
        file_put(program.file);
    program.file = NULL;
}

/* All of @bytes, or an error. */
static int read_at(void *dst, size_t bytes, uint64_t offset)
{
    ssize_t got = vfs_read(program.file, dst, bytes, offset);
    if (got < 0)
        return (int)got;
    return (size_t)got == bytes ? 0 : -ENOEXEC;
}

static bool in_file(uint64_t offset, uint64_t bytes)
{
    uint64_t size = program.file->inode->size;
    return offset <= size && size - offset >= bytes;
}

/* Reads the section header @index to the start of the piece. */
static int read_section(struct symbol_reader *r, uint64_t sections, uint64_t index)
{
    return read_at(r->piece, SECTION_BYTES, sections + index * SECTION_BYTES);
}

static int take_tables(struct symbol_reader *r, uint64_t sections, uint64_t count)
{
    uint64_t bytes = le64(r->piece + 32), names_index = le32(r->piece + 40);

    r->table_offset = le64(r->piece + 24);
    r->count = bytes / SYMBOL_BYTES;
    if (le64(r->piece + 56) != SYMBOL_BYTES || bytes > TABLE_BYTES_MAX ||
        !in_file(r->table_offset, bytes) || names_index >= count)
        return -ENOEXEC;
    int error = read_section(r, sections, names_index);
    if (error)
        return error;
    r->names_offset = le64(r->piece + 24);
    r->names_bytes = le64(r->piece + 32);
    return in_file(r->names_offset, r->names_bytes) ? 0 : -ENOEXEC;
}

/* Where the section headers are, and how many; @names is the index of the one with their names. */
static int find_sections(struct symbol_reader *r, uint64_t *sections, uint64_t *count, uint64_t *names)
{
    r->count = r->next = r->piece_first = r->piece_count = 0;
    if (!program.file)
        return -ENOENT;
    int error = read_at(r->piece, ELF_HEADER_BYTES, 0);
    if (error)
        return error;
    *sections = le64(r->piece + 40);
    *count = le16(r->piece + 60);
    *names = le16(r->piece + 62);
    if (*sections == 0 || *count == 0)
        return -ENOENT;
    if (le16(r->piece + 58) != SECTION_BYTES || *count > SECTIONS_MAX ||
        !in_file(*sections, *count * SECTION_BYTES))
        return -ENOEXEC;
    return 0;
}

int symbols_find_section(struct symbol_reader *r, const char *name, uint64_t *address, uint64_t *bytes)
{
    uint64_t sections, count, names;
    char text[SECTION_NAME_MAX];
    size_t length = strlen(name) + 1;

    ASSERT(length <= sizeof(text), "the names asked for are short");
    int error = find_sections(r, &sections, &count, &names);
    if (!error)
        error = read_section(r, sections, names);
    uint64_t strings = le64(r->piece + 24);
    for (uint64_t i = 0; !error && i < count; i++) {
        error = read_section(r, sections, i);
        uint64_t at = strings + le32(r->piece);
        if (error || !in_file(at, length) || read_at(text, length, at) || memcmp(text, name, length) != 0)
            continue;
        *address = le64(r->piece + 16) + program.bias;
        *bytes = le64(r->piece + 32);
        return 0;
    }
    return error ? error : -ENOENT;
}

int symbols_open(struct symbol_reader *r)
{
    uint64_t sections, count, names;

    int error = find_sections(r, &sections, &count, &names);
    if (error)
        return error;
    for (uint64_t i = 0; i < count; i++) {
        error = read_section(r, sections, i);
        if (error)
            return error;
        if (le32(r->piece + 4) != SECTION_SYMBOLS)
            continue;
        error = take_tables(r, sections, count);
        if (error)
            r->count = 0;
        return error;
    }
    return -ENOENT;
}

/* Makes the piece hold entry r->next. */
static bool fill(struct symbol_reader *r)
{
    if (r->next - r->piece_first < r->piece_count)
        return true;
    uint64_t fit = sizeof(r->piece) / SYMBOL_BYTES, left = r->count - r->next;
    uint64_t count = MIN(fit, left);
    if (count == 0 || read_at(r->piece, count * SYMBOL_BYTES, r->table_offset + r->next * SYMBOL_BYTES))
        return false;
    r->piece_first = r->next;
    r->piece_count = count;
    return true;
}

bool symbols_next(struct symbol_reader *r, struct symbol *out)
{
    while (r->next < r->count && fill(r)) {
        const uint8_t *entry = r->piece + (r->next++ - r->piece_first) * SYMBOL_BYTES;
        unsigned type = entry[4] & 0xf;
        bool function = type == TYPE_FUNCTION || type == TYPE_INDIRECT;
        if ((!function && type != TYPE_NONE) || le16(entry + 6) == 0 || le32(entry) == 0)
            continue;
        out->address = le64(entry + 8) + program.bias;
        out->bytes = le64(entry + 16);
        out->name = le32(entry);
        out->function = function;
        return true;
    }
    return false;
}

int symbols_name(const struct symbol_reader *r, uint32_t name, char *text, size_t size)
{
    text[0] = 0;
    if (name >= r->names_bytes)
        return -ENOEXEC;
    size_t bytes = MIN(size - 1, r->names_bytes - name);
    int error = read_at(text, bytes, r->names_offset + name);
    text[error ? 0 : bytes] = 0;
    for (char *c = text; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '?';
    return text[0] ? error : -ENOEXEC;
}
