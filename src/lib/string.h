// SPDX-License-Identifier: MIT
/* The memory and string functions of the C library that the kernel needs; gcc emits calls to mem*. */
#pragma once

#ifdef SPILLWAY_HOST
#include <string.h>
#include <strings.h>
#else
#include <lib/types.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);
#endif

#include <lib/types.h>

/* Copies at most @size - 1 bytes and always terminates; returns strlen(@src), so >= @size means cut. */
size_t str_copy(char *dst, const char *src, size_t size);
bool str_starts_with(const char *s, const char *prefix);
/* Number of single-character edits from @a to @b, for "nearest known name"; strings up to 63 bytes. */
unsigned str_distance(const char *a, const char *b);
