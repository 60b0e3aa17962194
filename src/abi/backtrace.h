// SPDX-License-Identifier: MIT
/* The backtrace of a thread of the app. */
#pragma once

struct arch_frame;

/**
 * backtrace_app() - print where the running thread of the app is, and who called.
 *
 * For the one report of a crash: what it works with is static, so that it needs no memory. Home stack, interrupts on;
 * reads the program's file for names, and does without where it cannot be read.
 */
void backtrace_app(const struct arch_frame *frame);
