/* What workers send: each frame is input from outside and is checked before it touches a connection. */
#include "reactor/core.h"

#include "proto/http1.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A request that this worker process owes an answer; what it says of others' counts for nothing. */
static struct stream *owed_stream(struct conn *c, const struct uplink_gen *gen, uint32_t number)
{
	struct stream *s = stream_find(&c->pc.streams, number);

	return s && s->worker == gen ? s : NULL;
}

static void cut(struct conn *c, const char *why)
{
	uint64_t swallowed;

	if (log_every_due(&reactor_of(c)->complaints, 10000, &swallowed))
		log_warn("%s; closing the connection (%llu more)", why, (unsigned long long)swallowed);
	conn_kill(c, CLOSE_BY_LIMIT, CLOSE_BUFFER_FULL);
}

static void cut_hoarder(struct conn *c)
{
	cut(c, "a client does not read and its output passed socket_buffer_size");
}

static void cut_for_memory(struct conn *c)
{
	cut(c, "out of memory for a client's output");
}

/* A worker keeps to socket_buffer_size for connections it knows; those it does not know (dispatch_mode round, other
 * workers' connections) are held to it here. */
static void check_budget(struct conn *c, const struct uplink_gen *gen)
{
	uint64_t limit = c->pc.port->socket_buffer_size;

	if (c->worker == gen)
		limit += limit + gen->line->piece_max;
	if (c->pc.out.bytes > limit && chain_memory(&c->pc.out) > limit)
		cut_hoarder(c);
	else if (c->pc.behind && c->pc.behind->bytes > limit)
		cut_hoarder(c);
}

/* A large payload is written from where the worker put it; only what the socket does not take is copied. */
static void write_lent(struct conn *c)
{
	c->pc.lend = false;
	if (c->state == CONN_OPEN && !c->write_blocked)
		conn_flush(c);
	if (c->state == CONN_OPEN && chain_keep(&c->pc.out) < 0)
		cut_for_memory(c);
}

static bool is_large(struct str payload)
{
	enum { LARGE = 8192 };

	return payload.len >= LARGE;
}

static int on_send(struct conn *c, struct uplink_gen *gen, const struct frame *f, struct str payload)
{
	if (!c->pc.proto->stateful)
		return 0; /* bytes from nowhere would break HTTP's framing */
	if (c->pc.close_when_sent)
		return 0;

	c->pc.lend = is_large(payload);

	int r = c->pc.proto->output(&c->pc, f, payload, NULL);

	if (c->worker == gen)
		c->taken += payload.len;
	if (c->pc.lend)
		write_lent(c);
	if (r == -ENOMEM)
		cut_for_memory(c);
	else if (r < 0)
		return r;
	if (c->state != CONN_OPEN)
		return 0;
	conn_touch(c);
	check_budget(c, gen);
	return 0;
}

/* Opens what a worker wants sent.  -EBADMSG: the frame is malformed; other negatives: no such file. */
static int open_file(struct str payload, struct frame_file *file, int *fd)
{
	char path[4096];
	struct stat st;

	if (payload.len <= sizeof *file || payload.len - sizeof *file >= sizeof path)
		return -EBADMSG;
	memcpy(file, payload.p, sizeof *file);
	if (!str_copy(str_skip(payload, sizeof *file), path, sizeof path) || strlen(path) != payload.len - sizeof *file)
		return -EBADMSG;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return -errno;

	bool sound = fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && file->offset <= (uint64_t)st.st_size;

	if (sound && file->length == 0)
		file->length = (uint64_t)st.st_size - file->offset;
	if (sound && file->length <= (uint64_t)st.st_size - file->offset)
		return 0;
	fd_close(fd);
	return -EINVAL;
}

static int on_send_file(struct conn *c, const struct uplink_gen *gen, struct str payload)
{
	struct frame_file file;
	int fd, r;

	if (!c->pc.proto->stateful || c->pc.close_when_sent)
		return 0; /* as on_send() */
	r = open_file(payload, &file, &fd);
	if (r == -EBADMSG)
		return r;
	if (r < 0) {
		/* The worker has looked at the file before; that it went away meanwhile ends the connection, since the
		 * peer was promised its bytes. */
		conn_kill(c, CLOSE_BY_ERROR, CLOSE_BUFFER_FULL);
		return 0;
	}
	if (c->worker == gen)
		c->taken += file.length;
	if (chain_append_file(&c->pc.out, fd, file.offset, file.length) < 0)
		cut_for_memory(c);
	else
		conn_touch(c);
	return 0;
}

static int on_response_file(struct conn *c, const struct frame *f, struct str payload, struct stream *s)
{
	struct frame_file file;
	int fd;
	int r = open_file(payload, &file, &fd);

	if (r == -EBADMSG)
		return r;
	if (r < 0) {
		c->pc.proto->fail(&c->pc, s, 500);
		return 0;
	}
	return http1_output_file(&c->pc, s, fd, file.offset, file.length, f->flags & FRAME_END);
}

/* A worker keeps to socket_buffer_size for each response too, but for plain handlers, whose bodies may be as long as the link
 * takes.  What is beyond all of that comes from a worker gone mad. */
