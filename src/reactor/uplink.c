/* What a reactor sends to its workers: connections, requests, messages and their ends. */
#include "reactor/core.h"

#include "base/codec.h"
#include "proto/ws.h"

#include <errno.h>
#include <stdlib.h>

static void stall(struct reactor *r, struct conn *c, int slot)
{
	if (!list_linked(&c->stalled))
		list_append(slot < 0 ? &r->stalled_any : &r->uplinks[slot].stalled, &c->stalled);
}

int uplink_send(struct conn *c, struct uplink_gen *gen, const struct frame *f, const struct str *parts, int n)
{
	int r = link_send(gen->line, f, parts, n);

	if (r < 0) {
		uint64_t swallowed;

		c->pc.close_reason = CLOSE_BUFFER_FULL;
		if (log_every_due(&reactor_of(c)->complaints, 10000, &swallowed))
			log_warn(
				"worker %u takes nothing and link_backlog_size is used up; closing a connection (%llu more)",
				gen->slot, (unsigned long long)swallowed);
	}
	return r;
}

/* ---- connections of the app's own ----------------------------------------------------------------------------------------- */

/* `stream`: the request by which it has become a WebSocket; 0: it has been opened before, or is none. */
static void send_open(struct conn *c, struct uplink_gen *gen, uint32_t stream)
{
	struct frame moved = { .type = FRAME_MOVED, .conn = c->pc.id };
	struct frame_open open = { .peer = c->pc.peer, .reactor = reactor_of(c)->o.id };
	struct str payload[2] = { str_make(&open, sizeof open), str_from(c->uid ? c->uid : "") };
	struct frame f = {
		.type = FRAME_OPEN,
		.flags = (c->opened ? FRAME_ADOPTED : 0) | (ws_is_spoken(&c->pc) ? FRAME_UPGRADED : 0),
		.conn = c->pc.id,
		.stream = stream,
		.arg = c->pc.port->index,
		.value = c->taken,
	};

	if (c->worker && c->worker != gen)
		(void)link_send(((struct uplink_gen *)c->worker)->line, &moved, NULL, 0); /* a notice */
	c->worker = NULL;
	if (uplink_send(c, gen, &f, payload, 2) == 0) {
		c->worker = gen;
		c->opened++;
		c->acked = c->taken;
	}
}

void uplink_send_open(struct conn *c, struct uplink_gen *gen)
{
	send_open(c, gen, 0);
}

void uplink_upgraded(struct conn *c, struct uplink_gen *gen, uint32_t stream)
{
	dispatch_move(reactor_of(c), c, gen->slot);
	send_open(c, gen, stream);
	if (c->worker != gen)
		conn_kill(c, CLOSE_BY_LIMIT, CLOSE_BUFFER_FULL); /* its worker does not know of it */
}

/* Policies without a fixed worker per connection tell nobody of connections (Swoole's modes 1 and 3), unless there is only
 * one worker it could be. */
bool uplink_is_told(const struct conn *c)
{
	const struct reactor *r = reactor_of(c);

	return !c->proxied && reactor_has_session(c) && dispatch_keeps(r);
}

/* Without a handler for its beginning a raw connection is nothing to the worker before its first message, and takes no memory there. */
bool uplink_is_told_at_once(const struct conn *c)
{
	return uplink_is_told(c) && (!c->pc.proto->stateful || c->pc.port->events & 1ULL << EVENT_connect);
}

static struct uplink *home(const struct conn *c)
{
	return &reactor_of(c)->uplinks[c->home];
}

void uplink_open(struct conn *c)
{
	struct uplink *u = home(c);

	if (!uplink_is_told(c))
		return;
	if (!u->current && u->failed)
		conn_finish(c, CLOSE_WORKER_LOST);
	else if (u->current && uplink_is_told_at_once(c))
		uplink_send_open(c, u->current);
	/* else: whoever gets its first message is told, or the slot's next process when it comes */
}

