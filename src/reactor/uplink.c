/* Worker slots as a reactor sees them: processes coming and going, and what is sent to them. */
#include "reactor/core.h"

#include "ipc/link_ring.h"

#include <errno.h>
#include <stdlib.h>

/* A frame that a process which has gone never took; its slot's next process gets it. */
struct orphan {
	struct list link;
	struct frame f;
	char payload[];
};

/* ---- small things ----------------------------------------------------------------------------------------------------- */

static void stall(struct reactor *r, struct conn *c, int slot)
{
	if (!list_linked(&c->stalled))
		list_append(slot < 0 ? &r->stalled_any : &r->uplinks[slot].stalled, &c->stalled);
}

static void resume_list(struct list *stalled)
{
	struct list taken;

	/* Those that find no room again go back to the list, in the same order. */
	list_init(&taken);
	list_move_all(&taken, stalled);
	for (struct list *it; (it = list_shift(&taken));)
		conn_resume(LS_CONTAINER_OF(it, struct conn, stalled));
}

static int send_frame(struct conn *c, struct uplink_gen *gen, const struct frame *f, const struct str *parts, int n)
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

static void say_bye_when_due(struct uplink_gen *gen)
{
	struct frame bye = { .type = FRAME_BYE };

	if (!gen->draining || gen->bye_sent || gen->owed > 0)
		return;
	if (link_send(gen->line, &bye, NULL, 0) == 0)
		gen->bye_sent = true;
}

static void owe(struct uplink_gen *gen, struct stream *s)
{
	s->worker = gen;
	list_append(&gen->streams, &s->on_worker);
	gen->owed++;
}

void uplink_forget(struct stream *s)
{
	struct uplink_gen *gen = s->worker;

	list_del(&s->on_worker);
	s->worker = NULL;
	if (gen) {
		gen->owed--;
		say_bye_when_due(gen);
	}
}

/* ---- connections of the app's own ----------------------------------------------------------------------------------------- */

static void send_open(struct conn *c, struct uplink_gen *gen)
{
	struct frame_open open = { .peer = c->pc.peer, .reactor = reactor_of(c)->o.id };
	struct str payload = str_make(&open, sizeof open);
	struct frame f = {
		.type = FRAME_OPEN,
		.flags = c->opened ? FRAME_ADOPTED : 0,
		.conn = c->pc.id,
		.arg = c->pc.port->index,
		.value = c->taken,
	};

	if (send_frame(c, gen, &f, &payload, 1) == 0) {
		c->worker = gen;
		c->opened++;
		c->acked = c->taken;
	}
}

/* Policies without a fixed worker per connection tell nobody of connections (Swoole's modes 1 and 3), unless there is only
 * one worker it could be. */
static bool is_told(const struct conn *c)
{
	const struct reactor *r = reactor_of(c);

	return reactor_has_session(c) && (r->settings->dispatch_mode == DISPATCH_FIXED || r->o.slots == 1);
}

static struct uplink *home(const struct conn *c)
{
	struct reactor *r = reactor_of(c);

	return &r->uplinks[conn_id_slot(c->pc.id) % r->o.slots];
}

void uplink_open(struct conn *c)
{
	struct uplink *u = home(c);

	if (!is_told(c))
		return;
	if (u->current)
		send_open(c, u->current);
	else if (u->failed)
		conn_finish(c, CLOSE_WORKER_LOST);
	/* else: the slot's next process is told when it comes */
}

/* ---- what the protocol emits -------------------------------------------------------------------------------------------- */

