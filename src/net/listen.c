#include "net/listen.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/timer.h"
#include "sys/fd.h"
#include "sys/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many connections are taken per readiness event, so that those already here get their turn. */
enum { ACCEPT_BUDGET = 64, PAUSE_MS = 100, COMPLAINT_MS = 10000 };

/* Descriptors kept back from connections, for commands, new workers and files; of a low limit a quarter. */
enum { FDS_RESERVED = 64 };

struct listener {
	struct listener_opts o;
	struct watch watch;
	struct timer pause; /* descriptors ran out: listening goes on when it fires */
	int spare;          /* given up to accept and refuse one when descriptors run out */
	int fd_max;         /* descriptors from here up are not for connections */
	struct log_every complaints;
};

static const char refusal_http[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

static void complain(struct listener *l, const char *why)
{
	char port[SETTINGS_PORT_TEXT_MAX];
	uint64_t swallowed;

	if (log_every_due(&l->complaints, COMPLAINT_MS, &swallowed))
		log_warn("%s: %s (%llu more)", settings_port_text(l->o.port, port), why, (unsigned long long)swallowed);
}

void listener_refuse(const struct port *port, int fd)
{
	if (settings_port_is_http(port))
		/* Whether it arrives does not matter: the connection is closed anyway. */
		(void)!send(fd, refusal_http, sizeof refusal_http - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	fd_close(&fd);
}

static void refuse(struct listener *l, int fd)
{
	listener_refuse(l->o.port, fd);
	if (l->o.on_refused)
		l->o.on_refused(l->o.ctx);
}

/* Level-triggered readiness would spin. */
static void rest(struct listener *l, int code)
{
	char why[256];

	snprintf(why, sizeof why,
	         "no connection can be accepted: %s; one is refused, the others wait a moment; raise the limit of open "
	         "files (ulimit -n) or lower max_connection",
	         strerror(-code));
	complain(l, why);
	watch_set(&l->watch, 0);
	timer_set(l->o.loop, &l->pause, PAUSE_MS);
}

/* No descriptor is left: one is freed to take a waiting connection and close it in order. */
static void shed(struct listener *l)
{
	struct sock_peer peer;
	int fd;

	if (l->spare < 0)
		return;
	fd_close(&l->spare);
	fd = sock_accept(l->watch.fd, &peer);
	if (fd >= 0)
		refuse(l, fd);
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_pause_over(struct timer *t)
{
	struct listener *l = LS_CONTAINER_OF(t, struct listener, pause);

	/* Another thread may have been quicker when shed() wanted it back. */
	if (l->spare < 0)
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	watch_set(&l->watch, WATCH_READ);
}

static void on_readable(struct watch *w, int events LS_UNUSED)
{
	struct listener *l = LS_CONTAINER_OF(w, struct listener, watch);

	for (int i = 0; i < ACCEPT_BUDGET && w->fd >= 0; i++) {
		struct sock_peer peer;
		int fd = sock_accept(w->fd, &peer);

		if (fd == -EAGAIN)
			return;
		if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
			shed(l);
			rest(l, fd);
			return;
		}
		if (fd >= l->fd_max) {
			refuse(l, fd);
			rest(l, -EMFILE);
			return;
		}
		if (fd < 0)
			continue; /* that connection died while it waited (ECONNABORTED and its like) */
		if (!l->o.may_accept || l->o.may_accept(l->o.ctx)) {
			l->o.on_accept(l->o.ctx, fd, l->o.port, &peer);
			continue;
		}
		complain(l, "max_connection is reached; a connection is refused");
		refuse(l, fd);
	}
}

static int fds_for_connections(void)
{
	uint64_t limit = LS_MIN(fd_raise_limit(), (uint64_t)INT_MAX);

	return (int)(limit - LS_MIN(limit / 4, (uint64_t)FDS_RESERVED));
}

struct listener *listener_open(const struct listener_opts *o, struct err *err)
{
	struct listener *l = xzalloc(sizeof *l);

	l->o = *o;
	l->fd_max = fds_for_connections();
	timer_init(&l->pause, on_pause_over);

	int r = watch_open(&l->watch, o->loop, o->fd, on_readable);

	if (r < 0) {
		fd_close(&l->o.fd);
		free(l);
		err_set(err, r, "the listening socket cannot be watched: %s", strerror(-r));
		return NULL;
	}
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	watch_set(&l->watch, WATCH_READ);
	return l;
}

static void on_closed(struct watch *w)
{
	free(LS_CONTAINER_OF(w, struct listener, watch));
}

void listener_close(struct listener *l)
{
	if (!l)
		return;
	timer_del(l->o.loop, &l->pause);
	fd_close(&l->spare);
	watch_close(&l->watch, on_closed);
}
