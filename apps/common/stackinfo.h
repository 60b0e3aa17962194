// SPDX-License-Identifier: MIT
/*
 * What the system says of its extra stacks, in /sys/stack: one value a file, and the table
 * `probes`. On a system that has no such folder (Linux) every number is "-" and nothing is ever
 * taken for a refusal.
 */
#ifndef COMMON_STACKINFO_H
#define COMMON_STACKINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** stackinfo_open() - look for /sys/stack; once, before any other of these. */
void stackinfo_open(void);

/** stackinfo_present() - whether there is a /sys/stack. */
bool stackinfo_present(void);

/**
 * stackinfo_refusals() - how many operations were refused so far for want of a stack.
 *
 * To be called before an operation; stackinfo_refused() then compares. Costs one read of an open
 * file, nothing on a system without /sys/stack. Any thread.
 */
uint64_t stackinfo_refusals(void);

/**
 * stackinfo_refused() - whether a call failed for want of a stack.
 * @before: stackinfo_refusals() before the call.
 * @error:  the errno of the call, positive or negative.
 *
 * With several threads the counter may have grown for another's sake: more cannot be known from
 * outside.
 */
bool stackinfo_refused(uint64_t before, int error);

/**
 * stackinfo_value() - one value as text.
 * @name:  the file's name in /sys/stack, or a path such as /sys/smp/flushes.
 * @text:  the value without its newline, or "-".
 * @bytes: room in @text, at least 2.
 */
void stackinfo_value(const char *name, char *text, size_t bytes);

#endif
