/* Ports of protocol lua: their messages are put together in the worker, so a part of one may be there when a successor takes the
 * worker's place.  It is called back, and until it has come the connection is not read (ADR 12). */
#include "reactor/core.h"

static bool is_gathered(const struct conn *c)
{
	return c->pc.port->protocol == PROTOCOL_LUA;
}

bool recall_one(struct conn *c)
{
	struct frame f = { .type = FRAME_RECALL, .conn = c->pc.id };

	/* After the peer's end nothing comes that would need the beginning. */
	if (!c->worker || !is_gathered(c) || c->recalled || c->eof_told)
		return c->recalled;
	c->recalled = true;
	if (uplink_send(c, c->worker, &f, NULL, 0) < 0)
		conn_kill(c, CLOSE_BY_ERROR, CLOSE_WORKER_LOST);
	return true;
}

void recall_begin(struct reactor *r, struct uplink_gen *old)
{
	uint32_t cursor = 0;

	for (struct conn *c; (c = slots_next(&r->conns, &cursor));)
		if (c->worker == old)
			(void)recall_one(c);
}

bool recall_is_lost(const struct conn *c, const struct uplink_gen *gone)
{
	return is_gathered(c) && (c->recalled || !gone->draining);
}

void recall_on_return(struct conn *c, const struct uplink_gen *gen, struct str bytes)
{
	if (!c->recalled || c->worker != gen)
		return; /* nobody asked this process */
	c->recalled = false;
	list_del(&c->stalled);
	if (conn_unread(c, bytes) < 0)
		conn_kill(c, CLOSE_BY_ERROR, CLOSE_WORKER_LOST);
	else
		conn_resume(c);
}
