#include "net/conn.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/fault.h"
#include "ipc/board.h"
#include "proto/proxy_header.h"

#include <assert.h>
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { NO_PHASE = PHASE_WAIT + 1 };

static uint64_t now_of(const struct conn *c)
{
	return loop_now(c->owner->loop);
}

/* ---- deadlines -------------------------------------------------------------------------------------------------------- */

static void set_deadline(struct conn *c, uint64_t after_ms)
{
	if (after_ms == 0) {
		c->deadline = 0;
		return; /* a timer that is set finds no deadline and rests */
	}
	c->deadline = now_of(c) + after_ms;
	/* A timer that stands earlier finds the later deadline by itself. */
	if (!timer_is_set(&c->timer) || c->timer.due_ms > c->deadline)
		timer_set(c->owner->loop, &c->timer, after_ms);
}

static uint64_t heartbeat(const struct conn *c)
{
	return c->spared ? 0 : c->pc.port->heartbeat_idle_time;
}

static uint64_t patience(const struct conn *c)
{
	return c->pc.proto->patience ? c->pc.proto->patience(&c->pc) : 0;
}

/* Of two limits, of which 0 is none. */
static uint64_t shorter(uint64_t a, uint64_t b)
{
	return a && b ? LS_MIN(a, b) : a + b;
}

/* The rest of the silence that a raw connection may keep; 0: it may for ever. */
static uint64_t silence_left(const struct conn *c)
{
	uint64_t idle = c->pc.port->max_idle_time, beat = heartbeat(c);
	uint64_t limit = shorter(shorter(idle, beat), patience(c));
	uint64_t silent = now_of(c) - c->last_input;

	return limit == 0 ? 0 : limit > silent ? limit - silent : 1;
}

static uint64_t phase_limit(const struct conn *c)
{
	const struct port *port = c->pc.port;

	if (c->proxied)
		return port->proxy_protocol_timeout;
	if (c->pc.proto->stateful)
		return c->pc.phase == PHASE_WAIT ? 0 : silence_left(c);
	switch (c->pc.phase) {
	case PHASE_IDLE:
		return c->pc.requests ? port->http_keepalive_timeout : port->http_header_timeout;
	case PHASE_HEAD:
		return port->http_header_timeout;
	case PHASE_BODY:
		return port->http_body_timeout;
	default:
		return 0;
	}
}

/* The server itself does not read what the peer may have sent. */
static bool is_held(const struct conn *c)
{
	return c->app_paused || c->pc.paused || list_linked(&c->stalled);
}

/* After input or output: the phase may be another one.  A head's time counts from its first byte, a body's and an idle
 * raw connection's from its last. */
static void follow_phase(struct conn *c, bool input)
{
	if (c->write_blocked || c->state != CONN_OPEN)
		return;
	if (c->pc.phase == c->timed_phase && !(input && c->pc.phase != PHASE_HEAD) && !(input && c->pc.proto->stateful))
		return;
	c->timed_phase = c->pc.phase;
	set_deadline(c, phase_limit(c));
}

static bool is_overdue(const struct conn *c, uint64_t silent)
{
	uint64_t limit = shorter(c->pc.port->max_idle_time, heartbeat(c));

	return limit && silent >= limit;
}

