// SPDX-License-Identifier: MIT
/* Copies between kernel and app memory: see copy.h. */
#include <abi/copy.h>

#include <abi/memory.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <vfs/vfs.h>

#define STRING_STEP 128

static bool in_app(uint64_t address, uint64_t bytes)
{
    return address < APP_LIMIT && APP_LIMIT - address >= bytes;
}

/* What was present may be gone when it is copied, but not again and again. */
#define COPY_TRIES 100

/* Trouble with a mapped file is a bad address to a system call. */
static int populate(uint64_t address, uint64_t bytes, unsigned access)
{
    int error = memory_populate(address, bytes, access);
    return error && error != -ENOMEM ? -EFAULT : error;
}

int app_check_read(uint64_t address, uint64_t bytes)
{
    return populate(address, bytes, ARCH_READ);
}

int app_check_write(uint64_t address, uint64_t bytes)
{
    return populate(address, bytes, ARCH_WRITE);
}

int app_copy_in(void *dst, uint64_t src, size_t bytes)
{
    int error = in_app(src, bytes) ? 0 : -EFAULT;

    for (unsigned i = 0; !error && i < COPY_TRIES; i++) {
        if (arch_copy(dst, (const void *)src, bytes) == 0)
            return 0;
        error = populate(src, bytes, ARCH_READ);
    }
    return error ? error : -EFAULT;
}

int app_copy_out(uint64_t dst, const void *src, size_t bytes)
{
    int error = in_app(dst, bytes) ? 0 : -EFAULT;

    for (unsigned i = 0; !error && i < COPY_TRIES; i++) {
        if (arch_copy((void *)dst, src, bytes) == 0)
            return 0;
        error = populate(dst, bytes, ARCH_WRITE);
    }
    return error ? error : -EFAULT;
}

int app_zero(uint64_t dst, size_t bytes)
{
    int error = in_app(dst, bytes) ? 0 : -EFAULT;

    for (unsigned i = 0; !error && i < COPY_TRIES; i++) {
        if (arch_zero((void *)dst, bytes) == 0)
            return 0;
        error = populate(dst, bytes, ARCH_WRITE);
    }
    return error ? error : -EFAULT;
}

ssize_t app_copy_string(char *dst, uint64_t src, size_t size)
{
    for (size_t done = 0; done < size;) {
        /* steps end at multiples of a step, so that none reaches into a page needlessly */
        size_t step = STRING_STEP - (src + done) % STRING_STEP;
        if (step > size - done)
            step = size - done;
        int error = app_copy_in(dst + done, src + done, step);
        if (error)
            return error;
        const char *end = memchr(dst + done, 0, step);
        if (end)
            return end - dst;
        done += step;
    }
    return -ENAMETOOLONG;
}

int app_path_in(uint64_t src, char **out)
{
    char *text = heap_alloc(PATH_BYTES_MAX);
    if (!text)
        return -ENOMEM;
    ssize_t length = app_copy_string(text, src, PATH_BYTES_MAX);
    if (length < 0) {
        heap_free(text);
        return (int)length;
    }
    *out = text;
    return 0;
}
