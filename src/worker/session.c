#include "worker/session.h"

#include "base/clock.h"
#include "lua/bind.h"
#include "lua/framer.h"
#include "proto/ws.h"
#include "worker/codes.h"
#include "worker/protocol.h"
#include "worker/runtime.h"
#include "worker/watermark.h"
#include "worker/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* So many handlers of one connection run until others have their turn. */
enum { RUN_MAX = 256 };

/* A session is on the worker's ready list through this; it comes after the session in memory. */
struct session_box {
	struct session s;
	struct ready ready;
};

static struct ready *ready_of(struct session *s)
{
	return &LS_CONTAINER_OF(s, struct session_box, s)->ready;
}

struct session *session_find(struct worker *w, conn_id id)
{
	return map_get(&w->sessions, id);
}

void session_wake(struct session *s)
{
	worker_ready(s->worker, ready_of(s));
}

uint64_t session_queued(const struct session *s)
{
	return s->queued + protocol_size(s->protocol);
}

bool session_is_active(const struct session *s)
{
	return s->busy || !list_empty(&s->events);
}

static void control(struct session *s, enum frame_type type, unsigned flags)
{
	struct frame f = { .type = (uint16_t)type, .flags = (uint16_t)flags, .conn = s->id };

	if (type == FRAME_CLOSE)
		f.arg = s->blame;
	(void)link_send(s->out.line, &f, NULL, 0); /* a notice: refused only where nothing is taken any more */
}

void session_reset(struct session *s)
{
	s->closing = true;
	control(s, FRAME_CLOSE, FRAME_RESET);
}

/* There is no memory for it: a stream with a hole in it is of no use to its peer. */
static void lose_message(struct session *s)
{
	worker_out_of_memory(s->worker, "a message is lost, so its connection is reset");
	session_reset(s);
}

void session_drop_event(struct session *s, struct session_event *e)
{
	list_del(&e->link);
	s->queued -= e->len;
	if (e->request)
		request_release(e->request);
	free(e);
}

static void free_session(struct session *s)
{
	for (struct list *it; (it = list_first(&s->events));)
		session_drop_event(s, LS_CONTAINER_OF(it, struct session_event, link));
	protocol_free(s->protocol);
	outflow_close(&s->out, CODE_CLOSED);
	list_del(&ready_of(s)->link);
	list_del(&s->crossing.link);
	if (s->opening)
		request_release(s->opening);
	free(s->uid);
	free(s->close_text);
	map_del(&s->worker->sessions, s->id);
	board_set(&s->worker->o.board->sessions, s->worker->sessions.count);
	free(LS_CONTAINER_OF(s, struct session_box, s));
}

void session_free_all(struct worker *w)
{
	size_t cursor = 0;

	for (const struct map_entry *e; (e = map_next(&w->sessions, &cursor)); cursor = 0)
		free_session(e->value);
}

/* ---- running handlers, one at a time ---------------------------------------------------------------------------------------- */

static void push_close_info(lua_State *L, const struct session_event *e)
{
	static const char *const by[] = {
		[CLOSE_BY_PEER] = "peer",   [CLOSE_BY_SERVER] = "server", [CLOSE_BY_HEARTBEAT] = "heartbeat",
		[CLOSE_BY_LIMIT] = "limit", [CLOSE_BY_ERROR] = "error",
	};
	unsigned who = e->how >> 16;

	lua_createtable(L, 0, 5);
	lua_pushstring(L, who < LS_COUNT(by) ? by[who] : "error");
	lua_setfield(L, -2, "by");
	lua_pushinteger(L, e->how & 0xffff);
	lua_setfield(L, -2, "code");
	lua_pushstring(L, close_reason_name(e->how & 0xffff));
	lua_setfield(L, -2, "reason");
	lua_pushnumber(L, (lua_Number)e->totals.bytes_in);
	lua_setfield(L, -2, "bytes_in");
	lua_pushnumber(L, (lua_Number)e->totals.bytes_out);
	lua_setfield(L, -2, "bytes_out");
}

