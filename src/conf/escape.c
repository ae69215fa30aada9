#include "conf/escape.h"

#include <errno.h>

const char *escape_encode(struct str in, char *out)
{
	static const char hex[] = "0123456789abcdef";
	char *at = out;

	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.p[i];
		const char *known = c ? strchr("\rr\nn\tt\\\\", c) : "\0000";

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			*at++ = (char)c;
			continue;
		}
		*at++ = '\\';
		if (known) {
			*at++ = known[1];
			continue;
		}
		*at++ = 'x';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	*at = '\0';
	return out;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape whose letter is at rest.p[0] stands for, and how long it is; -EINVAL. */
static int unescape_one(struct str rest, size_t *used)
{
	static const char letters[] = "rnt0\\";
	static const char bytes[] = "\r\n\t\0\\";
	const char *known;

	if (rest.len == 0)
		return -EINVAL;
	*used = 1;
	known = memchr(letters, rest.p[0], sizeof letters - 1);
	if (known)
		return bytes[known - letters];
	if (rest.p[0] != 'x' || rest.len < 3 || hex_value(rest.p[1]) < 0 || hex_value(rest.p[2]) < 0)
		return -EINVAL;
	*used = 3;
	return hex_value(rest.p[1]) * 16 + hex_value(rest.p[2]);
}

ssize_t escape_decode(struct str in, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		size_t used = 0;
		int c = in.p[i];

		if (c == '\\') {
			c = unescape_one(str_skip(in, i + 1), &used);
			if (c < 0)
				return c;
		}
		out[len++] = (char)c;
		i += used;
	}
	out[len] = '\0';
	return (ssize_t)len;
}
