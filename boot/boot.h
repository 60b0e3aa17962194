// SPDX-License-Identifier: MIT
/*
 * What the files of boot/ share. The order, all of it in boot_main(): the loader's information is
 * copied into boot_info (multiboot2.c or pvh.c), its memory map becomes a list of RAM (regions.c),
 * the final page tables are built (src/arch/x86_64/paging_boot.c), kernel_main() begins.
 *
 * Until then physical addresses below 4 GiB can be read through the direct map.
 */
#pragma once

#include <arch/boot_info.h>

#define BOOT_MAPPED_END GIB(4)

/* Fill boot_info from the loader's structure at physical address @info. */
void multiboot2_parse(uint64_t info);
void pvh_parse(uint64_t info);

/* The memory at physical @address, or NULL if not all of @bytes is mapped yet. */
const void *boot_memory(uint64_t address, uint64_t bytes);

/* The command line, or a part of it that is cut. */
void boot_set_command_line(const char *line);
/* @name may be NULL. */
void boot_add_module(uint64_t start, uint64_t end, const char *name);

/* The memory map, entry by entry in any order; what is not usable wins where entries overlap. */
void boot_add_memory(uint64_t start, uint64_t end, bool usable);
/* Makes boot_info.regions of it, and the list of all RAM that the direct map is built from. */
void boot_finish_regions(void);
