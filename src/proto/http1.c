#include "proto/http1.h"

#include "base/mem.h"
#include "proto/http1_answer.h"
#include "proto/http1_body.h"
#include "proto/http1_order.h"
#include "proto/http1_parse.h"
#include "proto/http_char.h"
#include "proto/multipart.h"

#include <errno.h>
#include <llhttp.h>

enum { STATES_KEPT = 256 };

static _Thread_local struct pool states = { .size = sizeof(struct http1), .keep = STATES_KEPT };
static _Thread_local struct http_head_builder builder;

static struct http1 *state_of(struct proto_conn *pc)
{
	if (!pc->state) {
		struct http1 *st = pool_get(&states);

		*st = (struct http1){ 0 };
		pc->state = st;
	}
	return pc->state;
}

static int pause_parser(llhttp_t *parser)
{
	(void)parser;
	return HPE_PAUSED; /* bodies are ours */
}

/* llhttp's opinion of the same bytes, as a second line of defence, and its reading of Connection and
 * Upgrade. */
static bool llhttp_agrees(struct str head, bool whole, struct http_head *out)
{
	static const llhttp_settings_t settings = { .on_headers_complete = pause_parser };
	llhttp_t parser;
	llhttp_errno_t e;

	llhttp_init(&parser, HTTP_REQUEST, &settings);
	e = llhttp_execute(&parser, head.p, head.len);
	if (e != (whole ? HPE_PAUSED : HPE_OK))
		return false;
	if (llhttp_should_keep_alive(&parser))
		out->flags |= HTTP_KEEP_ALIVE;
	if (llhttp_get_upgrade(&parser))
		out->flags |= HTTP_UPGRADE;
	return true;
}

static enum close_reason reason_for(int status)
{
	return status == 413 || status == 414 || status == 431 ? CLOSE_TOO_LARGE : CLOSE_MALFORMED;
}

static void refuse(struct proto_conn *pc, int status)
{
	http1_order_refuse(pc, status, reason_for(status));
}

static bool has_body(const struct http_head *head)
{
	return head->flags & HTTP_CHUNKED || head->content_length > 0;
}

static bool is_safe(unsigned method)
{
	static const bool safe[HTTP_METHODS] = {
#define METHOD(name, text, safe) safe,
#include "proto/http_methods.def"
#undef METHOD
	};

	return safe[method];
}

static struct str text_of(struct http_span span)
{
	return str_make(builder.text + span.at, span.len);
}

/* The request in `builder` has a form with files. */
static bool is_form(void)
{
	if (!has_body(&builder.head))
		return false;
	for (unsigned i = 0; i < builder.head.n_fields; i++)
		if (str_eq(text_of(builder.fields[i].name), LS_STR("content-type")))
			return multipart_is_type(text_of(builder.fields[i].value));
	return false;
}

/* What follows such a request may be of another protocol. */
static bool is_upgrade(const struct port *port, const struct http_head *head)
{
	return port->protocol == PROTOCOL_WEBSOCKET && head->flags & HTTP_UPGRADE && head->method == HTTP_METHOD_GET &&
	       !has_body(head) && head->version_minor > 0;
}

static struct stream *stream_for(struct proto_conn *pc, const struct http_head *head)
{
	uint64_t limit = pc->port->http_keepalive_requests;
	struct stream *s = stream_new();

	s->number = pc->next_stream ? pc->next_stream : 1;
	s->version_minor = head->version_minor;
	s->head_only = head->method == HTTP_METHOD_HEAD;
	s->keep_alive = head->flags & HTTP_KEEP_ALIVE && !pc->draining;
	if (limit && pc->requests + 1 >= limit)
		s->keep_alive = false;
	s->safe = is_safe(head->method);
	s->is_form = is_form();
	s->upgrade = is_upgrade(pc->port, head);
	s->input_done = !has_body(head);
	s->started_us = head->received_us;
	return s;
}

