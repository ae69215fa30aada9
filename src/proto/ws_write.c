#include "proto/ws_write.h"

#include "base/bits.h"
#include "proto/ws.h"

#include <errno.h>

int ws_write_frame(struct proto_conn *pc, struct chain *out, unsigned first, struct str payload)
{
	char head[WS_HEAD_MAX];
	struct str bytes = str_make(head, (size_t)(ws_frame_put(head, first, payload.len) - head));
	int r;

	if (payload.len <= WS_CONTROL_MAX) {
		char *p = chain_reserve(out, bytes.len + payload.len);

		if (!p)
			return -ENOMEM;
		p = mempcpy(p, bytes.p, bytes.len);
		if (payload.len)
			memcpy(p, payload.p, payload.len);
		chain_commit(out, bytes.len + payload.len, bytes.len + payload.len);
		return 0;
	}
	r = chain_append(out, bytes);
	return r == 0 ? proto_append(pc, out, payload) : r;
}

void ws_write_goodbye(struct proto_conn *pc, unsigned code, struct str reason)
{
	char payload[WS_CONTROL_MAX];
	size_t len = 0;

	if (pc->close_when_sent)
		return;
	if (code != WS_CODE_NONE) {
		payload[0] = (char)(code >> 8);
		payload[1] = (char)code;
		reason = str_take(reason, sizeof payload - 2);
		if (reason.len)
			memcpy(payload + 2, reason.p, reason.len);
		len = 2 + reason.len;
	}
	/* Without memory the connection ends without it.  Within a message of several frames it may stand between them. */
	(void)ws_write_frame(pc, &pc->out, WS_FIN | WS_CLOSE, str_make(payload, len));
	pc->close_when_sent = true;
	pc->aborted = true;
}

void ws_write_failure(struct proto_conn *pc, unsigned code, enum close_reason why)
{
	pc->close_reason = (uint16_t)why;
	ws_write_goodbye(pc, code, (struct str){ 0 });
}

void ws_write_protocol_failure(struct proto_conn *pc)
{
	ws_write_failure(pc, WS_CODE_PROTOCOL, CLOSE_MALFORMED);
}

void ws_write_farewell(struct proto_conn *pc, enum close_reason why)
{
	static const struct {
		enum close_reason why;
		unsigned code;
	} codes[] = {
		{ CLOSE_NORMAL, WS_CODE_NORMAL },       { CLOSE_BY_APP, WS_CODE_NORMAL },
		{ CLOSE_SHUTDOWN, WS_CODE_GOING_AWAY }, { CLOSE_HEARTBEAT, WS_CODE_POLICY },
		{ CLOSE_TIMEOUT_IDLE, WS_CODE_POLICY }, { CLOSE_RATE, WS_CODE_POLICY },
		{ CLOSE_TOO_LARGE, WS_CODE_TOO_LARGE }, { CLOSE_MALFORMED, WS_CODE_PROTOCOL },
	};
	const struct ws *ws = pc->state;
	unsigned code = pc->goodbye ? ws->peer_code : WS_CODE_FAILED;

	for (size_t i = 0; !pc->goodbye && i < LS_COUNT(codes); i++)
		if (codes[i].why == why)
			code = codes[i].code;
	ws_write_goodbye(pc, code, (struct str){ 0 });
}

/* The size that a message must have to be worth it. */
static bool is_worth_shrinking(const struct proto_conn *pc, const struct ws *ws, struct str payload)
{
	return ws->deflate && payload.len >= pc->port->websocket_compression_min_length;
}

/* A piece of a message: `bits` are WS_FIN and the opcode. */
static int put_piece(struct proto_conn *pc, struct chain *out, unsigned bits, struct str payload)
{
	struct ws *ws = pc->state;
	unsigned opcode = bits & 15;
	bool last = bits & WS_FIN;
	struct buf *shrunk;
	int r;

	if (opcode != WS_CONTINUATION)
		ws->shrinking = is_worth_shrinking(pc, ws, payload);
	if (!ws->shrinking)
		return ws_write_frame(pc, out, bits, payload);
	r = ws_deflate_shrink(ws->deflate, payload, last, &shrunk);
	if (r < 0)
		return r;
	if (opcode != WS_CONTINUATION && last && shrunk->len >= payload.len) {
		ws_deflate_forget(ws->deflate);
		r = ws_write_frame(pc, out, bits, payload);
	} else {
		pc->lend = false; /* these bytes are gone on return */
		r = ws_write_frame(pc, out, bits | (opcode ? WS_COMPRESSED : 0), buf_str(shrunk));
	}
	buf_unref(shrunk);
	return r;
}

