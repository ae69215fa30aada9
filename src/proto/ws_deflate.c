#include "proto/ws_deflate.h"

#include "base/bits.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum {
	BITS_MIN = 9, /* zlib makes no raw stream with a window of 8 bits */
	BITS_MAX = 15,
	OWN_MEM_LEVEL =
		5, /* of connections with states of their own: 100 KB less than usual, for 3 % longer messages */
	SHARED_MEM_LEVEL = 8,
	FIRST_ROOM = 4096,
	TAIL = 4, /* 00 00 ff ff, which is not sent (§7.2.1) */
};

struct ws_deflate {
	struct ws_terms terms;
	int level;
	z_stream *in;  /* NULL: the thread's */
	z_stream *out; /* NULL: the thread's */
};

static _Thread_local z_stream *shared_in;
static _Thread_local z_stream *shared_out[BITS_MAX + 1];
static _Thread_local int shared_level[BITS_MAX + 1];

/* ---- terms ----------------------------------------------------------------------------------------------------------------------- */

/* A window's bits, 8 … 15, without leading zeros (§7.1.2.1); 0: it is no such number. */
static unsigned bits_of(struct str text)
{
	uint64_t n;

	if (text.len >= 2 && text.p[0] == '"' && text.p[text.len - 1] == '"')
		text = str_take(str_skip(text, 1), text.len - 2);
	return text.len && text.p[0] != '0' && str_to_u64(text, &n) == 0 && n >= 8 && n <= BITS_MAX ? (unsigned)n : 0;
}

/* One parameter; false: it is unknown, malformed or comes twice. */
static bool read_parameter(struct str text, unsigned *seen, struct ws_terms *t)
{
	static const char *const names[] = { "server_no_context_takeover", "client_no_context_takeover",
		                             "server_max_window_bits", "client_max_window_bits" };
	ssize_t eq = str_chr(text, '=');
	struct str name = eq < 0 ? text : str_trim(str_take(text, (size_t)eq));
	struct str value = eq < 0 ? (struct str){ 0 } : str_trim(str_skip(text, (size_t)eq + 1));
	unsigned i = 0, bits = value.p ? bits_of(value) : 0;

	while (i < LS_COUNT(names) && !str_eq(name, str_from(names[i])))
		i++;
	if (i == LS_COUNT(names) || *seen & 1u << i)
		return false;
	*seen |= 1u << i;
	switch (i) {
	case 0:
		t->server_resets = true;
		return !value.p;
	case 1:
		t->client_resets = true;
		return !value.p;
	case 2:
		t->server_bits = (uint8_t)bits;
		t->bits_said = true;
		return bits >= BITS_MIN;
	default:
		return !value.p || bits > 0; /* the largest window reads all of them */
	}
}

static bool read_terms(struct str text, struct ws_terms *t)
{
	struct str name = str_trim(str_split(&text, ';'));
	unsigned seen = 0;

	*t = (struct ws_terms){ .server_bits = BITS_MAX };
	if (!str_eq(name, LS_STR("permessage-deflate")))
		return false;
	while (text.p)
		if (!read_parameter(str_trim(str_split(&text, ';')), &seen, t))
			return false;
	return true;
}

bool ws_terms_choose(const struct http_view *v, const struct port *port, struct ws_terms *out)
{
	for (unsigned i = 0; port->websocket_compression && i < v->head->n_fields; i++) {
		struct str list = http_head_str(v, v->fields[i].value);

		if (!str_eq(http_head_str(v, v->fields[i].name), LS_STR("sec-websocket-extensions")))
			continue;
		while (list.p) {
			if (!read_terms(str_trim(str_split(&list, ',')), out))
				continue;
			/* The server may ask for this of any client (§7.1.1.2). */
			out->client_resets |= !port->websocket_context_takeover;
			out->server_resets |= !port->websocket_context_takeover;
			return true;
		}
	}
	return false;
}

struct str ws_terms_text(const struct ws_terms *t, char out[WS_TERMS_TEXT_MAX])
{
	char bits[32] = "";
	int n;

	if (t->bits_said)
		snprintf(bits, sizeof bits, "; server_max_window_bits=%u", t->server_bits);
	n = snprintf(out, WS_TERMS_TEXT_MAX, "permessage-deflate%s%s%s",
	             t->server_resets ? "; server_no_context_takeover" : "",
	             t->client_resets ? "; client_no_context_takeover" : "", bits);
	return str_make(out, (size_t)n);
}

int ws_terms_parse(struct str value, struct ws_terms *out)
{
	return read_terms(value, out) ? 0 : -EBADMSG;
}

/* ---- zlib states ---------------------------------------------------------------------------------------------------------------- */

