// SPDX-License-Identifier: MIT
/*
 * The bounded formatter. One engine serves a va_list and an array of raw 64-bit arguments (the
 * log's form). A directive is parsed into a struct format_spec, then printed; no buffer but for one
 * number. An unknown directive is printed as it stands; a missing raw argument counts as 0.
 */
#include <lib/format.h>
#include <lib/string.h>

enum length { LENGTH_CHAR, LENGTH_SHORT, LENGTH_INT, LENGTH_LONG };

struct format_spec {
    bool left, plus, space, alternate, zero;
    int width;
    int precision; /* -1: none given */
    enum length length;
};

/* Where arguments come from: @raw if set, else @list. */
struct format_args {
    va_list list;
    const uint64_t *raw;
    unsigned raw_left;
};

void strbuf_putc(struct strbuf *sb, char c)
{
    if (sb->length + 1 >= sb->size) {
        sb->cut = true;
        sb->bytes_cut++;
        sb->lines_cut += c == '\n';
        return;
    }
    sb->text[sb->length++] = c;
    sb->text[sb->length] = 0;
}

void strbuf_puts(struct strbuf *sb, const char *s)
{
    while (*s)
        strbuf_putc(sb, *s++);
}

static void put_repeated(struct strbuf *sb, char c, int count)
{
    while (count-- > 0)
        strbuf_putc(sb, c);
}

static uint64_t next_raw(struct format_args *args)
{
    if (!args->raw_left)
        return 0;
    args->raw_left--;
    return *args->raw++;
}

static int next_int(struct format_args *args)
{
    return args->raw ? (int)next_raw(args) : va_arg(args->list, int);
}

static uint64_t next_number(struct format_args *args, enum length length, bool is_signed)
{
    uint64_t value;

    if (args->raw)
        value = next_raw(args);
    else if (length == LENGTH_LONG)
        value = va_arg(args->list, uint64_t);
    else
        value = va_arg(args->list, unsigned);
    switch (length) {
    case LENGTH_CHAR:
        return is_signed ? (uint64_t)(int8_t)value : (uint8_t)value;
    case LENGTH_SHORT:
        return is_signed ? (uint64_t)(int16_t)value : (uint16_t)value;
    case LENGTH_INT:
        return is_signed ? (uint64_t)(int32_t)value : (uint32_t)value;
    case LENGTH_LONG:
        break;
    }
    return value;
}

static const char *next_string(struct format_args *args)
{
    const char *s =
        args->raw ? (const char *)(uintptr_t)next_raw(args) : va_arg(args->list, char *);

    return s ? s : "(null)";
}

static void put_string(struct strbuf *sb, const struct format_spec *spec, const char *s)
{
    size_t max = spec->precision < 0 ? SIZE_MAX : (size_t)spec->precision;
    size_t length = strnlen(s, max);
    int padding = (size_t)spec->width > length ? spec->width - (int)length : 0;

    if (!spec->left)
        put_repeated(sb, ' ', padding);
    for (size_t i = 0; i < length; i++)
        strbuf_putc(sb, s[i]);
    if (spec->left)
        put_repeated(sb, ' ', padding);
}

/* @prefix: sign or base mark, printed before the zeros. */
static void put_number(struct strbuf *sb, const struct format_spec *spec, uint64_t value,
                       unsigned base, bool upper, const char *prefix)
{
    char digits[22]; /* 64 bits in octal */
    const char *alphabet = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int count = 0, prefix_length = (int)strlen(prefix);

    if (value == 0 && spec->precision != 0)
        digits[count++] = '0';
    for (; value; value /= base)
        digits[count++] = alphabet[value % base];
    int zeros = spec->precision > count ? spec->precision - count : 0;
    int padding = spec->width - prefix_length - zeros - count;
    if (spec->zero && !spec->left && spec->precision < 0 && padding > 0) {
        zeros = padding;
        padding = 0;
    }
    if (!spec->left)
        put_repeated(sb, ' ', padding);
    strbuf_puts(sb, prefix);
    put_repeated(sb, '0', zeros);
    while (count > 0)
        strbuf_putc(sb, digits[--count]);
    if (spec->left)
        put_repeated(sb, ' ', padding);
}

static void put_signed(struct strbuf *sb, const struct format_spec *spec, struct format_args *args)
{
    int64_t value = (int64_t)next_number(args, spec->length, true);
    const char *prefix = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";

    put_number(sb, spec, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, false, prefix);
}