static void on_timer(struct timer *t)
{
	struct conn *c = LS_CONTAINER_OF(t, struct conn, timer);
	uint64_t now = now_of(c);

	if (c->deadline == 0)
		return;
	if (c->deadline > now) {
		timer_set(c->owner->loop, t, c->deadline - now);
		return;
	}
	c->deadline = 0;
	if (c->state == CONN_LINGER) {
		conn_drop(c);
	} else if (c->write_blocked) {
		conn_kill(c, CLOSE_BY_LIMIT, CLOSE_TIMEOUT_SEND);
	} else if (c->proxied) {
		c->owner->on_proxied(c, -ETIMEDOUT);
	} else if (c->pc.proto->stateful && is_held(c)) {
		c->last_input = now; /* the silence is ours */
		set_deadline(c, phase_limit(c));
	} else {
		c->pc.now_ms = now;
		c->pc.overdue = is_overdue(c, now - c->last_input);
		c->pc.proto->timeout(&c->pc);
		if (c->pc.proto->stateful && heartbeat(c) && now - c->last_input >= heartbeat(c))
			c->pc.close_reason = CLOSE_HEARTBEAT;
		c->timed_phase = PHASE_WAIT;
		conn_touch(c);
	}
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static bool wants_input(const struct conn *c)
{
	return c->state == CONN_OPEN && !c->pc.paused && !c->app_paused && (!c->unconfirmed || c->proxied) &&
	       !c->pc.close_when_sent && !c->peer_done && !list_linked(&c->stalled);
}

/* How a connection that only reads is watched.  The end of the peer's side is asked for because it may come together with the
 * last bytes, and a read that gets those leaves it to be told. */
static const int BY_EDGES = WATCH_READ | WATCH_EDGES | WATCH_PEER_DONE;

/* Reading is begun at once but given up only when an event came that nobody wants: most pauses end before that, and each
 * change costs system calls. */
static void watch_what_matters(struct conn *c)
{
	int events = (c->write_blocked ? WATCH_WRITE : 0) | (c->watch.events & (WATCH_READ | WATCH_ERROR));

	if (c->state == CONN_LINGER || wants_input(c) || (c->state == CONN_OPEN && c->pc.aborted && !c->peer_done))
		events |= WATCH_READ;
	/* Writing goes by levels: a short write need not mean that the socket is full. */
	watch_set(&c->watch, events == WATCH_READ ? BY_EDGES : events);
}

/* A reset is still noticed. */
static void stop_reading(struct conn *c)
{
	watch_set(&c->watch, (c->watch.events & WATCH_WRITE) | WATCH_ERROR);
}

/* Something came while the peer is not to be read.  A socket in error has lost what it held, so nothing is worth waiting for; one
 * that hung up (unix sockets do with bytes unread) would say so again and again. */
static void on_unwanted(struct conn *c, int events)
{
	bool gone =
		events & (WATCH_PEER_DONE | WATCH_HANGUP) && !c->pc.proto->stateful && c->pc.port->http_cancel_on_abort;

	if (events & WATCH_ERROR || gone)
		conn_kill(c, CLOSE_BY_PEER, CLOSE_PEER_RESET);
	else if (events & WATCH_HANGUP)
		watch_set(&c->watch, 0);
	else
		stop_reading(c);
}

static void keep_rest(struct conn *c, struct str rest)
{
	/* A protocol bounds what it leaves uneaten by its message limit, an eaten-nothing stall by one read. */
	size_t limit =
		(size_t)c->pc.port->package_max_length + c->pc.port->http_max_header_size + 2 * c->owner->read_cap;

	if (rest.len == 0)
		return;
	if (buf_append(&c->in, rest, limit) < 0)
		conn_kill(c, CLOSE_BY_LIMIT, CLOSE_TOO_LARGE);
}

static void end_by_protocol(struct conn *c, int code)
{
	if (!c->pc.close_reason)
		c->pc.close_reason = code == -EMSGSIZE ? CLOSE_TOO_LARGE : CLOSE_MALFORMED;
	if (c->pc.proto->farewell)
		c->pc.proto->farewell(&c->pc, (enum close_reason)c->pc.close_reason);
	c->pc.aborted = true;
	c->pc.close_when_sent = true;
	conn_touch(c);
}

/* Lets the protocol eat from `in`; returns what it left. */
static struct str feed(struct conn *c, struct str in)
{
	c->feeding = true;
	c->pc.now_ms = now_of(c);
	c->pc.wall_us = loop_wall_us(c->owner->loop);
	while (in.len && wants_input(c)) {
		ssize_t eaten = c->pc.proto->input(&c->pc, in);

		if (eaten < 0) {
			end_by_protocol(c, (int)eaten);
			in.len = 0;
			break;
		}
		if (eaten == 0)
			break;
		in = str_skip(in, (size_t)eaten);
	}
	c->feeding = false;
	if (c->pc.aborted || c->state != CONN_OPEN)
		in.len = 0;
	return in;
}

/* Goes on with buffered input; the buffer goes back when it is empty. */
static void feed_buffered(struct conn *c)
{
	struct buf *b = c->in;

	if (!b || c->proxied)
		return; /* what a header begins with is not for the protocol */

	struct str rest = feed(c, buf_str(b));

	if (c->in != b)
		return; /* ended meanwhile */
	if (rest.len == 0) {
		buf_unref(b);
		c->in = NULL;
	} else {
		b->off = (uint32_t)(b->len - rest.len);
	}
}

static void settle(struct conn *c, bool input)
{
	if (c->state != CONN_OPEN)
		return;
	if (c->peer_done && !c->eof_told && !c->pc.close_when_sent && !c->pc.paused && !list_linked(&c->stalled)) {
		struct str rest = c->in ? buf_str(c->in) : (struct str){ "", 0 };

		c->eof_told = c->pc.proto->stateful;
		c->pc.proto->eof(&c->pc, rest);
		buf_unref(c->in);
		c->in = NULL;
	}
	if (!c->in && c->pc.phase == PHASE_IDLE && c->pc.state)
		c->pc.proto->idle(&c->pc);
	if (!chain_empty(&c->pc.out) || c->pc.close_when_sent)
		conn_touch(c);
	follow_phase(c, input);
	watch_what_matters(c);
}

/* Before the protocol sees a byte. */
static void on_proxy_bytes(struct conn *c, struct str bytes)
{
	struct proxy_header header;
	ssize_t n = buf_append(&c->in, bytes, PROXY_HEADER_MAX + c->owner->read_cap);

	if (n == 0)
		n = proxy_header_parse(buf_str(c->in), &header);
	if (n == 0)
		return;
	if (n < 0) {
		c->owner->on_proxied(c, (int)n);
		return;
	}
	c->in->off += (uint32_t)n;
	if (header.has_peer)
		c->pc.peer = header.peer;
	c->proxied = false;
	c->timed_phase = NO_PHASE;
	c->owner->on_proxied(c, 0);
	if (c->state == CONN_OPEN)
		feed_buffered(c);
	settle(c, true);
}

static void on_bytes(struct conn *c, struct str bytes)
{
	c->last_input = now_of(c);
	c->bytes_in += bytes.len;
	board_add(&c->owner->board->bytes_in, bytes.len);
	if (c->proxied) {
		on_proxy_bytes(c, bytes);
		return;
	}
	if (c->in) {
		keep_rest(c, bytes);
		if (c->state == CONN_OPEN)
			feed_buffered(c);
	} else {
		struct str rest = feed(c, bytes);

		if (c->state == CONN_OPEN)
			keep_rest(c, rest);
	}
	settle(c, true);
}

/* As recv() into the owner's buffer; -EAGAIN and -EINTR are no errors.  What it leaves in the socket is told once more. */
static ssize_t read_some(struct conn *c, int events)
{
	size_t room = FAULT(read_byte) ? 1 : c->owner->read_cap;
	ssize_t n = FAULT(read_again) ? -EINTR : sock_recv(c->watch.fd, c->owner->read_buf, room);

	if (n == (ssize_t)room || n == -EINTR || (n > 0 && events & (WATCH_PEER_DONE | WATCH_HANGUP | WATCH_ERROR)))
		watch_again(&c->watch);
	return n;
}

/* Reads and drops, so that the peer can read what we sent last before a reset destroys it (RFC 9112 §9.6). */
static void read_and_drop(struct conn *c, int events)
{
	ssize_t n = read_some(c, events);

	if (n > 0 || n == -EAGAIN || n == -EINTR)
		return;
	if (c->state == CONN_LINGER) {
		conn_drop(c);
	} else {
		c->peer_done = true;
		stop_reading(c);
	}
}

static void on_readable(struct conn *c, int events)
{
	if (c->state == CONN_LINGER || (c->pc.aborted && !c->peer_done)) {
		read_and_drop(c, events);
		return;
	}
	if (!wants_input(c) || (!c->proxied && !c->owner->may_read(c))) {
		on_unwanted(c, events);
		return;
	}

	ssize_t n = read_some(c, events);

	if (n > 0) {
		on_bytes(c, str_make(c->owner->read_buf, (size_t)n));
	} else if (n == 0 && c->proxied) {
		conn_kill(c, CLOSE_BY_PEER, CLOSE_NORMAL);
	} else if (n == 0) {
		c->peer_done = true;
		settle(c, true);
	} else if (n != -EAGAIN && n != -EINTR) {
		conn_kill(c, CLOSE_BY_PEER, CLOSE_PEER_RESET);
	}
}

void conn_resume(struct conn *c)
{
	if (c->state != CONN_OPEN || c->feeding)
		return;
	feed_buffered(c);
	settle(c, false);
}

int conn_unread(struct conn *c, struct str bytes)
{
	struct str rest = c->in ? buf_str(c->in) : (struct str){ "", 0 };
	struct buf *both;

	if (bytes.len == 0)
		return 0;
	both = buf_new(bytes.len + rest.len);
	if (!both)
		return -ENOMEM;
	memcpy(both->data, bytes.p, bytes.len);
	memcpy(both->data + bytes.len, rest.p, rest.len);
	both->len = (uint32_t)(bytes.len + rest.len);
	buf_unref(c->in);
	c->in = both;
	return 0;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

void conn_touch(struct conn *c)
{
	if (c->state == CONN_OPEN && !list_linked(&c->dirty))
		list_append(&c->owner->dirty, &c->dirty);
}

/* `*asked`: how much the socket was offered. */
static ssize_t write_some(struct conn *c, uint64_t *asked)
{
	struct iovec iov[64];
	int fd;
	uint64_t off, len;

	if (FAULT(write_again))
		return -EAGAIN;
	if (chain_file(&c->pc.out, &fd, &off, &len)) {
		off_t at = (off_t)off;

		*asked = LS_MIN(len, (uint64_t)1 << 30);

		ssize_t n = sendfile(c->watch.fd, fd, &at, (size_t)*asked);

		return n > 0 ? n : n == 0 ? -EIO : -errno; /* the file became shorter than promised */
	}

	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)chain_iov(&c->pc.out, iov, LS_COUNT(iov)) };

	if (FAULT(write_byte))
		msg.msg_iovlen = iov[0].iov_len = 1;
	*asked = 0;
	for (size_t i = 0; i < msg.msg_iovlen; i++)
		*asked += iov[i].iov_len;

	if (msg.msg_iovlen == 1)
		return sock_send(c->watch.fd, iov[0].iov_base, iov[0].iov_len);

	ssize_t n = sendmsg(c->watch.fd, &msg, MSG_NOSIGNAL);

	return n >= 0 ? n : -errno;
}

