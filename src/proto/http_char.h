/* Which bytes may stand where in HTTP (RFC 9110 §5.6.2, RFC 3986). */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum http_char_class {
	HTTP_CHAR_TOKEN = 1,  /* method, field name */
	HTTP_CHAR_HOST = 2,   /* Host, authority */
	HTTP_CHAR_TARGET = 4, /* request target: visible ASCII without '#' */
	HTTP_CHAR_HEX = 8,
};

extern const uint8_t http_char_table[256];

static inline bool http_char_is(char c, enum http_char_class class)
{
	return http_char_table[(uint8_t)c] & class;
}

static inline bool http_char_is_control(char c)
{
	return (uint8_t)c < 0x20 || c == 0x7f;
}

/* The top bits of control bytes among the eight; tab counts as one.  The lowest is exact, those above it may
 * err. */
static inline uint64_t http_char_controls(const char *p)
{
	const uint64_t ones = 0x0101010101010101ULL, tops = ones * 0x80;
	uint64_t word, del;

	memcpy(&word, p, sizeof word);
	del = word ^ (ones * 0x7f);
	return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & tops;
}

/* The first control byte, or `end`; eight bytes at a time, since this is where most bytes of a head go. */
static inline const char *http_char_control(const char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t found = http_char_controls(p);

		if (found)
			return p + __builtin_ctzll(le64toh(found)) / 8;
	}
	while (p < end && !http_char_is_control(*p))
		p++;
	return p;
}

/* The first control byte other than tab, or `end`; non-ASCII passes. */
static inline const char *http_char_text_end(const char *p, const char *end)
{
	for (p = http_char_control(p, end); p < end && *p == '\t'; p = http_char_control(p + 1, end))
		;
	return p;
}

/* The first byte that is not of the class, or `end`. */
static inline const char *http_char_span(const char *p, const char *end, enum http_char_class class)
{
	while (p < end && http_char_is(*p, class))
		p++;
	return p;
}
