// SPDX-License-Identifier: MIT
/*
 * mmap and its kin. A mapped file is read when it is mapped, and is a private copy from then on: a
 * shared mapping that could be written to gives -ENODEV, a shared one that cannot is served, but
 * does not see later changes of the file; what lies behind the file's end reads as zero.
 */
#include <abi/at.h>
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/syscalls.h>
#include <lib/bits.h>

#define FILE_PIECE_BYTES KIB(256)

_Static_assert(PROT_READ == ARCH_READ && PROT_WRITE == ARCH_WRITE && PROT_EXEC == ARCH_EXEC,
               "protections are accesses");

/* What the CPU can grant: whoever writes or executes also reads. */
static unsigned access_of(uint64_t protection)
{
    unsigned access = (unsigned)protection & PROT_ALL;
    return access ? access | ARCH_READ : 0;
}

/* Reads [@offset, …) of @file to @address, as far as both reach. */
static int fill_from_file(struct file *file, uintptr_t address, uint64_t bytes, uint64_t offset)
{
    uint64_t size = file->inode->size;
    uint64_t left = offset < size ? MIN(bytes, size - offset) : 0;

    while (left) {
        uint64_t piece = MIN(left, FILE_PIECE_BYTES);
        int error = app_check_write(address, piece);
        if (error)
            return error;
        ssize_t got = vfs_read(file, (void *)address, piece, offset);
        if (got <= 0)
            return (int)got;
        address += (uint64_t)got;
        offset += (uint64_t)got;
        left -= (uint64_t)got;
    }
    return 0;
}

static int file_may_be_mapped(const struct file *file, const struct syscall_args *args)
{
    uint32_t type = file->inode->mode & MODE_TYPE;

    if (type != MODE_FILE && type != MODE_BLOCK)
        return -ENODEV;
    if ((file->flags & OPEN_ACCESS) == OPEN_WRITE)
        return -EACCES;
    if ((args->a[3] & MAP_TYPE) != MAP_PRIVATE && (args->a[2] & PROT_WRITE))
        return -ENODEV;
    return 0;
}

static long map_file(const struct syscall_args *args, struct map_request *request)
{
    struct file *file;

    int error = file_of(args->a[4], &file);
    if (error)
        return error;
    unsigned access = request->access;
    long address = file_may_be_mapped(file, args);
    if (address)
        goto out;
    request->kind = VMA_FILE;
    request->no_reserve = false;
    request->access = ARCH_READ | ARCH_WRITE;
    address = memory_map(request);
    if (address < 0)
        goto out;
    error = fill_from_file(file, (uintptr_t)address, request->bytes, args->a[5]);
    if (!error && access != request->access)
        error = memory_protect((uintptr_t)address, request->bytes, access);
    if (error) {
        memory_unmap((uintptr_t)address, request->bytes);
        address = error;
    }
out:
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

/* No mapping is written back, so there is nothing to do. */
SYSCALL(msync)
{
    return args->a[0] % PAGE_BYTES ? -EINVAL : 0;
}