/* The worker of its new home gets it as one that exists already. */
static void move(struct conn *c)
{
	struct uplink_gen *next = home(c)->current;
	struct frame shut = { .type = FRAME_SHUT, .conn = c->pc.id };

	if (!next || !uplink_is_told(c) || recall_one(c))
		return; /* the slot's next process hears of it with the next message */
	c->app_paused = false;
	uplink_send_open(c, next);
	if (conn_has_heard_all(c) && c->worker)
		(void)uplink_send(c, next, &shut, NULL, 0);
	conn_resume(c);
}

void uplink_bind(struct conn *c, struct str uid)
{
	char *copy = try_alloc(uid.len + 1);

	if (!copy)
		return; /* it stays where it is, which is where the app has found it */
	memcpy(copy, uid.p, uid.len);
	copy[uid.len] = '\0';
	free(c->uid);
	c->uid = copy;
	if (dispatch_bind(reactor_of(c), c, codec_hash(uid)))
		move(c);
}

/* ---- what the protocol emits -------------------------------------------------------------------------------------------- */

static int emit_request(struct conn *c, struct frame *f, const struct str *parts, int n, struct stream *s)
{
	struct reactor *r = reactor_of(c);
	enum dispatch_answer answer;
	int slot = -1;

	answer = static_take(c, f, parts, s) ? DISPATCH_PLANNED : dispatch_choose(r, c, parts, n, &slot);
	s->refusal = 503;
	if (answer != DISPATCH_WAIT && c->pc.port->message_rate && !limits_message(c)) {
		s->refusal = 429;
		answer = DISPATCH_FAILED;
		list_del(&s->on_worker);
		static_drop(s);
	}
	switch (answer) {
	case DISPATCH_WAIT:
		stall(r, c, slot);
		return -EAGAIN;
	case DISPATCH_FAILED:
		s->conn = c;
		list_append(&r->doomed, &s->on_worker);
		break;
	case DISPATCH_PLANNED:
		break;
	case DISPATCH_HERE: {
		struct uplink_gen *gen = r->uplinks[slot].current;
		int sent = uplink_send(c, gen, f, parts, n);

		if (sent < 0)
			return sent;
		s->conn = c;
		uplink_owe(gen, s);
		break;
	}
	}
	board_add(&r->o.board->requests, 1);
	if (r->access)
		access_log_begin(s, parts, n);
	return 0;
}

static int emit_of_stream(struct conn *c, struct frame *f, const struct str *parts, int n, struct stream *s)
{
	struct uplink_gen *gen = s->worker;

	if (s->orphaned && f->type != FRAME_ABORT) {
		stall(reactor_of(c), c, -1); /* the slot that will have it is not always the connection's own */
		return -EAGAIN;
	}
	if (!gen)
		return 0; /* answered already: what is left of the request goes nowhere */
	if (f->type == FRAME_BODY && gen->line->full) {
		stall(reactor_of(c), c, (int)gen->slot);
		return -EAGAIN;
	}
	return uplink_send(c, gen, f, parts, n);
}

static int emit_data(struct conn *c, struct frame *f, const struct str *parts, int n)
{
	struct reactor *r = reactor_of(c);
	int slot;

	switch (dispatch_choose(r, c, parts, n, &slot)) {
	case DISPATCH_WAIT:
		stall(r, c, slot);
		return -EAGAIN;
	case DISPATCH_FAILED:
		c->pc.close_reason = CLOSE_WORKER_LOST;
		return -ECONNABORTED;
	default:
		break;
	}
	if (c->pc.port->message_rate && !limits_message(c)) {
		c->pc.close_reason = CLOSE_RATE;
		return -ECONNABORTED;
	}

	struct uplink_gen *gen = r->uplinks[slot].current;

	if (c->worker != gen && uplink_is_told(c))
		uplink_send_open(c, gen);
	f->arg = c->pc.port->index;
	return uplink_send(c, gen, f, parts, n);
}

/* Where workers are not told of connections nobody could answer it. */
static int emit_shut(struct conn *c, struct frame *f)
{
	return c->worker ? uplink_send(c, c->worker, f, NULL, 0) : -ENOTCONN;
}

static int emit(struct proto_conn *pc, struct frame *f, const struct str *parts, int n, struct stream *stream)
{
	struct conn *c = LS_CONTAINER_OF(pc, struct conn, pc);

	f->conn = pc->id;
	if (f->type == FRAME_REQUEST)
		return emit_request(c, f, parts, n, stream);
	if (stream)
		return emit_of_stream(c, f, parts, n, stream);
	if (f->type == FRAME_SHUT)
		return emit_shut(c, f);
	return emit_data(c, f, parts, n);
}

