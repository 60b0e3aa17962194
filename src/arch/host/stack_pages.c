// SPDX-License-Identifier: MIT
/* The host has no page tables of its own: stacks do not grow there, and unmapping takes effect at once. */
#include <arch/arch.h>
#include <arch/stack_pages.h>

uint64_t *arch_stack_entries(uintptr_t va, size_t count)
{
    (void)va;
    (void)count;
    return NULL;
}

void arch_unmap_start(uintptr_t va, size_t count) { arch_unmap(va, count); }
void arch_flush_all(void) {}
void arch_flush_page(uintptr_t va) { (void)va; }