static enum close_by who_closes(const struct conn *c)
{
	switch (c->pc.close_reason) {
	case CLOSE_MALFORMED:
	case CLOSE_BAD_TEXT:
		return CLOSE_BY_ERROR;
	case CLOSE_GOODBYE:
		return CLOSE_BY_PEER;
	case CLOSE_TOO_LARGE:
	case CLOSE_BUFFER_FULL:
	case CLOSE_TIMEOUT_HEAD:
	case CLOSE_TIMEOUT_BODY:
	case CLOSE_TIMEOUT_IDLE:
	case CLOSE_RATE:
		return CLOSE_BY_LIMIT;
	case CLOSE_HEARTBEAT:
		return CLOSE_BY_HEARTBEAT;
	case CLOSE_NORMAL:
		return c->peer_done ? CLOSE_BY_PEER : CLOSE_BY_SERVER;
	default:
		return CLOSE_BY_SERVER;
	}
}

/* It leaves OPEN: the protocol gives up what is under way, then the owner hears of the end. */
static void end(struct conn *c, enum close_by by)
{
	c->pc.proto->close(&c->pc);
	c->owner->on_end(c, by);
}

static void begin_close(struct conn *c)
{
	/* Where the peer may have sent what we did not read, closing at once would reset the connection and eat our
	 * answer. */
	bool linger = !c->peer_done && (c->pc.aborted || c->in || c->pc.close_reason == CLOSE_BY_APP) &&
	              c->pc.port->linger_time > 0;

	end(c, who_closes(c));
	if (!linger || shutdown(c->watch.fd, SHUT_WR) < 0) {
		conn_drop(c);
		return;
	}
	buf_unref(c->in);
	c->in = NULL;
	c->state = CONN_LINGER;
	list_del(&c->stalled);
	list_append(&c->owner->lingering, &c->stalled);
	set_deadline(c, c->pc.port->linger_time);
	watch_what_matters(c);
}

