// SPDX-License-Identifier: MIT
/* Powers of two, rounding, and loads and stores of little- and big-endian values. */
#pragma once

#include <lib/types.h>

static inline uint64_t align_up(uint64_t v, uint64_t a) { return (v + a - 1) & ~(a - 1); }
static inline uint64_t align_down(uint64_t v, uint64_t a) { return v & ~(a - 1); }
static inline bool is_pow2(uint64_t v) { return v && !(v & (v - 1)); }
static inline uint64_t div_round_up(uint64_t n, uint64_t d) { return (n + d - 1) / d; }
/* log2_floor(0) is undefined. */
static inline unsigned log2_floor(uint64_t v) { return 63 - (unsigned)__builtin_clzll(v); }
static inline unsigned log2_ceil(uint64_t v) { return v <= 1 ? 0 : log2_floor(v - 1) + 1; }

static inline uint16_t le16(const void *p) { uint16_t v; __builtin_memcpy(&v, p, 2); return v; }
static inline uint32_t le32(const void *p) { uint32_t v; __builtin_memcpy(&v, p, 4); return v; }
static inline uint64_t le64(const void *p) { uint64_t v; __builtin_memcpy(&v, p, 8); return v; }
static inline void put_le16(void *p, uint16_t v) { __builtin_memcpy(p, &v, 2); }
static inline void put_le32(void *p, uint32_t v) { __builtin_memcpy(p, &v, 4); }
static inline void put_le64(void *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }
