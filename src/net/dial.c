#include "net/dial.h"

#include "base/bits.h"
#include "base/mem.h"
#include "loop/lookup.h"
#include "loop/watch.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CROWDED_RETRY_MS = 5 };

/* One address.  Its watch outlives it until the end of the turn, so it is no part of the dial. */
struct attempt {
	struct watch watch;
	struct dial *dial;
};

struct dial {
	struct dial_opts o; /* host: its own copy */
	char host[DIAL_HOST_MAX + 1];
	struct sock_addr addrs[LOOKUP_ADDRESSES_MAX];
	unsigned n_addrs;
	unsigned at;
	int failed; /* what became of the address at `at`, when the kernel knew at once; told by the timer */
	uint64_t deadline;
	struct lookup *lookup;
	struct attempt *attempt; /* that waits for the kernel's answer */
	struct timer timer;
};

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static void free_attempt(struct watch *w)
{
	free(LS_CONTAINER_OF(w, struct attempt, watch));
}

static void drop_attempt(struct dial *d)
{
	if (d->attempt)
		watch_close(&d->attempt->watch, free_attempt);
	d->attempt = NULL;
}

void dial_cancel(struct dial *d)
{
	if (!d)
		return;
	drop_attempt(d);
	lookup_cancel(d->lookup);
	timer_del(d->o.loop, &d->timer);
	free(d);
}

static void finish(struct dial *d, int fd, const struct err *err)
{
	void (*on_done)(void *, int, const struct err *) = d->o.on_done;
	void *ctx = d->o.ctx;

	dial_cancel(d);
	on_done(ctx, fd, err);
}

/* "localhost:81", "[::1]:81", "unix:/path"; `out` has room for SOCK_TEXT_MAX bytes and more for a long name. */
static const char *target(const struct dial *d, char *out, size_t cap)
{
	char host[DIAL_HOST_MAX + 32];

	if (d->o.family == AF_UNIX && d->n_addrs)
		return sock_text(&d->addrs[0], out);
	str_escape(str_from(d->host), host, sizeof host);
	if (d->o.family == AF_UNIX)
		snprintf(out, cap, "%s", host);
	else
		snprintf(out, cap, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, d->o.port);
	return out;
}

static void fail_lookup(struct dial *d, int code, const char *reason)
{
	struct err err = { 0 };
	char whom[400];

	err_set(&err, code, "cannot connect to %s: the name cannot be resolved: %s", target(d, whom, sizeof whom),
	        reason);
	finish(d, -1, &err);
}

/* The last address has failed too. */
static void fail_connect(struct dial *d, int code)
{
	struct err err = { 0 };
	char whom[400], address[SOCK_TEXT_MAX];

	target(d, whom, sizeof whom);
	sock_text(&d->addrs[d->n_addrs - 1], address);
	if (d->n_addrs > 1)
		err_set(&err, code, "cannot connect to %s: %s, the last of %u addresses: %s", whom, address, d->n_addrs,
		        strerror(-code));
	else if (strcmp(whom, address) != 0)
		err_set(&err, code, "cannot connect to %s: %s: %s", whom, address, strerror(-code));
	else
		err_set(&err, code, "cannot connect to %s: %s", whom, strerror(-code));
	finish(d, -1, &err);
}

/* ---- addresses in turn ---------------------------------------------------------------------------------------------- */

static void try_address(struct dial *d);

/* This address has failed. */
static void go_on(struct dial *d, int code)
{
	timer_del(d->o.loop, &d->timer);
	drop_attempt(d);
	if (++d->at == d->n_addrs)
		fail_connect(d, code);
	else
		try_address(d);
}

/* What is left of the time is shared by the addresses that are left, so that one that never answers does not use it up. */
static uint64_t share_of_time(const struct dial *d)
{
	uint64_t now = loop_now(d->o.loop);
	uint64_t left = d->deadline > now ? d->deadline - now : 1;

	return LS_MAX(left / (d->n_addrs - d->at), 1);
}

/* A port of this machine where nobody listens may be given to us as our own, and then TCP connects us with ourselves. */
static bool is_own_end(int fd)
{
	struct sock_addr ours = { .len = sizeof ours.storage }, theirs = { .len = sizeof theirs.storage };

	return getsockname(fd, &ours.sa, &ours.len) == 0 && getpeername(fd, &theirs.sa, &theirs.len) == 0 &&
	       ours.sa.sa_family != AF_UNIX && ours.len == theirs.len && memcmp(&ours.sa, &theirs.sa, ours.len) == 0;
}

/* Takes the descriptor. */
static void settle(struct dial *d, int fd)
{
	if (d->o.type == SOCK_STREAM && is_own_end(fd)) {
		fd_close(&fd);
		go_on(d, -ECONNREFUSED);
		return;
	}
	if (d->o.type == SOCK_STREAM && d->o.family != AF_UNIX)
		sock_set_nodelay(fd, true);
	finish(d, fd, NULL);
}

static void on_answer(struct watch *w, int events LS_UNUSED)
{
	struct dial *d = LS_CONTAINER_OF(w, struct attempt, watch)->dial;
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		go_on(d, -error);
		return;
	}
	d->attempt = NULL;
	settle(d, watch_release(w, free_attempt));
}