void conn_flush(struct conn *c)
{
	bool progress = false;

	list_del(&c->dirty);
	if (c->state != CONN_OPEN)
		return;
	while (!chain_empty(&c->pc.out)) {
		uint64_t asked;
		ssize_t n = write_some(c, &asked);

		if (n == -EINTR)
			continue;
		if (n == -EAGAIN)
			break;
		if (n < 0) {
			conn_kill(c, CLOSE_BY_PEER, n == -EIO ? CLOSE_BUFFER_FULL : CLOSE_PEER_RESET);
			return;
		}
		progress = true;
		c->bytes_out += (uint64_t)n;
		board_add(&c->owner->board->bytes_out, (uint64_t)n);
		chain_consume(&c->pc.out, (uint64_t)n);
		/* A short write means that the socket is full: asking again would cost a system call to hear so. */
		if ((uint64_t)n < asked && n < 1 << 20)
			break;
	}

	bool blocked = !chain_empty(&c->pc.out);

	if (blocked && (progress || !c->write_blocked))
		set_deadline(c, c->pc.port->write_timeout);
	if (!blocked && c->write_blocked)
		c->timed_phase = NO_PHASE; /* the deadline is computed anew */
	c->write_blocked = blocked;
	/* Also when nothing had to leave (the body of an answer to HEAD): it is out of the way. */
	if (progress || !blocked)
		c->owner->on_sent(c);
	if (c->state != CONN_OPEN)
		return;
	if (!blocked && c->pc.close_when_sent)
		begin_close(c);
	else
		conn_resume(c);
}

