#include "proto/http1_answer.h"

#include "base/mem.h"
#include "proto/http1.h"
#include "proto/http1_order.h"
#include "proto/http_out.h"
#include "proto/ws.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

enum {
	IMAGE_USUAL = 4096,      /* longer images are copied to the heap */
	CHUNK_FRAME_MAX = 20,    /* 16 hex digits and two CRLF */
	CHUNK_WHOLE_MAX = 32768, /* a chunk up to this size is written in one piece */
};

/* Complete: the stream is gone after this. */
static int finish(struct proto_conn *pc, struct stream *s)
{
	s->output_done = true;
	http1_order_settle(pc);
	return 0;
}

static int put_chunk(struct chain *out, struct str bytes)
{
	size_t bound = bytes.len + CHUNK_FRAME_MAX;
	char size[CHUNK_FRAME_MAX], *p = size, *start = NULL;
	int r;

	if (bytes.len <= CHUNK_WHOLE_MAX) {
		p = start = chain_reserve(out, bound);
		if (!p)
			return -ENOMEM;
	}
	p = http_out_hex(p, bytes.len);
	*p++ = '\r';
	*p++ = '\n';
	if (start) {
		p = mempcpy(mempcpy(p, bytes.p, bytes.len), "\r\n", 2);
		chain_commit(out, bound, (size_t)(p - start));
		return 0;
	}
	r = chain_append(out, str_make(size, (size_t)(p - size)));
	if (r == 0)
		r = chain_append(out, bytes);
	return r == 0 ? chain_append(out, LS_STR("\r\n")) : r;
}

/* True if `len` further bytes of body keep what the head promised; with `end`, exactly. */
static bool body_fits(const struct stream *s, uint64_t len, bool end)
{
	if (s->head_only || s->body_left == UINT64_MAX)
		return true;
	return end ? len == s->body_left : len <= s->body_left;
}

/* Notes that `len` bytes of body are sent. */
static void count_body(struct stream *s, uint64_t len)
{
	s->body_sent += len;
	if (s->body_left != UINT64_MAX)
		s->body_left -= len;
}

static int put_body(struct proto_conn *pc, struct stream *s, struct str bytes, bool end)
{
	struct chain *out = http1_order_out(pc, s);
	int r = 0;

	if (!body_fits(s, bytes.len, end))
		return -EBADMSG;
	if (!s->head_only) {
		if (bytes.len)
			r = s->chunked ? put_chunk(out, bytes) : proto_append(pc, out, bytes);
		if (r == 0 && s->chunked && end)
			r = chain_append(out, LS_STR("0\r\n\r\n"));
		if (r < 0)
			return r;
		count_body(s, bytes.len);
	}
	return end ? finish(pc, s) : 0;
}

static bool is_last(const struct proto_conn *pc, const struct stream *s)
{
	return pc->streams.prev == &s->on_conn;
}

/* Decides how the body is framed and whether the connection goes on, and writes the head. */
static int put_head(struct proto_conn *pc, struct stream *s, const struct http_view *v, uint64_t length, bool end)
{
	unsigned status = v->head->status;
	bool no_length = status == 204 || status == 304;
	bool no_body = s->head_only || no_length;
	bool chunked = length == UINT64_MAX && !no_body && s->version_minor > 0;
	bool until_close = length == UINT64_MAX && !no_body && !chunked;
	bool unread = end && !s->input_done;
	struct http1 *st = pc->state;
	struct http_out o = {
		.now_ms = pc->now_ms,
		.length = no_length ? UINT64_MAX : length,
		.chunked = chunked,
		.server = pc->port->http_server_header,
		.keep_alive = s->version_minor == 0,
		.close = !s->keep_alive || until_close || unread || (pc->draining && is_last(pc, s)),
	};
	int r = http_out_head(http1_order_out(pc, s), v, &o);

	if (r < 0)
		return r;
	s->status = (uint16_t)status;
	s->head_sent = true;
	s->head_only = no_body;
	s->chunked = chunked;
	s->body_left = length;
	s->keep_alive = !o.close;
	st->last |= o.close;
	return 0;
}

/* The answer to a handshake: what comes next is WebSocket. */
static int put_upgrade(struct proto_conn *pc, struct stream *s, const struct http_view *v)
{
	struct http_out o = {
		.now_ms = pc->now_ms,
		.length = UINT64_MAX,
		.server = pc->port->http_server_header,
		.upgrade = true,
	};
	int r = s->upgrade ? http_out_head(&pc->out, v, &o) : -EBADMSG;

	if (r < 0)
		return r;
	s->status = 101;
	s->head_sent = true;
	s->keep_alive = true;
	finish(pc, s);
	if (pc->close_when_sent)
		return 0; /* the server ends: the peer has its answer, and then nothing */
	http1_leave(pc);
	return ws_begin(pc, v);
}

