#include "base/codec.h"

#include "base/bits.h"

static const char hex_digits[] = "0123456789abcdef";

/* 0 … 15, or -1. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%HH" at the front of `in` stands for, or -1. */
static int escaped_byte(struct str in)
{
	if (in.len < 3 || in.p[0] != '%')
		return -1;

	int high = hex_value(in.p[1]), low = hex_value(in.p[2]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

size_t codec_url_decode(struct str in, bool plus, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		int c = escaped_byte(str_skip(in, i));

		if (c >= 0)
			i += 2;
		else
			c = plus && in.p[i] == '+' ? ' ' : in.p[i];
		out[n++] = (char)c;
	}
	return n;
}

/* Bytes of the well-formed sequence at the front (Unicode table 3-7), or 0. */
static size_t utf8_length(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char low = 0x80, high = 0xbf; /* of the second byte */
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (s.len < len)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0; /* shorter forms exist */
	else if (p[0] == 0xed)
		high = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* How many bytes at the front are ASCII, in steps of eight. */
static size_t ascii_run(struct str s)
{
	size_t n = 0;
	uint64_t word;

	for (; s.len - n >= sizeof word; n += sizeof word) {
		memcpy(&word, s.p + n, sizeof word);
		if (word & 0x8080808080808080u)
			break;
	}
	return n;
}

bool codec_utf8_ok(struct str in)
{
	while (in.len) {
		size_t n = ascii_run(in);

		if (n == 0)
			n = utf8_length(in);
		if (n == 0)
			return false;
		in = str_skip(in, n);
	}
	return true;
}

uint64_t codec_hash(struct str in)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < in.len; i++) {
		h ^= (unsigned char)in.p[i];
		h *= 0x100000001b3u;
	}
	return h;
}

/* The JSON form of the character at the front, whose bytes go; made in `room` where it is not as it came. */
static struct str json_character(struct str *in, char room[6])
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, what follows the backslash */
	size_t len = utf8_length(*in);
	struct str as_is = str_take(*in, len);

	*in = str_skip(*in, LS_MAX(len, (size_t)1));
	if (len == 0)
		return LS_STR("\xef\xbf\xbd");
	for (size_t i = 0; i < sizeof shorts - 1; i += 2) {
		if (as_is.p[0] != shorts[i])
			continue;
		room[0] = '\\';
		room[1] = shorts[i + 1];
		return str_make(room, 2);
	}
	if ((unsigned char)as_is.p[0] >= 0x20)
		return as_is;
	memcpy(room, "\\u00", 4);
	room[4] = hex_digits[as_is.p[0] >> 4];
	room[5] = hex_digits[as_is.p[0] & 15];
	return str_make(room, 6);
}

bool codec_json_string(struct str in, char *out, size_t cap)
{
	size_t n = 0;
	bool cut = false;

	/* A cut string is still a string: the closing quote and the terminator always have room. */
	if (cap < 3)
		return str_copy(LS_STR("\"\""), out, cap);
	out[n++] = '"';
	while (in.len) {
		char room[6];
		struct str c = json_character(&in, room);

		cut = n + c.len + 2 > cap;
		if (cut)
			break;
		memcpy(out + n, c.p, c.len);
		n += c.len;
	}
	out[n++] = '"';
	out[n] = '\0';
	return !cut;
}