static void put_unsigned(struct strbuf *sb, const struct format_spec *spec,
                         struct format_args *args, char directive)
{
    uint64_t value = next_number(args, spec->length, false);
    unsigned base = directive == 'u' ? 10 : directive == 'o' ? 8 : 16;
    const char *prefix = "";

    if (spec->alternate && value && base != 10)
        prefix = directive == 'o' ? "0" : directive == 'X' ? "0X" : "0x";
    put_number(sb, spec, value, base, directive == 'X', prefix);
}

static int parse_count(const char **at)
{
    int count = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (count < 10000)
            count = count * 10 + (**at - '0');
    }
    return count;
}

static void parse_flags(const char **at, struct format_spec *spec)
{
    for (;; (*at)++) {
        switch (**at) {
        case '-':
            spec->left = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        case '0':
            spec->zero = true;
            break;
        default:
            return;
        }
    }
}

static void parse_length(const char **at, struct format_spec *spec)
{
    if (**at == 'h') {
        spec->length = LENGTH_SHORT;
        (*at)++;
        if (**at == 'h') {
            spec->length = LENGTH_CHAR;
            (*at)++;
        }
        return;
    }
    while (**at == 'l' || **at == 'z' || **at == 'j' || **at == 't') {
        spec->length = LENGTH_LONG;
        (*at)++;
    }
}

/* From behind the % to the letter of the directive, where @at is left. */
static void parse_spec(const char **at, struct format_spec *spec, struct format_args *args)
{
    *spec = (struct format_spec){ .precision = -1, .length = LENGTH_INT };
    parse_flags(at, spec);
    if (**at == '*') {
        spec->width = next_int(args);
        if (spec->width < 0) {
            spec->left = true;
            spec->width = spec->width == INT32_MIN ? 0 : -spec->width;
        }
        (*at)++;
    } else {
        spec->width = parse_count(at);
    }
    if (**at == '.') {
        (*at)++;
        if (**at == '*') {
            spec->precision = MAX(next_int(args), -1);
            (*at)++;
        } else {
            spec->precision = parse_count(at);
        }
    }
    parse_length(at, spec);
}

static void put_char(struct strbuf *sb, const struct format_spec *spec, char c)
{
    if (!spec->left)
        put_repeated(sb, ' ', spec->width - 1);
    strbuf_putc(sb, c);
    if (spec->left)
        put_repeated(sb, ' ', spec->width - 1);
}

/* Prints the directive at @at; false if it is none. */
static bool put_directive(struct strbuf *sb, struct format_spec *spec, char directive,
                          struct format_args *args)
{
    switch (directive) {
    case 'd':
    case 'i':
        put_signed(sb, spec, args);
        return true;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_unsigned(sb, spec, args, directive);
        return true;
    case 'p':
        spec->length = LENGTH_LONG;
        spec->alternate = true;
        put_unsigned(sb, spec, args, 'x');
        return true;
    case 'c':
        put_char(sb, spec, (char)next_int(args));
        return true;
    case 's':
        put_string(sb, spec, next_string(args));
        return true;
    case '%':
        strbuf_putc(sb, '%');
        return true;
    default:
        return false;
    }
}

static void format(struct strbuf *sb, const char *text, struct format_args *args)
{
    struct format_spec spec;

    while (*text) {
        if (*text != '%') {
            strbuf_putc(sb, *text++);
            continue;
        }
        const char *start = text++;
        parse_spec(&text, &spec, args);
        if (*text && put_directive(sb, &spec, *text, args)) {
            text++;
            continue;
        }
        while (start < text)
            strbuf_putc(sb, *start++);
    }
}

void strbuf_vprintf(struct strbuf *sb, const char *text, va_list ap)
{
    struct format_args args = { .raw = NULL };

    va_copy(args.list, ap);
    format(sb, text, &args);
    va_end(args.list);
}

void strbuf_printf(struct strbuf *sb, const char *text, ...)
{
    va_list ap;

    va_start(ap, text);
    strbuf_vprintf(sb, text, ap);
    va_end(ap);
}

void strbuf_print_raw(struct strbuf *sb, const char *text, const uint64_t *values, unsigned count)
{
    struct format_args args = { .raw = values, .raw_left = count };

    format(sb, text, &args);
}

#ifndef SPILLWAY_HOST
int snprintf(char *buf, size_t size, const char *text, ...)
{
    struct strbuf sb;
    va_list ap;

    strbuf_init(&sb, buf, size);
    va_start(ap, text);
    strbuf_vprintf(&sb, text, ap);
    va_end(ap);
    return (int)sb.length;
}
#endif
