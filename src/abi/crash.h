// SPDX-License-Identifier: MIT
/* What is said when the app dies of a fault or a fatal signal. Home stack, interrupts on. */
#pragma once

#include <arch/arch.h>

/**
 * crash_report() - name the fault, print the registers and a backtrace of the app, and end it.
 * @error: of memory_populate() for a page fault: -ENOMEM means that memory ran out.
 * Does not return.
 */
noreturn_fn void crash_report(const struct arch_frame *frame, uintptr_t address, int error);

/* The same fault for a handler of the app: true if it has one, which @frame enters now. */
bool crash_to_handler(struct arch_frame *frame, uintptr_t address, int error);

/* A signal whose default ends the app, without a fault. Returns; the thread ends with its call. */
void crash_by_signal(int signal, const char *what);
const char *signal_name(int signal);
