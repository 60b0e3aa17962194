// SPDX-License-Identifier: MIT
/*
 * mmap and its kin. What a mapping of a file is made of is in file_map.c. Files that have no pages of
 * their own to share (devices, sysfs) are copied when they are mapped, and cannot be shared for
 * writing.
 */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/syscalls.h>
#include <lib/bits.h>

_Static_assert(PROT_READ == ARCH_READ && PROT_WRITE == ARCH_WRITE && PROT_EXEC == ARCH_EXEC,
               "protections are accesses");

/* What the CPU can grant: whoever writes or executes also reads. */
static unsigned access_of(uint64_t protection)
{
    unsigned access = (unsigned)protection & PROT_ALL;
    return access ? access | ARCH_READ : 0;
}

static int file_may_be_mapped(const struct file *file, bool shared, bool write)
{
    uint32_t type = file->inode->mode & MODE_TYPE;

    if (type != MODE_FILE && type != MODE_BLOCK)
        return -ENODEV;
    if ((file->flags & OPEN_ACCESS) == OPEN_WRITE)
        return -EACCES;
    if (shared && write && (file->flags & OPEN_ACCESS) != OPEN_READ_WRITE)
        return -EACCES;
    if (shared && write && !file->inode->ops->map_page)
        return -ENODEV;
    return 0;
}

/*
 * What the file has of the range is brought in at once, so that trouble with reading it is an error
 * of mmap and not a signal later.
 */
static int bring_in_all(const struct file *file, uintptr_t address, const struct map_request *r)
{
    uint64_t size = __atomic_load_n(&file->inode->size, __ATOMIC_ACQUIRE);
    uint64_t offset = r->map_page * PAGE_BYTES;

    if (!r->access || offset >= size)
        return 0;
    int error = memory_populate(address, MIN(r->bytes, size - offset), ARCH_READ);
    return error == -ENXIO ? 0 : error;   /* it was cut off meanwhile */
}

static long map_file(const struct syscall_args *args, struct map_request *request)
{
    bool shared = (args->a[3] & MAP_TYPE) != MAP_PRIVATE, write = args->a[2] & PROT_WRITE;
    struct file *file;

    int error = file_of(args->a[4], &file);
    if (error)
        return error;
    error = file_may_be_mapped(file, shared, write);
    if (!error && args->a[5] > INT64_MAX - request->bytes)
        error = -EOVERFLOW;
    shared = shared && file->inode->ops->map_page;
    if (!error)
        error = file_map_make(file, shared, (file->flags & OPEN_ACCESS) == OPEN_READ_WRITE,
                              &request->map);
    if (error) {
        file_put(file);
        return error;
    }
    request->kind = VMA_FILE;
    request->no_reserve = false;
    request->map_page = args->a[5] / PAGE_BYTES;
    long address = memory_map(request);
    if (address >= 0) {
        error = bring_in_all(file, (uintptr_t)address, request);
        if (error) {
            memory_unmap((uintptr_t)address, request->bytes);
            address = error;
        }
    }
    file_put(file);
    return address;
}

static long map_anonymous(const struct syscall_args *args, struct map_request *request)
{
    long address = memory_map(request);
    if (address > 0 && (args->a[3] & MAP_POPULATE) && request->access)
        memory_populate((uintptr_t)address, request->bytes, ARCH_READ);
    return address;
}

/* (address, bytes, protection, flags, fd, offset) */
SYSCALL(mmap)
{
    uint64_t flags = args->a[3], type = flags & MAP_TYPE;
    struct map_request request = {
        .address = args->a[0],
        .bytes = align_up(args->a[1], PAGE_BYTES),
        .access = access_of(args->a[2]),
        .kind = VMA_ANONYMOUS,
        .no_reserve = flags & MAP_NORESERVE,
        .fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE),
        .replace = !(flags & MAP_FIXED_NOREPLACE),
    };

    if (args->a[1] == 0 || type == 0 || type > MAP_SHARED_VALIDATE || (flags & MAP_HUGETLB))
        return -EINVAL;
    if (request.bytes < args->a[1])
        return -ENOMEM;
    if (request.fixed && args->a[0] < KIB(64))
        return -EPERM;
    if (flags & MAP_ANONYMOUS)
        return map_anonymous(args, &request);
    if (args->a[5] % PAGE_BYTES)
        return -EINVAL;
    return map_file(args, &request);
}

SYSCALL(munmap)
{
    return memory_unmap(args->a[0], args->a[1]);
}

SYSCALL(mprotect)
{
    if (args->a[2] & ~(uint64_t)(PROT_ALL | PROT_GROWSDOWN | PROT_GROWSUP))
        return -EINVAL;
    if (args->a[2] & (PROT_GROWSDOWN | PROT_GROWSUP))
        return -EINVAL;
    return memory_protect(args->a[0], args->a[1], access_of(args->a[2]));
}

/* (old address, old bytes, new bytes, flags, new address) */
SYSCALL(mremap)
{
    return memory_remap(args->a[0], args->a[1], args->a[2], (unsigned)args->a[3], args->a[4]);
}

SYSCALL(brk)
{
    return (long)memory_set_brk(args->a[0]);
}

/* (address, bytes, advice): advice is taken note of, but for the one that changes contents. */
SYSCALL(madvise)
{
    if (args->a[0] % PAGE_BYTES || args->a[2] > MADV_LAST || args->a[2] == MADV_REMOVE)
        return -EINVAL;
    if (args->a[2] == MADV_DONTNEED)
        return memory_discard(args->a[0], args->a[1]);
    return memory_check_mapped(args->a[0], args->a[1]);
}

/* The next shared file in [*@at, @end), referenced, with *@at behind its range; NULL. */
static struct file *next_shared_file(uintptr_t *at, uintptr_t end)
{
    struct file *file = NULL;

    mutex_lock(&app_memory.lock);
    struct vma *vma = vma_find(&app_memory.vmas, *at);
    for (; vma && vma->start < end && !file; vma = vma_next(vma)) {
        *at = vma->end;
        if (vma_is_shared_file(vma) && vma->map->may_write)
            file = vma->map->file;
    }
    if (file)
        file_ref(file);
    mutex_unlock(&app_memory.lock);
    return file;
}

/* (address, bytes, flags) */
SYSCALL(msync)
{
    uintptr_t at = args->a[0], end = at + align_up(args->a[1], PAGE_BYTES);
    uint64_t flags = args->a[2];
    struct file *file;
    int error = 0;

    if (at % PAGE_BYTES || (flags & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
        return -EINVAL;
    if (end < at)
        return -ENOMEM;
    if (at == end)
        return 0;
    mutex_lock(&app_memory.lock);
    bool covered = memory_covered_locked(at, end);
    mutex_unlock(&app_memory.lock);
    while ((flags & MS_SYNC) && !error && (file = next_shared_file(&at, end))) {
        error = vfs_sync(file, true);
        file_put(file);
    }
    return error ? error : covered ? 0 : -ENOMEM;
}
