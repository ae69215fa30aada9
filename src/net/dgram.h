/* A UDP or unix datagram socket in a loop: datagrams come and leave in batches, one system call each (recvmmsg, sendmmsg).
 *
 * Nothing waits: what the socket does not take at once is dropped and counted, as UDP has it.
 */
#pragma once

#include "conf/settings.h"
#include "ipc/board.h"
#include "loop/watch.h"

struct dgram;

struct dgram_opts {
	struct loop *loop;
	int fd; /* taken, also on failure */
	const struct port *port;
	struct board_reactor *board; /* packets and packets_dropped are counted there */
	/* A datagram came; `bytes` are lent until return. */
	void (*on_packet)(void *ctx, const struct port *port, const struct sock_far *from, struct str bytes);
	void *ctx;
};

struct dgram *dgram_open(const struct dgram_opts *o, struct err *err);
/* No further datagram is read; those that are sent still leave. */
void dgram_stop(struct dgram *d);
void dgram_close(struct dgram *d);
/* Puts a datagram into the batch that dgram_flush() sends; a full batch leaves at once. */
void dgram_send(struct dgram *d, const struct sock_far *to, struct str bytes);
void dgram_flush(struct dgram *d);
