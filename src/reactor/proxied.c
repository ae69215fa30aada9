/* Connections that come through a load balancer, which names its client in a header of the PROXY protocol. */
#include "reactor/core.h"

#include "conf/network.h"

#include <errno.h>

static bool is_trusted(const struct port *port, const struct sock_peer *peer)
{
	for (unsigned i = 0; i < port->proxy_protocol_trusted.count; i++) {
		struct network n;

		if (network_parse(str_from(port->proxy_protocol_trusted.items[i]), &n) == 0 && network_holds(&n, peer))
			return true;
	}
	return false;
}

static void tell(struct reactor *r, const struct port *port, const struct sock_peer *peer, const char *why)
{
	char name[SETTINGS_PORT_TEXT_MAX], address[SOCK_TEXT_MAX];
	uint64_t swallowed;

	if (log_every_due(&r->refusals, 10000, &swallowed))
		log_warn("%s: a connection of %s is closed: %s (%llu more)", settings_port_text(port, name),
		         sock_peer_text(peer, address), why, (unsigned long long)swallowed);
}

bool proxied_may_connect(struct reactor *r, const struct port *port, const struct sock_peer *peer)
{
	if (!port->proxy_protocol || is_trusted(port, peer))
		return true;
	tell(r, port, peer, "it is not in proxy_protocol_trusted");
	return false;
}

static const char *reason_of(int code)
{
	switch (code) {
	case -ETIMEDOUT:
		return "no header of the PROXY protocol came within proxy_protocol_timeout";
	case -EMSGSIZE:
		return "its header of the PROXY protocol is too long";
	case -ENOMEM:
		return "there is no memory for its header of the PROXY protocol";
	default:
		return "it does not begin with a header of the PROXY protocol";
	}
}

void proxied_on_header(struct conn *c, int code)
{
	struct reactor *r = reactor_of(c);

	if (code < 0) {
		board_add(&r->o.board->proxy_refused, 1);
		tell(r, c->pc.port, &c->pc.peer, reason_of(code));
		conn_kill(c, code == -ETIMEDOUT ? CLOSE_BY_LIMIT : CLOSE_BY_ERROR,
		          code == -ETIMEDOUT ? CLOSE_TIMEOUT_HEAD : CLOSE_MALFORMED);
		return;
	}
	if (!limits_admit_address(r, c->pc.port, &c->pc.peer, &c->counted)) {
		conn_kill(c, CLOSE_BY_LIMIT, CLOSE_RATE);
		return;
	}
	/* By its address the client may belong to another worker than the balancer. */
	dispatch_leave(r, c);
	dispatch_settle(r, c);
	uplink_open(c);
}
