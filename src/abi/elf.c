// SPDX-License-Identifier: MIT
/* ELF headers: see elf.h. Addresses are checked so that no sum below can wrap. */
#include <abi/elf.h>

#include <arch/arch.h>
#include <lib/bits.h>
#include <lib/errno.h>
#include <lib/string.h>

enum { ET_EXEC = 2, ET_DYN = 3, EM_X86_64 = 62 };
enum { PT_LOAD = 1, PT_INTERP = 3, PF_EXEC = 1, PF_WRITE = 2, PF_READ = 4 };
enum { PT_GNU_EH_FRAME = 0x6474e550 };

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return -ENOEXEC;
}

int elf_read_header(const uint8_t *header, size_t bytes, uint64_t file_bytes,
                    struct elf_image *image, const char **why)
{
    if (bytes < 4 || memcmp(header, "\177ELF", 4) != 0)
        return refuse(why, "is not an ELF file");
    if (bytes < ELF_HEADER_BYTES)
        return refuse(why, "is cut off within its ELF header");
    if (header[4] != 2 || header[5] != 1 || le16(header + 18) != EM_X86_64)
        return refuse(why, "is for another machine; an ELF64 for x86-64 is needed");
    uint16_t type = le16(header + 16);
    if (type != ET_EXEC && type != ET_DYN)
        return refuse(why, "is not an executable (an object file or a core dump?)");
    memset(image, 0, sizeof(*image));
    image->position_independent = type == ET_DYN;
    image->entry = le64(header + 24);
    image->phdr_offset = le64(header + 32);
    image->phdr_count = le16(header + 56);
    if (image->phdr_count == 0)
        return refuse(why, "has no program headers");
    if (image->phdr_count > ELF_PHDRS_MAX || le16(header + 54) != ELF_PHDR_BYTES)
        return refuse(why, "has program headers of an unknown form");
    uint64_t table_bytes = (uint64_t)image->phdr_count * ELF_PHDR_BYTES;
    if (image->phdr_offset > file_bytes || file_bytes - image->phdr_offset < table_bytes)
        return refuse(why, "is cut off within its program headers");
    return 0;
}

static unsigned access_of(uint32_t flags)
{
    unsigned access = 0;
    if (flags & PF_READ)
        access |= ARCH_READ;
    if (flags & PF_WRITE)
        access |= ARCH_READ | ARCH_WRITE;
    if (flags & PF_EXEC)
        access |= ARCH_READ | ARCH_EXEC;
    return access;
}

static int add_segment(const uint8_t *phdr, uint64_t file_bytes, uint64_t limit,
                       struct elf_image *image, const char **why)
{
    struct elf_segment segment = {
        .offset = le64(phdr + 8),
        .address = le64(phdr + 16),
        .file_bytes = le64(phdr + 32),
        .memory_bytes = le64(phdr + 40),
        .access = access_of(le32(phdr + 4)),
    };
    if (segment.memory_bytes == 0)
        return 0;
    if (segment.file_bytes > segment.memory_bytes)
        return refuse(why, "has a segment that is larger in the file than in memory");
    if (segment.offset > file_bytes || file_bytes - segment.offset < segment.file_bytes)
        return refuse(why, "is cut off: a segment lies beyond its end");
    if (segment.address >= limit || limit - segment.address < segment.memory_bytes)
        return refuse(why, "has a segment outside the address space of apps");
    if (segment.address < PAGE_BYTES && !image->position_independent)
        return refuse(why, "has a segment in page 0");
    if ((segment.access & (ARCH_WRITE | ARCH_EXEC)) == (ARCH_WRITE | ARCH_EXEC))
        return refuse(why, "has a segment that is both writable and executable");
    if (image->segment_count == ELF_SEGMENTS_MAX)
        return refuse(why, "has too many segments");
    uint64_t start = align_down(segment.address, PAGE_BYTES);
    if (image->segment_count && start < image->high)
        return refuse(why, "has segments that overlap, share a page or are out of order");
    if (image->segment_count == 0)
        image->low = start;
    image->high = align_up(segment.address + segment.memory_bytes, PAGE_BYTES);
    image->segments[image->segment_count++] = segment;
    return 0;
}

/* Where the segment that holds file offset @offset puts it; 0 if none does. */
static uint64_t address_of_offset(const struct elf_image *image, uint64_t offset, uint64_t bytes)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if (offset >= s->offset && offset - s->offset <= s->file_bytes &&
            s->file_bytes - (offset - s->offset) >= bytes)
            return s->address + (offset - s->offset);
    }
    return 0;
}

static bool is_code(const struct elf_image *image, uint64_t address)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *s = &image->segments[i];
        if (address >= s->address && address - s->address < s->memory_bytes)
            return s->access & ARCH_EXEC;
    }
    return false;
}

int elf_read_segments(const uint8_t *phdrs, uint64_t file_bytes, uint64_t limit,
                      struct elf_image *image, const char **why)
{
    for (uint32_t i = 0; i < image->phdr_count; i++)
        if (le32(phdrs + (size_t)i * ELF_PHDR_BYTES) == PT_INTERP)
            return refuse(why, "is dynamically linked; link it with -static");
    for (uint32_t i = 0; i < image->phdr_count; i++) {
        const uint8_t *phdr = phdrs + (size_t)i * ELF_PHDR_BYTES;
        if (le32(phdr) == PT_GNU_EH_FRAME)
            image->eh_frame_header = le64(phdr + 16);
        if (le32(phdr) != PT_LOAD)
            continue;
        int error = add_segment(phdr, file_bytes, limit, image, why);
        if (error)
            return error;
    }
    if (image->segment_count == 0)
        return refuse(why, "has nothing to load");
    if (!is_code(image, image->entry))
        return refuse(why, "has no entry point in its code (a shared library?)");
    image->phdr_address = address_of_offset(image, image->phdr_offset,
                                            (uint64_t)image->phdr_count * ELF_PHDR_BYTES);
    if (image->phdr_address == 0)
        return refuse(why, "does not load its own program headers");
    return 0;
}
