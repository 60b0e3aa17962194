// SPDX-License-Identifier: MIT
/* The app's address space: mapping, unmapping, protecting. See memory.h; mremap is in remap.c. */
#include <abi/memory.h>

#include <abi/linux.h>
#include <lib/bits.h>
#include <rt/assert.h>
#include <rt/page.h>

#define DROP_BATCH 8

struct app_memory app_memory = {.lock = MUTEX_INIT(app_memory.lock)};

void memory_start(void)
{
    mutex_init(&app_memory.lock);
}

int memory_cut_locked(uintptr_t address)
{
    struct vma *vma = vma_find(&app_memory.vmas, address);
    if (!vma || vma->start >= address)
        return 0;
    struct vma *spare = vma_alloc(&app_memory.vmas, address, vma->end);
    if (!spare)
        return -ENOMEM;
    vma_split(&app_memory.vmas, address, &spare);
    return 0;
}

bool memory_covered_locked(uintptr_t start, uintptr_t end)
{
    for (struct vma *vma = vma_find(&app_memory.vmas, start); vma; vma = vma_next(vma)) {
        if (vma->start > start)
            return false;
        start = vma->end;
        if (start >= end)
            return true;
    }
    return false;
}

int memory_check_mapped(uintptr_t start, uint64_t bytes)
{
    uint64_t rounded = align_up(bytes, PAGE_BYTES);

    if (rounded < bytes || start + rounded < start)
        return -EINVAL;
    if (rounded == 0)
        return 0;
    mutex_lock(&app_memory.lock);
    bool covered = memory_covered_locked(start, start + rounded);
    mutex_unlock(&app_memory.lock);
    return covered ? 0 : -ENOMEM;
}

uintptr_t memory_gap_locked(uint64_t bytes)
{
    uintptr_t start = vma_find_gap(&app_memory.vmas, bytes, KIB(64), app_memory.gap_hint);
    if (!start)
        start = vma_find_gap(&app_memory.vmas, bytes, KIB(64), app_memory.map_top);
    if (start)
        app_memory.gap_hint = start;
    return start;
}

uint64_t memory_present_locked(const struct vma *vma, uintptr_t start, uintptr_t end)
{
    uint64_t phys, count = 0;
    unsigned access;

    if (!(vma->flags & VMA_TOUCHED))
        return 0;
    for (uintptr_t page = start; page < end; page += PAGE_BYTES)
        count += arch_lookup(page, &phys, &access);
    return count;
}

static uint64_t drop_shared(const struct vma *vma, uintptr_t start, uintptr_t end)
{
    uint64_t phys, dropped = 0;
    unsigned access;

    for (uintptr_t page = start; page < end; page += PAGE_BYTES) {
        if (!arch_lookup(page, &phys, &access))
            continue;
        arch_unmap(page, 1);
        file_map_dropped_locked(vma, page);
        dropped++;
    }
    app_memory.pages_present -= dropped;
    return dropped;
}

/* Their reservations stay. */
uint64_t memory_drop_locked(struct vma *vma, uintptr_t start, uintptr_t end)
{
    void *batch[DROP_BATCH];
    uint64_t phys, dropped = 0;
    unsigned access;

    if (!(vma->flags & VMA_TOUCHED))
        return 0;
    if (vma_is_shared_file(vma))
        return drop_shared(vma, start, end);
    for (uintptr_t page = start; page < end;) {
        uintptr_t first = page;
        unsigned count = 0;
        for (; page < end && count < DROP_BATCH; page += PAGE_BYTES)
            if (arch_lookup(page, &phys, &access))
                batch[count++] = arch_phys_to_virt(phys);
        if (count == 0)
            break;
        arch_unmap(first, (page - first) / PAGE_BYTES);
        for (unsigned i = 0; i < count; i++)
            page_free_reserved(batch[i]);
        dropped += count;
    }
    app_memory.pages_present -= dropped;
    return dropped;
}

int memory_unmap_locked(uintptr_t start, uint64_t bytes)
{
    uintptr_t end = start + bytes;
    if (memory_cut_locked(start) || memory_cut_locked(end))
        return -ENOMEM;
    struct vma *vma = vma_find(&app_memory.vmas, start);
    bool touched = false;
    while (vma && vma->start < end) {
        struct vma *next = vma_next(vma);
        touched |= vma->flags & VMA_TOUCHED;
        uint64_t present = memory_drop_locked(vma, vma->start, vma->end);
        if (vma->flags & VMA_ACCOUNTED)
            page_unreserve((vma->end - vma->start) / PAGE_BYTES);
        else if (!vma_is_shared_file(vma))
            page_unreserve(present);
        vma_remove(&app_memory.vmas, vma);
        vma_free(vma);
        vma = next;
    }
    if (touched)
        arch_trim_tables(start, bytes / PAGE_BYTES);
    if (end > app_memory.gap_hint)
        app_memory.gap_hint = MIN(end, app_memory.map_top);
    return 0;
}

