// SPDX-License-Identifier: MIT
/*
 * Finding halts: see halts.h. First every byte of the code that looks like one is noted; there are few
 * (some five hundred in a megabyte, of which a handful are instructions). Then the functions that
 * have such a byte are decoded from their start, and only those, so the cost stays small.
 *
 * Source: LSB 5.0 core, 10.6 (.eh_frame); DWARF 4, 6.4.1.
 */
#include <abi/halts.h>

#include <abi/symbols.h>
#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/log.h>

#define HALT_BYTE 0xf4
#define SUSPECTS_MAX 65536u           /* a program with more than that is left alone */
#define INSN_WINDOW 16
#define DECODE_TIMES_MAX 8

/* In the upper bits of a suspect's address, which a program's addresses leave free. */
#define IS_HALT (UINT64_C(1) << 63)
#define IS_INSIDE (UINT64_C(1) << 62) /* of another instruction, or in what cannot be decoded */
#define ADDRESS_MASK (IS_INSIDE - 1)

static struct {
    uint64_t *at;                     /* sorted; suspects while they are looked for, then halts */
    uint32_t count;
} halts;

/* A search that goes on. */
struct search {
    const struct elf_image *image;
    uint64_t bias;
    uint64_t budget;                  /* bytes of code that may still be decoded: tables may lie */
};

/* ---- what was loaded ---- */

/*
 * @bytes of the program at @address, from its file: NULL if not all of them are. They are present, and
 * nobody runs who could unmap them.
 */
static const uint8_t *loaded(const struct search *s, uint64_t address, uint64_t bytes)
{
    for (uint32_t i = 0; i < s->image->segment_count; i++) {
        const struct elf_segment *segment = &s->image->segments[i];
        uint64_t offset = address - s->bias - segment->address;
        if (offset < segment->file_bytes && segment->file_bytes - offset >= bytes)
            return (const uint8_t *)address;
    }
    return NULL;
}

/* The same to the end of the segment. */
static const uint8_t *loaded_tail(const struct search *s, uint64_t address, uint64_t *bytes)
{
    for (uint32_t i = 0; i < s->image->segment_count; i++) {
        const struct elf_segment *segment = &s->image->segments[i];
        uint64_t offset = address - s->bias - segment->address;
        if (offset >= segment->file_bytes)
            continue;
        *bytes = segment->file_bytes - offset;
        return (const uint8_t *)address;
    }
    *bytes = 0;
    return NULL;
}

/* ---- suspects ---- */

static uint32_t scan(const struct search *s, const struct elf_segment *segment, uint64_t *out)
{
    const uint8_t *at = (const uint8_t *)(segment->address + s->bias);
    const uint8_t *end = at + segment->file_bytes;
    uint32_t count = 0;

    while ((at = memchr(at, HALT_BYTE, (size_t)(end - at)))) {
        if (out)
            out[count] = (uintptr_t)at;
        count++;
        at++;
    }
    return count;
}

/* Of all segments with code; with @out NULL only counted. */
static uint32_t scan_all(const struct search *s, uint64_t *out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < s->image->segment_count; i++)
        if (s->image->segments[i].access & ARCH_EXEC)
            count += scan(s, &s->image->segments[i], out ? out + count : NULL);
    return count;
}

