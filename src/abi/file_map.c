// SPDX-License-Identifier: MIT
/*
 * Mapped files. A private mapping has copies of the file's pages, read when they are first needed. A
 * shared one has the file's own pages, the ones that read and write use too, so all see each other.
 *
 * A shared page is mapped without the right to write until the first write to it: that fault makes
 * the file give it blocks and mark it changed (vfs_map_page). Write-back takes the right away before
 * it writes, so a page under write is stable, and the next write is a fault again.
 *
 * Lock order: the file's locks and its page's -> app_memory.lock. So what needs the file happens
 * without our lock, and what was found before is looked at again after.
 */
#include <abi/memory.h>

#include <rt/heap.h>
#include <rt/page.h>
#include <vfs/vfs.h>

int file_map_make(struct file *file, bool shared, bool may_write, struct file_map **out)
{
    struct file_map *map = heap_zalloc(sizeof(*map));

    if (!map)
        return -ENOMEM;
    *map = (struct file_map){.file = file, .shared = shared, .may_write = may_write, .refs = 1};
    file_ref(file);
    __atomic_add_fetch(&file->inode->mapped, 1, __ATOMIC_SEQ_CST);
    mutex_lock(&app_memory.lock);
    map->next = app_memory.maps;
    app_memory.maps = map;
    __atomic_store_n(&app_memory.shared_count, app_memory.shared_count + shared, __ATOMIC_RELAXED);
    mutex_unlock(&app_memory.lock);
    *out = map;
    return 0;
}

static struct file_map *take_unused(void)
{
    struct file_map **link = &app_memory.maps, *map;

    mutex_lock(&app_memory.lock);
    while ((map = *link) && map->refs)
        link = &map->next;
    if (map) {
        *link = map->next;
        __atomic_store_n(&app_memory.shared_count, app_memory.shared_count - map->shared,
                         __ATOMIC_RELAXED);
    }
    mutex_unlock(&app_memory.lock);
    return map;
}

void memory_release_maps(void)
{
    struct file_map *map;

    while (__atomic_load_n(&app_memory.maps, __ATOMIC_RELAXED) && (map = take_unused())) {
        __atomic_sub_fetch(&map->file->inode->mapped, 1, __ATOMIC_SEQ_CST);
        file_put(map->file);
        heap_free(map);
    }
}

void file_map_dropped_locked(const struct vma *vma, uintptr_t page)
{
    struct inode *inode = vma->map->file->inode;

    inode->ops->unmap_page(inode, vma->map_page + (page - vma->start) / PAGE_BYTES);
}

/* The range that @need was found in, if it is still there and still grants that; lock held. */
static struct vma *needed_range(const struct file_need *need)
{
    struct vma *vma = vma_find(&app_memory.vmas, need->page);

    if (!vma || vma->start > need->page || vma->map != need->map ||
        vma->map_page + (need->page - vma->start) / PAGE_BYTES != need->index)
        return NULL;
    if (!vma->access || (need->write && !(vma->access & ARCH_WRITE)))
        return NULL;
    return vma;
}

static int map_frame(struct vma *vma, uintptr_t page, void *frame, unsigned access)
{
    if (arch_map(page, arch_virt_to_phys(frame), 1, access))
        return -ENOMEM;
    vma->flags |= VMA_TOUCHED;
    app_memory.pages_present++;
    return 0;
}

/* ---- shared ---- */

struct bring_in {
    struct page_into into;
    const struct file_need *need;
    int error;
};

static bool shared_page_ready(struct page_into *into, void *frame)
{
    struct bring_in *b = container_of(into, struct bring_in, into);
    const struct file_need *need = b->need;
    bool kept = false;
    uint64_t phys;
    unsigned access;

    mutex_lock(&app_memory.lock);
    struct vma *vma = needed_range(need);
    if (vma && arch_lookup(need->page, &phys, &access)) {
        if (need->write)
            arch_protect(need->page, 1, vma->access);
    } else if (vma) {
        access = need->write ? vma->access : vma->access & ~ARCH_WRITE;
        b->error = map_frame(vma, need->page, frame, access);
        kept = b->error == 0;
    }
    mutex_unlock(&app_memory.lock);
    return kept;
}

static const struct page_into_ops shared_into_ops = {.page_ready = shared_page_ready};

static int bring_in_shared(const struct file_need *need)
{
    struct bring_in b = {.into.ops = &shared_into_ops, .need = need};
    int error = vfs_map_page(need->map->file, need->index, need->write, &b.into);

    return error ? error : b.error;
}

/* ---- private ---- */

static int read_page(struct file *file, uint64_t offset, char *frame)
{
    uint64_t size = __atomic_load_n(&file->inode->size, __ATOMIC_ACQUIRE), done = 0;

    if (offset >= size)
        return -ENXIO;
    while (done < PAGE_BYTES) {
        ssize_t got = vfs_read(file, frame + done, PAGE_BYTES - done, offset + done);
        if (got < 0)
            return (int)got;
        if (got == 0)
            break;
        done += (uint64_t)got;
    }
    return 0;
}

