/* proto/length.c — messages whose header tells their length (Swoole's open_length_check). */
#include "proto/proto.h"

#include <endian.h>
#include <errno.h>

/* The letters of Perl's pack; lower-case ones of machine order are signed. */
static size_t field_size(int letter)
{
	switch (letter) {
	case 'c':
	case 'C':
		return 1;
	case 's':
	case 'S':
	case 'n':
	case 'v':
		return 2;
	case 'q':
	case 'Q':
	case 'J':
	case 'P':
		return 8;
	default: /* l L N V */
		return 4;
	}
}

static uint16_t load16(const char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t load32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint64_t load64(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* The field's value; below zero for what is negative or would pass 2^63. */
static int64_t field_value(int letter, const char *p)
{
	switch (letter) {
	case 'c':
		return (int8_t)*p;
	case 'C':
		return (uint8_t)*p;
	case 's':
		return (int16_t)load16(p);
	case 'S':
		return load16(p);
	case 'n':
		return be16toh(load16(p));
	case 'v':
		return le16toh(load16(p));
	case 'l':
		return (int32_t)load32(p);
	case 'L':
		return load32(p);
	case 'V':
		return le32toh(load32(p));
	case 'q':
	case 'Q':
		return (int64_t)load64(p);
	case 'J':
		return (int64_t)be64toh(load64(p));
	case 'P':
		return (int64_t)le64toh(load64(p));
	default: /* N */
		return be32toh(load32(p));
	}
}

/* How long the message at `in` is; 0: its header is not whole yet; -EBADMSG, -EMSGSIZE.  Nothing is reserved
 * for what a header promises: memory grows with the bytes that come. */
static ssize_t message_length(const struct port *port, struct str in)
{
	size_t header = port->package_length_offset + field_size(port->package_length_type);

	if (in.len < header)
		return header > port->package_max_length ? -EMSGSIZE : 0;

	int64_t value = field_value(port->package_length_type, in.p + port->package_length_offset);

	if (value < 0)
		return -EBADMSG;

	uint64_t total = (uint64_t)value + port->package_body_offset; /* < 2^63 + 2^16 */

	if (total < header)
		return -EBADMSG;
	return total > port->package_max_length ? -EMSGSIZE : (ssize_t)total;
}

static ssize_t length_input(struct proto_conn *pc, struct str in)
{
	size_t eaten = 0;

	while (eaten < in.len) {
		struct str rest = str_skip(in, eaten);
		ssize_t len = message_length(pc->port, rest);
		int r;

		if (len < 0) {
			pc->close_reason = len == -EMSGSIZE ? CLOSE_TOO_LARGE : CLOSE_MALFORMED;
			return len;
		}
		if (len == 0 || rest.len < (size_t)len)
			break;
		r = proto_emit_data(pc, str_take(rest, (size_t)len));
		if (r == -EAGAIN)
			break; /* the link is full; called again on room */
		if (r < 0)
			return r;
		eaten += (size_t)len;
	}
	return (ssize_t)eaten;
}

const struct proto proto_length = {
	.name = "length",
	.doc = "A field of the message's header tells its length.",
	.stateful = true,
	.input = length_input,
	.output = proto_output_plain,
	.eof = proto_eof_plain,
	.timeout = proto_timeout_plain,
	.idle = proto_idle_plain,
	.close = proto_close_plain,
};
