/* The answer to a request: fields, then the head and what is there of the body in one frame. */
#include "worker/runtime.h"

#include "base/bits.h"
#include "lua/bind.h"
#include "proto/http1.h"
#include "proto/http_head.h"
#include "worker/codes.h"
#include "worker/encoding.h"
#include "worker/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
	REASON_MAX = 256,
	OWN_FIELDS_MAX = 128, /* what build_head() adds */
};

/* One builder serves all: an image is built and sent in one go. */
static struct http_head_builder builder;

/* Bytes that the fields of one image may take.  With the phrase and what is ours it fills at most half a piece of the link, so that
 * part of a body always travels with a head. */
static uint32_t fields_size_max(const struct request *r)
{
	return LS_MIN(r->out.line->piece_max / 2, (uint32_t)HTTP_HEAD_MAX) - (uint32_t)sizeof(struct http_head) -
	       REASON_MAX - OWN_FIELDS_MAX;
}

int response_field(struct request *r, struct str name, struct str value, bool add)
{
	if (r->head_sent)
		return -EALREADY;
	return fields_put(&r->head, &r->arena, fields_size_max(r), name, value, add);
}

int response_trailer(struct request *r, struct str name, struct str value)
{
	if (!fields_may_trail(name))
		return -EPERM;

	bool announced = r->head_sent || fields_has(&r->trailers, name);
	int code = announced ? 0 : response_field(r, LS_STR("Trailer"), name, true);

	return code < 0 ? code : fields_put(&r->trailers, &r->arena, fields_size_max(r), name, value, false);
}

int response_status(struct request *r, int status, struct str reason)
{
	if (r->head_sent)
		return -EALREADY;
	if ((status < 200 && !(status == 101 && r->handshake)) || status > 599 || reason.len > REASON_MAX ||
	    !fields_is_value(reason))
		return -EINVAL;
	r->status = (uint16_t)status;
	r->reason = reason.len ? str_make(arena_dup(&r->arena, reason.p, reason.len), reason.len) : reason;
	return 0;
}

/* Swoole's default type, for answers whose app named none. */
static int add_default_type(const struct request *r)
{
	if (fields_has(&r->head, LS_STR("content-type")))
		return 0;
	return http_head_add(&builder, LS_STR("Content-Type"), LS_STR("text/html"));
}

static int build_head(const struct request *r, bool has_content)
{
	http_head_begin(&builder);
	builder.head.status = r->status;

	int code = r->reason.len ? http_head_text(&builder, r->reason, &builder.head.target) : 0;

	if (code == 0)
		code = fields_build(&r->head, &builder);
	return code == 0 && has_content ? add_default_type(r) : code;
}

static bool has_no_body(const struct request *r)
{
	return r->status == 101 || r->status == 204 || r->status == 304 ||
	       str_eq(http_head_str(&r->view, r->view.head->method_name), LS_STR("HEAD"));
}

/* Its trailers follow the body. */
static bool trails(const struct request *r)
{
	return r->trailers.n > 0 && !has_no_body(r);
}

static int send_trailers(struct request *r)
{
	struct str parts[3];
	struct frame f = {
		.type = FRAME_RESPONSE_TRAILERS,
		.flags = FRAME_END,
		.conn = r->conn,
		.stream = r->stream,
	};

	http_head_begin(&builder);

	int code = fields_build(&r->trailers, &builder);

	if (code < 0)
		return code;
	http_head_parts(&builder, parts);
	f.arg = builder.head.size;
	return link_send(r->out.line, &f, parts, 3);
}

static void answered(struct request *r)
{
	r->ended = true;
	request_answered(r);
}

/* A frame with the last byte of the body has been sent. */
static int body_sent(struct request *r)
{
	int code = trails(r) ? send_trailers(r) : 0;

	if (code == 0)
		answered(r);
	return code;
}

