#include "role/ports.h"

#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_unix(const struct port *p)
{
	return p->address.sa.sa_family == AF_UNIX;
}

static bool is_shared(const struct ports *p, unsigned i)
{
	return is_unix(&p->settings->ports[i]) || p->inherited >> i & 1;
}

static int *place(const struct ports *p, unsigned set, unsigned port)
{
	return &p->fds[set * p->n + port];
}

static int listen_on(struct port *port, struct sock_addr *addr, bool reuse_port, struct err *err)
{
	struct sock_listen_opts opts = {
		.backlog = (int)port->backlog,
		.reuse_port = reuse_port,
		.nodelay = port->open_tcp_nodelay && addr->sa.sa_family != AF_UNIX,
		.keepalive = port->open_tcp_keepalive,
		.keepidle = (int)(port->tcp_keepidle / 1000),
		.keepinterval = (int)(port->tcp_keepinterval / 1000),
		.keepcount = (int)port->tcp_keepcount,
		.user_timeout = (int)port->tcp_user_timeout,
		.defer_accept = (int)(port->tcp_defer_accept / 1000),
		.fastopen = (int)port->tcp_fastopen,
		.recv_buffer = (int)port->kernel_socket_recv_buffer_size,
		.send_buffer = (int)port->kernel_socket_send_buffer_size,
		.ipv6_only = port->ipv6_only,
		.datagram = settings_port_is_dgram(port),
	};

	return sock_listen(addr, &opts, err);
}

/* SO_REUSEPORT lets a second server of the same user take half of the connections in silence, so whoever
 * did not ask for that learns first whether the port is free. */
static int probe(struct port *port, struct err *err)
{
	int fd = listen_on(port, &port->address, false, err);

	if (fd < 0)
		return fd;
	fd_close(&fd);
	return 0;
}

/* The socket that was handed over for this port; -1: none. */
static int take_given(struct ports *p, struct port *port)
{
	int fd = p->given ? activation_take(p->given, &port->address, settings_port_is_dgram(port)) : -1;

	if (fd >= 0)
		p->inherited |= UINT64_C(1) << port->index;
	return fd;
}

static int open_first(struct ports *p, struct port *port, struct err *err)
{
	int r = sock_parse(port->host, port->number, &port->address, err);
	int fd = r == 0 ? take_given(p, port) : -1;

	if (fd >= 0)
		return fd;
	if (r == 0 && p->per_slot && !is_unix(port) && !port->enable_reuse_port)
		r = probe(port, err);
	if (r < 0)
		return r;
	return listen_on(port, &port->address, port->enable_reuse_port || (p->per_slot && !is_unix(port)), err);
}

static int check_given(const struct ports *p, struct err *err)
{
	char text[SOCK_TEXT_MAX];
	const char *left = p->given ? activation_left(p->given, text) : NULL;

	if (!left)
		return 0;
	return err_set(
		err, -EINVAL,
		"a socket was handed over (LISTEN_FDS) that no port of the app listens on: %s; give the app such a port, or take"
		" the socket out",
		left);
}

int ports_reopen_set(struct ports *p, unsigned set, struct err *err)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct port *port = &p->settings->ports[i];
		int *fd = place(p, set, i);

		if (*fd >= 0 || (set > 0 && is_shared(p, i)))
			continue;
		*fd = listen_on(port, &port->address, true, err);
		if (*fd < 0)
			return *fd;
	}
	return 0;
}

int ports_open(struct ports *p, struct settings *s, bool per_slot, struct activation *given, struct err *err)
{
	int r = 0;

	*p = (struct ports){ .settings = s, .n = s->n_ports, .per_slot = per_slot, .given = given };
	p->sets = per_slot ? (unsigned)s->worker_num : 1;
	p->fds = xalloc((size_t)p->sets * p->n * sizeof *p->fds);
	memset(p->fds, -1, (size_t)p->sets * p->n * sizeof *p->fds);
	for (unsigned i = 0; i < p->n && r >= 0; i++)
		r = *place(p, 0, i) = open_first(p, &s->ports[i], err);
	if (r >= 0)
		r = check_given(p, err);
	for (unsigned set = 1; set < p->sets && r >= 0; set++)
		r = ports_reopen_set(p, set, err);
	if (r < 0)
		ports_close(p, true);
	return r < 0 ? r : 0;
}

int ports_fd(const struct ports *p, unsigned set, unsigned port)
{
	return *place(p, is_shared(p, port) ? 0 : set, port);
}

void ports_close_set(struct ports *p, unsigned set)
{
	for (unsigned i = 0; p->per_slot && i < p->n; i++)
		if (!is_shared(p, i))
			fd_close(place(p, set, i));
}

void ports_close(struct ports *p, bool unlink_paths)
{
	for (unsigned i = 0; p->fds && i < p->n; i++) {
		const struct port *port = &p->settings->ports[i];

		bool own = is_unix(port) && !(p->inherited >> i & 1);

		if (unlink_paths && *place(p, 0, i) >= 0 && own && port->address.un.sun_path[0])
			unlink(port->address.un.sun_path);
		for (unsigned set = 0; set < p->sets; set++)
			fd_close(place(p, set, i));
	}
	free(p->fds);
	*p = (struct ports){ 0 };
}
