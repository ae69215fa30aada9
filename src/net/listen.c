#include "net/listen.h"

#include "base/mem.h"
#include "loop/timer.h"
#include "sys/fd.h"
#include "sys/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* So many connections are taken per readiness event, so that those already here get their turn. */
enum { ACCEPT_BUDGET = 64, PAUSE_MS = 100 };

struct listener {
	struct listener_opts o;
	struct watch watch;
	struct timer pause; /* descriptors ran out: listening goes on when it fires */
	int spare;          /* given up to accept and refuse one when descriptors run out */
};

static const char refusal_http[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

static void refuse(struct listener *l, int fd)
{
	if (l->o.port->protocol == PROTOCOL_HTTP)
		/* Whether it arrives does not matter: the connection is closed anyway. */
		(void)!send(fd, refusal_http, sizeof refusal_http - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	fd_close(&fd);
	if (l->o.on_refused)
		l->o.on_refused(l->o.ctx);
}

/* No descriptor is left: one is freed to take a waiting connection and close it in order, then we rest, since level-
 * triggered readiness would spin. */
static void shed(struct listener *l)
{
	struct sock_peer peer;

	if (l->spare >= 0) {
		fd_close(&l->spare);

		int fd = sock_accept(l->watch.fd, &peer);

		if (fd >= 0)
			refuse(l, fd);
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	watch_set(&l->watch, 0);
	timer_set(l->o.loop, &l->pause, PAUSE_MS);
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
			return;
		}
		if (fd < 0)
			continue; /* that connection died while it waited (ECONNABORTED and its like) */
		if (l->o.may_accept && !l->o.may_accept(l->o.ctx))
			refuse(l, fd);
		else
			l->o.on_accept(l->o.ctx, fd, l->o.port, &peer);
	}
}

struct listener *listener_open(const struct listener_opts *o, struct err *err)
{
	struct listener *l = xzalloc(sizeof *l);

	l->o = *o;
	timer_init(&l->pause, on_pause_over);

	int r = watch_open(&l->watch, o->loop, o->fd, on_readable);

	if (r < 0) {
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
