#include "loop/lookup.h"

#include "base/mem.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct lookup {
	uv_getaddrinfo_t request;
	struct lookup_opts o; /* on_done NULL: cancelled */
};

static unsigned take_addresses(const struct addrinfo *info, struct sock_addr *addrs)
{
	unsigned n = 0;

	for (; info && n < LOOKUP_ADDRESSES_MAX; info = info->ai_next) {
		if (info->ai_addrlen > sizeof addrs->storage)
			continue;
		addrs[n] = (struct sock_addr){ .len = info->ai_addrlen };
		memcpy(&addrs[n].sa, info->ai_addr, info->ai_addrlen);
		n++;
	}
	return n;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *info)
{
	struct lookup *l = LS_CONTAINER_OF(request, struct lookup, request);
	struct sock_addr addrs[LOOKUP_ADDRESSES_MAX];
	unsigned n = status == 0 ? take_addresses(info, addrs) : 0;

	uv_freeaddrinfo(info);
	if (l->o.on_done)
		l->o.on_done(l->o.ctx, addrs, n, status < 0 ? uv_strerror(status) : n ? NULL : "no address");
	free(l);
}

/* The pool's threads begin with the first request and inherit what the caller blocks: the signals of the thread that runs Lua (the
 * profiler's, the watchdog's) are none of theirs. */
static int begin(const struct lookup_opts *o, struct lookup *l)
{
	const struct addrinfo hints = { .ai_family = o->family, .ai_socktype = o->type };
	sigset_t all, ours;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &ours);
	r = uv_getaddrinfo(&o->loop->uv, &l->request, on_resolved, o->name, NULL, &hints);
	pthread_sigmask(SIG_SETMASK, &ours, NULL);
	return r;
}

struct lookup *lookup_start(const struct lookup_opts *o, struct err *err)
{
	struct lookup *l = xzalloc(sizeof *l);
	int r;

	l->o = *o;
	r = begin(o, l);
	if (r < 0) {
		free(l);
		err_set(err, r, "%s", uv_strerror(r));
		return NULL;
	}
	o->loop->uv_due = true;
	return l;
}

void lookup_cancel(struct lookup *l)
{
	if (!l)
		return;
	l->o.on_done = NULL;
	/* One that a thread has begun cannot be stopped: it comes to nothing later. */
	uv_cancel((uv_req_t *)&l->request);
}
