#include "net/dgram.h"

#include "base/bits.h"
#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 32, SLOT_SIZE = 65536, OUT_SIZE = 256 * 1024 };

/* Datagrams of one direction, as the kernel wants them. */
struct batch {
	struct mmsghdr heads[BATCH];
	struct iovec parts[BATCH];
	struct sock_addr peers[BATCH];
};

struct dgram {
	struct dgram_opts o;
	struct watch watch;
	struct batch in;
	struct batch out;
	unsigned n_out;
	size_t out_len;
	char *in_bytes;  /* BATCH slots; pages that no datagram reached take no memory */
	char *out_bytes; /* OUT_SIZE, datagram behind datagram */
};

static void prepare(struct batch *b, unsigned i, char *bytes, size_t len, socklen_t peer_len)
{
	b->parts[i] = (struct iovec){ bytes, len };
	b->heads[i] = (struct mmsghdr){
		.msg_hdr = { .msg_name = &b->peers[i].storage,
		             .msg_namelen = peer_len,
		             .msg_iov = &b->parts[i],
		             .msg_iovlen = 1 },
	};
}

static void on_readable(struct watch *w, int events LS_UNUSED)
{
	struct dgram *d = LS_CONTAINER_OF(w, struct dgram, watch);
	int n;

	for (unsigned i = 0; i < BATCH; i++)
		prepare(&d->in, i, d->in_bytes + (size_t)i * SLOT_SIZE, SLOT_SIZE, sizeof d->in.peers[i].storage);
	n = recvmmsg(w->fd, d->in.heads, BATCH, MSG_DONTWAIT, NULL);
	/* An error is that of something sent before (ICMP); reading has taken it off the socket. */
	for (int i = 0; i < n && w->fd >= 0; i++) {
		struct msghdr *head = &d->in.heads[i].msg_hdr;
		struct sock_far from;

		/* A unix socket without a name: what stands there is another datagram's. */
		if (head->msg_namelen == 0)
			d->in.peers[i].sa.sa_family = d->o.port->type == PORT_UNIX_DGRAM ? AF_UNIX : AF_UNSPEC;
		d->in.peers[i].len = head->msg_namelen;
		from = sock_far_of(&d->in.peers[i]);
		board_add(&d->o.board->packets, 1);
		if (head->msg_flags & MSG_TRUNC) { /* longer than UDP has them */
			board_add(&d->o.board->packets_dropped, 1);
			continue;
		}
		d->o.on_packet(d->o.ctx, d->o.port, &from, str_make(d->in.parts[i].iov_base, d->in.heads[i].msg_len));
	}
}

static void start_over(struct dgram *d)
{
	d->n_out = 0;
	d->out_len = 0;
}

void dgram_flush(struct dgram *d)
{
	unsigned sent = 0;

	while (sent < d->n_out) {
		int n = sendmmsg(d->watch.fd, d->out.heads + sent, d->n_out - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0) {
			sent += (unsigned)n;
			continue;
		}
		/* The first of them cannot be sent; when the socket is full none of them can. */
		bool all = errno == EAGAIN &&
		           d->o.port->type != PORT_UNIX_DGRAM; /* there it is the receiver that is full */
		unsigned lost = all ? d->n_out - sent : 1;

		board_add(&d->o.board->packets_dropped, lost);
		sent += lost;
	}
	start_over(d);
}

void dgram_send(struct dgram *d, const struct sock_far *to, struct str bytes)
{
	char *at;

	if (d->watch.fd < 0 || bytes.len > SOCK_DATAGRAM_MAX || sock_addr_of_far(to, &d->out.peers[d->n_out]) < 0) {
		board_add(&d->o.board->packets_dropped, 1);
		return;
	}
	if (d->out_len + bytes.len > OUT_SIZE) {
		struct sock_addr last = d->out.peers[d->n_out];

		dgram_flush(d);
		d->out.peers[0] = last;
	}
	at = d->out_bytes + d->out_len;
	if (bytes.len)
		memcpy(at, bytes.p, bytes.len);
	prepare(&d->out, d->n_out, at, bytes.len, d->out.peers[d->n_out].len);
	d->out_len += bytes.len;
	if (++d->n_out == BATCH)
		dgram_flush(d);
}

struct dgram *dgram_open(const struct dgram_opts *o, struct err *err)
{
	struct dgram *d = xzalloc(sizeof *d);
	int r = watch_open(&d->watch, o->loop, o->fd, on_readable);

	if (r < 0) {
		int fd = o->fd;

		fd_close(&fd);
		free(d);
		err_set(err, r, "the UDP socket cannot be watched: %s", strerror(-r));
		return NULL;
	}
	d->o = *o;
	d->in_bytes = xalloc((size_t)BATCH * SLOT_SIZE);
	d->out_bytes = xalloc(OUT_SIZE);
	return d;
}

void dgram_stop(struct dgram *d)
{
	watch_set(&d->watch, 0);
}

static void on_closed(struct watch *w)
{
	struct dgram *d = LS_CONTAINER_OF(w, struct dgram, watch);

	free(d->in_bytes);
	free(d->out_bytes);
	free(d);
}

void dgram_close(struct dgram *d)
{
	if (!d)
		return;
	dgram_flush(d);
	watch_close(&d->watch, on_closed);
}
