// SPDX-License-Identifier: MIT
/*
 * Calls that ask for what is so anyway, or cannot be otherwise: memory is never swapped, there is one
 * user and one policy. Their arguments are checked as Linux checks them, and then nothing is done.
 */
#include <abi/copy.h>
#include <abi/memory.h>
#include <abi/syscalls.h>
#include <lib/bits.h>

#define GROUPS_MAX 65536u

static int check_parameter(uint64_t address)
{
    int32_t priority;
    return address ? app_copy_in(&priority, address, sizeof(priority)) : -EINVAL;
}

/* (address, bytes); also munlock and mlock2 */
SYSCALL(mlock)
{
    uint64_t start = align_down(args->a[0], PAGE_BYTES);
    return memory_check_mapped(start, args->a[1] + (args->a[0] - start));
}

/* (count, groups) */
SYSCALL(setgroups)
{
    if (args->a[0] > GROUPS_MAX)
        return -EINVAL;
    return app_check_read(args->a[1], args->a[0] * sizeof(uint32_t));
}

/* (pid, param) */
SYSCALL(sched_setparam)
{
    return check_parameter(args->a[1]);
}

/* (pid, policy, param) */
SYSCALL(sched_setscheduler)
{
    return check_parameter(args->a[2]);
}