/* The answer is complete. */
static void on_stream_done(struct proto_conn *pc, struct stream *s)
{
	struct conn *c = LS_CONTAINER_OF(pc, struct conn, pc);
	struct reactor *r = reactor_of(c);

	uplink_forget(s);
	static_drop(s);
	c->app_paused = false; /* by the one who had this request; its RESUME will not come any more */
	if (r->access)
		access_log_end(r->access, s, &pc->peer);
	access_log_drop(s);
}

const struct sink uplink_sink = { .emit = emit, .stream_done = on_stream_done };

/* ---- for conn.c ----------------------------------------------------------------------------------------------------------- */

bool uplink_may_read(struct conn *c)
{
	struct reactor *r = reactor_of(c);
	unsigned turn = r->turn;
	int slot;
	enum dispatch_answer answer = dispatch_choose(r, c, NULL, 0, &slot);

	r->turn = turn; /* only asked: the next message still has its turn */
	if (answer != DISPATCH_WAIT)
		return true;
	stall(r, c, slot);
	return false;
}

void uplink_end(struct conn *c, enum close_by by)
{
	struct uplink *u = home(c);
	struct uplink_gen *knows = c->worker ? c->worker : u->current;
	struct frame_closed closed = { .bytes_in = c->bytes_in, .bytes_out = c->bytes_out };
	struct str payload = str_make(&closed, sizeof closed);
	struct frame f = {
		.type = FRAME_CLOSED,
		.flags = FRAME_NOTIFY,
		.conn = c->pc.id,
		.arg = (uint32_t)by << 16 | c->pc.close_reason,
		.value = c->pc.port->index,
	};

	/* One that the worker was not told of is told of by its end alone, if the app wants to know. */
	if (!c->opened && !(uplink_is_told(c) && c->pc.port->events & 1ULL << EVENT_close))
		return;
	f.len = (uint32_t)payload.len;
	if (knows)
		(void)uplink_send(c, knows, &f, &payload, 1);
	else if (!u->failed)
		uplink_keep(u, &f, payload);
}

static void send_ack(struct conn *c, struct uplink_gen *gen, uint32_t stream, uint64_t total)
{
	struct frame f = { .type = FRAME_ACK, .conn = c->pc.id, .stream = stream, .value = total };

	(void)link_send(gen->line, &f, NULL, 0); /* the next one says it all again */
}

static void ack_connection(struct conn *c, uint64_t total)
{
	c->acked = total;
	send_ack(c, c->worker, 0, total);
}

/* For buffer_full and buffer_empty the worker must know what really waits: within a quarter, and exactly where the low watermark
 * is passed and where nothing is left. */
static void ack_exactly(struct conn *c)
{
	uint64_t waits = c->pc.out.bytes; /* also what others sent or published */
	uint64_t low = c->pc.port->buffer_low_watermark;
	uint64_t left = c->taken > waits ? c->taken - waits : 0;
	bool passes_low = waits <= low && c->taken - c->acked > low;

	if (left <= c->acked)
		return;
	if (passes_low || waits == 0 || left - c->acked >= c->pc.port->socket_buffer_size / 4)
		ack_connection(c, left);
}

void uplink_ack(struct conn *c)
{
	uint64_t quarter = c->pc.port->socket_buffer_size / 4;

	bool exact = c->pc.port->events & (1ULL << EVENT_buffer_full | 1ULL << EVENT_buffer_empty);

	if (exact && c->worker)
		ack_exactly(c);
	if (c->pc.out.bytes > quarter)
		return;
	if (!exact && c->worker && c->taken - c->acked >= quarter)
		ack_connection(c, c->taken);

	struct list *first = list_first(&c->pc.streams);
	struct stream *s = first ? LS_CONTAINER_OF(first, struct stream, on_conn) : NULL;

	if (s && s->worker && s->output_bytes - s->acked >= quarter) {
		s->acked = s->output_bytes;
		send_ack(c, s->worker, s->number, s->acked);
	}
}
