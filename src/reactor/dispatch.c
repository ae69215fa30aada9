/* Which worker gets a message: a policy per row. */
#include "reactor/core.h"

static bool has_room(const struct uplink *u)
{
	return u->current && !u->current->line->full;
}

/* A slot that can never be served now does not count; if all are like that, the request fails. */
static enum dispatch_answer nobody(struct reactor *r, int *slot)
{
	*slot = -1;
	for (unsigned i = 0; i < r->o.slots; i++)
		if (!r->uplinks[i].failed)
			return DISPATCH_WAIT;
	return DISPATCH_FAILED;
}

static enum dispatch_answer choose_round(struct reactor *r, const struct conn *c LS_UNUSED, int *slot)
{
	for (unsigned i = 0; i < r->o.slots; i++) {
		unsigned at = r->turn++ % r->o.slots;

		if (has_room(&r->uplinks[at])) {
			*slot = (int)at;
			return DISPATCH_HERE;
		}
	}
	return nobody(r, slot);
}

static enum dispatch_answer choose_fixed(struct reactor *r, const struct conn *c, int *slot)
{
	*slot = (int)(conn_id_slot(c->pc.id) % r->o.slots);

	const struct uplink *u = &r->uplinks[*slot];

	if (has_room(u))
		return DISPATCH_HERE;
	if (!u->failed)
		return DISPATCH_WAIT;
	/* What no session ties to this slot may go to another one. */
	return c->opened || c->pc.proto->stateful ? DISPATCH_FAILED : choose_round(r, c, slot);
}

static uint64_t load_of(const struct uplink_gen *gen)
{
	return gen->owed + (gen->board ? board_get(&gen->board->in_flight) : 0);
}

static enum dispatch_answer choose_idle(struct reactor *r, const struct conn *c LS_UNUSED, int *slot)
{
	uint64_t least = UINT64_MAX;
	unsigned start = r->turn++;

	for (unsigned i = 0; i < r->o.slots; i++) {
		unsigned at = (start + i) % r->o.slots;

		if (has_room(&r->uplinks[at]) && load_of(r->uplinks[at].current) < least) {
			least = load_of(r->uplinks[at].current);
			*slot = (int)at;
		}
	}
	return least != UINT64_MAX ? DISPATCH_HERE : nobody(r, slot);
}

static const struct {
	enum settings_dispatch mode;
	enum dispatch_answer (*choose)(struct reactor *r, const struct conn *c, int *slot);
} policies[] = {
	{ DISPATCH_FIXED, choose_fixed },
	{ DISPATCH_ROUND, choose_round },
	{ DISPATCH_IDLE, choose_idle },
};

enum dispatch_answer dispatch_choose(struct reactor *r, const struct conn *c, int *slot)
{
	/* The beginning of the message comes first, see recall.c. */
	if (c->recalled) {
		*slot = (int)(conn_id_slot(c->pc.id) % r->o.slots);
		return DISPATCH_WAIT;
	}
	/* Connect and close events belong to the worker that gets the connection's requests. */
	if (c->opened)
		return choose_fixed(r, c, slot);
	for (unsigned i = 0; i < LS_COUNT(policies); i++)
		if ((int)policies[i].mode == r->settings->dispatch_mode)
			return policies[i].choose(r, c, slot);
	return choose_fixed(r, c, slot);
}
