#include "worker/request.h"

#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/encoder.h"
#include "worker/encoding.h"
#include "worker/handshake.h"
#include "worker/runtime.h"
#include "worker/upload.h"

#include <errno.h>
#include <stdlib.h>

/* A streamed body that nobody reads stops at this. */
enum { STREAM_HIGH = 256 * 1024, STREAM_LOW = 64 * 1024 };

struct request_box {
	struct request r;
	struct ready ready;
};

/* Memory of ended requests goes to the next ones and nowhere else: handles in Lua may still look at its serial. */
static struct list boxes = { &boxes, &boxes };
static const struct bind_kind *req_kind, *res_kind;

void request_set_kinds(const struct bind_kind *req, const struct bind_kind *res)
{
	req_kind = req;
	res_kind = res;
}

/* Stream numbers of one connection stay below 2^11 apart from each other while they live, so that this is unique: the
 * reactor never has more than http_pipeline_max under way. */
static uint64_t key_of(conn_id conn, uint32_t stream)
{
	return conn ^ (uint64_t)stream << 53;
}

struct request *request_find(struct worker *w, conn_id conn, uint32_t stream)
{
	struct request *r = map_get(&w->requests, key_of(conn, stream));

	return r && r->conn == conn && r->stream == stream ? r : NULL;
}

static struct request *find(struct worker *w, const struct frame *f)
{
	return request_find(w, f->conn, f->stream);
}

const char *request_line(const struct request *r, char *out, size_t cap)
{
	char method[64], target[512];

	str_escape(http_head_str(&r->view, r->view.head->method_name), method, sizeof method);
	str_escape(str_take(http_head_str(&r->view, r->view.head->target), 256), target, sizeof target);
	snprintf(out, cap, "%s %s HTTP/1.%u", method, target, r->view.head->version_minor);
	return out;
}

static void free_request(struct request *r)
{
	struct worker *w = r->worker;
	struct request_box *box = LS_CONTAINER_OF(r, struct request_box, r);

	outflow_close(&r->out, CODE_CLOSED);
	if (r->cache != LUA_NOREF)
		luaL_unref(w->L, LUA_REGISTRYINDEX, r->cache);
	/* A handler that works on long after its answer may have been followed by 2^11 requests: the place is another's. */
	if (map_get(&w->requests, key_of(r->conn, r->stream)) == r)
		map_del(&w->requests, key_of(r->conn, r->stream));
	list_del(&box->ready.link);
	encoding_free(r);
	upload_free(r->upload);
	buf_unref(r->image);
	buf_unref(r->body);
	arena_clear(&r->arena);
	r->serial++;
	list_append(boxes.next, &box->ready.link); /* in front: the one used last is in the caches */
}

/* The reactor needs an end for every stream, also if the handler left it to another process that died. */
static void end_if_over(struct request *r)
{
	if (!r->running && !r->held && (r->ended || r->aborted) && list_empty(&r->out.pending))
		free_request(r);
}

void request_hold(struct request *r)
{
	r->held = true;
}

void request_release(struct request *r)
{
	r->held = false;
	end_if_over(r);
}

void request_push(const struct request *r, lua_State *L)
{
	bind_push(L, req_kind, (void *)r);
}

void request_answered(struct request *r)
{
	/* A handler that runs ends its request itself; the pointer must live until this call's callers have returned. */
	if (!r->running)
		worker_ready(r->worker, &LS_CONTAINER_OF(r, struct request_box, r)->ready);
}

void request_free_all(struct worker *w)
{
	size_t cursor = 0;

	for (const struct map_entry *e; (e = map_next(&w->requests, &cursor)); cursor = 0)
		free_request(e->value);
}

void request_trim(void)
{
	encoder_trim();
	for (struct list *it; (it = list_shift(&boxes));)
		free(LS_CONTAINER_OF(it, struct request_box, ready.link));
}

/* ---- the handler ------------------------------------------------------------------------------------------------------------------ */

static void on_done(struct task *t, int status)
{
	struct request *r = t->ctx;
	struct worker *w = r->worker;

	if (status != 0) {
		char line[1024];

		/* A client that went away cancels its handler; that is no error of the app. */
		if (!(r->aborted && t->cancelled))
			handler_log_error(w, t, handler_error_text(t), request_line(r, line, sizeof line));
		response_fail(r, 500);
	} else if (!r->detached) {
		if (r->handshake && r->status == 101)
			handshake_accept(r);
		else
			response_complete(r);
	}
	r->running = false;
	r->task = NULL;
	worker_count_end(w);
	end_if_over(r); /* start() looks at it no more */
}

