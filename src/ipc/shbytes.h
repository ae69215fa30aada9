/* Bytes in shared memory that others may be writing: copied by relaxed words, so that a race yields old or new words and nothing
 * undefined; whether the copy is whole, the caller finds out by a version.  Sizes are multiples of 8, addresses aligned. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void shbytes_out(void *to, const void *shared, size_t len)
{
	const _Atomic uint64_t *from = shared;
	char *out = to;

	for (size_t i = 0; i < len / 8; i++) {
		uint64_t word = atomic_load_explicit(&from[i], memory_order_relaxed);

		memcpy(out + 8 * i, &word, 8);
	}
}

static inline void shbytes_in(void *shared, const void *from, size_t len)
{
	_Atomic uint64_t *to = shared;
	const char *in = from;

	for (size_t i = 0; i < len / 8; i++) {
		uint64_t word;

		memcpy(&word, in + 8 * i, 8);
		atomic_store_explicit(&to[i], word, memory_order_relaxed);
	}
}

/* A hash whose seed is secret, eight bytes at a time. */
static inline uint32_t shbytes_hash(uint64_t seed, const char *p, size_t len)
{
	const uint64_t odd = 0x9e3779b97f4a7c15u;
	uint64_t h = seed ^ len * odd;

	while (len) {
		size_t n = len < 8 ? len : 8;
		uint64_t word = 0;

		memcpy(&word, p, n);
		h = (h ^ word) * odd;
		h ^= h >> 32;
		p += n;
		len -= n;
	}
	h = (h ^ seed) * odd;
	return (uint32_t)(h >> 32);
}
