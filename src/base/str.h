/* A view of bytes that somebody else owns: pointer and length, not terminated.
 *
 * Views are passed by value.  Nothing here allocates.  Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

struct str {
	const char *p;
	size_t len;
};

/* For printf's "%.*s": LS_STR_ARG(s). */
#define LS_STR_ARG(s) (int)(s).len, (s).p
/* A view of a string literal. */
#define LS_STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })

static inline struct str str_make(const void *p, size_t len)
{
	return (struct str){ p, len };
}

/* A view of a C string; NULL gives an empty view. */
static inline struct str str_from(const char *cstr)
{
	return (struct str){ cstr ? cstr : "", cstr ? strlen(cstr) : 0 };
}

/* Without the first `n` bytes; at most all of them. */
static inline struct str str_skip(struct str s, size_t n)
{
	n = n < s.len ? n : s.len;
	return (struct str){ s.p + n, s.len - n };
}

/* The first `n` bytes; at most all of them. */
static inline struct str str_take(struct str s, size_t n)
{
	return (struct str){ s.p, n < s.len ? n : s.len };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Where `needle` first stands in `s`, or -1.  An empty needle is at 0. */
ssize_t str_find(struct str s, struct str needle);
/* Where byte `c` first stands, or -1. */
ssize_t str_chr(struct str s, char c);

/* Without spaces and tabs at both ends. */
struct str str_trim(struct str s);

/* Cuts what stands before the first `sep` off the front of `*rest` and returns it; the separator goes.
 * Where none is left, returns all of it and leaves `*rest` with p == NULL.  Loop while rest.p. */
struct str str_split(struct str *rest, char sep);

/* True: one of the values with commas between them, trimmed, is `same` as `wanted`: str_eq or str_ieq. */
bool str_list_has(struct str list, struct str wanted, bool (*same)(struct str a, struct str b));

/* Decimal digits only, whole view.  -EINVAL: not a number; -ERANGE: does not fit. */
int str_to_u64(struct str s, uint64_t *out);
/* Digits with an optional suffix k, m, g (powers of 1024; b is allowed after it), any case. */
int str_to_size(struct str s, uint64_t *bytes);
/* A number with an optional fraction and a unit ms, s, m, h, d; without a unit it counts seconds, as Swoole does. */
int str_to_duration(struct str s, uint64_t *milliseconds);

/* Copies into `out` (`cap` bytes, always terminated).  False: it did not fit and was cut. */
bool str_copy(struct str s, char *out, size_t cap);

/* Copies with control bytes and non-ASCII as \xHH, so that a log line stays one line.  Returns `out`. */
const char *str_escape(struct str s, char *out, size_t cap);

/* How many edits (insert, delete, replace, swap) lead from `a` to `b`, for "did you mean"; at most 64-byte inputs. */
unsigned str_distance(struct str a, struct str b);
