// SPDX-License-Identifier: MIT
/*
 * Futexes: threads that wait for a word of app memory to change. One address space, so a futex is
 * its address, private or shared. A waiter holds no extra stack and no lock.
 */
#pragma once

#include <abi/linux.h>

void futex_start(void);

/**
 * futex_wait() - sleep until woken, if *@address is still @expected.
 * @bitset: woken only by those whose bits it shares.
 * @deadline_ns: arch_now_ns() clock, or WAIT_FOREVER.
 * Errors: -EAGAIN another value; -ETIMEDOUT; -EFAULT; -EINVAL not aligned, or no bit.
 */
long futex_wait(uint64_t address, uint32_t expected, uint32_t bitset, uint64_t deadline_ns);
/* How many were woken, at most @count. */
long futex_wake(uint64_t address, uint32_t count, uint32_t bitset);
/**
 * futex_requeue() - wake @wake_count, and let up to @move_count more wait for @target instead.
 * @expected: NULL, or what *@address must be.
 * Returns how many were woken and moved; -EAGAIN, -EFAULT.
 */
long futex_requeue(uint64_t address, uint32_t wake_count, uint64_t target, uint32_t move_count,
                   const uint32_t *expected);
/*
 * FUTEX_WAKE_OP: change *@target as @operation says, wake at @address, and at @target if it says
 * so.
 */
long futex_wake_op(uint64_t address, uint32_t wake_count, uint64_t target, uint32_t target_count,
                   uint32_t operation);
/* A thread dies: marks the robust mutexes that it holds, and wakes a waiter of each. */
void futex_robust_exit(uint64_t head, uint32_t tid);
