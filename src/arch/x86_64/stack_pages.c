// SPDX-License-Identifier: MIT
/*
 * Entries of stacks. The tables of the stack window are never freed, so an entry's address stays valid,
 * and a stack's slot is smaller than one table's 2 MiB and aligned to its size: its entries are one array.
 */
#include <x86.h>

#include <arch/stack_pages.h>

#include "paging.h"

#define ENTRIES 512u

_Static_assert(ARCH_ENTRY_PRESENT == ENTRY_PRESENT && ARCH_ENTRY_KEPT == ENTRY_KEPT &&
                   ARCH_ENTRY_FRAME == ENTRY_ADDRESS &&
                   ARCH_ENTRY_STACK == (ENTRY_PRESENT | ENTRY_WRITE | ENTRY_NO_EXECUTE),
               "entries of stacks are entries");

static uint64_t *find_entry(uintptr_t va)
{
    uint64_t *table = arch_phys_to_virt(read_cr3() & ENTRY_ADDRESS);

    for (unsigned level = 3; level > 0; level--) {
        uint64_t entry = table[(va >> (PAGE_SHIFT + 9 * level)) & (ENTRIES - 1)];
        if (!(entry & ENTRY_PRESENT) || (entry & ENTRY_LARGE))
            return NULL;
        table = arch_phys_to_virt(entry & ENTRY_ADDRESS);
    }
    return &table[(va >> PAGE_SHIFT) & (ENTRIES - 1)];
}

uint64_t *arch_stack_entries(uintptr_t va, size_t count)
{
    if (((va >> PAGE_SHIFT) & (ENTRIES - 1)) + count > ENTRIES)
        return NULL;
    /* Mapped without rights: makes the tables and caches nothing. */
    if (arch_map(va, 0, count, 0))
        return NULL;
    uint64_t *entries = find_entry(va);
    for (size_t i = 0; i < count; i++)
        __atomic_store_n(&entries[i], 0, __ATOMIC_RELAXED);
    return entries;
}

void arch_unmap_start(uintptr_t va, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t *entry = find_entry(va + i * PAGE_BYTES);
        if (entry)
            __atomic_store_n(entry, 0, __ATOMIC_RELAXED);
    }
}

void arch_flush_all(void) { tlb_flush_everywhere(); }

void arch_flush_page(uintptr_t va) { __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory"); }