/* Sends the head and as much of `body` as travels with it uncut.  How much that was, or negative errno. */
static ssize_t send_head(struct request *r, struct str body, bool end)
{
	struct str parts[4];
	uint32_t room = r->out.line->piece_max;
	struct frame f = { .type = FRAME_RESPONSE, .conn = r->conn, .stream = r->stream, .value = r->length };
	int code = build_head(r, body.len > 0 || r->length > 0);

	if (code < 0)
		return code;
	http_head_parts(&builder, parts);
	f.arg = (uint32_t)(parts[0].len + parts[1].len + parts[2].len);

	/* What is better lent follows in a frame of its own.  With a request that is not wholly read the reactor needs both at
	 * once, to say in the head that it will close. */
	bool lend = r->body_done && link_lends(r->out.line, body.len) && !has_no_body(r);

	parts[3] = str_take(body, lend ? 0 : room - f.arg);

	bool last = end && (parts[3].len == body.len || has_no_body(r));

	f.flags = last && !trails(r) ? FRAME_END : 0;
	code = link_send(r->out.line, &f, parts, 4);
	if (code < 0)
		return code;
	r->head_sent = true;
	if (last)
		code = body_sent(r);
	if (code < 0)
		return code;
	return last ? (ssize_t)body.len : (ssize_t)parts[3].len;
}

/* The answer cannot go on, for want of memory or because link_backlog_size is used up; the client must notice.  `code`: what later
 * writes get. */
static void give_up(struct request *r, int code)
{
	struct frame f = { .type = FRAME_RESPONSE_ABORT, .conn = r->conn, .stream = r->stream };

	r->aborted = code;
	(void)link_send(r->out.line, &f, NULL, 0); /* a notice: refused only where nothing is taken any more */
	answered(r);
}

void response_lost(struct outflow *of)
{
	struct request *r = LS_CONTAINER_OF(of, struct request, out);

	if (r->aborted)
		return;
	outflow_close(of, CODE_OUTPUT_OVERFLOW);
	give_up(r, CODE_OUTPUT_OVERFLOW);
}

/* As response_emit(), but a failure leaves the answer open. */
static ssize_t emit(struct outflow *of, struct str piece, bool end, const struct outflow_source *from)
{
	struct request *r = LS_CONTAINER_OF(of, struct request, out);
	ssize_t with_head = 0;

	if (!r->head_sent) {
		with_head = send_head(r, piece, end);
		if (with_head != 0 || piece.len == 0)
			return with_head;
	}

	struct str part = str_take(piece, of->line->piece_max);
	bool last = end && part.len == piece.len;
	struct frame f = {
		.type = FRAME_RESPONSE_BODY,
		.flags = last && !trails(r) ? FRAME_END : 0,
		.conn = r->conn,
		.stream = r->stream,
	};

	int code = outflow_frame(of, &f, part, from);

	if (code == 0 && last)
		code = body_sent(r);
	return code < 0 ? code : (ssize_t)part.len;
}

ssize_t response_emit(struct outflow *of, struct str piece, bool end, const struct outflow_source *from)
{
	struct request *r = LS_CONTAINER_OF(of, struct request, out);
	ssize_t n = r->aborted ? -ECONNABORTED : emit(of, piece, end, from);

	if (n < 0 && !r->aborted)
		give_up(r, n == -ENOMEM ? CODE_NO_MEMORY : CODE_OUTPUT_OVERFLOW);
	return n;
}

int response_send(struct request *r, lua_State *L, int idx, bool end, const char *what)
{
	if (r->aborted)
		return codes_push(L, r->aborted);
	if (r->finished)
		return codes_push(L, CODE_WRONG_OPERATION);
	if (r->status == 101)
		return handshake_finish(r, L, end);
	if (!idx) {
		lua_pushliteral(L, "");
		idx = lua_gettop(L);
	}

	bool first = !r->head_sent && list_empty(&r->out.pending);
	size_t len;

	lua_tolstring(L, idx, &len);
	if (len == 0 && r->head_sent && !end) {
		lua_pushboolean(L, 1);
		return 1;
	}
	idx = encoding_apply(r, L, idx, first && end, end);
	if (idx < 0) {
		response_lost(&r->out);
		return codes_push(L, CODE_NO_MEMORY);
	}
	lua_tolstring(L, idx, &len);
	if (end && first && !trails(r))
		r->length = len;

	int n = outflow_send(&r->out, L, idx, end, r->worker->o.settings->send_yield, what);

	/* Not before: what raised, for want of Lua memory, has sent nothing. */
	r->finished |= end;
	if (end && n > 1)
		response_lost(&r->out); /* nil, message, code: there will be no end */
	return n;
}

