// SPDX-License-Identifier: MIT
/*
 * The C library's memory and string functions, for the kernel; the host port uses libc's. Memory is
 * moved eight bytes at a time where there are so many. Nothing here knows the CPU.
 */
#ifndef SPILLWAY_HOST
#include <lib/string.h>

/* Eight bytes at any address, that may alias anything. */
typedef uint64_t __attribute__((aligned(1), may_alias)) word_t;
#define WORD_BYTES sizeof(word_t)

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;

    for (; n >= 4 * WORD_BYTES; n -= 4 * WORD_BYTES, d += 4 * WORD_BYTES, s += 4 * WORD_BYTES) {
        uint64_t a = ((const word_t *)s)[0], b = ((const word_t *)s)[1];
        uint64_t c = ((const word_t *)s)[2], e = ((const word_t *)s)[3];
        ((word_t *)d)[0] = a;
        ((word_t *)d)[1] = b;
        ((word_t *)d)[2] = c;
        ((word_t *)d)[3] = e;
    }
    for (; n >= WORD_BYTES; n -= WORD_BYTES, d += WORD_BYTES, s += WORD_BYTES)
        *(word_t *)d = *(const word_t *)s;
    while (n--)
        *d++ = *s++;
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;

    /* Upwards is right unless @dst starts inside the source. Words are read before written. */
    if ((uintptr_t)d - (uintptr_t)s >= n) {
        for (; n >= WORD_BYTES; n -= WORD_BYTES, d += WORD_BYTES, s += WORD_BYTES)
            *(word_t *)d = *(const word_t *)s;
        while (n--)
            *d++ = *s++;
        return dst;
    }
    d += n;
    s += n;
    for (; n >= WORD_BYTES; n -= WORD_BYTES) {
        d -= WORD_BYTES;
        s -= WORD_BYTES;
        *(word_t *)d = *(const word_t *)s;
    }
    while (n--)
        *--d = *--s;
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    unsigned char *d = dst;
    uint64_t pattern = (unsigned char)c * UINT64_C(0x0101010101010101);

    for (; n >= 4 * WORD_BYTES; n -= 4 * WORD_BYTES, d += 4 * WORD_BYTES) {
        ((word_t *)d)[0] = pattern;
        ((word_t *)d)[1] = pattern;
        ((word_t *)d)[2] = pattern;
        ((word_t *)d)[3] = pattern;
    }
    for (; n >= WORD_BYTES; n -= WORD_BYTES, d += WORD_BYTES)
        *(word_t *)d = pattern;
    while (n--)
        *d++ = (unsigned char)c;
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;

    while (n >= WORD_BYTES && *(const word_t *)p == *(const word_t *)q) {
        n -= WORD_BYTES;
        p += WORD_BYTES;
        q += WORD_BYTES;
    }
    for (; n; n--, p++, q++) {
        if (*p != *q)
            return *p < *q ? -1 : 1;
    }
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const unsigned char *p = s; n; n--, p++) {
        if (*p == (unsigned char)c)
            return (void *)(uintptr_t)p;
    }
    return NULL;
}

size_t strlen(const char *s)
{
    const char *end = s;

    while (*end)
        end++;
    return (size_t)(end - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t length = 0;

    while (length < max && s[length])
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++) {
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *strrchr(const char *s, int c)
{
    const char *found = NULL;

    for (;; s++) {
        if (*s == (char)c)
            found = s;
        if (!*s)
            return (char *)(uintptr_t)found;
    }
}

char *strstr(const char *haystack, const char *needle)
{
    size_t length = strlen(needle);

    for (;; haystack++) {
        if (strncmp(haystack, needle, length) == 0)
            return (char *)(uintptr_t)haystack;
        if (!*haystack)
            return NULL;
    }
}
#endif
