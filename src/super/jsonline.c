#include "super/jsonline.h"

#include "base/codec.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

struct scan {
	const char *at;
	const char *end;
};

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n'))
		s->at++;
}

static bool eat(struct scan *s, char c)
{
	skip_space(s);
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

/* The raw bytes between the quotes. */
static int scan_string(struct scan *s, struct str *raw)
{
	if (!eat(s, '"'))
		return -EBADMSG;

	const char *start = s->at;

	for (; s->at < s->end && *s->at != '"'; s->at++)
		if (*s->at == '\\' && ++s->at == s->end)
			return -EBADMSG;
	if (s->at == s->end)
		return -EBADMSG;
	*raw = str_make(start, (size_t)(s->at++ - start));
	return 0;
}

/* A value that is no string: a word, or an object or list with all it holds. */
static int scan_other(struct scan *s, struct str *raw)
{
	const char *start = s->at;
	struct str inner;
	unsigned depth = 0;

	for (; s->at < s->end; s->at++) {
		char c = *s->at;

		if (c == '"') {
			if (scan_string(s, &inner) < 0)
				return -EBADMSG;
			s->at--;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (depth == 0 && (c == ',' || c == '}')) {
			break;
		} else if (c == '}' || c == ']') {
			if (depth == 0)
				return -EBADMSG;
			depth--;
		}
	}
	*raw = str_trim(str_make(start, (size_t)(s->at - start)));
	return depth || raw->len == 0 ? -EBADMSG : 0;
}

static int hex4(const char *p, const char *end, unsigned *out)
{
	unsigned v = 0;

	if (end - p < 4)
		return -EBADMSG;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef";
		const char *d = memchr(digits, p[i] | 0x20, 16);

		if (!d)
			return -EBADMSG;
		v = v << 4 | (unsigned)(d - digits);
	}
	*out = v;
	return 0;
}

static size_t put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

/* One escape, behind its backslash; surrogates stay as they are, since nothing here writes them. */
static int unescape(const char **p, const char *end, char *out, size_t *n)
{
	static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
	const char *known = memchr(from, **p, sizeof from - 1);
	unsigned code;

	if (**p != 'u') {
		*out = known ? to[known - from] : **p;
		*n = 1;
		*p += 1;
		return 0;
	}
	if (hex4(*p + 1, end, &code) < 0)
		return -EBADMSG;
	*n = put_utf8(out, code);
	*p += 5;
	return 0;
}

static ssize_t decode(struct str raw, char *out, size_t cap)
{
	const char *p = raw.p, *end = raw.p + raw.len;
	size_t len = 0;

	while (p < end) {
		char piece[4];
		size_t n = 1;

		if (*p != '\\')
			piece[0] = *p++;
		else if (p++, unescape(&p, end, piece, &n) < 0)
			return -EBADMSG;
		if (len + n >= cap)
			return -EMSGSIZE;
		memcpy(out + len, piece, n);
		len += n;
	}
	out[len] = '\0';
	return (ssize_t)len;
}

ssize_t jsonline_get(struct str line, const char *key, char *out, size_t cap)
{
	struct scan s = { line.p, line.p + line.len };
	struct str name, value;

	if (!eat(&s, '{'))
		return -EBADMSG;
	if (eat(&s, '}'))
		return -ENOENT;
	do {
		if (scan_string(&s, &name) < 0 || !eat(&s, ':'))
			return -EBADMSG;
		skip_space(&s);

		bool is_string = s.at < s.end && *s.at == '"';

		if ((is_string ? scan_string(&s, &value) : scan_other(&s, &value)) < 0)
			return -EBADMSG;
		if (!str_eq(name, str_from(key)))
			continue;
		if (is_string)
			return decode(value, out, cap);
		return str_copy(value, out, cap) ? (ssize_t)value.len : -EMSGSIZE;
	} while (eat(&s, ','));
	return eat(&s, '}') ? -ENOENT : -EBADMSG;
}

void jsonline_put(FILE *to, struct str text)
{
	size_t cap = text.len * 6 + 3; /* every byte could become \u00XX */
	char *quoted = try_alloc(cap);

	if (quoted && codec_json_string(text, quoted, cap))
		fputs(quoted, to);
	else
		fputs("\"\"", to);
	free(quoted);
}
