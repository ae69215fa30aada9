#include "worker/encoder.h"

#include "base/bits.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#ifdef LS_BROTLI
#include <brotli/encode.h>
const unsigned encoder_codings = 1u << CODING_GZIP | 1u << CODING_BROTLI;
#else
const unsigned encoder_codings = 1u << CODING_GZIP;
#endif

enum {
	GZIP = 16, /* added to the bits of a window: with gzip's head and end */
	WHOLE_BITS = 15,
	WHOLE_MEM_LEVEL = 8,
	PIECES_BITS = 13, /* many answers may be under way: 64 KB each instead of 270 */
	PIECES_MEM_LEVEL = 6,
	FIRST_ROOM = 4096,
	ENCODED_MAX = 1 << 30, /* as large as a buffer can be */
};

struct encoder {
	enum http_coding coding;
	z_stream z;
	void *brotli; /* BrotliEncoderState */
};

/* Serves one whole body after the other. */
static z_stream *shared;
static int shared_level;

/* ---- gzip -------------------------------------------------------------------------------------------------------------------------- */

static int run_gzip(z_stream *z, struct str in, bool end, struct buf **out)
{
	int code;

	z->next_in = (Bytef *)(uintptr_t)in.p;
	z->avail_in = (uInt)in.len;
	do {
		struct buf *b;

		if (buf_room(*out) == 0 && buf_grow(out, ENCODED_MAX) < 0)
			return -ENOMEM;
		b = *out;
		z->next_out = (Bytef *)b->data + b->len;
		z->avail_out = (uInt)buf_room(b);
		code = deflate(z, end ? Z_FINISH : Z_SYNC_FLUSH);
		b->len = (uint32_t)((char *)z->next_out - b->data);
	} while (code == Z_OK && (end || z->avail_out == 0));
	return code == Z_OK || code == Z_BUF_ERROR || code == Z_STREAM_END ? 0 : -ENOMEM;
}

static z_stream *fresh_gzip(int level)
{
	if (shared && shared_level != level)
		encoder_trim();
	if (shared)
		return deflateReset(shared) == Z_OK ? shared : NULL;
	shared = xzalloc(sizeof *shared);
	shared_level = level;
	if (deflateInit2(shared, level, Z_DEFLATED, WHOLE_BITS + GZIP, WHOLE_MEM_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
		return shared;
	free(shared);
	shared = NULL;
	return NULL;
}

void encoder_trim(void)
{
	if (shared)
		(void)deflateEnd(shared);
	free(shared);
	shared = NULL;
}

/* ---- brotli ------------------------------------------------------------------------------------------------------------------------- */

#ifdef LS_BROTLI

enum { BROTLI_BITS = 18 };

static void *new_brotli(int level)
{
	BrotliEncoderState *s = BrotliEncoderCreateInstance(NULL, NULL, NULL);

	if (!s)
		return NULL;
	(void)BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, (uint32_t)level);
	(void)BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, BROTLI_BITS);
	return s;
}

static void free_brotli(void *state)
{
	BrotliEncoderDestroyInstance(state);
}

static int run_brotli(void *state, struct str in, bool end, struct buf **out)
{
	const uint8_t *next_in = (const uint8_t *)in.p;
	size_t left = in.len;

	do {
		struct buf *b;
		uint8_t *next_out;
		size_t room;

		if (buf_room(*out) == 0 && buf_grow(out, ENCODED_MAX) < 0)
			return -ENOMEM;
		b = *out;
		next_out = (uint8_t *)b->data + b->len;
		room = buf_room(b);
		if (!BrotliEncoderCompressStream(state, end ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH, &left,
		                                 &next_in, &room, &next_out, NULL))
			return -ENOMEM;
		b->len = (uint32_t)((char *)next_out - b->data);
	} while (left > 0 || BrotliEncoderHasMoreOutput(state));
	return 0;
}

#else

static void *new_brotli(int level LS_UNUSED)
{
	return NULL;
}

static void free_brotli(void *state LS_UNUSED)
{
}

static int run_brotli(void *state LS_UNUSED, struct str in LS_UNUSED, bool end LS_UNUSED, struct buf **out LS_UNUSED)
{
	return -ENOMEM;
}

#endif

/* ---- either ------------------------------------------------------------------------------------------------------------------------- */

struct encoder *encoder_new(enum http_coding coding, int level)
{
	struct encoder *e = try_alloc(sizeof *e);
	bool sound;

	if (!e)
		return NULL;
	*e = (struct encoder){ .coding = coding };
	if (coding == CODING_BROTLI)
		sound = (e->brotli = new_brotli(level)) != NULL;
	else
		sound = deflateInit2(&e->z, level, Z_DEFLATED, PIECES_BITS + GZIP, PIECES_MEM_LEVEL,
		                     Z_DEFAULT_STRATEGY) == Z_OK;
	if (sound)
		return e;
	free(e);
	return NULL;
}

void encoder_free(struct encoder *e)
{
	if (!e)
		return;
	if (e->coding == CODING_BROTLI)
		free_brotli(e->brotli);
	else
		(void)deflateEnd(&e->z);
	free(e);
}

int encoder_run(struct encoder *e, struct str in, bool end, struct buf **out)
{
	struct buf *b = buf_new(FIRST_ROOM);
	int code = -ENOMEM;

	if (b)
		code = e->coding == CODING_BROTLI ? run_brotli(e->brotli, in, end, &b) : run_gzip(&e->z, in, end, &b);
	if (code < 0)
		buf_unref(b);
	else
		*out = b;
	return code;
}

struct buf *encoder_whole(enum http_coding coding, int level, struct str in)
{
	struct buf *b = buf_new(LS_MAX(in.len / 4, (size_t)FIRST_ROOM));
	void *state = NULL;
	int code = -ENOMEM;

	if (b && coding == CODING_BROTLI && (state = new_brotli(level)))
		code = run_brotli(state, in, true, &b);
	else if (b && coding == CODING_GZIP && (state = fresh_gzip(level)))
		code = run_gzip(state, in, true, &b);
	if (coding == CODING_BROTLI && state)
		free_brotli(state);
	if (code == 0 && b->len < in.len)
		return b;
	buf_unref(b);
	return NULL;
}
