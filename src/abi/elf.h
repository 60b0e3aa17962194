// SPDX-License-Identifier: MIT
/*
 * Reads and checks the headers of a static ELF64 x86-64 executable: pure functions over bytes, no
 * files and no memory maps (abi/load.c has those). Everything in a file is doubted.
 * Source: System V ABI, ELF-64 object file format 1.5; x86-64 psABI.
 */
#pragma once

#include <lib/types.h>

#define ELF_HEADER_BYTES 64
#define ELF_PHDR_BYTES 56
#define ELF_PHDRS_MAX 64
#define ELF_SEGMENTS_MAX 16

struct elf_segment {
    uint64_t address, memory_bytes;   /* before the bias is added */
    uint64_t offset, file_bytes;
    unsigned access;                  /* ARCH_* */
};

struct elf_image {
    bool position_independent;        /* the loader chooses a bias; else it is 0 */
    uint64_t entry, phdr_offset, phdr_address;
    uint32_t phdr_count;
    uint64_t low, high;               /* page-aligned extent of all segments */
    uint32_t segment_count;
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    uint64_t eh_frame_header;         /* where .eh_frame_hdr is, or 0; not checked */
};

/**
 * elf_read_header() - check the first ELF_HEADER_BYTES of a file of @file_bytes.
 * @header: what could be read of them, @bytes long.
 * @why:    on an error, a literal text that goes on after "FILE ", such as "is not an ELF file".
 *
 * Fills entry, phdr_offset, phdr_count and position_independent.
 * Errors: -ENOEXEC.
 */
int elf_read_header(const uint8_t *header, size_t bytes, uint64_t file_bytes,
                    struct elf_image *image, const char **why);

/**
 * elf_read_segments() - check the program headers and fill in the rest of @image.
 * @phdrs: image->phdr_count headers of ELF_PHDR_BYTES.
 * @limit: app addresses lie below; segments also keep off page 0.
 *
 * Errors: -ENOEXEC, with @why as above.
 */
int elf_read_segments(const uint8_t *phdrs, uint64_t file_bytes, uint64_t limit,
                      struct elf_image *image, const char **why);
