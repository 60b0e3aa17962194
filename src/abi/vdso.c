// SPDX-License-Identifier: MIT
/* The vDSO in the app's address space: a page of data, and behind it the object itself. */
#include <abi/vdso.h>

#include <abi/copy.h>
#include <abi/memory.h>
#include <lib/bits.h>

static int fill(uintptr_t at)
{
    int error = app_check_write(at, PAGE_BYTES + arch_vdso.bytes);

    if (!error)
        error = app_copy_out(at + PAGE_BYTES, arch_vdso.start, arch_vdso.bytes);
    if (!error)
        arch_vdso_write_data((void *)at);
    if (!error)
        error = memory_protect(at, PAGE_BYTES, ARCH_READ);
    if (error)
        return error;
    return memory_protect(at + PAGE_BYTES, align_up(arch_vdso.bytes, PAGE_BYTES),
                          ARCH_READ | ARCH_EXEC);
}

int vdso_map(uint64_t *out)
{
    struct map_request request = {
        .bytes = PAGE_BYTES + align_up(arch_vdso.bytes, PAGE_BYTES),
        .access = ARCH_READ | ARCH_WRITE,
        .kind = VMA_VDSO,
    };
    long at = memory_map(&request);
    if (at < 0)
        return (int)at;
    int error = fill((uintptr_t)at);
    *out = (uint64_t)at + PAGE_BYTES;
    return error;
}
