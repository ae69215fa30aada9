#include "net/wire.h"

#include "base/bits.h"
#include "base/fault.h"
#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>

enum {
	READ_SIZE = 65536,
	FILE_PIECE = 1 << 20,
	CALLS_PER_TURN = 16,
};

struct wire {
	struct wire_opts o;
	struct watch watch;
	struct proto_conn pc; /* only what framing needs */
	struct buf *in;       /* what came and was not taken, or was taken last; NULL: nothing */
	struct str message;   /* what the protocol has emitted; p NULL: nothing */
	uint64_t turn;        /* of the loop, in which `calls` were made */
	unsigned calls;
	int in_error; /* nothing more can be taken */
	bool ended;   /* the end of the stream was read */
	bool broken;  /* a write failed */
};

/* Lent to one read at a time. */
static char scratch[READ_SIZE];

/* ---- framing -------------------------------------------------------------------------------------------------------- */

/* The sink of every wire: takes one message and no more. */
static int take_one(struct proto_conn *pc, LS_UNUSED struct frame *f, const struct str *parts, LS_UNUSED int n,
                    LS_UNUSED struct stream *stream)
{
	struct wire *w = LS_CONTAINER_OF(pc, struct wire, pc);

	if (w->message.p)
		return -EAGAIN;
	w->message = parts[0];
	return 0;
}

static const struct sink sink = { .emit = take_one };

static void drop_input(struct wire *w)
{
	buf_unref(w->in);
	w->in = NULL;
}

static int fail_input(struct wire *w, int code)
{
	w->in_error = code;
	drop_input(w);
	return code;
}

/* 1: a message stands in `in`, whose first *eaten bytes are done with; 0: more must come; or negative. */
static int cut(struct wire *w, struct str in, size_t *eaten)
{
	ssize_t n;

	w->message = (struct str){ 0 };
	n = w->pc.proto->input(&w->pc, in);
	if (n < 0)
		return fail_input(w, (int)n);
	*eaten = (size_t)n;
	return w->message.p != NULL;
}

static int cut_buffered(struct wire *w)
{
	size_t eaten = 0;
	int r = w->in ? cut(w, buf_str(w->in), &eaten) : 0;

	if (r > 0)
		w->in->off += (uint32_t)eaten;
	return r;
}

/* A protocol refuses what is over its limit; one read may stand behind it. */
static int keep(struct wire *w, struct str bytes)
{
	int r = bytes.len ? buf_append(&w->in, bytes, (size_t)w->pc.port->package_max_length + READ_SIZE) : 0;

	return r < 0 ? fail_input(w, r) : 0;
}

static int feed(struct wire *w, struct str bytes)
{
	size_t eaten = 0;
	int r, kept;

	if (w->in) {
		r = keep(w, bytes);
		return r < 0 ? r : cut_buffered(w);
	}
	r = cut(w, bytes, &eaten);
	if (r < 0)
		return r;
	kept = keep(w, str_skip(bytes, eaten));
	return kept < 0 ? kept : r;
}

void wire_frame(struct wire *w, const struct port *port)
{
	if (w->pc.proto)
		w->pc.proto->close(&w->pc);
	w->pc.port = port;
	w->pc.proto = proto_of(port);
}

/* ---- system calls ---------------------------------------------------------------------------------------------------- */

/* True: enough for this turn. */
static bool is_exhausted(struct wire *w)
{
	if (w->turn != w->o.loop->turns) {
		w->turn = w->o.loop->turns;
		w->calls = 0;
	}
	return w->calls++ >= CALLS_PER_TURN;
}

