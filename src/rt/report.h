// SPDX-License-Identifier: MIT
/*
 * What is said when the machine dies: on its own stack, with a bounded formatter. A report names what
 * happened, the thread, the stack and its loan chain, and prints a backtrace with names that crosses
 * extra stacks; then the machine ends with its own status. A second fault inside a report still ends it.
 */
#pragma once

#include <arch/arch.h>

/* Prints "  #n address name+offset" lines from a frame pointer on, through every stack of the chain.
 * @called: @rip is a return address, not where a fault was. */
void backtrace_print(uintptr_t rip, uintptr_t rbp, bool called);
noreturn_fn void report_kernel_fault(struct arch_frame *frame, enum arch_fault_kind kind, uintptr_t address);