static int emit_request(struct conn *c, struct frame *f, const struct str *parts, int n, struct stream *s)
{
	struct reactor *r = reactor_of(c);
	int slot;

	switch (dispatch_choose(r, c, &slot)) {
	case DISPATCH_WAIT:
		stall(r, c, slot);
		return -EAGAIN;
	case DISPATCH_FAILED:
		s->conn = c;
		list_append(&r->doomed, &s->on_worker);
		break;
	case DISPATCH_HERE: {
		struct uplink_gen *gen = r->uplinks[slot].current;
		int sent = send_frame(c, gen, f, parts, n);

		if (sent < 0)
			return sent;
		s->conn = c;
		owe(gen, s);
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
	return send_frame(c, gen, f, parts, n);
}

static int emit_data(struct conn *c, struct frame *f, const struct str *parts, int n)
{
	struct reactor *r = reactor_of(c);
	int slot;

	switch (dispatch_choose(r, c, &slot)) {
	case DISPATCH_WAIT:
		stall(r, c, slot);
		return -EAGAIN;
	case DISPATCH_FAILED:
		c->pc.close_reason = CLOSE_WORKER_LOST;
		return -ECONNABORTED;
	default:
		break;
	}

	struct uplink_gen *gen = r->uplinks[slot].current;

	if (c->worker != gen && is_told(c))
		send_open(c, gen);
	f->arg = c->pc.port->index;
	return send_frame(c, gen, f, parts, n);
}

/* Where workers are not told of connections nobody could answer it. */
static int emit_shut(struct conn *c, struct frame *f)
{
	return c->worker ? send_frame(c, c->worker, f, NULL, 0) : -ENOTCONN;
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
	enum dispatch_answer answer = dispatch_choose(r, c, &slot);

	r->turn = turn; /* only asked: the next message still has its turn */
	if (answer != DISPATCH_WAIT)
		return true;
	stall(r, c, slot);
	return false;
}

static void end_streams(struct conn *c)
{
	LS_LIST_EACH (it, &c->pc.streams) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_conn);
		struct uplink_gen *gen = s->worker;
		struct frame f = {
			.type = FRAME_ABORT,
			.conn = c->pc.id,
			.stream = s->number,
			.arg = c->pc.close_reason,
		};

		if (gen && !s->output_done)
			(void)send_frame(c, gen, &f, NULL, 0);
		uplink_forget(s);
		if (reactor_of(c)->access)
			access_log_end(reactor_of(c)->access, s, &c->pc.peer);
		access_log_drop(s);
	}
}

static struct orphan *add_orphan(struct uplink *u, const struct frame *f, struct str payload)
{
	struct orphan *o = try_alloc(sizeof *o + payload.len);

	if (!o)
		return NULL;
	o->f = *f;
	if (payload.len)
		memcpy(o->payload, payload.p, payload.len);
	list_append(&u->orphans, &o->link);
	return o;
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

	end_streams(c);
	if (!c->opened)
		return;
	f.len = (uint32_t)payload.len;
	if (knows)
		(void)send_frame(c, knows, &f, &payload, 1);
	else if (!u->failed)
		add_orphan(u, &f, payload);
}

static void send_ack(struct conn *c, struct uplink_gen *gen, uint32_t stream, uint64_t total)
{
	struct frame f = { .type = FRAME_ACK, .conn = c->pc.id, .stream = stream, .value = total };

	(void)link_send(gen->line, &f, NULL, 0); /* the next one says it all again */
}

void uplink_ack(struct conn *c)
{
	uint64_t quarter = c->pc.port->socket_buffer_size / 4;

	if (c->pc.out.bytes > quarter)
		return;
	if (c->worker && c->taken - c->acked >= quarter) {
		c->acked = c->taken;
		send_ack(c, c->worker, 0, c->taken);
	}

	struct list *first = list_first(&c->pc.streams);
	struct stream *s = first ? LS_CONTAINER_OF(first, struct stream, on_conn) : NULL;

	if (s && s->worker && s->output_bytes - s->acked >= quarter) {
		s->acked = s->output_bytes;
		send_ack(c, s->worker, s->number, s->acked);
	}
}

/* ---- processes come and go -------------------------------------------------------------------------------------------------- */

static void on_room(void *ctx)
{
	struct uplink_gen *gen = ctx;

	resume_list(&gen->reactor->uplinks[gen->slot].stalled);
	resume_list(&gen->reactor->stalled_any);
}

/* What the last process never took goes to the new one, in the old order. */
static void replay_orphans(struct reactor *r, struct uplink *u)
{
	struct uplink_gen *gen = u->current;

	for (struct list *it; (it = list_shift(&u->orphans));) {
		struct orphan *o = LS_CONTAINER_OF(it, struct orphan, link);
		struct conn *c = reactor_conn(r, o->f.conn);
		struct stream *s = c && o->f.stream ? stream_find(&c->pc.streams, o->f.stream) : NULL;
		struct str payload = str_make(o->payload, o->f.len);

		if (o->f.type == FRAME_CLOSED) {
			(void)link_send(gen->line, &o->f, &payload, 1);
		} else if (c && o->f.stream == 0) {
			if (c->worker != gen && is_told(c))
				send_open(c, gen);
			if (o->f.type == FRAME_DATA)
				(void)send_frame(c, gen, &o->f, &payload, 1);
		} else if (s) {
			if (s->orphaned) {
				s->orphaned = false;
				owe(gen, s);
			}
			if (s->worker == gen)
				(void)send_frame(c, gen, &o->f, &payload, 1);
		}
		free(o);
	}
}