static int push_control(struct proto_conn *pc, unsigned opcode, struct str payload)
{
	if (payload.len > WS_CONTROL_MAX)
		return -EBADMSG;
	if (opcode != WS_CLOSE)
		return ws_write_frame(pc, &pc->out, WS_FIN | opcode, payload);
	pc->close_reason = CLOSE_BY_APP;
	if (payload.len < 2)
		ws_write_goodbye(pc, WS_CODE_NONE, (struct str){ 0 });
	else
		ws_write_goodbye(pc, (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1],
		                 str_skip(payload, 2));
	return 0;
}

static int push_data(struct proto_conn *pc, unsigned bits, struct str payload)
{
	bool last = bits & WS_FIN, first = (bits & 15) != WS_CONTINUATION;
	int r;

	if (!first && !pc->unfinished)
		return 0; /* of a message that nobody began */
	if (first && last) {
		pc->lend = pc->lend && !pc->unfinished;
		return put_piece(pc, proto_out(pc), bits, payload);
	}
	if (first && pc->unfinished) {
		ws_write_failure(pc, WS_CODE_FAILED, CLOSE_BY_APP); /* two messages at once cannot be told apart */
		return 0;
	}
	r = put_piece(pc, &pc->out, bits, payload);
	if (last)
		proto_finish(pc);
	else
		pc->unfinished = true;
	return r;
}

int ws_write_output(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *stream)
{
	unsigned opcode = f->arg & 15;
	bool last = f->arg & WS_PUSH_LAST && !(f->flags & FRAME_MORE);

	if (stream)
		return -EBADMSG;
	if (f->type != FRAME_PUSH)
		return 0; /* bytes that are no frame would break the framing */
	if (f->arg & ~(uint32_t)(WS_PUSH_LAST | 15) || (opcode > WS_BINARY && !ws_is_control(opcode)) ||
	    opcode > WS_PONG)
		return -EBADMSG;
	if (ws_is_control(opcode))
		return last ? push_control(pc, opcode, payload) : -EBADMSG;
	return push_data(pc, (last ? WS_FIN : 0) | (f->flags & FRAME_REST ? WS_CONTINUATION : opcode), payload);
}

/* ---- what is published to a group ---------------------------------------------------------------------------------------------- */

enum { FORM_FRAME = 1, FORM_SHRUNK = 2 };

static struct buf *framed(unsigned bits, struct str payload)
{
	struct buf *b = buf_new(WS_HEAD_MAX + payload.len);
	char *p = b ? ws_frame_put(b->data, bits, payload.len) : NULL;

	if (!b)
		return NULL;
	memcpy(p, payload.p, payload.len);
	b->len = (uint32_t)(p - b->data + (ptrdiff_t)payload.len);
	return b;
}

/* NULL: it does not get shorter, or there is no memory. */
static struct buf *shrunk_frame(const struct port *port, const struct publication *p)
{
	struct ws_terms terms = { .server_resets = true, .client_resets = true, .server_bits = 15 };
	struct ws_deflate *alone = ws_deflate_new(&terms, port);
	struct buf *shrunk = NULL, *b = NULL;

	if (alone && ws_deflate_shrink(alone, p->bytes, true, &shrunk) == 0 && shrunk->len < p->bytes.len)
		b = framed(WS_FIN | WS_COMPRESSED | p->opcode, buf_str(shrunk));
	buf_unref(shrunk);
	ws_deflate_free(alone);
	return b;
}

/* Compressed once for all that read it so; shorter forms are not tried again for one that does not get shorter. */
struct buf *ws_write_publication(struct proto_conn *pc, struct publication *p)
{
	struct ws *ws = pc->state;
	bool shrink = is_worth_shrinking(pc, ws, p->bytes) && ws_deflate_is_usual(ws->deflate);

	p->opcode = p->opcode ? p->opcode : WS_TEXT;
	if (shrink && !p->tried) {
		p->tried = true;
		p->forms[FORM_SHRUNK] = shrunk_frame(pc->port, p);
	}
	if (shrink && p->forms[FORM_SHRUNK]) {
		ws_deflate_forget(ws->deflate);
		return p->forms[FORM_SHRUNK];
	}
	if (!p->forms[FORM_FRAME])
		p->forms[FORM_FRAME] = framed(WS_FIN | p->opcode, p->bytes);
	return p->forms[FORM_FRAME];
}
