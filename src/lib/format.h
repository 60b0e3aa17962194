// SPDX-License-Identifier: MIT
/*
 * A bounded text buffer and a formatter with a small frame: %d %i %u %x %X %o %c %s %p %%, with the
 * lengths hh h l ll z j t, the flags 0 - + space #, width and precision (also *). No floating point.
 */
#pragma once

#include <stdarg.h>

#include <lib/types.h>

/* Text that is cut, never overrun: @length counts what is stored, @cut says that something was lost: @bytes_cut,
 * with @lines_cut ends of lines among it. */
struct strbuf {
    char *text;
    size_t size;
    size_t length;
    size_t bytes_cut, lines_cut;
    bool cut;
};

static inline void strbuf_init(struct strbuf *sb, char *text, size_t size)
{
    *sb = (struct strbuf){.text = text, .size = size};
    if (size)
        text[0] = 0;
}

void strbuf_putc(struct strbuf *sb, char c);
void strbuf_puts(struct strbuf *sb, const char *s);
void strbuf_printf(struct strbuf *sb, const char *format, ...) printf_like(2, 3);
void strbuf_vprintf(struct strbuf *sb, const char *format, va_list ap);

/* Formats @format with up to @arg_count raw 64-bit arguments: the form in which the log stores a line. */
void strbuf_print_raw(struct strbuf *sb, const char *format, const uint64_t *args, unsigned arg_count);

#ifdef SPILLWAY_HOST
#include <stdio.h>
#else
/* Always terminates; returns the length that was stored. */
int snprintf(char *buf, size_t size, const char *format, ...) printf_like(3, 4);
#endif

/**
 * parse_u64() - the whole of @s as an unsigned number.
 * @s: decimal, or hexadecimal after 0x; with @suffix also a K, M or G at the end.
 * Errors: -EINVAL not a number, or anything behind it; -ERANGE it does not fit 64 bits.
 */
int parse_u64(const char *s, bool suffix, uint64_t *out);
