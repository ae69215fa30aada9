/* Answers what workers ask about connections: which there are, page by page, and what is known of one. */
#include "reactor/core.h"

#include "base/clock.h"
#include "proto/ws.h"

#include <errno.h>

enum { PAGE_MAX = 1000 };

static int answer(struct link *line, const struct frame *question, const struct str *parts, int n)
{
	struct frame f = {
		.type = FRAME_ANSWER, .conn = question->conn, .stream = question->stream, .arg = question->arg
	};

	/* Without room the question stays open until the worker's patience ends. */
	(void)link_send(line, &f, parts, n);
	return 0;
}

/* It has sent nothing for heartbeat_idle_time, though it was read and is not protected. */
static bool is_silent(const struct reactor *r, const struct conn *c)
{
	uint64_t limit = c->pc.proto->stateful ? c->pc.port->heartbeat_idle_time : 0;

	return limit && !c->spared && !c->app_paused && !list_linked(&c->stalled) &&
	       loop_now(r->loop) - c->last_input >= limit;
}

static int answer_list(struct reactor *r, struct link *line, const struct frame *f)
{
	conn_id ids[PAGE_MAX];
	uint32_t cursor = conn_id_slot(f->conn); /* another process may have one in the same slot, but behind it */
	uint64_t wanted = LS_MIN(f->value, (uint64_t)PAGE_MAX);
	size_t n = 0;
	struct conn *c;

	while (n < wanted && (c = slots_next(&r->conns, &cursor)))
		if (c->pc.id > f->conn && !c->proxied && (f->arg == FRAME_ASK_LIST || is_silent(r, c)))
			ids[n++] = c->pc.id;

	struct str part = str_make(ids, n * sizeof *ids);

	return answer(line, f, &part, 1);
}

static int answer_info(struct reactor *r, struct link *line, const struct frame *f)
{
	const struct conn *c = reactor_conn(r, f->conn);

	if (!c || c->state != CONN_OPEN || c->proxied)
		return answer(line, f, NULL, 0);

	uint64_t now_us = clock_wall_us(), silent_us = (loop_now(r->loop) - c->last_input) * 1000;
	struct frame_info info = {
		.peer = c->pc.peer,
		.reactor = r->o.id,
		.port = c->pc.port->index,
		.closing = c->pc.close_when_sent,
		.websocket = ws_is_spoken(&c->pc),
		.connected_us = (uint64_t)c->connected_s * 1000000,
		.received_us = now_us - LS_MIN(silent_us, now_us),
		.queued = c->pc.out.bytes,
	};
	struct str parts[2] = { str_make(&info, sizeof info), str_from(c->uid ? c->uid : "") };

	return answer(line, f, parts, 2);
}

int census_answer(struct reactor *r, struct link *line, const struct frame *f)
{
	switch (f->arg) {
	case FRAME_ASK_LIST:
	case FRAME_ASK_SILENT:
		return answer_list(r, line, f);
	case FRAME_ASK_INFO:
		return answer_info(r, line, f);
	default:
		return -EBADMSG;
	}
}
