/* proto/eof.c — messages that end with a delimiter, such as "\r\n". */
#include "base/mem.h"
#include "proto/proto.h"

#include <errno.h>

struct eof {
	size_t searched; /* so that a slow sender costs O(n), not O(n^2) */
};

static int too_large(struct proto_conn *pc)
{
	pc->close_reason = CLOSE_TOO_LARGE;
	return -EMSGSIZE;
}

/* The rest holds no delimiter: remember how far was looked, or give up. */
static int wait_for_more(struct proto_conn *pc, struct str rest)
{
	const struct port *port = pc->port;
	struct eof *st = pc->state;

	if (rest.len > port->package_max_length)
		return too_large(pc);
	if (!st && rest.len >= port->package_eof.len)
		st = pc->state = xzalloc(sizeof *st);
	if (st)
		st->searched = rest.len < port->package_eof.len ? 0 : rest.len - port->package_eof.len + 1;
	return 0;
}

/* Eats whole messages; returns how many bytes that was. */
static ssize_t split(struct proto_conn *pc, struct str in)
{
	const struct port *port = pc->port;
	size_t eaten = 0;

	while (eaten < in.len) {
		struct eof *st = pc->state;
		struct str rest = str_skip(in, eaten);
		size_t searched = st ? st->searched : 0;
		ssize_t at = str_find(str_skip(rest, searched), port->package_eof);
		int r;

		if (at < 0) {
			r = wait_for_more(pc, rest);
			return r < 0 ? r : (ssize_t)eaten;
		}

		size_t len = searched + (size_t)at + port->package_eof.len;

		if (len > port->package_max_length)
			return too_large(pc);
		r = proto_emit_data(pc, str_take(rest, len));
		if (r == -EAGAIN)
			return (ssize_t)eaten; /* the link is full; called again on room */
		if (r < 0)
			return r;
		if (st)
			st->searched = 0;
		eaten += len;
	}
	return (ssize_t)eaten;
}

/* Swoole's open_eof_check: a message may hold delimiters; it is over when what has come ends with one. */
static ssize_t check(struct proto_conn *pc, struct str in)
{
	int r;

	if (in.len > pc->port->package_max_length)
		return too_large(pc);
	if (!str_ends(in, pc->port->package_eof))
		return 0;
	r = proto_emit_data(pc, in);
	if (r == -EAGAIN)
		return 0;
	return r < 0 ? r : (ssize_t)in.len;
}

static ssize_t eof_input(struct proto_conn *pc, struct str in)
{
	return pc->port->open_eof_check ? check(pc, in) : split(pc, in);
}

const struct proto proto_eof = {
	.name = "eof",
	.doc = "A message ends with `package_eof`.",
	.stateful = true,
	.input = eof_input,
	.output = proto_output_plain,
	.eof = proto_eof_plain,
	.timeout = proto_timeout_plain,
	.idle = proto_idle_plain,
	.close = proto_close_plain,
};