static z_stream *new_inflate(void)
{
	z_stream *z = calloc(1, sizeof *z);

	if (z && inflateInit2(z, -BITS_MAX) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

static z_stream *new_deflate(int level, int bits, int mem_level)
{
	z_stream *z = calloc(1, sizeof *z);

	if (z && deflateInit2(z, level, Z_DEFLATED, -bits, mem_level, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(z);
		return NULL;
	}
	return z;
}

static void free_state(z_stream **z, int (*end)(z_stream *z))
{
	if (*z)
		(void)end(*z);
	free(*z);
	*z = NULL;
}

/* As it is after its making; NULL: no memory. */
static z_stream *fresh_inflate(void)
{
	if (!shared_in)
		shared_in = new_inflate();
	else
		(void)inflateReset(shared_in);
	return shared_in;
}

static z_stream *fresh_deflate(const struct ws_deflate *d)
{
	unsigned bits = d->terms.server_bits;

	if (shared_out[bits] && shared_level[bits] != d->level)
		free_state(&shared_out[bits], deflateEnd);
	if (!shared_out[bits])
		shared_out[bits] = new_deflate(d->level, (int)bits, SHARED_MEM_LEVEL);
	else
		(void)deflateReset(shared_out[bits]);
	shared_level[bits] = d->level;
	return shared_out[bits];
}

struct ws_deflate *ws_deflate_new(const struct ws_terms *t, const struct port *port)
{
	struct ws_deflate *d = try_alloc(sizeof *d);

	if (!d)
		return NULL;
	*d = (struct ws_deflate){ .terms = *t, .level = (int)port->websocket_compression_level };
	if (!t->client_resets)
		d->in = new_inflate();
	if (!t->server_resets)
		d->out = new_deflate(d->level, t->server_bits, OWN_MEM_LEVEL);
	if ((t->client_resets || d->in) && (t->server_resets || d->out))
		return d;
	ws_deflate_free(d);
	return NULL;
}

void ws_deflate_free(struct ws_deflate *d)
{
	if (!d)
		return;
	free_state(&d->in, inflateEnd);
	free_state(&d->out, deflateEnd);
	free(d);
}

void ws_deflate_trim(void)
{
	free_state(&shared_in, inflateEnd);
	for (unsigned bits = 0; bits <= BITS_MAX; bits++)
		free_state(&shared_out[bits], deflateEnd);
}

bool ws_deflate_is_usual(const struct ws_deflate *d)
{
	return d->terms.server_bits == BITS_MAX;
}

void ws_deflate_forget(struct ws_deflate *d)
{
	if (d->out)
		(void)deflateReset(d->out);
}

/* ---- messages --------------------------------------------------------------------------------------------------------------------- */

/* Runs `step` (inflate or deflate) until it has taken all input and has no more to give.  What it returned last, or -EMSGSIZE or
 * -ENOMEM.  One byte over `max` is given room, so that a message of just that length is known to have ended. */
static int run(z_stream *z, struct str in, int (*step)(z_stream *z, int flush), size_t max, struct buf **out)
{
	int code;

	z->next_in = (Bytef *)(uintptr_t)in.p;
	z->avail_in = (uInt)in.len;
	for (;;) {
		struct buf *b = *out;

		if (buf_room(b) == 0) {
			code = buf_grow(out, max);
			if (code < 0)
				return code;
			b = *out;
		}
		z->next_out = (Bytef *)b->data + b->len;
		z->avail_out = (uInt)LS_MIN(buf_room(b), max - b->len);
		code = step(z, Z_SYNC_FLUSH);
		b->len = (uint32_t)((char *)z->next_out - b->data);
		if (code == Z_BUF_ERROR)
			return Z_OK; /* there was nothing to do */
		if (code != Z_OK || (z->avail_in == 0 && z->avail_out > 0))
			return code;
		if (b->len >= max)
			return -EMSGSIZE;
	}
}

/* Of a message and the tail that its sender left out. */
static int expand(z_stream *z, struct str in, size_t max, struct buf **out)
{
	int code = run(z, in, inflate, max, out);

	if (code == Z_OK)
		code = run(z, LS_STR("\0\0\xff\xff"), inflate, max, out);
	/* A sender may close its stream with a message (§7.2.3.4); its next one begins another. */
	if (code == Z_STREAM_END)
		(void)inflateReset(z);
	if (code == Z_OK || code == Z_STREAM_END || code == -EMSGSIZE || code == -ENOMEM)
		return code < 0 ? code : 0;
	return code == Z_MEM_ERROR ? -ENOMEM : -EBADMSG;
}

int ws_deflate_expand(struct ws_deflate *d, struct str in, size_t max, struct buf **out)
{
	z_stream *z = d->in ? d->in : fresh_inflate();
	struct buf *b = z ? buf_new(FIRST_ROOM) : NULL;
	int code = b ? expand(z, in, max + 1, &b) : -ENOMEM;

	if (code == 0 && b->len > max)
		code = -EMSGSIZE;
	if (code < 0)
		buf_unref(b);
	else
		*out = b;
	return code;
}

int ws_deflate_shrink(struct ws_deflate *d, struct str in, bool last, struct buf **out)
{
	z_stream *z = d->out ? d->out : fresh_deflate(d);
	struct buf *b = z ? buf_new(FIRST_ROOM) : NULL;
	int code = b ? run(z, in, deflate, (size_t)1 << 30, &b) : -ENOMEM;

	if (code < 0 || code == Z_STREAM_ERROR) {
		buf_unref(b);
		return -ENOMEM;
	}
	if (last && b->len >= TAIL)
		b->len -= TAIL;
	else if (last)
		b->data[b->len++] = 0; /* an empty end: zlib sees nothing to flush */
	*out = b;
	return 0;
}
