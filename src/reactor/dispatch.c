/* Which worker gets a message: a policy per row.
 *
 * A connection has a home, the slot that hears of its beginning and end.  Policies that keep a connection's events together send
 * everything there; the others choose for each message, and tell nobody of connections. */
#include "reactor/core.h"

#include "base/codec.h"

enum { STUCK_MS = 10 };

static bool has_room(const struct uplink *u)
{
	return u->current && !u->current->line->full;
}

/* A slot that can never be served now does not count; if all are like that, the request fails. */
static enum dispatch_answer nobody(struct reactor *r, int *slot)
{
	*slot = -1;
	for (unsigned i = 0; i < r->o.workers; i++)
		if (!r->uplinks[i].failed)
			return DISPATCH_WAIT;
	return DISPATCH_FAILED;
}

/* ---- how much a worker has to do --------------------------------------------------------------------------------------------- */

/* Its Lua has not come back for a while: what it is given now waits. */
static bool is_stuck(const struct reactor *r, const struct uplink_gen *gen)
{
	uint64_t since = gen->board ? board_get(&gen->board->busy_since_ms) : 0;
	uint64_t now = since ? loop_now(r->loop) : 0;

	return since && now > since && now - since >= STUCK_MS;
}

static uint64_t load_of(const struct reactor *r, const struct uplink_gen *gen)
{
	enum { STUCK = 1 << 20 };

	return gen->owed + (gen->board ? board_get(&gen->board->in_flight) : 0) + (is_stuck(r, gen) ? STUCK : 0);
}

/* ---- homes ---------------------------------------------------------------------------------------------------------------------- */

static unsigned home_by_id(struct reactor *r, const struct conn *c)
{
	return conn_id_slot(c->pc.id) % r->o.workers;
}

/* Clients of unix sockets have no address to go by. */
static unsigned home_by_ip(struct reactor *r, const struct conn *c)
{
	const struct sock_peer *peer = &c->pc.peer;

	if (peer->family != AF_INET && peer->family != AF_INET6)
		return home_by_id(r, c);
	return (unsigned)(codec_hash(str_make(peer->ip, sizeof peer->ip)) % r->o.workers);
}

/* The least to do; among equals the fewest connections, so that idle ones spread too. */
static unsigned home_by_load(struct reactor *r, const struct conn *c)
{
	unsigned best = home_by_id(r, c);
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < r->o.workers; i++) {
		unsigned at = (r->turn + i) % r->o.workers;
		const struct uplink *u = &r->uplinks[at];
		uint64_t load = u->current ? load_of(r, u->current) : UINT32_MAX;

		if (load < least || (load == least && u->homes < r->uplinks[best].homes)) {
			least = load;
			best = at;
		}
	}
	r->turn++;
	return best;
}

/* ---- choices for one message ------------------------------------------------------------------------------------------------------ */

static enum dispatch_answer choose_round(struct reactor *r, const struct conn *c LS_UNUSED, int *slot)
{
	for (unsigned i = 0; i < r->o.workers; i++) {
		unsigned at = r->turn++ % r->o.workers;

		if (has_room(&r->uplinks[at])) {
			*slot = (int)at;
			return DISPATCH_HERE;
		}
	}
	return nobody(r, slot);
}

static enum dispatch_answer choose_slot(struct reactor *r, const struct conn *c, unsigned wanted, int *slot)
{
	const struct uplink *u = &r->uplinks[wanted];

	*slot = (int)wanted;
	if (has_room(u))
		return DISPATCH_HERE;
	if (!u->failed)
		return DISPATCH_WAIT;
	/* What no session ties to this slot may go to another one. */
	return c->opened || c->pc.proto->stateful ? DISPATCH_FAILED : choose_round(r, c, slot);
}

static enum dispatch_answer choose_home(struct reactor *r, const struct conn *c, int *slot)
{
	return choose_slot(r, c, c->home, slot);
}

static enum dispatch_answer choose_idle(struct reactor *r, const struct conn *c LS_UNUSED, int *slot)
{
	uint64_t least = UINT64_MAX;
	unsigned start = r->turn++;

	for (unsigned i = 0; i < r->o.workers; i++) {
		unsigned at = (start + i) % r->o.workers;

		if (!has_room(&r->uplinks[at]))
			continue;

		uint64_t load = load_of(r, r->uplinks[at].current);

		if (load < least) {
			least = load;
			*slot = (int)at;
		}
	}
	return least != UINT64_MAX ? DISPATCH_HERE : nobody(r, slot);
}

