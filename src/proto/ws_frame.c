#include "proto/ws_frame.h"

#include <errno.h>

enum { MASKED = 0x80, LEN_16 = 126, LEN_64 = 127, MASK_SIZE = 4 };

static bool opcode_is_known(unsigned opcode)
{
	return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

static uint64_t big_endian(const unsigned char *p, unsigned n)
{
	uint64_t value = 0;

	while (n--)
		value = value << 8 | *p++;
	return value;
}

/* Bytes of the longer form of the length. */
static unsigned length_size(unsigned short_length)
{
	return short_length == LEN_16 ? 2 : short_length == LEN_64 ? 8 : 0;
}

/* The shortest form must be used, and the most significant bit is 0. */
static bool length_is_sound(uint64_t len, unsigned size)
{
	return size == 0 || (size == 2 ? len >= LEN_16 : len > 0xffff && len <= INT64_MAX);
}

int ws_frame_head(struct str in, struct ws_frame *f)
{
	const unsigned char *p = (const unsigned char *)in.p;
	unsigned size;

	if (in.len < 2)
		return 0;
	f->fin = p[0] & WS_FIN;
	f->compressed = p[0] & WS_COMPRESSED;
	f->opcode = p[0] & 15;
	f->masked = p[1] & MASKED;
	f->len = p[1] & 127;
	if (p[0] & 0x30 || !opcode_is_known(f->opcode))
		return -EBADMSG;
	if (ws_is_control(f->opcode) && (!f->fin || f->len > WS_CONTROL_MAX))
		return -EBADMSG;
	size = length_size((unsigned)f->len);
	if (in.len < 2 + size + (f->masked ? MASK_SIZE : 0))
		return 0;
	if (size)
		f->len = big_endian(p + 2, size);
	if (!length_is_sound(f->len, size))
		return -EBADMSG;
	p += 2 + size;
	if (f->masked)
		memcpy(f->mask, p, MASK_SIZE);
	return (int)(2 + size + (f->masked ? MASK_SIZE : 0));
}

char *ws_frame_put(char *out, unsigned first, uint64_t len)
{
	unsigned size = len < LEN_16 ? 0 : len <= 0xffff ? 2 : 8;

	*out++ = (char)first;
	*out++ = (char)(size == 0 ? len : size == 2 ? LEN_16 : LEN_64);
	while (size--)
		*out++ = (char)(len >> 8 * size);
	return out;
}

void ws_frame_mask(char *out, struct str in, const uint8_t mask[4], uint64_t at)
{
	uint8_t turned[8];
	uint64_t key, word;
	size_t i = 0;

	for (unsigned k = 0; k < sizeof turned; k++)
		turned[k] = mask[(at + k) & 3];
	memcpy(&key, turned, sizeof key);
	for (; i + sizeof word <= in.len; i += sizeof word) {
		memcpy(&word, in.p + i, sizeof word);
		word ^= key;
		memcpy(out + i, &word, sizeof word);
	}
	for (; i < in.len; i++)
		out[i] = (char)(in.p[i] ^ turned[i & 7]);
}

/* 1004 to 1006 and 1015 are for the ends' own use, 1016 to 2999 for later versions; 1012 to 1014 have been registered since. */
bool ws_code_is_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
