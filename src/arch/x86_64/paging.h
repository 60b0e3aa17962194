// SPDX-License-Identifier: MIT
/* Bits of a page-table entry (Intel SDM volume 3, 4.5). */
#pragma once

#include <lib/types.h>

#define ENTRY_PRESENT UINT64_C(1)
#define ENTRY_WRITE UINT64_C(2)
#define ENTRY_UNCACHED UINT64_C(0x18) /* PWT and PCD */
#define ENTRY_COMBINED UINT64_C(0x8)  /* PWT alone: writes may be combined (paging_init_cpu()) */
#define ENTRY_LARGE UINT64_C(0x80)    /* 2 MiB or 1 GiB */
#define ENTRY_KEPT UINT64_C(0x200)    /* ours: not present, but the frame stays */
#define ENTRY_ADDRESS UINT64_C(0x000ffffffffff000)
#define ENTRY_NO_EXECUTE UINT64_C(0x8000000000000000)

/* Present, write, no-execute, uncached, kept for ARCH_* rights. */
uint64_t paging_entry_bits(unsigned access);