/* The connection's home as long as it has nothing to do: its caches know the client.  Else whoever has least. */
static enum dispatch_answer choose_least(struct reactor *r, const struct conn *c, int *slot)
{
	const struct uplink *u = &r->uplinks[c->home];

	*slot = c->home;
	return has_room(u) && load_of(r, u->current) == 0 ? DISPATCH_HERE : choose_idle(r, c, slot);
}

/* ---- the policies ------------------------------------------------------------------------------------------------------------------ */

static const struct policy {
	enum settings_dispatch mode;
	unsigned (*home)(struct reactor *r, const struct conn *c);
	/* Messages that no home is known of, and HTTP requests. */
	enum dispatch_answer (*choose)(struct reactor *r, const struct conn *c, int *slot);
} policies[] = {
	{ DISPATCH_AUTO, home_by_id, choose_least },    { DISPATCH_FIXED, home_by_id, choose_home },
	{ DISPATCH_ROUND, home_by_id, choose_round },   { DISPATCH_IDLE, home_by_id, choose_idle },
	{ DISPATCH_IP, home_by_ip, choose_home },       { DISPATCH_UID, home_by_id, choose_home },
	{ DISPATCH_LEAST, home_by_load, choose_least }, { DISPATCH_KEY, home_by_id, choose_home },
};

static const struct policy *policy_of(const struct reactor *r)
{
	for (unsigned i = 0; i < LS_COUNT(policies); i++)
		if ((int)policies[i].mode == r->settings->dispatch_mode)
			return &policies[i];
	return &policies[0];
}

bool dispatch_keeps(const struct reactor *r)
{
	return r->o.workers == 1 || settings_keeps_connections(r->settings);
}

void dispatch_settle(struct reactor *r, struct conn *c)
{
	c->home = (uint16_t)policy_of(r)->home(r, c);
	r->uplinks[c->home].homes++;
}

void dispatch_leave(struct reactor *r, struct conn *c)
{
	r->uplinks[c->home].homes--;
}

void dispatch_move(struct reactor *r, struct conn *c, unsigned slot)
{
	dispatch_leave(r, c);
	c->home = (uint16_t)slot;
	r->uplinks[slot].homes++;
}

bool dispatch_bind(struct reactor *r, struct conn *c, uint64_t hash)
{
	unsigned slot = (unsigned)(hash % r->o.workers);

	if (r->settings->dispatch_mode != DISPATCH_UID || slot == c->home)
		return false;
	dispatch_move(r, c, slot);
	return true;
}

enum dispatch_answer dispatch_choose(struct reactor *r, const struct conn *c, const struct str *parts, int n, int *slot)
{
	const struct policy *p = policy_of(r);
	uint64_t hash;

	/* The beginning of the message comes first, see recall.c. */
	if (c->recalled) {
		*slot = c->home;
		return DISPATCH_WAIT;
	}
	/* Connect and close events belong to the worker that gets the connection's requests. */
	if (c->opened || (c->pc.proto->stateful && settings_keeps_connections(r->settings)))
		return choose_home(r, c, slot);
	if (p->mode == DISPATCH_KEY && keyed_hash(c->pc.port, parts, n, &hash))
		return choose_slot(r, c, (unsigned)(hash % r->o.workers), slot);
	if (p->mode == DISPATCH_KEY && n == 0)
		return DISPATCH_HERE; /* only asked: the message itself will tell */
	return p->choose(r, c, slot);
}

int dispatch_packet(struct reactor *r, const struct port *port, const struct sock_far *from, struct str bytes)
{
	int mode = r->settings->dispatch_mode;
	bool turns = mode == DISPATCH_ROUND || mode == DISPATCH_IDLE || mode == DISPATCH_LEAST;
	/* Clients of unix sockets have no address but their path. */
	bool ip = mode == DISPATCH_IP && from->peer.family != AF_UNIX;
	size_t counts = ip ? offsetof(struct sock_peer, port) : sock_far_size(from);
	uint64_t hash;

	if (mode == DISPATCH_KEY && keyed_hash(port, &bytes, 1, &hash))
		return (int)(hash % r->o.workers);
	return turns ? -1 : (int)(codec_hash(str_make(from, counts)) % r->o.workers);
}
