/* A host's name to its addresses.  The C library resolves it in libuv's thread pool, so that the loop does not wait; the loop's
 * thread is told.
 */
#pragma once

#include "loop/loop.h"
#include "sys/sock.h"

enum { LOOKUP_ADDRESSES_MAX = 16 };

struct lookup;

struct lookup_opts {
	struct loop *loop;
	const char *name;
	int family; /* AF_INET, AF_INET6; AF_UNSPEC: both */
	int type;   /* SOCK_STREAM, SOCK_DGRAM */
	/* At most LOOKUP_ADDRESSES_MAX addresses without ports, the preferred one first, lent until return.  n == 0: `reason` says
	 * why there are none.  The lookup is freed on return. */
	void (*on_done)(void *ctx, const struct sock_addr *addrs, unsigned n, const char *reason);
	void *ctx;
};

/* on_done is called later, never from here.  NULL: it cannot begin. */
struct lookup *lookup_start(const struct lookup_opts *o, struct err *err);
/* on_done is not called any more; NULL is ignored.  What the C library has begun it finishes, and the loop's end waits for that. */
void lookup_cancel(struct lookup *l);