static void on_done(struct task *t, int status)
{
	struct session *s = t->ctx;
	struct worker *w = s->worker;

	s->busy = false;
	if (s->opening)
		request_release(s->opening);
	s->opening = NULL;
	worker_count_end(w);
	if (status != 0) {
		handler_log_error(w, t, handler_error_text(t), NULL);
		if (!s->closed && s->websocket)
			(void)websocket_disconnect(w, s->id, WS_CODE_FAILED, (struct str){ 0 });
		else if (!s->closed)
			session_close(w, s->id, false);
	}
	/* Not here: this is inside the handler's last moments. */
	worker_ready(w, ready_of(s));
}

/* By code (Swoole: -1) or by anybody else. */
static int reactor_argument(const struct session *s, const struct session_event *e)
{
	if (e->event == EVENT_close && e->how >> 16 == CLOSE_BY_SERVER && (e->how & 0xffff) == CLOSE_BY_APP)
		return -1;
	return (int)s->reactor;
}

/* Behind the server; the number of both. */
static int push_websocket_argument(struct session *s, struct session_event *e, lua_State *L)
{
	if (e->event == EVENT_open) {
		request_push(e->request, L);
		s->opening = e->request;
		e->request = NULL;
	} else {
		websocket_push_frame(L, s, e->how, str_make(e->data, e->len));
	}
	return 2;
}

/* `value`: where on the worker's stack the data of a receive event stands; 0: they are the event's. */
static void start(struct session *s, struct session_event *e, int value)
{
	int handler = app_handler(s->worker->app, s->port->index, e->event);
	struct worker *w = s->worker;
	struct handler_call call;
	int nargs = 3;

	if (handler == LUA_NOREF)
		return;
	if (!handler_begin(w, handler, settings_event_name((int)e->event), s->id, &call)) {
		session_close(w, s->id, false);
		return;
	}
	handler_push_server(w, call.L);
	if (e->event == EVENT_message || e->event == EVENT_open) {
		nargs = push_websocket_argument(s, e, call.L);
	} else {
		lua_pushnumber(call.L, (lua_Number)s->id);
		lua_pushinteger(call.L, reactor_argument(s, e));
	}
	if (value) {
		lua_pushvalue(w->L, value);
		lua_xmove(w->L, call.L, 1);
		nargs++;
	} else if (e->event == EVENT_receive) {
		lua_pushlstring(call.L, e->data, e->len);
		nargs++;
	} else if (e->event == EVENT_close) {
		push_close_info(call.L, e);
		if (s->websocket)
			websocket_explain_close(call.L, s, e->how & 0xffff);
		nargs++;
	}
	s->busy = true;
	worker_count_begin(w);
	handler_run(w, &call, nargs, on_done, s);
}

void session_follow_reading(struct session *s)
{
	/* What is only the beginning of a message waits for no handler, and pausing would keep its end away. */
	uint64_t queued = s->busy ? session_queued(s) : s->queued;
	bool pause;

	s->choked = queued > (s->choked ? s->port->max_queued_bytes / 2 : s->port->max_queued_bytes);
	pause = s->choked || s->held;
	if (pause == s->paused)
		return;
	s->paused = pause;
	if (!pause)
		s->heard_ms = loop_now(s->worker->o.loop); /* the silence was ours */
	control(s, pause ? FRAME_PAUSE : FRAME_RESUME, 0);
	/* At once: until the end of this turn a reactor on another CPU could fill the ring again and again. */
	if (pause)
		link_flush(s->out.line);
}

/* A message that the app's protocol finds in what has come. */
static bool run_message(struct session *s)
{
	struct session_event e = { .event = EVENT_receive };
	lua_State *L = s->worker->L;

	if (!s->protocol || !protocol_next(s->protocol))
		return false;

	int value = lua_gettop(L);

	start(s, &e, value);
	lua_settop(L, value - 1);
	return true;
}

static void run_event(struct session *s, struct session_event *e)
{
	if (s->protocol && e->event == EVENT_receive) {
		if (protocol_take(s->protocol) == 0)
			return;
		lose_message(s);
		session_drop_event(s, e);
		return;
	}
	list_del(&e->link);
	s->queued -= e->len;
	start(s, e, 0);
	if (e->request)
		request_release(e->request); /* no coroutine could be had for it */
	free(e);
}

/* After pause() no further message is handled, also of those that were on their way; but nothing is held back at the end. */
static bool is_held(const struct session *s)
{
	return s->held && !s->closed && !s->worker->draining;
}

static bool must_wait(const struct session *s, const struct session_event *e)
{
	return is_held(s) && !s->protocol && (e->event == EVENT_receive || e->event == EVENT_message);
}

