/* Small arithmetic shared by everybody. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LS_MIN(a, b) ((a) < (b) ? (a) : (b))
#define LS_MAX(a, b) ((a) > (b) ? (a) : (b))
#define LS_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define LS_UNUSED __attribute__((unused))

/* `align` is a power of two. */
static inline size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* The smallest power of two that is not less than `n`; `n` is 1 … 2^63. */
static inline uint64_t pow2_up(uint64_t n)
{
	return n <= 1 ? 1 : 1ULL << (64 - __builtin_clzll(n - 1));
}
