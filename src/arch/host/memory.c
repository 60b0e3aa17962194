// SPDX-License-Identifier: MIT
/*
 * The host's memory: frames are pages of a memory file. All of it is mapped once (the direct map);
 * arch_map() maps pages of the same file into the stack window a second time, so both views show
 * the same bytes. What is not mapped is PROT_NONE: touching a guard page is a real fault.
 *
 * Only the stack window can be mapped to; @frames remembers what lies behind each of its pages.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <arch/host/host.h>
#include <lib/errno.h>
#include <lib/string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

uint64_t arch_direct_map;
uintptr_t arch_stack_window;
uintptr_t arch_io_window;

/* A frame's physical address, with the ARCH_* access in its low bits; 0: not mapped. */
static uint64_t *frames;
static int memory_file = -1;
static uint64_t memory_bytes;

static void must(bool condition, const char *what)
{
    if (!condition) {
        perror(what);
        abort();
    }
}

static void *map_nothing(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    must(p != MAP_FAILED, "host: address space");
    return p;
}

void host_memory_init(uint64_t bytes)
{
    must(memory_file < 0, "host_boot: called twice");
    memory_bytes = bytes;
    memory_file = memfd_create("spillway-memory", MFD_CLOEXEC);
    must(memory_file >= 0 && ftruncate(memory_file, (off_t)bytes) == 0, "host: memory file");
    void *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file, 0);
    must(all != MAP_FAILED, "host: direct map");
    arch_direct_map = (uintptr_t)all;
    arch_stack_window = (uintptr_t)map_nothing(ARCH_STACK_WINDOW_BYTES);
    arch_io_window = (uintptr_t)map_nothing(ARCH_IO_WINDOW_BYTES);
    size_t table_bytes = ARCH_STACK_WINDOW_BYTES / PAGE_BYTES * sizeof(*frames);
    frames = mmap(NULL, table_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(frames != MAP_FAILED, "host: frame table");
}

static const struct arch_memory_node *memory_nodes;
static int memory_node_count;

void host_memory_nodes(const struct arch_memory_node *nodes, int count)
{
    memory_nodes = nodes;
    memory_node_count = count;
}

int arch_memory_nodes(struct arch_memory_node *nodes, uint32_t max)
{
    if (memory_node_count > 0)
        memcpy(nodes, memory_nodes, MIN((uint32_t)memory_node_count, max) * sizeof(*nodes));
    return memory_node_count;
}

static bool in_stack_window(uintptr_t va, size_t count)
{
    return va % PAGE_BYTES == 0 && va >= arch_stack_window &&
           va - arch_stack_window + count * PAGE_BYTES <= ARCH_STACK_WINDOW_BYTES;
}

static size_t frame_index(uintptr_t va) { return (va - arch_stack_window) / PAGE_BYTES; }

static int protection(unsigned access)
{
    return (access & ARCH_READ ? PROT_READ : 0) | (access & ARCH_WRITE ? PROT_WRITE : 0) |
           (access & ARCH_EXEC ? PROT_EXEC : 0);
}

int arch_map(uintptr_t va, uint64_t phys, size_t count, unsigned access)
{
    must(in_stack_window(va, count), "arch_map: outside the stack window");
    must(phys && phys % PAGE_BYTES == 0 && phys + count * PAGE_BYTES <= memory_bytes,
         "arch_map: no such frame");
    for (size_t i = 0; i < count; i++)
        must(frames[frame_index(va) + i] == 0, "arch_map: mapped already");
    void *p = mmap((void *)va, count * PAGE_BYTES, protection(access), MAP_SHARED | MAP_FIXED,
                   memory_file, (off_t)phys);
    if (p == MAP_FAILED)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        frames[frame_index(va) + i] = (phys + i * PAGE_BYTES) | access;
    return 0;
}

void arch_unmap(uintptr_t va, size_t count)
{
    must(in_stack_window(va, count), "arch_unmap: outside the stack window");
    void *p = mmap((void *)va, count * PAGE_BYTES, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    must(p != MAP_FAILED, "arch_unmap");
    memset(&frames[frame_index(va)], 0, count * sizeof(*frames));
}

void arch_protect(uintptr_t va, size_t count, unsigned access)
{
    must(in_stack_window(va, count), "arch_protect: outside the stack window");
    for (size_t i = 0; i < count; i++) {
        uint64_t *frame = &frames[frame_index(va) + i];
        if (!*frame)
            continue;
        *frame = (*frame & ~(uint64_t)(PAGE_BYTES - 1)) | access;
        must(mprotect((void *)(va + i * PAGE_BYTES), PAGE_BYTES, protection(access)) == 0,
             "arch_protect");
    }
}

bool arch_lookup(uintptr_t va, uint64_t *phys, unsigned *access)
{
    uintptr_t page = va & ~(uintptr_t)(PAGE_BYTES - 1);

    if (!in_stack_window(page, 1) || !frames[frame_index(page)])
        return false;
    uint64_t frame = frames[frame_index(page)];
    if (phys)
        *phys = (frame & ~(uint64_t)(PAGE_BYTES - 1)) | (va & (PAGE_BYTES - 1));
    if (access)
        *access = frame & (PAGE_BYTES - 1);
    return true;
}

size_t arch_count_tables(uintptr_t va, uint64_t bytes)
{
    (void)va;
    (void)bytes;
    return 0;
}

void arch_trim_tables(uintptr_t va, size_t count)
{
    (void)va;
    (void)count;
}

int arch_copy(void *dst, const void *src, size_t bytes)
{
    memcpy(dst, src, bytes);
    return 0;
}

int arch_zero(void *dst, size_t bytes)
{
    memset(dst, 0, bytes);
    return 0;
}

void arch_stack_recycle(void *base, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(base, bytes);
#else
    (void)base;
    (void)bytes;
#endif
}
