#include "net/dgram.h"

#include "base/bits.h"
#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BATCH = 32,
	SLOT_SIZE = 65536,
	OUT_SIZE = 256 * 1024,
	/* Datagrams of one length to one peer pass through the kernel's network code as one (UDP_SEGMENT, udp(7)). */
	SEGMENTS_MAX = 64,
	SEGMENT_MAX = 1400, /* a longer one might not fit the path */
	SEGMENTED_MAX = 65000,
};

/* Room for the length of the segments of one message. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int))];
};

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
	union control in_controls[BATCH];
	/* Those of `out` as they leave: runs of them in one message. */
	struct mmsghdr runs[BATCH];
	struct iovec run_parts[BATCH];
	union control run_controls[BATCH];
	unsigned run_counts[BATCH];
	bool segments; /* the kernel takes runs */
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

/* Length of the datagrams that came as one; 0: it is one. */
static size_t segment_of(struct msghdr *head)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
		int size;

		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof size);
		return size > 0 ? (size_t)size : 0;
	}
	return 0;
}

static void on_message(struct dgram *d, unsigned i)
{
	struct msghdr *head = &d->in.heads[i].msg_hdr;
	struct str bytes = str_make(d->in.parts[i].iov_base, d->in.heads[i].msg_len);
	size_t segment = segment_of(head);
	struct sock_far from;

	/* A unix socket without a name: what stands there is another datagram's. */
	if (head->msg_namelen == 0)
		d->in.peers[i].sa.sa_family = d->o.port->type == PORT_UNIX_DGRAM ? AF_UNIX : AF_UNSPEC;
	d->in.peers[i].len = head->msg_namelen;
	from = sock_far_of(&d->in.peers[i]);
	if (head->msg_flags & MSG_TRUNC) { /* longer than UDP has them */
		board_add(&d->o.board->packets, 1);
		board_add(&d->o.board->packets_dropped, 1);
		return;
	}
	do {
		struct str one = segment ? str_take(bytes, segment) : bytes;

		board_add(&d->o.board->packets, 1);
		d->o.on_packet(d->o.ctx, d->o.port, &from, one);
		bytes = str_skip(bytes, one.len);
	} while (bytes.len > 0 && d->watch.fd >= 0);
}

static void on_readable(struct watch *w, int events LS_UNUSED)
{
	struct dgram *d = LS_CONTAINER_OF(w, struct dgram, watch);
	int n;

	for (unsigned i = 0; i < BATCH; i++) {
		prepare(&d->in, i, d->in_bytes + (size_t)i * SLOT_SIZE, SLOT_SIZE, sizeof d->in.peers[i].storage);
		d->in.heads[i].msg_hdr.msg_control = d->in_controls[i].room;
		d->in.heads[i].msg_hdr.msg_controllen = sizeof d->in_controls[i].room;
	}
	n = recvmmsg(w->fd, d->in.heads, BATCH, MSG_DONTWAIT, NULL);
	/* An error is that of something sent before (ICMP); reading has taken it off the socket. */
	for (int i = 0; i < n && w->fd >= 0; i++)
		on_message(d, (unsigned)i);
}

static void start_over(struct dgram *d)
{
	d->n_out = 0;
	d->out_len = 0;
}

static bool same_peer(const struct sock_addr *a, const struct sock_addr *b)
{
	return a->len == b->len && memcmp(&a->storage, &b->storage, a->len) == 0;
}

/* How many from `first` on can leave as one message: all of one length, but the last may be shorter. */
static unsigned run_length(const struct dgram *d, unsigned first)
{
	size_t size = d->out.parts[first].iov_len, total = size;
	unsigned n = 1;

	if (!d->segments || size == 0 || size > SEGMENT_MAX)
		return 1;
	while (first + n < d->n_out && n < SEGMENTS_MAX) {
		size_t next = d->out.parts[first + n].iov_len;

		if (next == 0 || next > size || total + next > SEGMENTED_MAX ||
		    !same_peer(&d->out.peers[first], &d->out.peers[first + n]))
			break;
		n++;
		total += next;
		if (next < size)
			break;
	}
	return n;
}

/* Their bytes stand behind each other already. */
static void make_run(struct dgram *d, unsigned run, unsigned first, unsigned n)
{
	struct msghdr *head = &d->runs[run].msg_hdr;
	uint16_t size = (uint16_t)d->out.parts[first].iov_len;
	struct cmsghdr *control;

	d->runs[run] = d->out.heads[first];
	d->run_counts[run] = n;
	if (n == 1)
		return;
	d->run_parts[run] = d->out.parts[first];
	for (unsigned i = 1; i < n; i++)
		d->run_parts[run].iov_len += d->out.parts[first + i].iov_len;
	head->msg_iov = &d->run_parts[run];
	head->msg_control = d->run_controls[run].room;
	head->msg_controllen = CMSG_SPACE(sizeof size);
	control = CMSG_FIRSTHDR(head);
	control->cmsg_level = SOL_UDP;
	control->cmsg_type = UDP_SEGMENT;
	control->cmsg_len = CMSG_LEN(sizeof size);
	memcpy(CMSG_DATA(control), &size, sizeof size);
}

static unsigned make_runs(struct dgram *d, unsigned first)
{
	unsigned runs = 0;

	while (first < d->n_out) {
		unsigned n = run_length(d, first);

		make_run(d, runs++, first, n);
		first += n;
	}
	return runs;
}

/* Sends from `first` on; how many datagrams have left, or been given up. */
static unsigned send_from(struct dgram *d, unsigned first)
{
	unsigned runs = make_runs(d, first), done = 0;
	int n = sendmmsg(d->watch.fd, d->runs, runs, MSG_DONTWAIT | MSG_NOSIGNAL);

	for (int i = 0; i < n; i++)
		done += d->run_counts[i];
	if (n > 0 || errno == EINTR)
		return done;
	/* The kernel, or the path to that peer, takes no runs: from now on one by one. */
	if (d->run_counts[0] > 1 && errno != EAGAIN && errno != ECONNREFUSED) {
		d->segments = false;
		return 0;
	}

	/* The first of them cannot be sent; when the socket is full none of them can, but of a unix socket it is the receiver that is full. */
	bool all = errno == EAGAIN && d->o.port->type != PORT_UNIX_DGRAM;
	unsigned lost = all ? d->n_out - first : d->run_counts[0];

	board_add(&d->o.board->packets_dropped, lost);
	return lost;
}

void dgram_flush(struct dgram *d)
{
	for (unsigned done = 0; done < d->n_out;)
		done += send_from(d, done);
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
	if (o->port->type != PORT_UNIX_DGRAM) {
		int on = 1;

		/* Datagrams of one sender may come as one, too; an older kernel does not. */
		(void)setsockopt(o->fd, SOL_UDP, UDP_GRO, &on, sizeof on);
		d->segments = true;
	}
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
