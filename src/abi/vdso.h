// SPDX-License-Identifier: MIT
/* Clocks without system calls: see src/arch/x86_64/vdso. */
#pragma once

#include <lib/types.h>

/* Maps it; @out is what AT_SYSINFO_EHDR says. -ENOMEM. */
int vdso_map(uint64_t *out);
