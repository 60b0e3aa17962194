// SPDX-License-Identifier: MIT
/* The app's address space: what changes the size or place of a range, mremap(2) and brk(2). */
#include <abi/memory.h>

#include <abi/linux.h>
#include <lib/bits.h>
#include <rt/assert.h>
#include <rt/page.h>

/*
 * Moves the present pages of @from, in order, to the same places in @to. Each is mapped at the new
 * place before it leaves the old one; when a page table can't be had, those that moved go back,
 * for which the tables are still there. -ENOMEM.
 */
static int move_pages(const struct vma *from, const struct vma *to)
{
    uint64_t phys;
    unsigned access;
    uintptr_t page, distance = to->start - from->start;
    uintptr_t end = from->start + MIN(from->end - from->start, to->end - to->start);

    if (!(from->flags & VMA_TOUCHED))
        return 0;
    for (page = from->start; page < end; page += PAGE_BYTES) {
        if (!arch_lookup(page, &phys, &access))
            continue;
        if (arch_map(page + distance, phys, 1, access))
            goto undo;
        arch_unmap(page, 1);
    }
    return 0;

undo:
    for (end = page, page = from->start; page < end; page += PAGE_BYTES) {
        if (!arch_lookup(page + distance, &phys, &access))
            continue;
        arch_unmap(page + distance, 1);
        int error = arch_map(page, phys, 1, access);
        ASSERT(error == 0, "the old page tables are still there");
    }
    return -ENOMEM;
}

/* @vma is exactly the range to move; @start is free for @bytes, which are not less. */
static long move_range(struct vma *vma, uintptr_t start, uint64_t bytes)
{
    uint64_t old_bytes = vma->end - vma->start, old_pages = old_bytes / PAGE_BYTES;
    uint64_t more = vma->flags & VMA_ACCOUNTED ? bytes / PAGE_BYTES - old_pages : 0;

    if (page_reserve(more))
        return -ENOMEM;
    struct vma *moved = vma_alloc(&app_memory.vmas, start, start + bytes);
    if (!moved)
        goto out_unreserve;
    moved->access = vma->access;
    moved->flags = vma->flags;
    moved->kind = vma->kind;
    moved->map = vma->map;
    moved->map_page = vma->map_page;
    if (vma->map)
        vma->map->refs++;
    if (move_pages(vma, moved)) {
        arch_trim_tables(start, bytes / PAGE_BYTES);
        goto out_free;
    }
    uintptr_t old = vma->start;
    vma_remove(&app_memory.vmas, vma);
    vma_free(vma);
    arch_trim_tables(old, old_pages);
    vma_insert(&app_memory.vmas, moved);
    vma_merge(&app_memory.vmas, moved);
    if (old + old_bytes > app_memory.gap_hint)
        app_memory.gap_hint = MIN(old + old_bytes, app_memory.map_top);
    return (long)start;

out_free:
    vma_free(moved);
out_unreserve:
    page_unreserve(more);
    return -ENOMEM;
}

static bool grow_in_place(struct vma *vma, uintptr_t old_end, uintptr_t end)
{
    struct vma *next = vma_next(vma);
    if (vma->end != old_end || end > APP_LIMIT || (next && next->start < end))
        return false;
    if ((vma->flags & VMA_ACCOUNTED) && page_reserve((end - old_end) / PAGE_BYTES))
        return false;
    vma_set_end(&app_memory.vmas, vma, end);
    vma_merge(&app_memory.vmas, vma);
    return true;
}

static long remap_locked(uintptr_t old, uint64_t old_bytes, uint64_t new_bytes, unsigned flags,
                         uintptr_t wanted)
{
    int error;
    struct vma *vma = vma_find(&app_memory.vmas, old);
    if (!vma || vma->start > old || vma->end < old + old_bytes)
        return -EFAULT;
    if (flags & MREMAP_FIXED) {
        error = memory_unmap_locked(wanted, new_bytes);
        if (error)
            return error;
    }
    if (new_bytes < old_bytes) {
        error = memory_unmap_locked(old + new_bytes, old_bytes - new_bytes);
        if (error)
            return error;
        old_bytes = new_bytes;
    }
    if (!(flags & MREMAP_FIXED)) {
        if (new_bytes == old_bytes)
            return (long)old;
        vma = vma_find(&app_memory.vmas, old);
        if (grow_in_place(vma, old + old_bytes, old + new_bytes))
            return (long)old;
        if (!(flags & MREMAP_MAYMOVE))
            return -ENOMEM;
        wanted = memory_gap_locked(new_bytes);
        if (!wanted)
            return -ENOMEM;
    }
    if (memory_cut_locked(old) || memory_cut_locked(old + old_bytes))
        return -ENOMEM;
    return move_range(vma_find(&app_memory.vmas, old), wanted, new_bytes);
}

long memory_remap(uintptr_t old, uint64_t old_bytes, uint64_t new_bytes, unsigned flags,
                  uintptr_t wanted)
{
    old_bytes = align_up(old_bytes, PAGE_BYTES);
    new_bytes = align_up(new_bytes, PAGE_BYTES);
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) || old % PAGE_BYTES || !old_bytes || !new_bytes)
        return -EINVAL;
    if (!memory_range_ok(old, old_bytes))
        return -EFAULT;
    if (flags & MREMAP_FIXED) {
        if (!(flags & MREMAP_MAYMOVE) || !memory_range_ok(wanted, new_bytes))
            return -EINVAL;
        if (wanted < old + old_bytes && old < wanted + new_bytes)
            return -EINVAL;
    }
    mutex_lock(&app_memory.lock);
    long result = remap_locked(old, old_bytes, new_bytes, flags, wanted);
    mutex_unlock(&app_memory.lock);
    memory_release_maps();
    return result;
}

uintptr_t memory_set_brk(uintptr_t end)
{
    struct app_memory *m = &app_memory;

    mutex_lock(&m->lock);
    if (end < m->brk_start || end >= APP_LIMIT)
        goto out;
    uintptr_t old_top = align_up(m->brk_end, PAGE_BYTES), new_top = align_up(end, PAGE_BYTES);
    if (new_top > old_top) {
        struct map_request request = {
            .address = old_top,
            .bytes = new_top - old_top,
            .access = ARCH_READ | ARCH_WRITE,
            .kind = VMA_BRK,
            .fixed = true,
        };
        if (memory_map_locked(&request) < 0)
            goto out;
    } else if (new_top < old_top && memory_unmap_locked(new_top, old_top - new_top)) {
        goto out;
    }
    m->brk_end = end;
out:;
    uintptr_t now = m->brk_end;
    mutex_unlock(&m->lock);
    return now;
}
