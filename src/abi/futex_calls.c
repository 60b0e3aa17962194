// SPDX-License-Identifier: MIT
/*
 * futex(2), and what changes a futex word from here: FUTEX_WAKE_OP and the robust list of a dying
 * thread. The word is changed in place, atomically, while the lock of the address space keeps its
 * page present.
 */
#include <abi/futex.h>

#include <abi/clock.h>
#include <abi/copy.h>
#include <abi/memory.h>
#include <abi/syscalls.h>

#define ROBUST_ENTRIES_MAX 2048

enum { OP_SET, OP_ADD, OP_OR, OP_ANDN, OP_XOR, OP_ARGUMENT_SHIFT = 8 };
enum { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GT, COMPARE_GE };

static int32_t sign_extend_12(uint32_t value)
{
    return (int32_t)(value << 20) >> 20;
}

static uint32_t changed(uint32_t value, unsigned op, uint32_t argument)
{
    switch (op) {
    case OP_SET:
        return argument;
    case OP_ADD:
        return value + argument;
    case OP_OR:
        return value | argument;
    case OP_ANDN:
        return value & ~argument;
    default:
        return value ^ argument;
    }
}

static bool compares(int32_t value, unsigned comparison, int32_t argument)
{
    switch (comparison) {
    case COMPARE_EQ:
        return value == argument;
    case COMPARE_NE:
        return value != argument;
    case COMPARE_LT:
        return value < argument;
    case COMPARE_LE:
        return value <= argument;
    case COMPARE_GT:
        return value > argument;
    default:
        return value >= argument;
    }
}

long futex_wake_op(uint64_t address, uint32_t wake_count, uint64_t target, uint32_t target_count,
                   uint32_t operation)
{
    unsigned op = operation >> 28 & 15, comparison = operation >> 24 & 15;
    uint32_t argument = (uint32_t)sign_extend_12(operation >> 12 & 0xfff);

    if (op & OP_ARGUMENT_SHIFT)
        argument = UINT32_C(1) << (argument & 31);
    op &= 7;
    if (address % 4 || target % 4 || op > OP_XOR)
        return -EINVAL;
    if (comparison > COMPARE_GE)
        return -ENOSYS;

    int error = memory_populate_lock(target, 4, ARCH_READ | ARCH_WRITE);
    if (error)
        return error;
    uint32_t *word = (uint32_t *)target;
    uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while (!__atomic_compare_exchange_n(word, &old, changed(old, op, argument), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        arch_relax();
    mutex_unlock(&app_memory.lock);

    long woken = futex_wake(address, wake_count, FUTEX_ANY_BIT);
    if (compares((int32_t)old, comparison, sign_extend_12(operation & 0xfff)))
        woken += futex_wake(target, target_count, FUTEX_ANY_BIT);
    return woken;
}

/* The mutex word at @address: if @tid owns it, its owner has died. Wakes a waiter. */
static int owner_died(uint64_t address, uint32_t tid)
{
    if (address % 4)
        return -EINVAL;
    int error = memory_populate_lock(address, 4, ARCH_READ | ARCH_WRITE);
    if (error)
        return error;
    uint32_t *word = (uint32_t *)address;
    uint32_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    bool mine = (old & FUTEX_TID_MASK) == tid;
    while (mine &&
           !__atomic_compare_exchange_n(word, &old, (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        mine = (old & FUTEX_TID_MASK) == tid;
    mutex_unlock(&app_memory.lock);
    if (mine && (old & FUTEX_WAITERS))
        futex_wake(address, 1, FUTEX_ANY_BIT);
    return 0;
}

void futex_robust_exit(uint64_t head_address, uint32_t tid)
{
    struct linux_robust_head head;

    if (!head_address || app_copy_in(&head, head_address, sizeof(head)))
        return;
    /* the lowest bit of a link says that the mutex inherits priorities: not of interest here */
    uint64_t pending = head.pending & ~UINT64_C(1);
    uint64_t entry = head.next & ~UINT64_C(1);
    for (unsigned i = 0; entry != head_address && i < ROBUST_ENTRIES_MAX; i++) {
        uint64_t next;
        if (app_copy_in(&next, entry, sizeof(next)))
            break;
        if (entry != pending && owner_died(entry + (uint64_t)head.futex_offset, tid))
            break;
        entry = next & ~UINT64_C(1);
    }
    if (pending)
        owner_died(pending + (uint64_t)head.futex_offset, tid);
}

static long futex_wait_call(const struct syscall_args *args, bool absolute, uint32_t bitset)
{
    uint64_t deadline_ns = WAIT_FOREVER;

    if (args->a[3]) {
        int clock = args->a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
        int error = clock_deadline_in(args->a[3], clock, absolute, &deadline_ns);
        if (error)
            return error;
    }
    return futex_wait(args->a[0], (uint32_t)args->a[2], bitset, deadline_ns);
}

/* (address, operation, value, timeout or value2, address2, value3) */
SYSCALL(futex)
{
    uint64_t address = args->a[0], target = args->a[4];
    uint32_t value = (uint32_t)args->a[2], value2 = (uint32_t)args->a[3];
    uint32_t value3 = (uint32_t)args->a[5];

    switch (args->a[1] & ~(uint64_t)(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME)) {
    case FUTEX_WAIT:
        return futex_wait_call(args, false, FUTEX_ANY_BIT);
    case FUTEX_WAIT_BITSET:
        return futex_wait_call(args, true, value3);
    case FUTEX_WAKE:
        return futex_wake(address, value, FUTEX_ANY_BIT);
    case FUTEX_WAKE_BITSET:
        return futex_wake(address, value, value3);
    case FUTEX_REQUEUE:
        return futex_requeue(address, value, target, value2, NULL);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(address, value, target, value2, &value3);
    case FUTEX_WAKE_OP:
        return futex_wake_op(address, value, target, value2, value3);
    default:
        return -ENOSYS;
    }
}