/* The frame is paid for apart from the range until it is in there. */
static int bring_in_private(const struct file_need *need)
{
    uint64_t phys;
    unsigned access;
    bool used = false;

    if (page_reserve(1))
        return -ENOMEM;
    void *frame = page_alloc_reserved();
    int error = read_page(need->map->file, need->index * PAGE_BYTES, frame);
    mutex_lock(&app_memory.lock);
    struct vma *vma = error ? NULL : needed_range(need);
    if (vma && !arch_lookup(need->page, &phys, &access)) {
        error = map_frame(vma, need->page, frame, vma->access);
        used = error == 0;
    }
    if (used && (vma->flags & VMA_ACCOUNTED))
        page_unreserve(1);
    mutex_unlock(&app_memory.lock);
    if (!used) {
        page_free_reserved(frame);
        page_unreserve(1);
    }
    return error;
}

int memory_bring_in(struct file_need *need)
{
    int error = need->map->shared ? bring_in_shared(need) : bring_in_private(need);

    mutex_lock(&app_memory.lock);
    need->map->refs--;
    mutex_unlock(&app_memory.lock);
    memory_release_maps();
    return error;
}

/* ---- what filesystems tell ---- */

/* The next range at or behind @vma that has the file; lock held. */
static struct vma *next_of(struct vma *vma, const struct inode *inode, bool shared)
{
    while (vma && !(vma->map && vma->map->shared == shared && vma->map->file->inode == inode))
        vma = vma_next(vma);
    return vma;
}

/* Where page @index is present in @vma; 0: nowhere. */
static uintptr_t place_of(const struct vma *vma, uint64_t index, unsigned *access)
{
    uint64_t phys, pages = (vma->end - vma->start) / PAGE_BYTES;

    if (index < vma->map_page || index - vma->map_page >= pages)
        return 0;
    uintptr_t page = vma->start + (index - vma->map_page) * PAGE_BYTES;
    return arch_lookup(page, &phys, access) ? page : 0;
}

static void page_cleaning(struct inode *inode, uint64_t index)
{
    unsigned access;

    mutex_lock(&app_memory.lock);
    struct vma *vma = next_of(vma_find(&app_memory.vmas, 0), inode, true);
    for (; vma; vma = next_of(vma_next(vma), inode, true)) {
        uintptr_t page = place_of(vma, index, &access);
        if (page && (access & ARCH_WRITE))
            arch_protect(page, 1, vma->access & ~ARCH_WRITE);
    }
    mutex_unlock(&app_memory.lock);
}

static void page_leaving(struct inode *inode, uint64_t index)
{
    unsigned access;

    mutex_lock(&app_memory.lock);
    struct vma *vma = next_of(vma_find(&app_memory.vmas, 0), inode, true);
    for (; vma; vma = next_of(vma_next(vma), inode, true)) {
        uintptr_t page = place_of(vma, index, &access);
        if (page)
            memory_drop_locked(vma, page, page + PAGE_BYTES);
    }
    mutex_unlock(&app_memory.lock);
}

static void file_cut(struct inode *inode, uint64_t size)
{
    uint64_t first = (size + PAGE_BYTES - 1) / PAGE_BYTES;

    mutex_lock(&app_memory.lock);
    struct vma *vma = next_of(vma_find(&app_memory.vmas, 0), inode, false);
    for (; vma; vma = next_of(vma_next(vma), inode, false)) {
        uint64_t kept = first > vma->map_page ? first - vma->map_page : 0;
        if (kept >= (vma->end - vma->start) / PAGE_BYTES)
            continue;
        uint64_t dropped = memory_drop_locked(vma, vma->start + kept * PAGE_BYTES, vma->end);
        if (!(vma->flags & VMA_ACCOUNTED))
            page_unreserve(dropped);
    }
    mutex_unlock(&app_memory.lock);
}

static const struct page_mapper_ops mapper_ops = {
    .page_cleaning = page_cleaning,
    .page_leaving = page_leaving,
    .file_cut = file_cut,
};

void file_maps_start(void)
{
    vfs_set_page_mapper(&mapper_ops);
}

/* ---- questions, and the end ---- */

bool memory_is_shared_file(uintptr_t start, uint64_t bytes)
{
    bool found = false;

    if (!__atomic_load_n(&app_memory.shared_count, __ATOMIC_RELAXED) || bytes == 0)
        return false;
    mutex_lock(&app_memory.lock);
    struct vma *vma = vma_find(&app_memory.vmas, start);
    for (; vma && vma->start < start + bytes && !found; vma = vma_next(vma))
        found = vma_is_shared_file(vma);
    mutex_unlock(&app_memory.lock);
    return found;
}

void memory_unmap_files(void)
{
    mutex_lock(&app_memory.lock);
    struct vma *vma = vma_find(&app_memory.vmas, 0);
    while (vma) {
        struct vma *next = vma_next(vma);
        if (vma->map)
            memory_unmap_locked(vma->start, vma->end - vma->start);
        vma = next;
    }
    mutex_unlock(&app_memory.lock);
    memory_release_maps();
}
