/* A listening socket in a loop: accepts within a budget, sheds load when descriptors run out. */
#pragma once

#include "conf/settings.h"
#include "ipc/board.h"
#include "loop/watch.h"

struct listener;

struct listener_opts {
	struct loop *loop;
	int fd; /* taken, also on failure */
	const struct port *port;
	/* A connection; owns fd. */
	void (*on_accept)(void *ctx, int fd, const struct port *port, const struct sock_peer *peer);
	/* False: one more connection is too many; it is refused (HTTP: 503, then close). */
	bool (*may_accept)(void *ctx);
	void (*on_refused)(void *ctx);
	void *ctx;
};

struct listener *listener_open(const struct listener_opts *o, struct err *err);
/* Tells a client, where its protocol has words for it, that it is one too many, and closes the descriptor. */
void listener_refuse(const struct port *port, int fd);
void listener_close(struct listener *l);