int response_file(struct request *r, const char *path, uint64_t offset, uint64_t length)
{
	struct frame_file file = { .offset = offset, .length = length };
	struct str parts[2] = { str_make(&file, sizeof file), str_from(path) };
	struct frame f = { .type = FRAME_RESPONSE_FILE, .conn = r->conn, .stream = r->stream };
	struct stat st;

	if (r->head_sent || r->finished || r->status == 101)
		return CODE_WRONG_OPERATION;
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return CODE_FILE_NOT_FOUND;
	if (offset > (uint64_t)st.st_size || length > (uint64_t)st.st_size - offset)
		return CODE_PARAMS;
	if (length == 0)
		file.length = (uint64_t)st.st_size - offset;

	bool empty = file.length == 0 || has_no_body(r);

	if (!trails(r))
		r->length = file.length;
	f.flags = trails(r) ? 0 : FRAME_END;
	if (send_head(r, (struct str){ "", 0 }, empty) < 0) {
		r->length = UINT64_MAX;
		return CODE_TOO_LARGE;
	}
	r->finished = true;
	if (empty || (link_send(r->out.line, &f, parts, 2) == 0 && body_sent(r) == 0))
		return 0;
	give_up(r, CODE_OUTPUT_OVERFLOW);
	return CODE_OUTPUT_OVERFLOW;
}

/* The end of a body of which a part has left. */
static int send_end(struct request *r)
{
	struct frame f = { .type = FRAME_RESPONSE_BODY, .conn = r->conn, .stream = r->stream };
	struct str rest = { 0 };
	struct buf *b;
	int code = encoding_finish(r, &b);

	if (b)
		rest = buf_str(b);
	f.flags = trails(r) ? 0 : FRAME_END;
	if (code == 0 && (rest.len || f.flags))
		code = link_send(r->out.line, &f, &rest, 1);
	buf_unref(b);
	return code < 0 ? code : body_sent(r);
}

static void end_without_lua(struct request *r)
{
	if (r->head_sent) {
		if (send_end(r) < 0)
			give_up(r, CODE_OUTPUT_OVERFLOW);
		return;
	}
	if (!trails(r))
		r->length = 0;
	if (send_head(r, (struct str){ "", 0 }, true) < 0) {
		r->finished = false;
		response_fail(r, 500);
	}
}

void response_complete(struct request *r)
{
	if (r->finished || r->aborted)
		return;
	r->finished = true;
	if (list_empty(&r->out.pending))
		end_without_lua(r);
	else
		r->end_due = true;
}

void response_emptied(struct outflow *of)
{
	struct request *r = LS_CONTAINER_OF(of, struct request, out);

	if (r->end_due && !r->aborted)
		end_without_lua(r);
	r->end_due = false;
}

/* With the fields that are there. */
static int send_status(struct request *r, int status)
{
	char body[64];

	snprintf(body, sizeof body, "%d %s\n", status, http_reason(status));
	r->status = (uint16_t)status;
	r->reason.len = 0;
	(void)response_field(r, LS_STR("content-type"), LS_STR("text/plain"), false);
	r->length = strlen(body);
	return send_head(r, str_from(body), true) < 0 ? -1 : 0;
}

void response_refuse(struct request *r, int status)
{
	r->finished = true;
	if (send_status(r, status) < 0)
		give_up(r, CODE_CLOSED_BY_SERVER);
}

void response_fail(struct request *r, int status)
{
	if (r->finished || r->aborted)
		return;
	r->finished = true;
	outflow_close(&r->out, CODE_CLOSED_BY_SERVER); /* writes of other coroutines that have not left */
	r->head = r->trailers = (struct fields){ 0 };
	if (r->head_sent || send_status(r, status) < 0)
		give_up(r, CODE_CLOSED_BY_SERVER);
}
