// SPDX-License-Identifier: MIT
/*
 * The app's address space: which ranges there are (abi/vma.h) and which pages are present. There is
 * one app, so there is one.
 *
 * Pages appear at their first touch (a fault, or a check of a system call's buffer) and are zero.
 * Memory is reserved when it is mapped, so a touch does not fail: no overcommit beyond PROT_NONE
 * and MAP_NORESERVE, where a page is reserved when it is touched. An accounted range of N pages
 * stands for N frames, each either present or reserved.
 *
 * Lock: app_memory.lock, a mutex, innermost but for the page allocator's; never held across file
 * I/O. Functions named _locked want it held; the others take it. Thread context.
 */
#pragma once

#include <abi/vma.h>
#include <arch/arch.h>
#include <lib/errno.h>
#include <rt/sync.h>

/* The last page below the hole is left out: a system call there would return to a bad address. */
#define APP_LIMIT (ARCH_APP_END - PAGE_BYTES)
#define APP_LOWEST ((uint64_t)PAGE_BYTES)

struct app_memory {
    struct mutex lock;
    struct vma_map vmas;              /* lock; as all below */
    uintptr_t brk_start, brk_end;     /* brk_end as the app sees it, to the byte */
    uintptr_t map_top;                /* mmap places below, downwards; the main stack lies above */
    uintptr_t gap_hint;               /* no gap that was given back lies above */
    uint64_t pages_present;
    struct file_map *maps;            /* all there are */
    uint32_t shared_count;            /* of them; also read without the lock */
};
extern struct app_memory app_memory;

void memory_start(void);

struct map_request {
    uintptr_t address;                /* a hint, or exact with @fixed */
    uint64_t bytes;
    unsigned access;                  /* ARCH_* */
    uint8_t kind;                     /* enum vma_kind */
    bool no_reserve, fixed, replace;  /* @replace: unmap what is in the way, else -EEXIST */
    struct file_map *map;             /* of file_map_make(), or NULL; the range takes it over */
    uint64_t map_page;
};
/**
 * memory_map() - a new range of zero pages.
 * Returns its address, or -EINVAL, -EEXIST, -ENOMEM (no memory or no gap; nothing changed but, with
 * @replace, nothing was unmapped either).
 */
long memory_map(const struct map_request *request);
long memory_map_locked(const struct map_request *request);

/* -EINVAL not a range of pages; -ENOMEM a range had to be cut. Holes are allowed. */
int memory_unmap(uintptr_t start, uint64_t bytes);
int memory_unmap_locked(uintptr_t start, uint64_t bytes);

/* -EINVAL; -ENOMEM a hole, or what becomes accessible can't be reserved. Nothing changed then. */
int memory_protect(uintptr_t start, uint64_t bytes, unsigned access);

/*
 * Throws the contents away: the pages read as zero. -EINVAL also for mapped files; -ENOMEM a hole.
 */
int memory_discard(uintptr_t start, uint64_t bytes);

/* mremap(2), flags MREMAP_*; the new address or -errno. */
long memory_remap(uintptr_t old, uint64_t old_bytes, uint64_t new_bytes, unsigned flags,
                  uintptr_t wanted);

/* brk(2): moves the end of the heap, if it can; returns where it is. */
uintptr_t memory_set_brk(uintptr_t end);

/**
 * memory_populate() - make [@start, @start + @bytes) present, if all of it grants @access. Errors:
 * -EFAULT a hole or an access that is not granted; -ENOMEM no frame; for mapped files -ENXIO behind
 * the end, and what reading or growing them gave. Some pages may be present then. May wait for I/O.
 */
int memory_populate(uintptr_t start, uint64_t bytes, unsigned access);
/* The same, and it stays so: app_memory.lock is held when it returns 0. */
int memory_populate_lock(uintptr_t start, uint64_t bytes, unsigned access);
/* Without I/O: -EAGAIN with *@need filled and its map referenced, if a file's page is needed. */
struct file_need {
    struct file_map *map;
    uint64_t index;                   /* of the page in the file */
    uintptr_t page;
    bool write;
};
int memory_populate_locked(uintptr_t start, uint64_t bytes, unsigned access,
                           struct file_need *need);

/* ---- mapped files (file_map.c) ---- */
void file_maps_start(void);
/* With a reference of its own to @file; -ENOMEM. */
int file_map_make(struct file *file, bool shared, bool may_write, struct file_map **out);
/* Ends the maps that no range has any more: after whatever may have unmapped. Not under the lock. */
void memory_release_maps(void);
/* Brings in what memory_populate_locked() needed, and lets go of its map. */
int memory_bring_in(struct file_need *need);
/* A page of a shared file in @vma has left the page tables. */
void file_map_dropped_locked(const struct vma *vma, uintptr_t page);
/* Whether some of the range is a file's own pages, which write-back may protect at any time. */
bool memory_is_shared_file(uintptr_t start, uint64_t bytes);
/* At the end of the app: no file is mapped any more. */
void memory_unmap_files(void);
/* Frees the present pages of a part of @vma; how many there were. */
uint64_t memory_drop_locked(struct vma *vma, uintptr_t start, uintptr_t end);
static inline bool vma_is_shared_file(const struct vma *vma)
{
    return vma->map && vma->map->shared;
}

/* Splits so that a range starts at @address (if any spans it). -ENOMEM. */
int memory_cut_locked(uintptr_t address);
/* Whether all of the range is mapped. */
bool memory_covered_locked(uintptr_t start, uintptr_t end);
/* For calls that only advise: -EINVAL the range wraps; -ENOMEM not all of it is mapped. */
int memory_check_mapped(uintptr_t start, uint64_t bytes);
/* A free range of @bytes for mmap, or 0. */
uintptr_t memory_gap_locked(uint64_t bytes);
/* Pages of [@start, @end) in @vma that are present. */
uint64_t memory_present_locked(const struct vma *vma, uintptr_t start, uintptr_t end);

static inline bool memory_range_ok(uintptr_t start, uint64_t bytes)
{
    return start % PAGE_BYTES == 0 && start >= APP_LOWEST && bytes != 0 && start < APP_LIMIT &&
           APP_LIMIT - start >= bytes;
}
