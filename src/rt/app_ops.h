// SPDX-License-Identifier: MIT
/*
 * What the runtime calls in the system-call layer, which lies above it: a const table that src/abi
 * defines and rt/upcalls.c calls.
 */
#pragma once

#include <arch/arch.h>

struct thread;

struct app_ops {
    /* A system call; @frame lies on the home stack, interrupts on. The result goes to frame->rax.
     * Does not return when the app has ended. */
    void (*app_syscall)(struct arch_frame *frame);
    /* A fault in app code, moved to the home stack, interrupts on. Vector 14 is a page fault at
     * @address; every other vector is a crash. Returns if the app may go on. */
    void (*app_fault_taken)(struct arch_frame *frame, uintptr_t address);
    /* Whether the running thread belongs to an app that is ending: it must not go back to app code,
     * so a thread that was interrupted there is not scheduled again. Any context. */
    bool (*app_must_stop)(void);
    /* Whether an app's @thread, which is about to go on in app code after an interrupt, shall come
     * to app_fault_taken() first, with the vector ARCH_VECTOR_NOTICE. Interrupts off. */
    bool (*app_has_notice)(struct thread *thread);
};
extern const struct app_ops app_ops;