/* A unix socket whose backlog is full: the kernel does not tell when it has room. */
static bool is_crowded(const struct dial *d)
{
	return d->failed == -EAGAIN && d->o.family == AF_UNIX && (!d->deadline || loop_now(d->o.loop) < d->deadline);
}

/* Takes the descriptor.  One that is connected already is writable at once. */
static int await(struct dial *d, int fd)
{
	struct attempt *a = xzalloc(sizeof *a);
	int r = watch_open(&a->watch, d->o.loop, fd, on_answer);

	if (r < 0) {
		fd_close(&fd);
		free(a);
		return r;
	}
	a->dial = d;
	d->attempt = a;
	watch_set(&a->watch, WATCH_WRITE);
	if (d->deadline)
		timer_set(d->o.loop, &d->timer, share_of_time(d));
	return 0;
}

/* The descriptor of what is connected or will be; or negative errno. */
static int begin_connect(const struct sock_addr *addr, int type, const struct sock_addr *from)
{
	int family = addr->sa.sa_family;
	int fd = type == SOCK_DGRAM ? sock_datagram(family) : socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return type == SOCK_DGRAM ? fd : -errno;
	r = sock_bind_from(fd, from, family);
	if (r == 0 && connect(fd, &addr->sa, addr->len) < 0 && errno != EINPROGRESS && errno != EINTR)
		r = -errno;
	if (r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

/* Ends nothing by itself: what happens is told by an event or the timer. */
static void try_address(struct dial *d)
{
	int fd = begin_connect(&d->addrs[d->at], d->o.type, &d->o.from);

	d->failed = fd < 0 ? fd : await(d, fd);
	if (d->failed)
		timer_set(d->o.loop, &d->timer, is_crowded(d) ? CROWDED_RETRY_MS : 0);
}

/* ---- the beginning -------------------------------------------------------------------------------------------------- */

static void set_port(struct sock_addr *addr, uint16_t port)
{
	if (addr->sa.sa_family == AF_INET)
		addr->v4.sin_port = htons(port);
	else
		addr->v6.sin6_port = htons(port);
}

static void on_resolved(void *ctx, const struct sock_addr *addrs, unsigned n, const char *reason)
{
	struct dial *d = ctx;

	d->lookup = NULL;
	timer_del(d->o.loop, &d->timer);
	if (n == 0) {
		fail_lookup(d, -DIAL_UNRESOLVED, reason);
		return;
	}
	d->n_addrs = n;
	for (unsigned i = 0; i < n; i++) {
		d->addrs[i] = addrs[i];
		set_port(&d->addrs[i], d->o.port);
	}
	try_address(d);
}

static void on_timer(struct timer *t)
{
	struct dial *d = LS_CONTAINER_OF(t, struct dial, timer);

	if (d->lookup)
		fail_lookup(d, -ETIMEDOUT, strerror(ETIMEDOUT));
	else if (d->attempt)
		go_on(d, -ETIMEDOUT);
	else if (is_crowded(d))
		try_address(d);
	else
		go_on(d, d->failed);
}

/* True: `host` is an address.  False with err->code 0: a name. */
static bool take_address(struct dial *d, struct err *err)
{
	struct sock_addr *addr = &d->addrs[0];
	bool is_path = d->host[0] == '/' || strncmp(d->host, "unix:", 5) == 0;

	err->code = 0;
	if (d->o.family == AF_UNIX && !is_path)
		err_set(err, -EINVAL, "the path of a unix socket begins with / or unix:/");
	else if (d->o.family != AF_UNIX && (is_path || !d->host[0] || strcmp(d->host, "*") == 0))
		err_set(err, -EINVAL, "that is no host");
	else if (d->o.family == AF_UNIX)
		return sock_parse(d->host, 0, addr, err) == 0;
	else if (sock_parse(d->host, d->o.port, addr, NULL) < 0)
		return false;
	else if (d->o.family == AF_INET6 && addr->sa.sa_family != AF_INET6)
		err_set(err, -EINVAL, "that is not an IPv6 address");
	return err->code == 0;
}

static struct lookup *resolve(struct dial *d, struct err *err)
{
	const struct lookup_opts o = {
		.loop = d->o.loop,
		.name = d->host,
		.family = d->o.family,
		.type = d->o.type,
		.on_done = on_resolved,
		.ctx = d,
	};

	return lookup_start(&o, err);
}

struct dial *dial_start(const struct dial_opts *o, struct err *err)
{
	struct dial *d = xzalloc(sizeof *d);
	char whom[400];

	d->o = *o;
	if (!str_copy(str_from(o->host), d->host, sizeof d->host)) {
		free(d);
		err_set(err, -EINVAL, "a host of %zu bytes is none; names have at most %d", strlen(o->host),
		        DIAL_HOST_MAX);
		return NULL;
	}
	timer_init(&d->timer, on_timer);
	if (o->timeout_ms)
		d->deadline = loop_now(o->loop) + o->timeout_ms;
	if (take_address(d, err)) {
		d->n_addrs = 1;
		try_address(d);
		return d;
	}
	if (err->code == 0 && (d->lookup = resolve(d, err))) {
		if (o->timeout_ms)
			timer_set(o->loop, &d->timer, o->timeout_ms);
		return d;
	}
	err_wrap(err, "cannot connect to %s", target(d, whom, sizeof whom));
	free(d);
	return NULL;
}