static int emit_request(struct proto_conn *pc, struct stream *s)
{
	const struct http_head *head = &builder.head;
	struct frame f = {
		.type = FRAME_REQUEST,
		.flags = s->input_done ? FRAME_END : 0,
		.conn = pc->id,
		.stream = s->number,
		.arg = pc->port->index,
		.value = head->flags & HTTP_CHUNKED ? UINT64_MAX : head->content_length,
	};
	struct str parts[3];

	http_head_parts(&builder, parts);
	return pc->sink->emit(pc, &f, parts, 3, s);
}

/* The request has been handed on: notes what follows it. */
static void note_request(struct proto_conn *pc, struct stream *s, bool more_is_here)
{
	const struct http_head *head = &builder.head;
	struct http1 *st = pc->state;

	pc->requests++;
	pc->next_stream = s->number + 1;
	st->exclusive = !s->safe || !s->input_done || s->upgrade;
	st->last = !s->keep_alive;
	if (!s->input_done)
		http1_body_begin(pc, s, head, more_is_here);
}

/* Hands the request in `builder` on.  Returns its length, or 0 if it must wait. */
static ssize_t take_request(struct proto_conn *pc, size_t len, bool more_is_here)
{
	struct http_head *head = &builder.head;
	struct http1 *st = pc->state;
	struct stream *s;
	int r;

	if (st->streams && (has_body(head) || !is_safe(head->method) || is_upgrade(pc->port, head))) {
		st->wait_all = true;
		return 0;
	}
	head->received_us = pc->wall_us;
	head->peer = pc->peer;
	head->port = pc->port->index;
	s = stream_for(pc, head);
	http1_order_add(pc, s);
	r = emit_request(pc, s);
	if (r == -EAGAIN) {
		http1_order_remove(pc, s);
		st->stalled = true;
		return 0;
	}
	if (r < 0)
		http1_order_give_up(pc, s, false);
	else
		note_request(pc, s, more_is_here);
	return (ssize_t)len;
}

/* A head that is not whole: is what there is too much already? */
static ssize_t wait_for_head(struct proto_conn *pc, struct str in)
{
	const struct port *port = pc->port;
	struct http1 *st = pc->state;
	ssize_t space = str_chr(str_take(in, port->http_max_header_size), ' ');
	size_t target = space < 0 ? 0 : in.len - (size_t)space - 1; /* so far, perhaps with the version */
	bool in_line = str_chr(in, '\n') < 0;

	if (in_line && target > port->http_max_target_size + sizeof " HTTP/1.1\r")
		refuse(pc, 414);
	else if (in.len > port->http_max_header_size)
		refuse(pc, in_line ? 414 : 431);
	else
		st->searched = (uint32_t)in.len;
	return 0;
}

/* Puts the head that `in` starts with into `builder`.  As http1_parse(). */
static int read_head(const struct port *port, struct str in, size_t *len)
{
	struct http_head *head = &builder.head;
	int status = http1_parse(&builder, in, port, len);

	if (status == -EAGAIN)
		return llhttp_agrees(in, false, head) ? -EAGAIN : 400;
	if (status != 0)
		return status;
	if (*len > port->http_max_header_size)
		return 431;
	if (!llhttp_agrees(str_take(in, *len), true, head))
		return 400;
	return head->flags & HTTP_HAS_LENGTH && head->content_length > http1_body_limit(port, is_form()) ? 413 : 0;
}