static void run(struct ready *ready)
{
	struct session_box *box = LS_CONTAINER_OF(ready, struct session_box, ready);
	struct session *s = &box->s;

	for (unsigned n = 0; !s->busy; n++) {
		if (n == RUN_MAX) {
			session_wake(s);
			return;
		}
		if (!is_held(s) && run_message(s))
			continue;

		struct list *it = list_first(&s->events);
		struct session_event *e = it ? LS_CONTAINER_OF(it, struct session_event, link) : NULL;

		if (!e || must_wait(s, e))
			break;
		run_event(s, e);
	}
	session_follow_reading(s);
	if (s->recalled && !session_is_active(s))
		protocol_return(s);
	if (s->shut && !s->closing && !session_is_active(s))
		session_close(s->worker, s->id, false);
	if ((s->closed || (s->moved && list_empty(&s->out.pending))) && !session_is_active(s))
		free_session(s);
}

/* ---- what the reactor says ----------------------------------------------------------------------------------------------------- */

/* link_backlog_size is used up, perhaps in the middle of a message: what the peer has is of no use to it. */
static int check_sent(struct session *s, int code)
{
	if (code < 0)
		session_reset(s);
	return code;
}

static ssize_t emit(struct outflow *of, struct str piece, bool end LS_UNUSED, const struct outflow_source *from)
{
	struct session *s = LS_CONTAINER_OF(of, struct session, out);
	struct frame f = { .type = FRAME_SEND, .conn = s->id };
	struct str part = str_take(piece, of->line->piece_max);
	int r = check_sent(s, outflow_frame(of, &f, part, from));

	return r < 0 ? r : (ssize_t)part.len;
}

static int emit_file(struct outflow *of, struct str file)
{
	struct session *s = LS_CONTAINER_OF(of, struct session, out);
	struct frame f = { .type = FRAME_SEND_FILE, .conn = s->id };

	return check_sent(s, link_send(of->line, &f, &file, 1));
}

static void close_when_empty(struct outflow *of)
{
	struct session *s = LS_CONTAINER_OF(of, struct session, out);

	if (s->closing && s->close_code)
		websocket_say_close(s);
	else if (s->closing)
		control(s, FRAME_CLOSE, 0);
	if (s->moved)
		worker_ready(s->worker, ready_of(s));
}

static struct session *make(struct worker *w, conn_id id, const struct port *port)
{
	struct session_box *box = xzalloc(sizeof *box);
	struct session *s = &box->s;

	s->id = id;
	s->worker = w;
	s->port = port;
	s->reactor = conn_id_owner(id);
	list_init(&s->events);
	list_init(&box->ready.link);
	list_init(&s->crossing.link);
	box->ready.run = run;
	outflow_init(&s->out, worker_link(w, id), port->socket_buffer_size, emit);
	s->out.on_empty = close_when_empty;
	s->out.emit_file = emit_file;
	s->protocol = protocol_new(s);
	map_put(&w->sessions, id, s);
	board_set(&w->o.board->sessions, w->sessions.count);
	return s;
}

static int add_event(struct session *s, enum settings_event event, struct str data, struct session_event **out)
{
	struct session_event *e = try_alloc(sizeof *e + data.len);

	if (!e)
		return -ENOMEM;
	e->event = event;
	e->how = 0;
	e->request = NULL;
	e->len = data.len;
	if (data.len)
		memcpy(e->data, data.p, data.len);
	list_append(&s->events, &e->link);
	s->queued += data.len;
	worker_ready(s->worker, ready_of(s));
	if (out)
		*out = e;
	return 0;
}

/* The reactor has seen the 101 leave: the WebSocket is open. */
static void begin_websocket(struct session *s, const struct frame *f)
{
	struct request *r = f->stream ? request_find(s->worker, f->conn, f->stream) : NULL;
	bool wanted = r && !r->accepted && app_handler(s->worker->app, f->arg, EVENT_open) != LUA_NOREF;
	struct session_event *e;

	s->websocket = true;
	s->out.emit = websocket_emit;
	if (wanted && add_event(s, EVENT_open, (struct str){ 0 }, &e) == 0)
		e->request = r;
	else if (r)
		request_release(r);
}

