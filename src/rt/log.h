// SPDX-License-Identifier: MIT
/*
 * The log. A call stores a format pointer and raw arguments in a ring; a thread makes the text and
 * writes it to the console, so logging costs deep code no stack. %s arguments must point to text that
 * lives for ever (literals, names in static tables); floats do not exist. Up to six arguments.
 *
 * Levels: error 0, warn 1, info 2, debug 3; `log=` on the boot line says what is shown (default info).
 * Context: any, also interrupts; never waits.
 */
#pragma once

#include <lib/types.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_raw(enum log_level level, const char *format, unsigned arg_count, const uint64_t *args);

#define LOG_COUNT_(_0, _1, _2, _3, _4, _5, _6, n, ...) n
#define LOG_COUNT(...) LOG_COUNT_(0, ##__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define LOG_CAST(x) ((uint64_t)(x))
#define LOG_ARGS_0(...) 0
#define LOG_ARGS_1(a) LOG_CAST(a)
#define LOG_ARGS_2(a, ...) LOG_CAST(a), LOG_ARGS_1(__VA_ARGS__)
#define LOG_ARGS_3(a, ...) LOG_CAST(a), LOG_ARGS_2(__VA_ARGS__)
#define LOG_ARGS_4(a, ...) LOG_CAST(a), LOG_ARGS_3(__VA_ARGS__)
#define LOG_ARGS_5(a, ...) LOG_CAST(a), LOG_ARGS_4(__VA_ARGS__)
#define LOG_ARGS_6(a, ...) LOG_CAST(a), LOG_ARGS_5(__VA_ARGS__)
#define LOG_PASTE_(a, b) a##b
#define LOG_PASTE(a, b) LOG_PASTE_(a, b)
#define log_at(level, format, ...)                                                                  \
    do {                                                                                            \
        if (0)                                                                                      \
            log_format_check(format, ##__VA_ARGS__);                                                \
        const uint64_t log_args_[] = {LOG_PASTE(LOG_ARGS_, LOG_COUNT(__VA_ARGS__))(__VA_ARGS__)};   \
        log_raw(level, format, LOG_COUNT(__VA_ARGS__), log_args_);                                  \
    } while (0)
void log_format_check(const char *format, ...) printf_like(1, 2);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* Starts the log thread; before it, lines go to the console at once. */
int log_start(void);
/* Writes out all that is stored. Thread context, or a machine that is ending. */
void log_flush(void);
/* Stops all other CPUs for good, and takes over console and ring even from one that held their locks. */
void log_stop_others(void);
void log_set_level(enum log_level level);

/* A line straight to the console, for boot messages and reports; up to 512 bytes. Shallow context only. */
void console_printf(const char *format, ...) printf_like(1, 2);
/* Bytes of the app; tracks the column, so that the kernel's own lines start in column 0. */
void console_write(const char *text, size_t bytes);
/* From here on who writes to the console does not paint the screen any more (rt/screen.h). */
void console_defer_screen(void);
