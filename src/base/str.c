#include "base/str.h"

#include "base/bits.h"

#include <assert.h>
#include <errno.h>

enum { DISTANCE_MAX = 64, RARE_MISSES = 8 };

static inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool str_ieq(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (a.p[i] != b.p[i] && lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_take(s, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

ssize_t str_find(struct str s, struct str needle)
{
	struct str rest = s;

	if (needle.len == 0)
		return 0;
	/* memchr() is ten times as fast as memmem() while the first byte is rare, as in a delimiter. */
	for (int misses = 0; misses < RARE_MISSES && rest.len >= needle.len; misses++) {
		ssize_t at = str_chr(str_take(rest, rest.len - needle.len + 1), needle.p[0]);

		if (at < 0)
			return -1;
		rest = str_skip(rest, (size_t)at);
		if (memcmp(rest.p, needle.p, needle.len) == 0)
			return rest.p - s.p;
		rest = str_skip(rest, 1);
	}
	if (rest.len < needle.len)
		return -1;

	const char *found = memmem(rest.p, rest.len, needle.p, needle.len);

	return found ? found - s.p : -1;
}

ssize_t str_chr(struct str s, char c)
{
	const char *at = s.len ? memchr(s.p, c, s.len) : NULL;

	return at ? at - s.p : -1;
}

struct str str_trim(struct str s)
{
	while (s.len && is_blank(s.p[0]))
		s = str_skip(s, 1);
	while (s.len && is_blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

struct str str_split(struct str *rest, char sep)
{
	struct str all = *rest;
	ssize_t at = str_chr(all, sep);

	if (at < 0) {
		*rest = (struct str){ 0 };
		return all;
	}
	*rest = str_skip(all, (size_t)at + 1);
	return str_take(all, (size_t)at);
}

bool str_list_has(struct str list, struct str wanted, bool (*same)(struct str a, struct str b))
{
	while (list.p)
		if (same(str_trim(str_split(&list, ',')), wanted))
			return true;
	return false;
}

/* The digits at the front, which go; -EINVAL when there are none. */
static int eat_digits(struct str *s, uint64_t *out)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < s->len && is_digit(s->p[i]); i++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, s->p[i] - '0', &n))
			return -ERANGE;
	if (i == 0)
		return -EINVAL;
	*s = str_skip(*s, i);
	*out = n;
	return 0;
}

int str_to_u64(struct str s, uint64_t *out)
{
	uint64_t n;
	int r;

	/* "99999999999999999999x" is not a number rather than too large. */
	for (size_t i = 0; i < s.len; i++)
		if (!is_digit(s.p[i]))
			return -EINVAL;
	r = eat_digits(&s, &n);
	if (r == 0)
		*out = n;
	return r;
}

int str_to_size(struct str s, uint64_t *bytes)
{
	static const char suffixes[] = "kmg";
	uint64_t n;
	int r = eat_digits(&s, &n);

	if (r < 0)
		return r;

	ssize_t at = s.len ? str_chr(LS_STR(suffixes), lower(s.p[0])) : -1;
	unsigned shift = 0;

	if (at >= 0) {
		shift = 10 * ((unsigned)at + 1);
		s = str_skip(s, 1);
	}
	if (s.len && lower(s.p[0]) == 'b')
		s = str_skip(s, 1);
	if (s.len)
		return -EINVAL;
	if (__builtin_mul_overflow(n, 1ULL << shift, &n))
		return -ERANGE;
	*bytes = n;
	return 0;
}

/* Milliseconds in a unit, 0: no such unit. */
static uint64_t unit_ms(struct str unit)
{
	static const struct {
		struct str name;
		uint64_t ms;
	} units[] = {
		{ { "", 0 }, 1000 },   { { "ms", 2 }, 1 },      { { "s", 1 }, 1000 },
		{ { "m", 1 }, 60000 }, { { "h", 1 }, 3600000 }, { { "d", 1 }, 86400000 },
	};

	for (size_t i = 0; i < LS_COUNT(units); i++)
		if (str_ieq(unit, units[i].name))
			return units[i].ms;
	return 0;
}

/* The digits behind the point as billionths, which go; further digits count for nothing. */
static int eat_fraction(struct str *s, uint64_t *billionths)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < s->len && is_digit(s->p[i]); i++)
		if (i < 9)
			n = n * 10 + (uint64_t)(s->p[i] - '0');
	if (i == 0)
		return -EINVAL;
	for (size_t k = i; k < 9; k++)
		n *= 10;
	*s = str_skip(*s, i);
	*billionths = n;
	return 0;
}

int str_to_duration(struct str s, uint64_t *milliseconds)
{
	uint64_t whole, billionths = 0, ms;
	int r = eat_digits(&s, &whole);

	if (r == 0 && s.len && s.p[0] == '.') {
		s = str_skip(s, 1);
		r = eat_fraction(&s, &billionths);
	}
	if (r < 0)
		return r;

	uint64_t unit = unit_ms(s);

	if (unit == 0)
		return -EINVAL;
	/* Rounded up, so that a short time does not become 0, which often means "never". */
	uint64_t part = (billionths * unit + 999999999) / 1000000000;

	if (__builtin_mul_overflow(whole, unit, &ms) || __builtin_add_overflow(ms, part, &ms))
		return -ERANGE;
	*milliseconds = ms;
	return 0;
}

bool str_copy(struct str s, char *out, size_t cap)
{
	if (cap == 0)
		return false;

	size_t n = LS_MIN(s.len, cap - 1);

	if (n)
		memcpy(out, s.p, n);
	out[n] = '\0';
	return n == s.len;
}

const char *str_escape(struct str s, char *out, size_t cap)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	assert(cap > 0);
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = c >= 0x20 && c < 0x7f;

		if (n + (plain ? 1 : 4) >= cap)
			break;
		if (plain) {
			out[n++] = (char)c;
			continue;
		}
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	out[n] = '\0';
	return out;
}

/* Optimal string alignment: the rows of the usual table that are still needed. */
unsigned str_distance(struct str a, struct str b)
{
	unsigned rows[3][DISTANCE_MAX + 1];

	a = str_take(a, DISTANCE_MAX);
	b = str_take(b, DISTANCE_MAX);
	for (unsigned k = 0; k <= b.len; k++)
		rows[0][k] = k;
	for (unsigned i = 1; i <= a.len; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (unsigned k = 1; k <= b.len; k++) {
			unsigned best = above[k - 1] + (a.p[i - 1] != b.p[k - 1]);

			best = LS_MIN(best, above[k] + 1);
			best = LS_MIN(best, row[k - 1] + 1);
			if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1])
				best = LS_MIN(best, above2[k - 2] + 1);
			row[k] = best;
		}
	}
	return rows[a.len % 3][b.len];
}