static void check_response_budget(struct conn *c)
{
	uint64_t limit = 2 * c->pc.port->socket_buffer_size + c->pc.settings->link_backlog_size;

	if (c->pc.out.bytes > limit && chain_memory(&c->pc.out) > limit)
		cut_hoarder(c);
}

/* Of those that the worker's budget counts. */
static uint64_t body_bytes(const struct frame *f, struct str payload)
{
	switch (f->type) {
	case FRAME_RESPONSE:
		return f->arg <= payload.len ? payload.len - f->arg : 0;
	case FRAME_RESPONSE_BODY:
		return payload.len;
	default:
		return 0;
	}
}

static int on_response(struct conn *c, struct uplink_gen *gen, const struct frame *f, struct str payload)
{
	struct stream *s = owed_stream(c, gen, f->stream);

	if (!s)
		return 0; /* given up meanwhile */
	if (c->pc.proto->stateful)
		return -EBADMSG;

	s->output_bytes += body_bytes(f, payload);
	c->pc.now_ms = loop_now(gen->reactor->loop);
	c->pc.lend = body_bytes(f, payload) && is_large(payload);

	int r = f->type == FRAME_RESPONSE_FILE ? on_response_file(c, f, payload, s)
	                                       : c->pc.proto->output(&c->pc, f, payload, s);

	if (c->pc.lend)
		write_lent(c);
	if (r == -ENOMEM) {
		cut_for_memory(c);
		return 0;
	}
	if (r == 0 && c->state == CONN_OPEN) {
		conn_touch(c);
		check_response_budget(c);
	}
	if (r == 0 && c->state == CONN_OPEN && c->pc.proto->stateful)
		uplink_upgraded(c, gen, f->stream);
	return r;
}

static enum close_reason reason_of_close(const struct conn *c)
{
	if (c->pc.goodbye)
		return CLOSE_GOODBYE;
	return c->eof_told ? CLOSE_NORMAL : CLOSE_BY_APP;
}

static int on_close(struct conn *c, const struct frame *f)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	if (!(f->flags & FRAME_RESET)) {
		bool blamed = f->arg == CLOSE_MALFORMED || f->arg == CLOSE_TOO_LARGE;

		c->pc.aborted |= blamed;
		conn_finish(c, blamed ? (enum close_reason)f->arg : reason_of_close(c));
		return 0;
	}
	/* What is queued is dropped and the peer sees a reset. */
	(void)setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
	conn_kill(c, CLOSE_BY_SERVER, CLOSE_BY_APP);
	return 0;
}

static int on_pause(struct conn *c, const struct uplink_gen *gen, const struct frame *f)
{
	if (f->stream && !owed_stream(c, gen, f->stream))
		return 0; /* that request is over */
	c->app_paused = f->type == FRAME_PAUSE;
	conn_resume(c);
	return 0;
}

int downlink_on_frame(void *ctx, const struct frame *f, struct str payload)
{
	struct uplink_gen *gen = ctx;
	struct conn *c;

	if (f->type == FRAME_SENDTO)
		return packets_on_sendto(gen->reactor, f, payload);
	if (f->type == FRAME_ASK)
		return gen->line ? census_answer(gen->reactor, gen->line, f) : 0;
	if (f->type == FRAME_PUBLISH)
		return groups_publish(gen->reactor, f, payload);
	c = reactor_conn(gen->reactor, f->conn);
	if (!c || c->state != CONN_OPEN || c->proxied)
		return 0; /* the connection ended while this was on its way, or has not begun; or the worker has finished (DONE) */
	switch (f->type) {
	case FRAME_SEND:
	case FRAME_PUSH:
		return on_send(c, gen, f, payload);
	case FRAME_SEND_FILE:
		return on_send_file(c, gen, payload);
	case FRAME_RESPONSE:
	case FRAME_RESPONSE_BODY:
	case FRAME_RESPONSE_FILE:
	case FRAME_RESPONSE_TRAILERS:
	case FRAME_RESPONSE_ABORT:
		return on_response(c, gen, f, payload);
	case FRAME_PAUSE:
	case FRAME_RESUME:
		return on_pause(c, gen, f);
	case FRAME_CONFIRM:
		conn_confirm(c);
		return 0;
	case FRAME_PROTECT:
		conn_spare(c, f->arg != 0);
		return 0;
	case FRAME_JOIN:
		groups_join(c, payload);
		return 0;
	case FRAME_LEAVE:
		groups_leave(c, payload);
		return 0;
	case FRAME_BIND:
		if (memchr(payload.p, '\0', payload.len))
			return -EBADMSG;
		uplink_bind(c, payload);
		return 0;
	case FRAME_RETURN:
		recall_on_return(c, gen, payload);
		return 0;
	case FRAME_CLOSE:
		return on_close(c, f);
	default:
		return 0;
	}
}

int reactor_foreign(struct reactor *r, struct link *back, const struct frame *f, struct str payload)
{
	/* A process that was told of no connection here and owes no answer: what it says counts like that of any other worker. */
	struct uplink_gen stranger = { .reactor = r, .line = back };

	return downlink_on_frame(&stranger, f, payload);
}