static void on_event(struct watch *w, int events)
{
	struct conn *c = LS_CONTAINER_OF(w, struct conn, watch);
	_Atomic uint32_t *asleep = &c->owner->board->asleep;

	/* The loop has woken: workers need not ring while this turn's events are handled. */
	if (atomic_load_explicit(asleep, memory_order_relaxed))
		atomic_store_explicit(asleep, 0, memory_order_relaxed);
	if (events & WATCH_WRITE && c->write_blocked)
		conn_flush(c);
	if (events & WATCH_READ && w->fd >= 0)
		on_readable(c, events);
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

int conn_open(struct conn *c, struct conn_owner *owner, int fd, const struct settings *settings,
              const struct port *port, const struct sock_peer *peer, const struct sink *sink)
{
	int r = watch_open_for(&c->watch, owner->loop, fd, BY_EDGES, on_event);

	if (r < 0)
		return r;
	c->owner = owner;
	c->pc.proto = proto_of(port);
	c->pc.settings = settings;
	c->pc.port = port;
	c->pc.sink = sink;
	c->pc.peer = *peer;
	c->pc.next_stream = 1;
	c->pc.now_ms = now_of(c);
	chain_init(&c->pc.out);
	list_init(&c->pc.streams);
	list_init(&c->dirty);
	list_init(&c->stalled);
	timer_init(&c->timer, on_timer);
	c->timed_phase = NO_PHASE;
	c->proxied = port->proxy_protocol;
	c->unconfirmed = port->enable_delay_receive && c->pc.proto->stateful;
	return 0;
}

void conn_confirm(struct conn *c)
{
	c->unconfirmed = false;
	c->last_input = now_of(c);
	conn_resume(c);
}

void conn_spare(struct conn *c, bool spare)
{
	c->spared = spare;
	c->timed_phase = NO_PHASE; /* the deadline is computed anew */
	follow_phase(c, false);
}

void conn_start(struct conn *c)
{
	c->last_input = now_of(c);
	c->connected_s = (uint32_t)(clock_wall_us() / 1000000);
	follow_phase(c, false);
	watch_what_matters(c);
}

void conn_finish(struct conn *c, enum close_reason reason)
{
	if (c->state != CONN_OPEN || c->pc.close_when_sent)
		return;
	c->pc.close_reason = (uint16_t)reason;
	if (c->pc.proto->farewell)
		c->pc.proto->farewell(&c->pc, reason);
	c->pc.close_when_sent = true;
	conn_touch(c);
	watch_what_matters(c);
}

void conn_kill(struct conn *c, enum close_by by, enum close_reason reason)
{
	if (c->state == CONN_OPEN) {
		c->pc.close_reason = (uint16_t)reason;
		end(c, by);
	}
	conn_drop(c);
}

static void on_closed(struct watch *w)
{
	struct conn *c = LS_CONTAINER_OF(w, struct conn, watch);

	c->owner->on_free(c);
}

void conn_drop(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	assert(!c->feeding); /* a protocol that eats reports errors by its return value */
	c->state = CONN_CLOSED;
	timer_del(c->owner->loop, &c->timer);
	c->pc.proto->close(&c->pc);
	list_del(&c->dirty);
	list_del(&c->stalled);
	proto_finish(&c->pc);
	chain_clear(&c->pc.out);
	buf_unref(c->in);
	c->in = NULL;
	watch_close(&c->watch, on_closed);
}