/* The first suspect at or above @address. */
static uint32_t suspect_from(uint64_t address)
{
    uint32_t low = 0, high = halts.count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((halts.at[middle] & ADDRESS_MASK) < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Decodes [@start, @end); true if it ends there. Marks with @mark the suspects that begin an instruction. */
static bool decode(const uint8_t *start, const uint8_t *end, uint32_t suspect, bool mark)
{
    const uint8_t *at = start;

    while (at < end) {
        enum arch_insn_kind kind;
        unsigned bytes = arch_insn_decode(at, (size_t)MIN(end - at, (ptrdiff_t)INSN_WINDOW), &kind);
        if (bytes == 0)
            return false;
        while (suspect < halts.count && (halts.at[suspect] & ADDRESS_MASK) < (uintptr_t)at + bytes) {
            bool is_halt = kind == ARCH_INSN_HALT && (halts.at[suspect] & ADDRESS_MASK) == (uintptr_t)at;
            if (mark)
                halts.at[suspect] |= is_halt ? IS_HALT : IS_INSIDE;
            suspect++;
        }
        at += bytes;
    }
    return true;
}

/* A function, from whatever source: its suspects become halts, or insides of others. */
static void take_function(struct search *s, uint64_t address, uint64_t bytes)
{
    uint32_t suspect = suspect_from(address);

    if (suspect == halts.count || (halts.at[suspect] & ADDRESS_MASK) - address >= bytes)
        return;
    const uint8_t *code = loaded(s, address, bytes);
    if (!code || bytes > s->budget)
        return;
    s->budget -= bytes;
    if (decode(code, code + bytes, suspect, false))
        decode(code, code + bytes, suspect, true);
}

static void take_symbols(struct search *s, struct symbol_reader *reader)
{
    struct symbol symbol;

    if (symbols_open(reader))
        return;
    while (symbols_next(reader, &symbol))
        if (symbol.function && symbol.bytes)
            take_function(s, symbol.address, symbol.bytes);
}

/* ---- .eh_frame ---- */

enum { ENCODED_4_BYTES = 0x03, ENCODED_8_BYTES = 0x04, ENCODED_SIGNED = 0x08, ENCODED_RELATIVE = 0x10 };
#define ENCODING_UNKNOWN 0xff
#define EH_HEADER_BYTES 12

/* Bytes of a pointer; 0: one that is not read here. */
static unsigned pointer_bytes(uint8_t encoding)
{
    switch (encoding & ~(ENCODED_RELATIVE | ENCODED_SIGNED)) {
    case 0:
    case ENCODED_8_BYTES:
        return 8;
    case ENCODED_4_BYTES:
        return 4;
    default:
        return 0;
    }
}

/* The value at @at, which lies at @at in the program too. */
static uint64_t read_pointer(const uint8_t *at, uint8_t encoding)
{
    uint64_t value = pointer_bytes(encoding) == 8 ? le64(at) : le32(at);

    if (pointer_bytes(encoding) == 4 && (encoding & ENCODED_SIGNED))
        value = (uint64_t)(int32_t)value;
    return encoding & ENCODED_RELATIVE ? value + (uintptr_t)at : value;
}

/* How a common entry (@bytes at @entry, behind its identifier) says that addresses are written. */
static uint8_t encoding_of(const uint8_t *entry, uint64_t bytes)
{
    const uint8_t *at = entry + 1, *end = entry + bytes;

    if (bytes < 3 || (entry[0] != 1 && entry[0] != 3) || at[0] != 'z')
        return bytes >= 3 && at[0] == 0 ? 0 : ENCODING_UNKNOWN;
    const uint8_t *letter = at + 1;
    at = memchr(at, 0, (size_t)(end - at));
    if (!at++)
        return ENCODING_UNKNOWN;
    for (unsigned numbers = entry[0] == 1 ? 2 : 3; numbers && at < end; at++)
        numbers -= !(*at & 0x80);     /* alignments, and the register in version 3 */
    at += entry[0] == 1;              /* the register in version 1 */
    while (at < end && (*at++ & 0x80)) {  /* bytes of what follows */
    }
    for (; *letter; letter++) {
        if (at >= end)
            return ENCODING_UNKNOWN;
        if (*letter == 'R')
            return *at;
        if (*letter == 'P')
            at += pointer_bytes(*at);
        else if (*letter != 'L')
            continue;                 /* S and B have no data */
        at++;
    }
    return 0;
}

/* A record that is not a common entry. */
static void take_range(struct search *s, const uint8_t *at, uint64_t bytes, uint8_t encoding)
{
    unsigned width = pointer_bytes(encoding);

    if (encoding == ENCODING_UNKNOWN || width == 0 || bytes < 2 * width)
        return;
    uint64_t length = width == 8 ? le64(at + width) : le32(at + width);
    take_function(s, read_pointer(at, encoding), length);
}

/* The records: by the table's section; if there are no sections, by its header. */
static const uint8_t *find_eh_frame(const struct search *s, struct symbol_reader *reader, uint64_t *bytes)
{
    uint64_t address, size;

    if (symbols_find_section(reader, ".eh_frame", &address, &size) == 0) {
        const uint8_t *at = loaded_tail(s, address, bytes);
        *bytes = MIN(*bytes, size);
        return at;
    }
    const uint8_t *header = loaded(s, s->image->eh_frame_header + s->bias, EH_HEADER_BYTES);
    if (!s->image->eh_frame_header || !header || header[0] != 1 || pointer_bytes(header[1]) == 0)
        return NULL;
    return loaded_tail(s, read_pointer(header + 4, header[1]), bytes);
}

/* What the common entry at @at says of the records that name it. */
static uint8_t encoding_at(const struct search *s, const uint8_t *at)
{
    const uint8_t *there = loaded(s, (uintptr_t)at, 8);
    uint64_t bytes = there ? le32(there) : 0;

    there = bytes >= 4 ? loaded(s, (uintptr_t)at, bytes + 4) : NULL;
    return there ? encoding_of(there + 8, bytes - 4) : ENCODING_UNKNOWN;
}

static void take_eh_frame(struct search *s, struct symbol_reader *reader)
{
    const uint8_t *common = NULL;
    uint8_t encoding = ENCODING_UNKNOWN;
    uint64_t left = 0;

    const uint8_t *at = find_eh_frame(s, reader, &left);
    while (at && left >= 8) {
        uint32_t bytes = le32(at), back = le32(at + 4);
        if (bytes < 4 || bytes > left - 4)
            return;                   /* the end; or records of 64 bits, which nobody makes */
        if (back && at + 4 - back != common) {
            common = at + 4 - back;
            encoding = encoding_at(s, common);
        }
        if (back)
            take_range(s, at + 8, bytes - 4, encoding);
        at += bytes + 4;
        left -= bytes + 4;
    }
}

/* ---- all of it ---- */

/* The code is read-only where it is mapped, but not its frames. */
static void replace(uint64_t address)
{
    uint64_t phys;
    unsigned access;

    if (arch_lookup(align_down(address, PAGE_BYTES), &phys, &access))
        *((uint8_t *)arch_phys_to_virt(phys) + address % PAGE_BYTES) = ARCH_TRAP_INSN;
}

/* Those that are sure, and that nothing speaks against, stay. */
static void keep_halts(void)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < halts.count; i++) {
        uint64_t address = halts.at[i] & ADDRESS_MASK;
        if ((halts.at[i] & (IS_HALT | IS_INSIDE)) != IS_HALT)
            continue;
        replace(address);
        halts.at[kept++] = address;
    }
    halts.count = kept;
}