static int put_answer(struct proto_conn *pc, struct stream *s, const struct frame *f, struct str image, struct str body)
{
	bool end = f->flags & FRAME_END;
	uint64_t length = f->value == UINT64_MAX && end ? body.len : f->value;
	bool fits = length == UINT64_MAX || (end ? body.len == length : body.len <= length);
	struct http_view v;
	int r = http_head_check(image, &v);

	if (r < 0)
		return r;
	if (v.head->status == 101)
		return end ? put_upgrade(pc, s, &v) : -EBADMSG;
	if (!fits && !s->head_only && v.head->status != 204 && v.head->status != 304)
		return -EBADMSG; /* found before anything was written: the caller can still answer 502 */
	r = put_head(pc, s, &v, length, end);
	return r < 0 ? r : put_body(pc, s, body, end);
}

/* The last chunk and the trailers; where the body has another end, there is no place for them (RFC 9112 §7.1.2). */
static int put_trailers(struct proto_conn *pc, struct stream *s, const struct frame *f, struct str image,
                        struct str nothing)
{
	struct http_view v;
	int r = http_head_check(image, &v);

	if (r < 0)
		return r;
	if (!(f->flags & FRAME_END) || nothing.len > 0 || !body_fits(s, 0, true))
		return -EBADMSG;
	if (!s->chunked)
		return finish(pc, s);
	r = http_out_trailers(http1_order_out(pc, s), &v);
	return r < 0 ? r : finish(pc, s);
}

/* Has `put` write from the image that the payload begins with and from the bytes behind it.  The image is copied first, since the
 * worker may share the memory it stands in: what has been checked must stay as it was. */
static int with_image(struct proto_conn *pc, struct stream *s, const struct frame *f, struct str payload,
                      int (*put)(struct proto_conn *pc, struct stream *s, const struct frame *f, struct str image,
                                 struct str rest))
{
	alignas(8) char usual[IMAGE_USUAL];
	char *copy = usual;
	int r;

	if (f->arg > payload.len || f->arg > HTTP_HEAD_MAX)
		return -EBADMSG;
	if (f->arg > sizeof usual)
		copy = try_alloc(f->arg);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, payload.p, f->arg);
	r = put(pc, s, f, str_make(copy, f->arg), str_skip(payload, f->arg));
	if (copy != usual)
		free(copy);
	return r;
}

int http1_answer(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *s)
{
	if (!s)
		return 0; /* the stream has ended while this was on its way */
	if (s->output_done)
		return -EBADMSG;
	switch (f->type) {
	case FRAME_RESPONSE:
		return s->head_sent ? -EBADMSG : with_image(pc, s, f, payload, put_answer);
	case FRAME_RESPONSE_BODY:
		return s->head_sent ? put_body(pc, s, payload, f->flags & FRAME_END) : -EBADMSG;
	case FRAME_RESPONSE_TRAILERS:
		return s->head_sent ? with_image(pc, s, f, payload, put_trailers) : -EBADMSG;
	case FRAME_RESPONSE_ABORT:
		http1_order_fail(pc, s, 500, CLOSE_BY_APP, !s->input_done);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* Takes the descriptor. */
static int put_file(struct chain *out, bool chunked, int fd, uint64_t off, uint64_t len)
{
	char size[CHUNK_FRAME_MAX], *p = http_out_hex(size, len);
	int r = 0;

	p = mempcpy(p, "\r\n", 2);
	if (chunked)
		r = chain_append(out, str_make(size, (size_t)(p - size)));
	if (r < 0) {
		fd_close(&fd);
		return r;
	}
	r = chain_append_file(out, fd, off, len);
	return r == 0 && chunked ? chain_append(out, LS_STR("\r\n")) : r;
}

int http1_output_file(struct proto_conn *pc, struct stream *s, int fd, uint64_t off, uint64_t len, bool end)
{
	int r;

	if (!s->head_sent || s->output_done) {
		fd_close(&fd);
		return -EBADMSG;
	}
	if (!body_fits(s, len, end)) {
		fd_close(&fd);
		http1_order_fail(pc, s, 500, CLOSE_NORMAL,
		                 !s->input_done); /* the file has changed: nobody broke a rule */
		return 0;
	}
	if (s->head_only || len == 0) {
		fd_close(&fd);
	} else {
		r = put_file(http1_order_out(pc, s), s->chunked, fd, off, len);
		if (r < 0)
			return r;
		count_body(s, len);
	}
	return put_body(pc, s, LS_STR(""), end);
}