bool request_call(struct request *r, enum settings_event event)
{
	struct worker *w = r->worker;
	int handler = app_handler(w->app, r->port->index, event);
	struct handler_call call;

	if (handler == LUA_NOREF || !handler_begin(w, handler, settings_event_name((int)event), r->conn, &call)) {
		response_fail(r, 503);
		return false;
	}
	bind_push(call.L, req_kind, r);
	bind_push(call.L, res_kind, r);
	r->started = r->running = true;
	r->task = call.task;
	worker_count_begin(w);
	handler_run(w, &call, 2, on_done, r);
	return true;
}

static void start(struct request *r)
{
	bool answered = handshake_take(r) || request_call(r, EVENT_request);

	if (!answered)
		end_if_over(r);
}

static void run(struct ready *ready)
{
	struct request *r = &LS_CONTAINER_OF(ready, struct request_box, ready)->r;
	bool begun = r->started || r->finished;

	if (!begun && !r->aborted && (r->body_done || r->streaming))
		start(r);
	else
		end_if_over(r);
}

/* ---- what the reactor says ----------------------------------------------------------------------------------------------------------- */

/* Zeroed but for the serial, which goes on from the memory's last use. */
static struct request_box *new_box(void)
{
	struct list *used = list_shift(&boxes);
	struct request_box *box = used ? LS_CONTAINER_OF(used, struct request_box, ready.link) : xzalloc(sizeof *box);
	uint64_t serial = box->r.serial;

	*box = (struct request_box){ .r.serial = serial, .ready = { .run = run } };
	list_init(&box->ready.link);
	return box;
}

/* There is no memory for it, so it cannot be answered in a better way. */
static void refuse(struct worker *w, const struct frame *f)
{
	struct frame abort = { .type = FRAME_RESPONSE_ABORT, .conn = f->conn, .stream = f->stream };
	struct link *line = worker_link(w, f->conn);

	worker_out_of_memory(w, "a request is answered 500 without its handler being called");
	if (line)
		(void)link_send(line, &abort, NULL, 0); /* a notice */
}

int request_on_head(struct worker *w, const struct frame *f, struct str payload)
{
	struct request_box *box;
	struct buf *image;
	struct http_view view;

	if (f->arg >= w->o.settings->n_ports || find(w, f))
		return -EBADMSG;
	image = buf_new(payload.len);
	if (!image) {
		refuse(w, f);
		return 0;
	}
	memcpy(image->data, payload.p, payload.len);
	image->len = (uint32_t)payload.len;
	if (http_head_view(buf_str(image), &view) < 0) {
		buf_unref(image);
		return -EBADMSG;
	}

	box = new_box();

	struct request *r = &box->r;

	r->worker = w;
	r->conn = f->conn;
	r->stream = f->stream;
	r->image = image;
	r->view = view;
	r->port = &w->o.settings->ports[f->arg];
	r->status = 200;
	r->length = UINT64_MAX;
	r->cache = LUA_NOREF;
	r->body_done = f->flags & FRAME_END;
	r->streaming = r->port->http_request_body == REQUEST_BODY_STREAM && w->o.settings->enable_coroutine;
	r->upload = upload_new(r);
	outflow_init(&r->out, worker_link(w, f->conn), r->port->socket_buffer_size, response_emit);
	r->out.on_lost = response_lost;
	r->out.on_empty = response_emptied;
	map_put(&w->requests, key_of(r->conn, r->stream), r);
	if (r->body_done || r->streaming)
		worker_ready(w, &box->ready);
	return 0;
}

static void pause_reading(struct request *r, bool pause)
{
	struct frame f = { .type = pause ? FRAME_PAUSE : FRAME_RESUME, .conn = r->conn, .stream = r->stream };

	if (r->reading_paused == pause)
		return;
	r->reading_paused = pause;
	(void)link_send(r->out.line, &f, NULL, 0);
}