static ssize_t read_some(struct wire *w, size_t max, int flags, struct sock_addr *from)
{
	ssize_t n;

	if (is_exhausted(w) || FAULT(read_again))
		return -EAGAIN;
	if (FAULT(read_byte) && !w->o.datagram)
		max = 1;
	from->len = sizeof from->storage;
	do
		n = recvfrom(w->watch.fd, scratch, max, flags | MSG_DONTWAIT, &from->sa, &from->len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t fail_output(struct wire *w)
{
	if (errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	if (!w->o.datagram)
		w->broken = true;
	return -errno;
}

ssize_t wire_put(struct wire *w, struct str bytes, const struct sock_addr *to)
{
	ssize_t n;

	if (is_exhausted(w) || FAULT(write_again))
		return -EAGAIN;
	if (FAULT(write_byte) && !w->o.datagram)
		bytes = str_take(bytes, 1);
	n = sendto(w->watch.fd, bytes.p, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL, to ? &to->sa : NULL, to ? to->len : 0);
	return n < 0 ? fail_output(w) : n;
}

ssize_t wire_put_file(struct wire *w, int file, uint64_t off, uint64_t len)
{
	off_t at = (off_t)off;
	ssize_t n;

	if (is_exhausted(w))
		return -EAGAIN;
	n = sendfile(w->watch.fd, file, &at, (size_t)LS_MIN(len, (uint64_t)FILE_PIECE));
	if (n == 0)
		return -ENODATA;
	return n < 0 ? fail_output(w) : n;
}

/* ---- taking ---------------------------------------------------------------------------------------------------------- */

static int take_datagram(struct wire *w, struct str *message, struct sock_addr *from)
{
	ssize_t n = read_some(w, sizeof scratch, 0, from);

	if (n < 0)
		return (int)n;
	*message = str_make(scratch, (size_t)n);
	return 1;
}

/* 1, 0 or negative as wire_take(), once nothing more comes. */
static int take_end(struct wire *w)
{
	if (!w->in)
		return 0;
	drop_input(w);
	return -ENODATA;
}

static int take_message(struct wire *w)
{
	struct sock_addr from;
	int r = cut_buffered(w);

	while (r == 0 && !w->ended) {
		ssize_t n = read_some(w, sizeof scratch, 0, &from);

		if (n == -EAGAIN)
			return -EAGAIN;
		if (n < 0)
			return fail_input(w, (int)n);
		w->ended = n == 0;
		if (n > 0)
			r = feed(w, str_make(scratch, (size_t)n));
	}
	return r ? r : take_end(w);
}

/* Gives back a buffer whose last message was taken. */
static void drop_taken(struct wire *w)
{
	if (w->in && buf_str(w->in).len == 0)
		drop_input(w);
}

int wire_take(struct wire *w, struct str *message, struct sock_addr *from)
{
	int r;

	if (w->o.datagram)
		return take_datagram(w, message, from);
	drop_taken(w);
	r = w->in_error ? w->in_error : take_message(w);
	if (r == 1)
		*message = w->message;
	return r;
}

int wire_peek(struct wire *w, size_t max, struct str *bytes)
{
	struct sock_addr from;
	ssize_t n;

	drop_taken(w);
	if (w->in_error)
		return w->in_error;
	if (w->in) {
		*bytes = str_take(buf_str(w->in), max);
		return 1;
	}
	if (w->ended)
		return 0;
	n = read_some(w, LS_MIN(max, sizeof scratch), MSG_PEEK, &from);
	if (n < 0)
		return (int)n;
	*bytes = str_make(scratch, (size_t)n);
	return n > 0 || w->o.datagram;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void on_event(struct watch *watch, int events)
{
	struct wire *w = LS_CONTAINER_OF(watch, struct wire, watch);
	int both = WATCH_READ | WATCH_WRITE;
	int wanted = w->o.on_ready(w->o.ctx, events & both);

	/* What nobody waits for is not watched any more: it would be told again and again. */
	watch_set(watch, watch->events & ~(events & both & ~wanted));
}

void wire_want(struct wire *w, int events)
{
	watch_set(&w->watch, w->watch.events | events);
}

struct wire *wire_open(const struct wire_opts *o, int *error)
{
	struct wire *w = xzalloc(sizeof *w);
	int r = watch_open(&w->watch, o->loop, o->fd, on_event);

	if (r < 0) {
		int fd = o->fd;

		fd_close(&fd);
		free(w);
		*error = r;
		return NULL;
	}
	w->o = *o;
	w->pc.sink = &sink;
	list_init(&w->pc.streams);
	wire_frame(w, o->port);
	return w;
}

static void on_closed(struct watch *watch)
{
	free(LS_CONTAINER_OF(watch, struct wire, watch));
}

void wire_close(struct wire *w)
{
	if (!w)
		return;
	w->pc.proto->close(&w->pc);
	drop_input(w);
	watch_close(&w->watch, on_closed);
}

int wire_fd(const struct wire *w)
{
	return w->watch.fd;
}

bool wire_is_whole(const struct wire *w)
{
	return !w->ended && !w->in_error && !w->broken;
}
