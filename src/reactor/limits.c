/* What one port, one client address and one connection may take of this reactor: a count each, and rates.
 *
 * A rate of n a second is kept by the time at which the next one would be due if all came evenly; who is up to a burst ahead of it
 * passes.  In process mode all connections of an address meet in one reactor (keeper_give()) where a port limits addresses.
 */
#include "reactor/core.h"

#include <stdlib.h>

enum { US = 1000000 };

/* One client address on one port. */
struct address {
	struct list cooling; /* reactor.cooling: it has no connection, and its rate is not forgotten yet */
	struct map *map;
	uint64_t key;
	uint64_t due_us;
	unsigned conns;
};

static uint64_t now_us(const struct reactor *r)
{
	return loop_now(r->loop) * 1000;
}

/* True: it passes, and counts. */
static bool take(uint64_t *due_us, uint64_t now, uint64_t rate, uint64_t burst)
{
	uint64_t each = US / rate ? US / rate : 1, due = LS_MAX(*due_us, now);

	if (due - now > each * (burst - 1))
		return false;
	*due_us = due + each;
	return true;
}

/* ---- addresses ------------------------------------------------------------------------------------------------------------- */

/* IPv6 networks give their clients a /64 each (RFC 6177), so that is one address here. */
static bool key_of(const struct sock_peer *peer, uint64_t *key)
{
	const uint8_t *ip = peer->ip;

	if (peer->family == AF_INET)
		*key = UINT64_C(0xff00) << 48 | (uint64_t)ip[0] << 24 | (uint64_t)ip[1] << 16 | (uint64_t)ip[2] << 8 |
		       ip[3];
	else if (peer->family == AF_INET6)
		memcpy(key, ip, sizeof *key);
	else
		return false; /* clients of unix sockets have none */
	return true;
}

static bool limits_addresses(const struct port *p)
{
	return p->max_connection_per_address || p->accept_rate_per_address;
}

static void forget(struct address *a)
{
	list_del(&a->cooling);
	(void)map_del(a->map, a->key);
	free(a);
}

/* Those whose time has come; the list is in the order in which they lost their last connection. */
static void forget_cooled(struct reactor *r)
{
	enum { AT_ONCE = 8 };

	for (unsigned i = 0; i < AT_ONCE && !list_empty(&r->cooling); i++) {
		struct address *a = LS_CONTAINER_OF(list_first(&r->cooling), struct address, cooling);

		if (a->due_us > now_us(r))
			return;
		forget(a);
	}
}

static struct address *find(struct reactor *r, const struct port *port, const struct sock_peer *peer)
{
	struct map *map = &r->addresses[port->index];
	struct address *a;
	uint64_t key;

	if (!key_of(peer, &key))
		return NULL;
	a = map_get(map, key);
	if (a)
		return a;
	a = xzalloc(sizeof *a);
	a->map = map;
	a->key = key;
	list_init(&a->cooling);
	map_put(map, key, a);
	return a;
}

static const char *refuse_address(struct reactor *r, struct address *a, const struct port *port)
{
	if (port->max_connection_per_address && a->conns >= port->max_connection_per_address)
		return "max_connection_per_address";
	if (port->accept_rate_per_address &&
	    !take(&a->due_us, now_us(r), port->accept_rate_per_address, port->accept_rate_per_address))
		return "accept_rate_per_address";
	return NULL;
}

static void settle(struct reactor *r, struct address *a)
{
	if (a->conns > 0)
		return;
	if (a->due_us <= now_us(r))
		forget(a);
	else if (!list_linked(&a->cooling))
		list_append(&r->cooling, &a->cooling);
}

/* ---- connections ------------------------------------------------------------------------------------------------------------ */

static bool port_is_full(const struct reactor *r, const struct port *port)
{
	uint64_t share = LS_MAX(r->o.share, 1U);

	return port->port_max_connection &&
	       board_get(&r->o.board->connections[port->index]) >= (port->port_max_connection + share - 1) / share;
}

static void tell(struct reactor *r, const struct port *port, const struct sock_peer *peer, const char *setting)
{
	char name[SETTINGS_PORT_TEXT_MAX], address[SOCK_TEXT_MAX];
	uint64_t swallowed;

	if (log_every_due(&r->refusals, 10000, &swallowed))
		log_warn("%s: %s is reached; a connection of %s is refused (%llu more)", settings_port_text(port, name),
		         setting, sock_peer_text(peer, address), (unsigned long long)swallowed);
}

bool limits_admit_address(struct reactor *r, const struct port *port, const struct sock_peer *peer, bool *counted)
{
	struct address *a;
	const char *setting;

	*counted = false;
	if (!limits_addresses(port))
		return true;
	forget_cooled(r);
	a = find(r, port, peer);
	setting = a ? refuse_address(r, a, port) : NULL;
	if (setting) {
		board_add(&r->o.board->refused_address, 1);
		tell(r, port, peer, setting);
		settle(r, a);
		return false;
	}
	*counted = a != NULL;
	if (a) {
		a->conns++;
		list_del(&a->cooling);
	}
	return true;
}

bool limits_admit(struct reactor *r, const struct port *port, const struct sock_peer *peer, bool *counted)
{
	*counted = false;
	if (port_is_full(r, port)) {
		tell(r, port, peer, "port_max_connection");
		return false;
	}
	/* The address of a load balancer is nobody's; its client's counts once it is known. */
	return port->proxy_protocol || limits_admit_address(r, port, peer, counted);
}

void limits_leave(struct reactor *r, const struct port *port, const struct sock_peer *peer)
{
	struct address *a = find(r, port, peer);

	a->conns--;
	settle(r, a);
}

/* ---- messages ----------------------------------------------------------------------------------------------------------------- */

bool limits_message(struct conn *c)
{
	const struct port *port = c->pc.port;
	struct reactor *r = reactor_of(c);
	char name[SETTINGS_PORT_TEXT_MAX], address[SOCK_TEXT_MAX];
	uint64_t swallowed;

	if (take(&c->message_due_us, now_us(r), port->message_rate, port->message_burst))
		return true;
	board_add(&r->o.board->limited, 1);
	if (log_every_due(&r->refusals, 10000, &swallowed))
		log_warn("%s: %s sends more than message_rate allows; %s (%llu more)", settings_port_text(port, name),
		         sock_peer_text(&c->pc.peer, address),
		         c->pc.proto->stateful ? "its connection is closed" : "a request is answered 429",
		         (unsigned long long)swallowed);
	return false;
}

void limits_fini(struct reactor *r)
{
	for (unsigned i = 0; i < SETTINGS_PORTS_MAX; i++) {
		size_t cursor = 0;

		for (const struct map_entry *e; (e = map_next(&r->addresses[i], &cursor));)
			free(e->value);
		map_fini(&r->addresses[i]);
	}
}
