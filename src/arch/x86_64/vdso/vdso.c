// SPDX-License-Identifier: MIT
/*
 * The vDSO: a small shared object in every program's address space, where the C libraries look for
 * clocks that need no system call (AT_SYSINFO_EHDR). It is app code: linked by itself, mapped as it
 * is, and it knows nothing of the kernel but the data page and, for getcpu, that GS holds the CPU's
 * area in ring 0.
 *
 * Source: Linux vdso(7): names and version.
 */
#include <stddef.h>
#include <stdint.h>

#include <arch/layout.h>

#include "vdso_data.h"

#define EXPORT(name) __attribute__((visibility("default"), alias("vdso_" #name)))
#define NS_PER_S UINT64_C(1000000000)
#define CALL_CLOCK_GETTIME 228
#define CALL_CLOCK_GETRES 229

enum {
    REALTIME = 0, MONOTONIC = 1, MONOTONIC_RAW = 4, REALTIME_COARSE = 5, MONOTONIC_COARSE = 6,
    BOOTTIME = 7, TAI = 11,
};

struct timespec {
    int64_t seconds, nanoseconds;
};
struct timeval {
    int64_t seconds, microseconds;
};

extern const volatile struct vdso_data vdso_data __attribute__((visibility("hidden")));

static inline uint64_t read_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

static uint64_t monotonic_ns(uint64_t *wall_start_ns)
{
    uint32_t sequence;
    uint64_t ticks, rate;

    do {
        sequence = __atomic_load_n(&vdso_data.sequence, __ATOMIC_ACQUIRE);
        ticks = read_tsc() - vdso_data.tsc_start;
        rate = vdso_data.ns_per_tick_32;
        *wall_start_ns = vdso_data.wall_start_ns;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((sequence & 1) || sequence != vdso_data.sequence);
    return (uint64_t)((unsigned __int128)ticks * rate >> 32);
}

static uint64_t realtime_ns(void)
{
    uint64_t wall_start_ns, ns = monotonic_ns(&wall_start_ns);

    return ns + wall_start_ns;
}

static long system_call(long number, long a, long b)
{
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b)
                     : "rcx", "r11", "memory");
    return result;
}

static int vdso_clock_gettime(int clock, struct timespec *t)
{
    uint64_t ns, wall_start_ns;

    switch (clock) {
    case REALTIME:
    case REALTIME_COARSE:
    case TAI:
        ns = realtime_ns();
        break;
    case MONOTONIC:
    case MONOTONIC_RAW:
    case MONOTONIC_COARSE:
    case BOOTTIME:
        ns = monotonic_ns(&wall_start_ns);
        break;
    default:
        return (int)system_call(CALL_CLOCK_GETTIME, clock, (long)t);
    }
    t->seconds = (int64_t)(ns / NS_PER_S);
    t->nanoseconds = (int64_t)(ns % NS_PER_S);
    return 0;
}

static int vdso_clock_getres(int clock, struct timespec *t)
{
    return (int)system_call(CALL_CLOCK_GETRES, clock, (long)t);
}

static int vdso_gettimeofday(struct timeval *t, int32_t *zone)
{
    uint64_t ns = realtime_ns();

    if (t) {
        t->seconds = (int64_t)(ns / NS_PER_S);
        t->microseconds = (int64_t)(ns % NS_PER_S / 1000);
    }
    if (zone)
        zone[0] = zone[1] = 0;
    return 0;
}

static int64_t vdso_time(int64_t *t)
{
    int64_t seconds = (int64_t)(realtime_ns() / NS_PER_S);

    if (t)
        *t = seconds;
    return seconds;
}

static long vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
    uint32_t index;

    (void)unused;
    __asm__ volatile("movl %%gs:%c1, %0" : "=r"(index) : "i"(CPU_INDEX));
    if (cpu)
        *cpu = index;
    if (node)
        *node = 0;
    return 0;
}

EXPORT(clock_gettime) int __vdso_clock_gettime(int clock, struct timespec *t);
EXPORT(clock_gettime) int clock_gettime(int clock, struct timespec *t);
EXPORT(clock_getres) int __vdso_clock_getres(int clock, struct timespec *t);
EXPORT(clock_getres) int clock_getres(int clock, struct timespec *t);
EXPORT(gettimeofday) int __vdso_gettimeofday(struct timeval *t, int32_t *zone);
EXPORT(gettimeofday) int gettimeofday(struct timeval *t, int32_t *zone);
EXPORT(time) int64_t __vdso_time(int64_t *t);
EXPORT(time) int64_t time(int64_t *t);
EXPORT(getcpu) long __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused);
EXPORT(getcpu) long getcpu(uint32_t *cpu, uint32_t *node, void *unused);
