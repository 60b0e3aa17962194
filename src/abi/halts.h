// SPDX-License-Identifier: MIT
/*
 * `hlt` in the program. Linux ends a program that executes it (it is privileged), and C libraries use that
 * to crash. Here the program runs in ring 0, where hlt waits for the next interrupt and goes on. So
 * each that is known for sure to be an instruction is replaced at load by a byte that traps.
 *
 * Sure is what lies in a function with a known start and end (from the symbol table, else from
 * .eh_frame) that can be decoded from the one to exactly the other. What is left: a hlt in code of
 * unknown bounds, in code with data in it, in code that is made at run time.
 */
#pragma once

#include <abi/elf.h>

struct arch_frame;

/**
 * halts_replace() - find and replace them, after the segments are in memory and before the program runs.
 * What cannot be found, for want of memory too, is left as it is. Thread context; reads the file.
 */
void halts_replace(const struct elf_image *image, uint64_t bias);

/* Makes a trap at one of them look as the hlt would have made it on Linux. Any context. */
void halts_fix_frame(struct arch_frame *frame);
/* Whether there was one. */
bool halts_contain(uintptr_t address);