void halts_replace(const struct elf_image *image, uint64_t bias)
{
    struct search search = {.image = image, .bias = bias};
    uint64_t begun_ns = arch_now_ns();
    uint32_t count = scan_all(&search, NULL);

    for (uint32_t i = 0; i < image->segment_count; i++)
        search.budget += image->segments[i].file_bytes * DECODE_TIMES_MAX;
    if (count == 0 || count > SUSPECTS_MAX)
        return;
    struct symbol_reader *reader = heap_alloc(sizeof(*reader));
    halts.at = heap_alloc(count * sizeof(*halts.at));
    if (reader && halts.at) {
        halts.count = scan_all(&search, halts.at);
        take_symbols(&search, reader);
        take_eh_frame(&search, reader);
        keep_halts();
        log_debug("app: %u of %u bytes that look like hlt are, and will end it; found in %llu us",
                  halts.count, count, (unsigned long long)((arch_now_ns() - begun_ns) / NS_PER_US));
    }
    heap_free(reader);
}

bool halts_contain(uintptr_t address)
{
    uint32_t at = suspect_from(address);
    return at < halts.count && halts.at[at] == address;
}

void halts_fix_frame(struct arch_frame *frame)
{
    if (frame->vector != ARCH_VECTOR_TRAP || !halts_contain(frame->rip - 1))
        return;
    frame->rip--;
    frame->vector = ARCH_VECTOR_PRIVILEGE;
    frame->error = 0;
}
