#include "proto/http1_chunk.h"

#include "base/bits.h"
#include "proto/http_char.h"

#include <errno.h>

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER, /* at the start of a trailer line */
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_DONE,
};

enum {
	EXTRA_MAX = 16384, /* Go's bound: 16k plus 16 bytes a chunk plus twice the data */
	EXTRA_FREE = 16,
	DIGITS_MAX = 16,
	SIZE_BITS = 60, /* so that sums of sizes do not overflow */
};

static int hex_value(char c)
{
	if (c <= '9')
		return c - '0';
	return (c | 0x20) - 'a' + 10;
}

static int take_size(struct http1_chunk *c, char byte)
{
	if (http_char_is(byte, HTTP_CHAR_HEX)) {
		if (c->digits++ >= DIGITS_MAX || c->left >> (SIZE_BITS - 4))
			return -EBADMSG;
		c->left = c->left << 4 | (uint64_t)hex_value(byte);
		return CHUNK_SIZE;
	}
	if (c->digits == 0)
		return -EBADMSG;
	if (byte == ';')
		return CHUNK_EXTENSION;
	return byte == '\r' ? CHUNK_SIZE_LF : -EBADMSG;
}

/* The size line is over. */
static int begin_data(struct http1_chunk *c)
{
	uint64_t paid = EXTRA_FREE + 2 * c->left;

	c->digits = 0;
	if (c->left == 0)
		return CHUNK_TRAILER;
	c->extra = c->extra > paid ? (uint32_t)(c->extra - paid) : 0;
	return CHUNK_DATA;
}

/* Anything but control bytes, up to CR. */
static int take_text(char byte, int stay, int line_feed)
{
	if (byte == '\r')
		return line_feed;
	return http_char_is_control(byte) && byte != '\t' ? -EBADMSG : stay;
}

/* The state behind `byte`, or -EBADMSG. */
static int step(struct http1_chunk *c, char byte)
{
	switch ((enum chunk_state)c->state) {
	case CHUNK_SIZE:
		return take_size(c, byte);
	case CHUNK_EXTENSION:
		return take_text(byte, CHUNK_EXTENSION, CHUNK_SIZE_LF);
	case CHUNK_SIZE_LF:
		return byte == '\n' ? begin_data(c) : -EBADMSG;
	case CHUNK_DATA_CR:
		return byte == '\r' ? CHUNK_DATA_LF : -EBADMSG;
	case CHUNK_DATA_LF:
		return byte == '\n' ? CHUNK_SIZE : -EBADMSG;
	case CHUNK_TRAILER:
		if (byte == '\r')
			return CHUNK_END_LF;
		return http_char_is(byte, HTTP_CHAR_TOKEN) ? CHUNK_TRAILER_NAME : -EBADMSG;
	case CHUNK_TRAILER_NAME:
		if (byte == ':')
			return CHUNK_TRAILER_VALUE;
		return http_char_is(byte, HTTP_CHAR_TOKEN) ? CHUNK_TRAILER_NAME : -EBADMSG;
	case CHUNK_TRAILER_VALUE:
		return take_text(byte, CHUNK_TRAILER_VALUE, CHUNK_TRAILER_LF);
	case CHUNK_TRAILER_LF:
		return byte == '\n' ? CHUNK_TRAILER : -EBADMSG;
	case CHUNK_END_LF:
		return byte == '\n' ? CHUNK_DONE : -EBADMSG;
	case CHUNK_DATA:
	case CHUNK_DONE:
		break;
	}
	return -EBADMSG;
}

ssize_t http1_chunk_next(struct http1_chunk *c, struct str in, struct str *data)
{
	size_t at = 0;

	*data = str_take(in, 0);
	while (at < in.len && c->state != CHUNK_DONE) {
		int next;

		if (c->state == CHUNK_DATA) {
			*data = str_take(str_skip(in, at), c->left);
			c->left -= data->len;
			if (c->left == 0)
				c->state = CHUNK_DATA_CR;
			return (ssize_t)(at + data->len);
		}
		next = step(c, in.p[at++]);
		if (next < 0 || c->extra++ >= EXTRA_MAX)
			return -EBADMSG;
		c->state = (uint8_t)next;
	}
	return (ssize_t)at;
}

bool http1_chunk_done(const struct http1_chunk *c)
{
	return c->state == CHUNK_DONE;
}
