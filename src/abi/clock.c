// SPDX-License-Identifier: MIT
/* Clocks, sleeps, and what was used of the machine. */
#include <abi/clock.h>

#include <abi/copy.h>
#include <abi/linux.h>
#include <abi/memory.h>
#include <abi/process.h>
#include <abi/syscalls.h>
#include <abi/wait.h>
#include <lib/errno.h>

#define TICKS_PER_S 100

static int clock_read(int clock, uint64_t *out_ns)
{
    struct app_usage usage;

    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        *out_ns = arch_wall_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *out_ns = arch_now_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        app_usage_of_all(&usage);
        *out_ns = usage.cpu_ns;
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *out_ns = thread_cpu_ns(thread_current());
        return 0;
    default:
        return -EINVAL;
    }
}

static struct linux_timespec timespec_of(uint64_t ns)
{
    return (struct linux_timespec){(int64_t)(ns / NS_PER_S), (int64_t)(ns % NS_PER_S)};
}

static struct linux_timeval timeval_of(uint64_t ns)
{
    return (struct linux_timeval){(int64_t)(ns / NS_PER_S), (int64_t)(ns % NS_PER_S / NS_PER_US)};
}

int clock_duration_in(uint64_t address, uint64_t *out_ns)
{
    struct linux_timespec t;
    uint64_t ns;

    int error = app_copy_in(&t, address, sizeof(t));
    if (error)
        return error;
    if (t.seconds < 0 || t.nanoseconds < 0 || t.nanoseconds >= (int64_t)NS_PER_S)
        return -EINVAL;
    if (__builtin_mul_overflow((uint64_t)t.seconds, NS_PER_S, &ns) ||
        __builtin_add_overflow(ns, (uint64_t)t.nanoseconds, &ns))
        ns = UINT64_MAX;
    *out_ns = ns;
    return 0;
}

int clock_deadline_in(uint64_t address, int clock, bool absolute, uint64_t *out_ns)
{
    uint64_t ns, now = arch_now_ns();

    int error = clock_duration_in(address, &ns);
    if (error)
        return error;
    if (absolute && (clock == CLOCK_REALTIME || clock == CLOCK_TAI)) {
        uint64_t wall = arch_wall_ns();
        ns = ns > wall ? ns - wall : 0;
        absolute = false;
    }
    if (!absolute && __builtin_add_overflow(ns, now, &ns))
        ns = WAIT_FOREVER;
    *out_ns = ns;
    return 0;
}

SYSCALL(clock_gettime)
{
    uint64_t ns;

    int error = clock_read((int)args->a[0], &ns);
    if (error)
        return error;
    struct linux_timespec t = timespec_of(ns);
    return app_copy_out(args->a[1], &t, sizeof(t));
}

SYSCALL(clock_getres)
{
    uint64_t ns;
    static const struct linux_timespec resolution = {0, 1};

    int error = clock_read((int)args->a[0], &ns);
    if (error || !args->a[1])
        return error;
    return app_copy_out(args->a[1], &resolution, sizeof(resolution));
}

/* (timeval, timezone) */
SYSCALL(gettimeofday)
{
    struct linux_timeval t = timeval_of(arch_wall_ns());
    int error = args->a[0] ? app_copy_out(args->a[0], &t, sizeof(t)) : 0;
    if (!error && args->a[1])
        error = app_zero(args->a[1], 8);
    return error;
}

SYSCALL(time)
{
    int64_t seconds = (int64_t)(arch_wall_ns() / NS_PER_S);
    int error = args->a[0] ? app_copy_out(args->a[0], &seconds, sizeof(seconds)) : 0;
    return error ? error : seconds;
}

/* What is left after a signal goes to @left_address, if it is not 0. */
static long sleep_until(uint64_t deadline_ns, uint64_t left_address)
{
    int error = app_sleep_until(deadline_ns);
    if (error && left_address) {
        uint64_t now = arch_now_ns();
        struct linux_timespec t = timespec_of(deadline_ns > now ? deadline_ns - now : 0);
        app_copy_out(left_address, &t, sizeof(t));
    }
    return error;
}

SYSCALL(nanosleep)
{
    uint64_t deadline_ns;

    int error = clock_deadline_in(args->a[0], CLOCK_MONOTONIC, false, &deadline_ns);
    return error ? error : sleep_until(deadline_ns, args->a[1]);
}

/* (clock, flags, request, remaining) */
SYSCALL(clock_nanosleep)
{
    uint64_t deadline_ns;
    int clock = (int)args->a[0];

    if (clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
        return -EOPNOTSUPP;
    if (clock < 0 || clock > CLOCK_TAI || clock == CLOCK_MONOTONIC_RAW)
        return -EINVAL;
    int error = clock_deadline_in(args->a[2], clock, args->a[1] & TIMER_ABSTIME, &deadline_ns);
    if (error)
        return error;
    return sleep_until(deadline_ns, args->a[1] & TIMER_ABSTIME ? 0 : args->a[3]);
}

SYSCALL(times)
{
    struct app_usage usage;
    uint64_t fields[4] = {0};

    app_usage_of_all(&usage);
    fields[0] = usage.cpu_ns / (NS_PER_S / TICKS_PER_S);
    int error = args->a[0] ? app_copy_out(args->a[0], fields, sizeof(fields)) : 0;
    return error ? error : (long)(arch_now_ns() / (NS_PER_S / TICKS_PER_S));
}

/* All time counts as user time: the kernel's part is not told apart. Blocks are of 512 bytes. */
SYSCALL(getrusage)
{
    struct app_usage usage = {0};
    struct linux_rusage r = {0};

    switch ((int)args->a[0]) {
    case 0:
        app_usage_of_all(&usage);
        r.maxrss = (int64_t)(app_memory.pages_present * (PAGE_BYTES / 1024));
        break;
    case 1:
        app_usage_of_thread(thread_current(), &usage);
        r.maxrss = (int64_t)(app_memory.pages_present * (PAGE_BYTES / 1024));
        break;
    case -1:
        break;
    default:
        return -EINVAL;
    }
    r.user = timeval_of(usage.cpu_ns);
    r.inblock = (int64_t)usage.io.read_sectors;
    r.oublock = (int64_t)usage.io.write_sectors;
    r.nvcsw = (int64_t)usage.switches;
    return app_copy_out(args->a[1], &r, sizeof(r));
}
