/* proto/raw.c — every read is a message, cut at `package_max_length`. */
#include "proto/proto.h"

#include <errno.h>

static ssize_t raw_input(struct proto_conn *pc, struct str in)
{
	size_t eaten = 0;

	while (eaten < in.len) {
		struct str piece = str_take(str_skip(in, eaten), pc->port->package_max_length);
		int r = proto_emit_data(pc, piece);

		if (r == -EAGAIN)
			break; /* called again on room */
		if (r < 0)
			return r;
		eaten += piece.len;
	}
	return (ssize_t)eaten;
}

const struct proto proto_raw = {
	.name = "tcp",
	.doc = "Every read is a message.",
	.stateful = true,
	.input = raw_input,
	.output = proto_output_plain,
	.eof = proto_eof_plain,
	.timeout = proto_timeout_plain,
	.idle = proto_idle_plain,
	.close = proto_close_plain,
};