void session_on_open(struct worker *w, const struct frame *f, struct str payload)
{
	struct frame_open open;
	struct session *s;

	s = session_find(w, f->conn);
	if (f->arg >= w->o.settings->n_ports || (s && !s->moved))
		return;
	memcpy(&open, payload.p, sizeof open);
	payload = str_skip(payload, sizeof open);
	if (!s)
		s = make(w, f->conn, &w->o.settings->ports[f->arg]);
	s->moved = false; /* it may come back before this worker was done with it */
	s->out.budget = s->port->socket_buffer_size;
	s->peer = open.peer;
	s->reactor = open.reactor;
	s->connected_us = clock_wall_us();
	s->heard_ms = loop_now(w->o.loop);
	free(s->uid);
	s->uid = payload.len ? xmemdup0(payload.p, payload.len) : NULL;
	s->out.sent = f->value;
	s->out.acked = f->value;
	if (f->flags & FRAME_UPGRADED)
		begin_websocket(s, f);
	else if (!(f->flags & FRAME_ADOPTED) && app_handler(w->app, f->arg, EVENT_connect) != LUA_NOREF)
		add_event(s, EVENT_connect, (struct str){ 0 }, NULL);
}

void session_blame(struct session *s, unsigned reason)
{
	s->blame = (uint16_t)reason;
	session_close(s->worker, s->id, false);
}

/* dispatch_mode round and idle tell nobody of connections: the message stands alone. */
static int run_alone(struct worker *w, const struct frame *f, struct str payload)
{
	struct session *s = make(w, f->conn, &w->o.settings->ports[f->arg]);

	s->alone = true;
	s->closed = true; /* freed when its one event has been handled */
	if (add_event(s, EVENT_receive, payload, NULL) < 0) {
		lose_message(s);
		free_session(s);
	}
	return 0;
}

int session_on_data(struct worker *w, const struct frame *f, struct str payload)
{
	struct session *s = session_find(w, f->conn);
	struct session_event *e;

	if (!s && f->arg >= w->o.settings->n_ports)
		return -EBADMSG;
	if (!s && !framer_of_port(w->app, f->arg))
		return run_alone(w, f, payload);
	if (!s) {
		session_close(w, f->conn, true); /* what came before is not known here */
		return 0;
	}
	if (s->websocket && websocket_swallows(s, (unsigned)f->value, payload))
		return 0;
	if (add_event(s, s->websocket ? EVENT_message : EVENT_receive, payload, &e) < 0) {
		lose_message(s);
		return 0;
	}
	e->how = (uint32_t)f->value;
	s->received_us = clock_wall_us();
	s->heard_ms = loop_now(w->o.loop);
	session_follow_reading(s);
	return 0;
}

int session_on_closed(struct worker *w, const struct frame *f, struct str payload)
{
	struct session *s = session_find(w, f->conn);
	struct session_event *e;

	/* A predecessor knew it and died before it could be told. */
	if (!s && f->value < w->o.settings->n_ports)
		s = make(w, f->conn, &w->o.settings->ports[f->value]);
	if (!s || s->closed)
		return 0;
	s->closed = true;
	outflow_close(&s->out, f->arg >> 16 == CLOSE_BY_PEER ? CODE_CLOSED_BY_PEER : CODE_CLOSED_BY_SERVER);
	worker_ready(w, ready_of(s));
	if (add_event(s, EVENT_close, (struct str){ 0 }, &e) == 0) {
		e->how = f->arg;
		memcpy(&e->totals, payload.p, sizeof e->totals);
	}
	return 0;
}

void session_on_moved(struct worker *w, const struct frame *f)
{
	struct session *s = session_find(w, f->conn);

	if (!s || s->closed)
		return;
	s->moved = true;
	s->out.budget = UINT64_MAX; /* what was sent before leaves before; its ACKs go elsewhere */
	outflow_pump(&s->out);
	worker_ready(w, ready_of(s));
}

void session_on_shut(struct worker *w, const struct frame *f)
{
	struct session *s = session_find(w, f->conn);

	if (!s)
		return;
	s->shut = true;
	worker_ready(w, ready_of(s));
}

void session_on_ack(struct worker *w, const struct frame *f)
{
	struct session *s = session_find(w, f->conn);

	if (!s)
		return;
	outflow_ack(&s->out, f->value);
	watermark_look(s);
}