/* Connections that began while there was no process. */
static void open_unopened(struct reactor *r, unsigned slot)
{
	uint32_t cursor = 0;

	for (struct conn *c; (c = slots_next(&r->conns, &cursor));)
		if (!c->opened && is_told(c) && conn_id_slot(c->pc.id) % r->o.slots == slot)
			send_open(c, r->uplinks[slot].current);
}

void uplink_attach(struct reactor *r, unsigned slot, uint64_t generation, struct link *line,
                   const struct board_worker *board)
{
	struct uplink *u = &r->uplinks[slot];
	struct uplink_gen *gen = xzalloc(sizeof *gen);

	gen->reactor = r;
	gen->line = line;
	gen->board = board;
	gen->slot = slot;
	gen->generation = generation;
	list_init(&gen->streams);
	line->on_frame = downlink_on_frame;
	line->on_room = on_room;
	line->ctx = gen;
	list_append(&r->gens, &gen->link);

	struct uplink_gen *old = u->current;

	u->current = gen;
	u->failed = false;
	if (old) {
		old->draining = true;
		say_bye_when_due(old);
	}
	replay_orphans(r, u);
	open_unopened(r, slot);
	on_room(gen);
}

static struct uplink_gen *find_gen(struct reactor *r, unsigned slot, uint64_t generation)
{
	LS_LIST_EACH (it, &r->gens) {
		struct uplink_gen *gen = LS_CONTAINER_OF(it, struct uplink_gen, link);

		if (gen->slot == slot && gen->generation == generation)
			return gen;
	}
	return NULL;
}

/* The first piece of a frame decides: a request whose head was taken is not kept, nor is the rest of a message. */
static bool is_kept(struct uplink_gen *gen, const struct frame *f)
{
	struct conn *c = reactor_conn(gen->reactor, f->conn);
	struct stream *s = c && f->stream ? stream_find(&c->pc.streams, f->stream) : NULL;

	switch (f->type) {
	case FRAME_REQUEST:
		if (!s || s->worker != gen)
			return false;
		uplink_forget(s);
		s->orphaned = true;
		return true;
	case FRAME_BODY:
		return s && s->orphaned;
	case FRAME_DATA:
	case FRAME_CLOSED:
		return true;
	case FRAME_OPEN:
		if (c && c->opened)
			c->opened--; /* nobody has heard of it */
		return false;
	default:
		return false;
	}
}

static bool keep_untaken(void *ctx, const struct frame *f, struct str payload)
{
	struct uplink_gen *gen = ctx;

	if (!(f->flags & FRAME_REST))
		gen->keep_rest = is_kept(gen, f);
	if (gen->keep_rest)
		add_orphan(&gen->reactor->uplinks[gen->slot], f, payload);
	return true;
}

static void fail_streams(struct uplink_gen *gen)
{
	for (struct list *it; (it = list_first(&gen->streams));) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_worker);
		struct conn *c = s->conn;

		uplink_forget(s);
		c->pc.now_ms = loop_now(gen->reactor->loop);
		c->pc.proto->fail(&c->pc, s, 502);
		conn_touch(c);
	}
}

/* Raw connections the process knew: kept for its successor, or closed. */
static void release_sessions(struct uplink_gen *gen)
{
	struct reactor *r = gen->reactor;
	bool close = r->settings->worker_error_policy == WORKER_ERROR_CLOSE && !gen->bye_sent;
	uint32_t cursor = 0;

	for (struct conn *c; (c = slots_next(&r->conns, &cursor));) {
		if (c->worker != gen)
			continue;
		c->worker = NULL;
		c->app_paused = false;
		if (close && c->pc.proto->stateful)
			conn_kill(c, CLOSE_BY_ERROR, CLOSE_WORKER_LOST);
		else if (c->eof_told)
			conn_finish(c, CLOSE_NORMAL); /* nobody is left who would close it */
		else
			conn_resume(c);
	}
}