int memory_unmap(uintptr_t start, uint64_t bytes)
{
    bytes = align_up(bytes, PAGE_BYTES);
    if (start == 0 && bytes) {        /* nothing is mapped in page 0 */
        start = PAGE_BYTES;
        bytes -= PAGE_BYTES;
        if (!bytes)
            return 0;
    }
    if (!memory_range_ok(start, bytes))
        return -EINVAL;
    mutex_lock(&app_memory.lock);
    int error = memory_unmap_locked(start, bytes);
    mutex_unlock(&app_memory.lock);
    memory_release_maps();
    return error;
}

/* Where a request goes, or 0. */
static uintptr_t place(const struct map_request *r)
{
    uintptr_t hint = align_down(r->address, PAGE_BYTES);
    if (hint >= KIB(64) && memory_range_ok(hint, r->bytes)) {
        struct vma *vma = vma_find(&app_memory.vmas, hint);
        if (!vma || vma->start >= hint + r->bytes)
            return hint;
    }
    return memory_gap_locked(r->bytes);
}

long memory_map_locked(const struct map_request *r)
{
    ASSERT((r->bytes & (PAGE_BYTES - 1)) == 0, "mappings are pages");
    uint64_t pages = r->bytes / PAGE_BYTES;
    uintptr_t start = r->fixed ? r->address : place(r);
    if (!memory_range_ok(start, r->bytes))
        return r->fixed && start % PAGE_BYTES ? -EINVAL : -ENOMEM;
    if (r->fixed && !r->replace) {
        struct vma *next = vma_find(&app_memory.vmas, start);
        if (next && next->start < start + r->bytes)
            return -EEXIST;
    }
    bool accounted = r->access && !r->no_reserve && !(r->map && r->map->shared);
    if (accounted && page_reserve(pages))
        return -ENOMEM;
    struct vma *vma = vma_alloc(&app_memory.vmas, start, start + r->bytes);
    if (!vma)
        goto out_unreserve;
    if (r->fixed && r->replace && memory_unmap_locked(start, r->bytes))
        goto out_free;
    vma->access = (uint8_t)r->access;
    vma->kind = r->kind;
    vma->flags = (accounted ? VMA_ACCOUNTED : 0) | (r->no_reserve ? VMA_NORESERVE : 0);
    vma->map = r->map;                /* with its reference */
    vma->map_page = r->map_page;
    vma_insert(&app_memory.vmas, vma);
    vma_merge(&app_memory.vmas, vma);
    return (long)start;

out_free:
    vma_free(vma);
out_unreserve:
    if (accounted)
        page_unreserve(pages);
    return -ENOMEM;
}

long memory_map(const struct map_request *request)
{
    mutex_lock(&app_memory.lock);
    long result = memory_map_locked(request);
    if (result < 0 && request->map)
        request->map->refs--;
    mutex_unlock(&app_memory.lock);
    memory_release_maps();
    return result;
}

/* Frames that the ranges in [@start, @end) still lack to be accounted for. */
static uint64_t missing_reservations(uintptr_t start, uintptr_t end)
{
    uint64_t missing = 0;
    for (struct vma *vma = vma_find(&app_memory.vmas, start); vma && vma->start < end;
         vma = vma_next(vma))
        if (!(vma->flags & (VMA_ACCOUNTED | VMA_NORESERVE)) && !vma_is_shared_file(vma))
            missing += (vma->end - vma->start) / PAGE_BYTES -
                       memory_present_locked(vma, vma->start, vma->end);
    return missing;
}

static bool may_be_written(uintptr_t start, uintptr_t end)
{
    for (struct vma *vma = vma_find(&app_memory.vmas, start); vma && vma->start < end;
         vma = vma_next(vma))
        if (vma_is_shared_file(vma) && !vma->map->may_write)
            return false;
    return true;
}

static int protect_locked(uintptr_t start, uintptr_t end, unsigned access)
{
    if (!memory_covered_locked(start, end))
        return -ENOMEM;
    if ((access & ARCH_WRITE) && !may_be_written(start, end))
        return -EACCES;
    if (memory_cut_locked(start) || memory_cut_locked(end))
        return -ENOMEM;
    if (access && page_reserve(missing_reservations(start, end)))
        return -ENOMEM;
    for (struct vma *vma = vma_find(&app_memory.vmas, start); vma && vma->start < end;
         vma = vma_next(vma)) {
        bool shared = vma_is_shared_file(vma);
        if (access && !(vma->flags & VMA_NORESERVE) && !shared)
            vma->flags |= VMA_ACCOUNTED;
        /* a file's own page becomes writable at the first write: the file must know of it */
        if (vma->access != access && (vma->flags & VMA_TOUCHED))
            arch_protect(vma->start, (vma->end - vma->start) / PAGE_BYTES,
                         shared ? access & ~ARCH_WRITE : access);
        vma->access = (uint8_t)access;
        vma = vma_merge(&app_memory.vmas, vma);
    }
    return 0;
}

