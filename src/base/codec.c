#include "base/codec.h"

#include "base/bits.h"

#include <errno.h>

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

/* True: bytes could follow that make a character of these one to three. */
static bool utf8_is_begun(struct str s)
{
	char whole[4];

	/* The least and the greatest second byte are the only ones that some first bytes exclude; later bytes are all alike. */
	for (unsigned i = 0; i < 2; i++) {
		memset(whole, i ? 0xbf : 0x80, sizeof whole);
		memcpy(whole, s.p, s.len);
		if (utf8_length(str_make(whole, sizeof whole)) > s.len)
			return true;
	}
	return false;
}

size_t codec_utf8_prefix(struct str in, bool *may_go_on)
{
	struct str rest = in;

	for (size_t n = 1; rest.len && n; rest = str_skip(rest, n)) {
		n = ascii_run(rest);
		if (n == 0)
			n = utf8_length(rest);
	}
	*may_go_on = rest.len == 0 || (rest.len < 4 && utf8_is_begun(rest));
	return in.len - rest.len;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t codec_base64_encode(struct str in, char *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n = 0;

	for (size_t i = 0; i < in.len; i += 3) {
		size_t have = LS_MIN(in.len - i, (size_t)3);
		uint32_t bits = (uint32_t)p[i] << 16;

		if (have > 1)
			bits |= (uint32_t)p[i + 1] << 8;
		if (have > 2)
			bits |= p[i + 2];
		for (size_t k = 0; k < 4; k++)
			out[n++] = k <= have ? base64_digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	return n;
}

/* 0 … 63, or -1. */
static int base64_value(char c)
{
	const char *at = c ? strchr(base64_digits, c) : NULL;

	return at ? (int)(at - base64_digits) : -1;
}

ssize_t codec_base64_decode(struct str in, char *out)
{
	size_t padding = str_ends(in, LS_STR("==")) ? 2 : str_ends(in, LS_STR("=")) ? 1 : 0;
	size_t digits = in.len - padding, n = 0;
	uint32_t bits = 0;

	if (in.len % 4 != 0)
		return -EBADMSG;
	for (size_t i = 0; i < digits; i++) {
		int value = base64_value(in.p[i]);

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 != 0)
			out[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	/* What the last digit has too much is 0. */
	return padding && bits & (padding == 2 ? 15 : 3) ? -EBADMSG : (ssize_t)n;
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
