/* The connected socket of a client: whole messages in, bytes out.  Nothing waits here: -EAGAIN says that it would, and on_ready that
 * it is worth another try.  Messages are cut by the same protocols as a server's (proto/).
 *
 * In one turn of the loop a wire makes only so many system calls, then it says -EAGAIN: a peer that is always ready starves
 * nobody.  All wires belong to the one thread that runs Lua.
 */
#pragma once

#include "base/buf.h"
#include "loop/watch.h"
#include "proto/proto.h"

struct wire;

struct wire_opts {
	struct loop *loop;
	int fd; /* connected or of datagrams, non-blocking; taken, also on failure */
	bool datagram;
	const struct port *port; /* its framing; stays while the wire is open */
	/* WATCH_READ, WATCH_WRITE: what may be tried again.  Returns which of them are still worth watching; may close the wire. */
	int (*on_ready)(void *ctx, int events);
	void *ctx;
};

/* NULL: `error` is a negative errno. */
struct wire *wire_open(const struct wire_opts *o, int *error);
/* NULL is ignored. */
void wire_close(struct wire *w);
int wire_fd(const struct wire *w);
/* Messages that were not taken yet are cut by this port's protocol. */
void wire_frame(struct wire *w, const struct port *port);
/* on_ready is called when one of these can go on. */
void wire_want(struct wire *w, int events);
/* Neither side is known to have ended it. */
bool wire_is_whole(const struct wire *w);

/* 1: a message (of datagrams: one, with its sender in *from); 0: the end of the stream.  -EAGAIN; -EMSGSIZE, -EBADMSG: what came breaks
 * the framing; -ENODATA: the stream ended within a message; or the socket's error.  The view holds until the next call for any wire. */
int wire_take(struct wire *w, struct str *message, struct sock_addr *from);
/* What is there, at most `max` bytes and 64 KiB, and stays there; as wire_take(). */
int wire_peek(struct wire *w, size_t max, struct str *bytes);
/* How many bytes the socket took; of a datagram all.  -EAGAIN or the socket's error.  `to` NULL: the peer. */
ssize_t wire_put(struct wire *w, struct str bytes, const struct sock_addr *to);
/* The same from a file; -ENODATA: it ends before `off`. */
ssize_t wire_put_file(struct wire *w, int file, uint64_t off, uint64_t len);
