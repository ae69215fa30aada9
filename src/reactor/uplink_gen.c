/* Worker processes as a reactor sees them: they come, owe answers, and go, and what one never took goes to the next of its slot. */
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

/* ---- what a process owes ------------------------------------------------------------------------------------------------ */

static void say_bye_when_due(struct uplink_gen *gen)
{
	struct frame bye = { .type = FRAME_BYE };

	if (!gen->draining || gen->bye_sent || gen->owed > 0)
		return;
	if (link_send(gen->line, &bye, NULL, 0) == 0)
		gen->bye_sent = true;
}

void uplink_owe(struct uplink_gen *gen, struct stream *s)
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

/* ---- they come and go ------------------------------------------------------------------------------------------------------ */

static void resume_list(struct list *stalled)
{
	struct list taken;

	/* Those that find no room again go back to the list, in the same order. */
	list_init(&taken);
	list_move_all(&taken, stalled);
	for (struct list *it; (it = list_shift(&taken));)
		conn_resume(LS_CONTAINER_OF(it, struct conn, stalled));
}

static void on_room(void *ctx)
{
	struct uplink_gen *gen = ctx;

	resume_list(&gen->reactor->uplinks[gen->slot].stalled);
	resume_list(&gen->reactor->stalled_any);
}

void uplink_keep(struct uplink *u, const struct frame *f, struct str payload)
{
	struct orphan *o = try_alloc(sizeof *o + payload.len);

	if (!o)
		return;
	o->f = *f;
	if (payload.len)
		memcpy(o->payload, payload.p, payload.len);
	list_append(&u->orphans, &o->link);
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
			if (c->worker != gen && uplink_is_told(c))
				uplink_send_open(c, gen);
			if (o->f.type == FRAME_DATA)
				(void)uplink_send(c, gen, &o->f, &payload, 1);
		} else if (s) {
			if (s->orphaned) {
				s->orphaned = false;
				uplink_owe(gen, s);
			}
			if (s->worker == gen)
				(void)uplink_send(c, gen, &o->f, &payload, 1);
		}
		free(o);
	}
}

/* Connections that began while there was no process. */
static void open_unopened(struct reactor *r, unsigned slot)
{
	uint32_t cursor = 0;

	for (struct conn *c; (c = slots_next(&r->conns, &cursor));)
		if (!c->opened && uplink_is_told_at_once(c) && c->home == slot)
			uplink_send_open(c, r->uplinks[slot].current);
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
		recall_begin(r, old);
		say_bye_when_due(old);
	}
	replay_orphans(r, u);
	open_unopened(r, slot);
	on_room(gen);
	/* One that is started while the server stops, for tasks that still wait. */
	if (r->parted)
		uplink_say_goodbye(r);
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
		uplink_keep(&gen->reactor->uplinks[gen->slot], f, payload);
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

		bool lost = recall_is_lost(c, gen) || c->pc.unfinished;

		c->worker = NULL;
		c->app_paused = false;
		if (lost || (close && c->pc.proto->stateful) || c->unconfirmed)
			conn_kill(c, CLOSE_BY_ERROR, CLOSE_WORKER_LOST);
		else if (conn_has_heard_all(c))
			conn_finish(c, c->pc.goodbye ? CLOSE_GOODBYE
			                             : CLOSE_NORMAL); /* nobody is left who would close it */
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
		c->pc.proto->fail(&c->pc, s, s->refusal);
		conn_touch(c);
	}
}

void uplink_say_goodbye(struct reactor *r)
{
	r->parted = true;
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
	list_init(&r->planned);
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