/* Pushes what there is, at most `max` bytes (0: all). */
static int push_body(struct request *r, lua_State *L, uint64_t max)
{
	struct str body = r->body ? buf_str(r->body) : (struct str){ "", 0 };
	struct str piece = max ? str_take(body, (size_t)max) : body;

	lua_pushlstring(L, piece.p, piece.len);
	if (piece.len == body.len) {
		buf_unref(r->body);
		r->body = NULL;
	} else {
		r->body->off += (uint32_t)piece.len;
	}
	if (body.len - piece.len <= STREAM_LOW)
		pause_reading(r, false);
	return 1;
}

static void wake_reader(struct request *r)
{
	struct task *t = r->reader;
	bool enough = r->body_done || (r->read_max && r->body);
	int n;

	if (!t || !(enough || r->aborted))
		return;
	r->reader = NULL;
	if (r->aborted && !r->body_done)
		n = bind_fail(t->L, CODE_CLOSED_BY_PEER, "the client went away before the body was complete");
	else if (!r->body && r->read_max)
		n = (lua_pushnil(t->L), 1);
	else
		n = push_body(r, t->L, r->read_max);
	sched_wake(t, n);
}

/* 0, or the status that the request is answered with. */
static int take_body(struct request *r, struct str bytes, bool end, uint64_t limit)
{
	int code;

	if (r->upload)
		return r->aborted ? 0 : upload_feed(r->upload, bytes, end);
	code = bytes.len ? buf_append(&r->body, bytes, (size_t)limit) : 0;
	if (code == 0)
		return 0;
	return code == -EMSGSIZE ? 413 : 503;
}

int request_on_body(struct worker *w, const struct frame *f, struct str payload)
{
	struct request *r = find(w, f);
	uint64_t limit;

	if (!r)
		return 0; /* answered without reading it */
	limit = r->streaming ? (uint64_t)1 << 30 : r->port->package_max_length;
	r->body_received += payload.len;

	int status = take_body(r, payload, f->flags & FRAME_END, limit);

	if (status) {
		response_fail(r, status);
		if (!r->ended)
			response_lost(&r->out); /* finished without reading all, and still on its way */
		r->aborted = CODE_CLOSED_BY_SERVER;
	}
	r->body_done = f->flags & FRAME_END;
	if (r->streaming && !r->body_done && r->body && buf_str(r->body).len > STREAM_HIGH)
		pause_reading(r, true);
	wake_reader(r);
	if (r->body_done && !r->streaming)
		worker_ready(w, &LS_CONTAINER_OF(r, struct request_box, r)->ready);
	return 0;
}

void request_on_abort(struct worker *w, const struct frame *f)
{
	struct request *r = find(w, f);

	if (!r)
		return;
	r->aborted = CODE_CLOSED_BY_PEER;
	r->held = false; /* the WebSocket that it asked for will not be opened */
	outflow_close(&r->out, CODE_CLOSED_BY_PEER);
	wake_reader(r);
	if (r->port->http_cancel_on_abort && r->running && r->task)
		sched_cancel(r->task);
	worker_ready(w, &LS_CONTAINER_OF(r, struct request_box, r)->ready);
}

void request_on_ack(struct worker *w, const struct frame *f)
{
	struct request *r = find(w, f);

	if (!r)
		return;
	outflow_ack(&r->out, f->value);
	worker_ready(w, &LS_CONTAINER_OF(r, struct request_box, r)->ready);
}

/* ---- reading the body ------------------------------------------------------------------------------------------------------------------ */

static void stop_reading(struct task *t)
{
	struct request *r = t->wait;

	r->reader = NULL;
}

int request_read(struct request *r, lua_State *L, uint64_t max)
{
	struct task *t = sched_current(r->worker->sched);

	if (r->reader)
		return luaL_error(L, "req: another coroutine already reads this body");
	/* Reading asks for what was held back. */
	pause_reading(r, false);
	if (r->body_done || (max && r->body)) {
		if (!r->body && max) {
			lua_pushnil(L);
			return 1;
		}
		return push_body(r, L, max);
	}
	if (r->aborted)
		return bind_fail(L, CODE_CLOSED_BY_PEER, "the client went away before the body was complete");
	r->reader = t;
	r->read_max = max;
	return sched_park(L, max ? "req:read" : "req:body", stop_reading, r, 0);
}
