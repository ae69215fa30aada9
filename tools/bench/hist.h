/* A histogram of nanoseconds: 64 buckets an octave, so at most 1.6 % off. */
#pragma once

#include <stdint.h>

enum { HIST_BITS = 6, HIST_BUCKETS = 64 << HIST_BITS };

struct hist {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[HIST_BUCKETS];
};

static inline unsigned hist_bucket(uint64_t ns)
{
	if (ns < 1u << HIST_BITS)
		return (unsigned)ns;

	unsigned octave = 63 - (unsigned)__builtin_clzll(ns);

	return ((octave - HIST_BITS + 1) << HIST_BITS) + (unsigned)((ns >> (octave - HIST_BITS)) & 63);
}

static inline void hist_add(struct hist *h, uint64_t ns)
{
	h->buckets[hist_bucket(ns)]++;
	h->count++;
	if (ns > h->max)
		h->max = ns;
}

/* The lower edge of the bucket in which the share `p` of all lies, in microseconds. */
static inline double hist_us(const struct hist *h, double p)
{
	uint64_t wanted = (uint64_t)((double)h->count * p), seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen <= wanted)
			continue;

		uint64_t low = i;

		if (i >= 1u << HIST_BITS)
			low = (uint64_t)((i & 63) | 64) << ((i >> HIST_BITS) - 1);
		return (double)low / 1000;
	}
	return (double)h->max / 1000;
}
