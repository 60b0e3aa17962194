// SPDX-License-Identifier: MIT
/*
 * Page-table entries of stacks, for stacks that grow and for unmapping many stacks with one flush. The
 * runtime stores into the entries of a stack that it owns; nobody else touches them, and their tables stay.
 *
 * An entry is 0 (no page), present, or not present with its frame kept. A claimed one is about to lose it.
 */
#pragma once

#include <lib/types.h>

#define ARCH_ENTRY_PRESENT UINT64_C(0x1)
#define ARCH_ENTRY_ACCESSED UINT64_C(0x20)            /* set by the CPU before it caches a translation */
#define ARCH_ENTRY_KEPT UINT64_C(0x200)               /* not present; the frame is still the stack's */
#define ARCH_ENTRY_CLAIMED UINT64_C(0x400)            /* with KEPT: a fault may not use the frame any more */
#define ARCH_ENTRY_FRAME UINT64_C(0x000ffffffffff000)
#define ARCH_ENTRY_STACK UINT64_C(0x8000000000000003) /* present, writable, not executable */

/* In the error of a page fault: the page was present; it was an instruction fetch. */
#define ARCH_FAULT_PRESENT UINT64_C(1)
#define ARCH_FAULT_FETCH UINT64_C(16)

/**
 * arch_stack_entries() - make the tables for @count pages from @va on, all of them empty.
 * Returns the first entry; the others follow it. NULL: no memory, or a port without such entries.
 */
uint64_t *arch_stack_entries(uintptr_t va, size_t count);

/* Unmaps without a flush: the frames may be used again after arch_flush_all(). */
void arch_unmap_start(uintptr_t va, size_t count);

/*
 * Flushes everything on every CPU. When it returns every CPU has also passed through a place outside of its
 * fault handlers. Context: thread, or interrupts off without a lock that a CPU with interrupts off waits
 * for other than by arch_spin_wait().
 */
void arch_flush_all(void);
/* This CPU's one translation. */
void arch_flush_page(uintptr_t va);
