// SPDX-License-Identifier: MIT
/* What an app asks about the machine and about who it is: there is one user, root. */
#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <lib/errno.h>
#include <lib/string.h>
#include <rt/heap.h>
#include <rt/page.h>
#include <vfs/vfs.h>

#define GETRANDOM_KNOWN 7u
#define RANDOM_STEP 32

/* The C libraries compare sysname and release with what they need; the rest is for people. */
SYSCALL(uname)
{
    static const char *const fields[] = {
        "Linux", "spillway", "6.1.0-spillway", "#1 Spillway", "x86_64", "(none)",
    };
    size_t bytes = ARRAY_COUNT(fields) * UTSNAME_FIELD;
    char *text = heap_zalloc(bytes);

    if (!text)
        return -ENOMEM;
    for (unsigned i = 0; i < ARRAY_COUNT(fields); i++)
        str_copy(text + (size_t)i * UTSNAME_FIELD, fields[i], UTSNAME_FIELD);
    int error = app_copy_out(args->a[0], text, bytes);
    heap_free(text);
    return error;
}

SYSCALL(sysinfo)
{
    struct linux_sysinfo info = {
        .uptime = (int64_t)(arch_now_ns() / NS_PER_S),
        .total_ram = page_count_total(),
        .free_ram = page_count_free(),
        .procs = (uint16_t)MIN(app.thread_count, UINT32_C(65535)),
        .mem_unit = PAGE_BYTES,
    };
    return app_copy_out(args->a[0], &info, sizeof(info));
}

/* (buffer, bytes, flags) */
SYSCALL(getrandom)
{
    uint64_t block[RANDOM_STEP / 8];
    uint64_t bytes = MIN(args->a[1], (uint64_t)INT32_MAX);

    if (args->a[2] & ~(uint64_t)GETRANDOM_KNOWN)
        return -EINVAL;
    for (uint64_t done = 0; done < bytes;) {
        size_t step = MIN(bytes - done, (uint64_t)RANDOM_STEP);
        step = MIN(step, PAGE_BYTES - (args->a[0] + done) % PAGE_BYTES);
        for (unsigned i = 0; i < ARRAY_COUNT(block); i++)
            block[i] = arch_random();
        int error = app_copy_out(args->a[0] + done, block, step);
        if (error)
            return done ? (long)done : error;
        done += step;
        if (app_ending())
            break;
    }
    return (long)bytes;
}

/* What is limited is fixed: descriptors, and the main stack. The rest ends where memory does. */
static int limit_get(uint64_t resource, struct linux_rlimit *out)
{
    if (resource >= RLIMIT_COUNT)
        return -EINVAL;
    out->current = out->maximum = RLIM_INFINITY;
    if (resource == RLIMIT_NOFILE)
        out->current = out->maximum = FD_MAX;
    else if (resource == RLIMIT_STACK)
        out->current = app.stack_bytes;
    else if (resource == RLIMIT_CORE)
        out->current = out->maximum = 0;
    return 0;
}

/* A limit that is there already may be "set"; a lower one would not be kept, so it is refused. */
static long limit_set(uint64_t resource, uint64_t address)
{
    struct linux_rlimit wanted, now;

    int error = limit_get(resource, &now);
    if (!error)
        error = app_copy_in(&wanted, address, sizeof(wanted));
    if (error)
        return error;
    if (wanted.current > wanted.maximum)
        return -EINVAL;
    return wanted.current == now.current || resource == RLIMIT_CORE ? 0 : -EPERM;
}

static long limit_out(uint64_t resource, uint64_t address)
{
    struct linux_rlimit now;
    int error = limit_get(resource, &now);
    return error ? error : app_copy_out(address, &now, sizeof(now));
}

/* (pid, resource, new, old) */
SYSCALL(prlimit64)
{
    if (args->a[0] != 0 && args->a[0] != app.pid)
        return -ESRCH;
    long error = args->a[3] ? limit_out(args->a[1], args->a[3]) : 0;
    if (!error && args->a[2])
        error = limit_set(args->a[1], args->a[2]);
    return error;
}

SYSCALL(getrlimit)
{
    return limit_out(args->a[0], args->a[1]);
}

SYSCALL(setrlimit)
{
    return limit_set(args->a[0], args->a[1]);
}

SYSCALL(get_root_id)
{
    (void)args;
    return 0;
}

/* (count, list): no supplementary groups */
SYSCALL(getgroups)
{
    (void)args;
    return 0;
}