int memory_protect(uintptr_t start, uint64_t bytes, unsigned access)
{
    bytes = align_up(bytes, PAGE_BYTES);
    if (start % PAGE_BYTES)
        return -EINVAL;
    if (bytes == 0)
        return 0;
    if (!memory_range_ok(start, bytes))
        return -ENOMEM;
    mutex_lock(&app_memory.lock);
    int error = protect_locked(start, start + bytes, access);
    mutex_unlock(&app_memory.lock);
    return error;
}

static int discard_locked(uintptr_t start, uintptr_t end)
{
    struct vma *vma;

    if (!memory_covered_locked(start, end))
        return -ENOMEM;
    for (vma = vma_find(&app_memory.vmas, start); vma && vma->start < end; vma = vma_next(vma))
        if (vma->kind == VMA_IMAGE)
            return -EINVAL;
    for (vma = vma_find(&app_memory.vmas, start); vma && vma->start < end; vma = vma_next(vma)) {
        uint64_t dropped = memory_drop_locked(vma, MAX(start, vma->start), MIN(end, vma->end));
        if (!(vma->flags & VMA_ACCOUNTED) && !vma_is_shared_file(vma))
            page_unreserve(dropped);
    }
    return 0;
}

int memory_discard(uintptr_t start, uint64_t bytes)
{
    bytes = align_up(bytes, PAGE_BYTES);
    if (!memory_range_ok(start, bytes))
        return bytes == 0 && start % PAGE_BYTES == 0 ? 0 : -EINVAL;
    mutex_lock(&app_memory.lock);
    int error = discard_locked(start, start + bytes);
    mutex_unlock(&app_memory.lock);
    return error;
}

static int need_file(const struct vma *vma, uintptr_t page, bool write, struct file_need *need)
{
    vma->map->refs++;
    *need = (struct file_need){
        .map = vma->map,
        .index = vma->map_page + (page - vma->start) / PAGE_BYTES,
        .page = page,
        .write = write,
    };
    return -EAGAIN;
}

/* Makes one page of @vma present. */
static int page_in(struct vma *vma, uintptr_t page, unsigned wanted, struct file_need *need)
{
    bool write = wanted & ARCH_WRITE;
    uint64_t phys;
    unsigned access;

    bool present = arch_lookup(page, &phys, &access);
    if (present && (!write || (access & ARCH_WRITE)))
        return 0;
    if (vma->map && (!present || vma->map->shared))
        return need_file(vma, page, write, need);
    if (present)
        return 0;
    bool accounted = vma->flags & VMA_ACCOUNTED;
    if (!accounted && page_reserve(1))
        return -ENOMEM;
    void *frame = page_alloc_reserved();
    if (arch_map(page, arch_virt_to_phys(frame), 1, vma->access)) {
        page_free_reserved(frame);
        if (!accounted)
            page_unreserve(1);
        return -ENOMEM;
    }
    vma->flags |= VMA_TOUCHED;
    app_memory.pages_present++;
    return 0;
}

int memory_populate_locked(uintptr_t start, uint64_t bytes, unsigned access,
                           struct file_need *need)
{
    if (bytes == 0)
        return 0;
    if (start >= APP_LIMIT || APP_LIMIT - start < bytes)
        return -EFAULT;
    uintptr_t page = align_down(start, PAGE_BYTES), end = start + bytes;
    struct vma *vma = vma_find(&app_memory.vmas, page);
    for (; vma && vma->start <= page; vma = vma_next(vma)) {
        if (!vma->access || (vma->access & access) != access)
            return -EFAULT;
        for (; page < MIN(end, vma->end); page += PAGE_BYTES) {
            int error = page_in(vma, page, access, need);
            if (error)
                return error;
        }
        if (page >= end)
            return 0;
    }
    return -EFAULT;
}

int memory_populate_lock(uintptr_t start, uint64_t bytes, unsigned access)
{
    struct file_need need;

    for (;;) {
        mutex_lock(&app_memory.lock);
        int error = memory_populate_locked(start, bytes, access, &need);
        if (error == 0)
            return 0;
        mutex_unlock(&app_memory.lock);
        if (error == -EAGAIN)
            error = memory_bring_in(&need);
        if (error)
            return error;
    }
}

int memory_populate(uintptr_t start, uint64_t bytes, unsigned access)
{
    int error = memory_populate_lock(start, bytes, access);
    if (error == 0)
        mutex_unlock(&app_memory.lock);
    return error;
}