void uplink_gone(struct reactor *r, unsigned slot, uint64_t generation)
{
	struct uplink_gen *gen = find_gen(r, slot, generation);
	struct uplink *u = &r->uplinks[slot];

	if (!gen)
		return;
	/* What it published before it died still counts. */
	while (!gen->bad && link_drain(gen->line) == 1)
		;
	if (u->current == gen)
		u->current = NULL;
	if (gen->board)
		link_ring_each_untaken(gen->line, keep_untaken, gen);
	fail_streams(gen);
	release_sessions(gen);
	list_del(&gen->link);
	link_close(gen->line);
	free(gen);
	if (u->current) {
		replay_orphans(r, u);
		on_room(u->current);
	}
}

static void fail_orphans(struct reactor *r, struct uplink *u)
{
	for (struct list *it; (it = list_shift(&u->orphans));) {
		struct orphan *o = LS_CONTAINER_OF(it, struct orphan, link);
		struct conn *c = reactor_conn(r, o->f.conn);
		struct stream *s = c && o->f.stream ? stream_find(&c->pc.streams, o->f.stream) : NULL;

		if (s && s->orphaned) {
			s->orphaned = false;
			list_append(&r->doomed, &s->on_worker);
		}
		free(o);
	}
}

void uplink_set_failed(struct reactor *r, unsigned slot, bool failed)
{
	struct uplink *u = &r->uplinks[slot];

	u->failed = failed;
	if (!failed)
		return;
	fail_orphans(r, u);
	resume_list(&u->stalled);
	resume_list(&r->stalled_any);
}

void uplink_fail_doomed(struct reactor *r)
{
	for (struct list *it; (it = list_shift(&r->doomed));) {
		struct stream *s = LS_CONTAINER_OF(it, struct stream, on_worker);
		struct conn *c = s->conn;

		c->pc.now_ms = loop_now(r->loop);
		c->pc.proto->fail(&c->pc, s, 503);
		conn_touch(c);
	}
}

void uplink_say_goodbye(struct reactor *r)
{
	LS_LIST_EACH (it, &r->gens) {
		struct uplink_gen *gen = LS_CONTAINER_OF(it, struct uplink_gen, link);

		gen->draining = true;
		say_bye_when_due(gen);
	}
}

/* ---- each turn ---------------------------------------------------------------------------------------------------------------- */

static void put_down(struct uplink_gen *gen, int code)
{
	gen->bad = true;
	if (gen->reactor->o.on_bad_worker)
		gen->reactor->o.on_bad_worker(gen->reactor->o.ctx, gen->slot, gen->generation,
		                              code == -EBADMSG ? "it broke the rules of its link" : strerror(-code));
}

bool uplink_turn(struct reactor *r)
{
	bool more = false;

	LS_LIST_EACH (it, &r->gens) {
		struct uplink_gen *gen = LS_CONTAINER_OF(it, struct uplink_gen, link);
		int left = gen->bad ? 0 : link_drain(gen->line);

		if (left < 0)
			put_down(gen, left);
		else if (left > 0)
			more = true;
	}
	return more;
}

void uplink_flush(struct reactor *r)
{
	LS_LIST_EACH (it, &r->gens)
		link_flush(LS_CONTAINER_OF(it, struct uplink_gen, link)->line);
}

bool uplink_may_sleep(struct reactor *r)
{
	LS_LIST_EACH (it, &r->gens) {
		struct uplink_gen *gen = LS_CONTAINER_OF(it, struct uplink_gen, link);

		if (!gen->bad && !link_may_sleep(gen->line))
			return false;
	}
	return true;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

void uplink_init(struct reactor *r)
{
	list_init(&r->gens);
	list_init(&r->stalled_any);
	list_init(&r->doomed);
	r->uplinks = xzalloc(r->o.slots * sizeof *r->uplinks);
	for (unsigned i = 0; i < r->o.slots; i++) {
		list_init(&r->uplinks[i].stalled);
		list_init(&r->uplinks[i].orphans);
	}
}

void uplink_fini(struct reactor *r)
{
	for (struct list *it; (it = list_shift(&r->gens));) {
		struct uplink_gen *gen = LS_CONTAINER_OF(it, struct uplink_gen, link);

		link_close(gen->line);
		free(gen);
	}
	for (unsigned i = 0; i < r->o.slots; i++)
		for (struct list *it; (it = list_shift(&r->uplinks[i].orphans));)
			free(LS_CONTAINER_OF(it, struct orphan, link));
	free(r->uplinks);
}
