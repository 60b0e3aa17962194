// SPDX-License-Identifier: MIT
/* A broken invariant ends the machine with status 202, a backtrace, and the text of the assertion. */
#pragma once

#include <lib/types.h>

/* @format's arguments must outlive the call by nothing: they are formatted on the report stack. */
noreturn_fn void panic(const char *format, ...) printf_like(1, 2);

noreturn_fn void assertion_failed(const char *file, int line, const char *function, const char *condition,
                                  const char *what);

#define ASSERT(condition, what)                                                                     \
    do {                                                                                            \
        if (unlikely(!(condition)))                                                                 \
            assertion_failed(__FILE__, __LINE__, __func__, #condition, what);                       \
    } while (0)
