#include "proto/http1_order.h"

#include "base/clock.h"
#include "proto/http1.h"

static struct stream *first_of(struct proto_conn *pc)
{
	struct list *first = list_first(&pc->streams);

	return first ? LS_CONTAINER_OF(first, struct stream, on_conn) : NULL;
}

void http1_order_add(struct proto_conn *pc, struct stream *s)
{
	struct http1 *st = pc->state;

	list_append(&pc->streams, &s->on_conn);
	st->streams++;
}

void http1_order_remove(struct proto_conn *pc, struct stream *s)
{
	struct http1 *st = pc->state;

	st->streams--;
	stream_free(s);
}

struct chain *http1_order_out(struct proto_conn *pc, struct stream *s)
{
	return first_of(pc) == s ? &pc->out : &s->pending;
}

static void tell_abort(struct proto_conn *pc, struct stream *s, unsigned why)
{
	struct frame f = { .type = FRAME_ABORT, .conn = pc->id, .stream = s->number, .arg = why };

	pc->sink->emit(pc, &f, NULL, 0, s);
}

/* The end of a stream. With `tell`, its worker hears of it unless it knows: it has sent its END and got
 * ours. */
static void end_stream(struct proto_conn *pc, struct stream *s, bool tell)
{
	struct http1 *st = pc->state;

	if (tell && s->number && !(s->input_done && s->output_done))
		tell_abort(pc, s, pc->close_reason);
	if (st->reading == s)
		st->reading = NULL;
	list_del(&s->on_conn);
	st->streams--;
	pc->sink->stream_done(pc, s);
	stream_free(s);
}

void http1_order_drop(struct proto_conn *pc)
{
	for (struct stream *s = first_of(pc); s; s = first_of(pc))
		end_stream(pc, s, true);
}

/* The connection has carried its last answer. */
static void close_after_out(struct proto_conn *pc)
{
	struct http1 *st = pc->state;

	st->last = true;
	pc->close_when_sent = true;
	http1_order_drop(pc);
}

/* What the peer sent beyond this is not read. */
static void stop_reading(struct proto_conn *pc)
{
	struct http1 *st = pc->state;

	st->reading = NULL;
	st->unread = false;
	pc->aborted = true;
}

static bool may_take_more(struct proto_conn *pc, const struct http1 *st)
{
	if (st->reading)
		return true;
	if (st->last)
		return false;
	if (st->streams == 0)
		return true;
	return !st->exclusive && !st->wait_all && !pc->draining && st->streams < pc->port->http_pipeline_max;
}

/* While an answer is owed, a head that has begun is not timed: the peer is waiting for us. */
static enum proto_phase phase_of(struct proto_conn *pc, const struct http1 *st)
{
	if (pc->close_when_sent)
		return PHASE_WAIT;
	if (st->reading && !st->stalled)
		return PHASE_BODY;
	if (st->streams || st->stalled)
		return PHASE_WAIT;
	return st->unread ? PHASE_HEAD : PHASE_IDLE;
}

void http1_order_settle(struct proto_conn *pc)
{
	struct http1 *st = pc->state;

	for (struct stream *s = first_of(pc); s; s = first_of(pc)) {
		bool keep_alive;

		if (!chain_empty(&s->pending))
			chain_move(&pc->out, &s->pending);
		if (!s->output_done)
			break;
		if (!s->input_done)
			stop_reading(pc); /* answered early: where the next request begins is not known */
		keep_alive = s->keep_alive && s->input_done;
		end_stream(pc, s, true);
		if (!keep_alive)
			close_after_out(pc);
	}
	if (st->streams == 0) {
		st->exclusive = false;
		st->wait_all = false;
		if (pc->draining && !st->unread && !st->stalled && pc->requests)
			st->last = pc->close_when_sent = true;
		if (st->ended && !st->unread)
			pc->close_when_sent = true;
	}
	pc->paused = !pc->aborted && !may_take_more(pc, st);
	pc->phase = (uint8_t)phase_of(pc, st);
}

void http1_order_refuse(struct proto_conn *pc, int status, enum close_reason why)
{
	struct stream *s = stream_new();

	s->status = (uint16_t)status;
	s->started_us = clock_wall_us();
	s->head_sent = s->input_done = s->output_done = true;
	http1_order_add(pc, s);
	pc->close_reason = (uint16_t)why;
	stop_reading(pc);
	/* Without memory the connection closes without the answer. */
	(void)http_out_canned(&s->pending, status, true, false, pc->port->http_server_header, pc->now_ms);
	http1_order_settle(pc);
}

/* The peer has part of the answer already: only a close tells it that the rest will not come. */
static void cut(struct proto_conn *pc, struct stream *s, enum close_reason why)
{
	stop_reading(pc);
	pc->close_reason = (uint16_t)why;
	end_stream(pc, s, false);
	close_after_out(pc);
	http1_order_settle(pc);
}

void http1_order_fail(struct proto_conn *pc, struct stream *s, int status, enum close_reason why, bool tell)
{
	struct chain *out = http1_order_out(pc, s);
	bool close = !s->keep_alive || !s->input_done || s->version_minor == 0 || pc->draining;

	if (s->output_done)
		return;
	if (tell)
		tell_abort(pc, s, why);
	if (s->head_sent && out == &pc->out) {
		cut(pc, s, why);
		return;
	}
	chain_clear(&s->pending);
	if (http_out_canned(out, status, close, s->head_only, pc->port->http_server_header, pc->now_ms) < 0)
		close = true;
	if (!s->input_done)
		stop_reading(pc);
	if (close)
		pc->close_reason = (uint16_t)why;
	s->status = (uint16_t)status;
	s->keep_alive = !close;
	s->head_sent = s->input_done = s->output_done = true;
	http1_order_settle(pc);
}

void http1_order_give_up(struct proto_conn *pc, struct stream *s, bool taken)
{
	stop_reading(pc);
	s->keep_alive = false;
	http1_order_fail(pc, s, 503, CLOSE_WORKER_LOST, taken);
}