/* The start of a request.  Looks at it anew only when a line has ended. */
static ssize_t input_head(struct proto_conn *pc, struct str in)
{
	struct http1 *st = pc->state;
	size_t len = 0;
	int status;

	if (str_starts(in, LS_STR("\r\n")))
		return 2; /* an empty line before a request is skipped (RFC 9112 §2.2) */
	if (str_eq(in, LS_STR("\r")))
		return 0;
	if (!http_char_is(in.p[0], HTTP_CHAR_TOKEN)) {
		refuse(pc, 400); /* TLS on a plain port gets here at once, with no line end */
		return 0;
	}
	if (str_chr(str_skip(in, st->searched), '\n') < 0)
		return wait_for_head(pc, in);

	status = read_head(pc->port, in, &len);
	if (status == -EAGAIN)
		return wait_for_head(pc, in);
	if (status == -ENOMEM)
		return status;
	if (status != 0) {
		refuse(pc, status);
		return 0;
	}
	st->searched = 0;
	return take_request(pc, len, in.len > len);
}

/* The peer has shut its sending side and all it sent has been looked at: half a request stays half. */
static void end_of_input(struct proto_conn *pc)
{
	struct http1 *st = pc->state;

	if (pc->aborted || pc->paused || st->stalled)
		return;
	if (st->reading)
		http1_order_fail(pc, st->reading, 400, CLOSE_MALFORMED, true);
	else if (st->unread)
		refuse(pc, 400);
}

static ssize_t http1_input(struct proto_conn *pc, struct str in)
{
	struct http1 *st = state_of(pc);
	size_t eaten = 0;

	st->stalled = false;
	while (eaten < in.len && !pc->aborted && !pc->paused && !pc->close_when_sent) {
		struct str rest = str_skip(in, eaten);
		ssize_t n = st->reading ? http1_body_input(pc, rest) : input_head(pc, rest);

		if (n < 0)
			return n;
		eaten += (size_t)n;
		st->unread = eaten < in.len && !pc->aborted;
		http1_order_settle(pc);
		if (n == 0)
			break;
	}
	if (st->ended)
		end_of_input(pc);
	return (ssize_t)(pc->aborted ? in.len : eaten);
}

static void http1_fail(struct proto_conn *pc, struct stream *s, int status)
{
	http1_order_fail(pc, s, status, CLOSE_WORKER_LOST, false);
}

static void http1_eof(struct proto_conn *pc, struct str rest)
{
	struct http1 *st = state_of(pc);

	if (pc->port->http_cancel_on_abort && st->streams > 0) {
		pc->close_reason = CLOSE_PEER_RESET;
		pc->close_when_sent = true;
		http1_order_drop(pc);
		return;
	}
	st->ended = true;
	st->unread = rest.len > 0 && !pc->aborted;
	end_of_input(pc);
	http1_order_settle(pc);
}

static void http1_timeout(struct proto_conn *pc)
{
	struct http1 *st = state_of(pc);

	if (pc->phase == PHASE_BODY) {
		http1_order_fail(pc, st->reading, 408, CLOSE_TIMEOUT_BODY, true);
	} else if (pc->phase == PHASE_HEAD) {
		http1_order_refuse(pc, 408, CLOSE_TIMEOUT_HEAD);
	} else if (pc->phase == PHASE_IDLE) {
		pc->close_reason = CLOSE_TIMEOUT_IDLE;
		pc->close_when_sent = true;
		http1_order_settle(pc);
	}
}

void http1_leave(struct proto_conn *pc)
{
	pool_put(&states, pc->state);
	pc->state = NULL;
}

static void http1_idle(struct proto_conn *pc)
{
	if (pc->phase != PHASE_IDLE)
		return; /* something is under way */
	http1_leave(pc);
}

static void http1_close(struct proto_conn *pc)
{
	if (pc->state)
		http1_order_drop(pc);
	http1_leave(pc);
}

void http1_trim(void)
{
	pool_trim(&states);
	http_head_fini(&builder);
}

const struct proto proto_http1 = {
	.name = "http",
	.doc = "HTTP/1.1 and HTTP/1.0.",
	.input = http1_input,
	.output = http1_answer,
	.fail = http1_fail,
	.eof = http1_eof,
	.timeout = http1_timeout,
	.idle = http1_idle,
	.close = http1_close,
};
