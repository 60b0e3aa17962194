// SPDX-License-Identifier: MIT
/* Numbers from text, as the boot line and sysfs take them: all of the text or an error. */
#include <lib/errno.h>
#include <lib/format.h>

/* The value of a digit, or 16 and above if it is none. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return 16;
}

static unsigned suffix_shift(char c)
{
    switch (c) {
    case 'K':
    case 'k':
        return 10;
    case 'M':
    case 'm':
        return 20;
    case 'G':
    case 'g':
        return 30;
    default:
        return 0;
    }
}

int parse_u64(const char *s, bool suffix, uint64_t *out)
{
    unsigned base = 10;
    uint64_t value = 0;
    bool overflow = false;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (digit_value(*s) >= base)
        return -EINVAL;
    for (; digit_value(*s) < base; s++) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit_value(*s), &value))
            overflow = true;
    }
    unsigned shift = suffix ? suffix_shift(*s) : 0;
    if (shift) {
        s++;
        if (value > UINT64_MAX >> shift)
            overflow = true;
        value <<= shift;
    }
    if (*s)
        return -EINVAL;
    if (overflow)
        return -ERANGE;
    *out = value;
    return 0;
}
