#include "proto/http1_body.h"

#include "base/bits.h"
#include "proto/http1_order.h"

#include <errno.h>

uint64_t http1_body_limit(const struct port *port, bool is_form)
{
	if (port->http_request_body != REQUEST_BODY_STREAM)
		return is_form && port->http_parse_files && port->upload_max_size ? port->upload_max_size
		                                                                  : port->package_max_length;
	return port->http_body_max_size ? port->http_body_max_size : UINT64_MAX;
}

void http1_body_begin(struct proto_conn *pc, struct stream *s, const struct http_head *head, bool here)
{
	struct http1 *st = pc->state;

	st->reading = s;
	st->chunked = head->flags & HTTP_CHUNKED;
	st->body_left = head->content_length;
	st->body_taken = 0;
	st->body_max = http1_body_limit(pc->port, s->is_form);
	st->chunk = (struct http1_chunk){ 0 };
	/* Nothing of an earlier answer can be in the way: a request with a body waits until it is alone.
	 * Should memory lack, the peer gets no 100 and sends its body after a while, as RFC 9110 §10.1.1
	 * wants. */
	if (head->flags & HTTP_EXPECT_CONTINUE && head->version_minor > 0 && !here)
		(void)chain_append(&pc->out, LS_STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* True: the worker has the bytes. */
static bool emit(struct proto_conn *pc, struct str bytes, bool end)
{
	struct http1 *st = pc->state;
	struct stream *s = st->reading;
	struct frame f = {
		.type = FRAME_BODY,
		.flags = end ? FRAME_END : 0,
		.conn = pc->id,
		.stream = s->number,
	};
	int r = pc->sink->emit(pc, &f, &bytes, 1, s);

	if (r == -EAGAIN)
		st->stalled = true;
	else if (r < 0)
		http1_order_give_up(pc, s, true);
	if (r < 0)
		return false;
	if (end) {
		s->input_done = true;
		st->reading = NULL;
	}
	return true;
}

static ssize_t input_length(struct proto_conn *pc, struct str in)
{
	struct http1 *st = pc->state;
	struct str piece = str_take(in, st->body_left);

	if (!emit(pc, piece, piece.len == st->body_left))
		return 0;
	st->body_left -= piece.len;
	return (ssize_t)piece.len;
}

static ssize_t input_chunked(struct proto_conn *pc, struct str in)
{
	struct http1 *st = pc->state;
	struct http1_chunk next = st->chunk;
	struct str data;
	ssize_t eaten = http1_chunk_next(&next, in, &data);
	bool end = eaten >= 0 && http1_chunk_done(&next);

	if (eaten < 0) {
		http1_order_fail(pc, st->reading, 400, CLOSE_MALFORMED, true);
		return 0;
	}
	/* What the chunk promises counts. */
	if (data.len && data.len + next.left > st->body_max - st->body_taken) {
		http1_order_fail(pc, st->reading, 413, CLOSE_TOO_LARGE, true);
		return 0;
	}
	if ((data.len || end) && !emit(pc, data, end))
		return 0; /* st->chunk still stands before these bytes */
	st->chunk = next;
	st->body_taken += data.len;
	return eaten;
}

ssize_t http1_body_input(struct proto_conn *pc, struct str in)
{
	const struct http1 *st = pc->state;

	return st->chunked ? input_chunked(pc, in) : input_length(pc, in);
}
