/* A connection on its way out: resolves the host, tries its addresses in turn, gives the connected socket.  One thread. */
#pragma once

#include "loop/loop.h"
#include "sys/sock.h"

enum {
	DIAL_HOST_MAX = 255,
	DIAL_UNRESOLVED = 711, /* Swoole's code of a name that has no address */
};

struct dial;

struct dial_opts {
	struct loop *loop;
	const char *host; /* a name, an address or the path of a unix socket; copied */
	uint16_t port;
	int family;            /* AF_INET6, AF_UNIX; AF_UNSPEC: IPv4 or IPv6 */
	int type;              /* SOCK_STREAM, SOCK_DGRAM */
	struct sock_addr from; /* our own address; len 0: the kernel chooses */
	uint64_t timeout_ms;   /* for all of it, shared by the addresses that are left; 0: the kernel's patience */
	/* fd >= 0 is connected and the receiver's, non-blocking.  -1: err->code is negative and the sentence names the last address
	 * and its reason.  The dial is freed on return. */
	void (*on_done)(void *ctx, int fd, const struct err *err);
	void *ctx;
};

/* on_done is called later, never from here.  NULL: what is asked for makes no sense. */
struct dial *dial_start(const struct dial_opts *o, struct err *err);
/* on_done is not called any more; NULL is ignored. */
void dial_cancel(struct dial *d);
