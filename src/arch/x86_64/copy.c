// SPDX-License-Identifier: MIT
/* Copies to and from app memory: copy.asm, once this CPU takes part in flushes of app memory (tlb.c). */
#include <x86.h>

/* App addresses are those of the lower half. */
static void prepare(const void *a, const void *b)
{
    const struct arch_thread *thread = arch_current();

    if (((intptr_t)a >= 0 || (intptr_t)b >= 0) && thread && !x86_uses_app_memory(thread))
        arch_use_app_memory();
}

int arch_copy(void *dst, const void *src, size_t bytes)
{
    prepare(dst, src);
    return x86_copy(dst, src, bytes);
}

int arch_zero(void *dst, size_t bytes)
{
    prepare(dst, dst);
    return x86_zero(dst, bytes);
}
