#include "proto/ws.h"

#include "base/bits.h"
#include "base/codec.h"
#include "base/mem.h"
#include "proto/ws_deflate.h"

#include <errno.h>
#include <stdlib.h>

enum {
	STATES_KEPT = 1024,
	SCRATCH = 64 * 1024,      /* a message up to this that came in one frame is unmasked here */
	PONGS_WAITING = 16 * 1024 /* a peer that does not read what waits for it gets no further pongs */
};

/* pc->state of a WebSocket. */
struct ws {
	struct ws_frame frame; /* whose payload is being read */
	uint64_t left;         /* of that: bytes to come */
	struct buf
		*message; /* what has come of a message that did not come at once, unmasked; when `ready`, expanded */
	size_t checked;   /* so many bytes of it are whole characters */
	struct ws_deflate *deflate; /* NULL: not agreed on */
	uint16_t peer_code;         /* of its Close frame */
	uint8_t opcode;             /* of the message that has begun to come; 0: none */
	bool compressed;            /* that message is */
	bool reading;               /* in the payload of `frame` */
	bool ready;                 /* the message is whole, and the worker has not taken it */
	bool pinged;                /* since anything was heard */
	bool shrinking;             /* the message being sent is compressed */
};

static _Thread_local struct pool states = { .size = sizeof(struct ws), .keep = STATES_KEPT };
static _Thread_local char *scratch;

/* ---- sending --------------------------------------------------------------------------------------------------------------------- */

static int put_frame(struct proto_conn *pc, struct chain *out, unsigned first, struct str payload)
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

/* The last frame of ours; nothing that the peer sends is looked at any more. */
static void say_goodbye(struct proto_conn *pc, unsigned code, struct str reason)
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
	(void)put_frame(pc, &pc->out, WS_FIN | WS_CLOSE, str_make(payload, len));
	pc->close_when_sent = true;
	pc->aborted = true;
}

/* The peer broke the rules, or wants too much. */
static void fail(struct proto_conn *pc, unsigned code, enum close_reason why)
{
	pc->close_reason = (uint16_t)why;
	say_goodbye(pc, code, (struct str){ 0 });
}

static void fail_protocol(struct proto_conn *pc)
{
	fail(pc, WS_CODE_PROTOCOL, CLOSE_MALFORMED);
}

static void ws_farewell(struct proto_conn *pc, enum close_reason why)
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
	say_goodbye(pc, code, (struct str){ 0 });
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
		return put_frame(pc, out, bits, payload);
	r = ws_deflate_shrink(ws->deflate, payload, last, &shrunk);
	if (r < 0)
		return r;
	if (opcode != WS_CONTINUATION && last && shrunk->len >= payload.len) {
		ws_deflate_forget(ws->deflate);
		r = put_frame(pc, out, bits, payload);
	} else {
		pc->lend = false; /* these bytes are gone on return */
		r = put_frame(pc, out, bits | (opcode ? WS_COMPRESSED : 0), buf_str(shrunk));
	}
	buf_unref(shrunk);
	return r;
}

static int push_control(struct proto_conn *pc, unsigned opcode, struct str payload)
{
	if (payload.len > WS_CONTROL_MAX)
		return -EBADMSG;
	if (opcode != WS_CLOSE)
		return put_frame(pc, &pc->out, WS_FIN | opcode, payload);
	pc->close_reason = CLOSE_BY_APP;
	if (payload.len < 2)
		say_goodbye(pc, WS_CODE_NONE, (struct str){ 0 });
	else
		say_goodbye(pc, (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1],
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
		fail(pc, WS_CODE_FAILED, CLOSE_BY_APP); /* two messages at once cannot be told apart */
		return 0;
	}
	r = put_piece(pc, &pc->out, bits, payload);
	if (last)
		proto_finish(pc);
	else
		pc->unfinished = true;
	return r;
}

static int ws_output(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *stream)
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
static struct buf *ws_publish(struct proto_conn *pc, struct publication *p)
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

/* ---- messages of the peer ------------------------------------------------------------------------------------------------------- */

/* What input() has eaten when the sink has said `code` to a frame of `len` bytes. */
static ssize_t eaten(int code, size_t len)
{
	if (code == -EAGAIN)
		return 0;
	return code < 0 ? code : (ssize_t)len;
}

static int emit(struct proto_conn *pc, unsigned opcode, struct str payload)
{
	struct frame f = { .type = FRAME_DATA, .conn = pc->id, .value = opcode };

	return pc->sink->emit(pc, &f, &payload, 1, NULL);
}

static void drop_message(struct ws *ws)
{
	buf_unref(ws->message);
	ws->message = NULL;
	ws->checked = 0;
	ws->opcode = 0;
	ws->ready = false;
}

/* What has come of a text so far (RFC 6455 §8.1). */
static bool text_is_sound(struct ws *ws, struct str text, bool whole)
{
	bool may_go_on;

	text = str_skip(text, ws->checked);
	ws->checked += codec_utf8_prefix(text, &may_go_on);
	return whole ? codec_utf8_prefix(text, &may_go_on) == text.len : may_go_on;
}

static void fail_expansion(struct proto_conn *pc, int code)
{
	if (code == -EMSGSIZE)
		fail(pc, WS_CODE_TOO_LARGE, CLOSE_TOO_LARGE);
	else if (code == -ENOMEM)
		fail(pc, WS_CODE_FAILED, CLOSE_BUFFER_FULL);
	else
		fail(pc, WS_CODE_BAD_TEXT, CLOSE_MALFORMED);
}

/* The last piece of a message has come: expands and checks it.  False: the connection has been failed. */
static bool make_ready(struct proto_conn *pc, struct ws *ws)
{
	struct str bytes = ws->message ? buf_str(ws->message) : LS_STR("");
	struct buf *expanded;

	if (ws->compressed) {
		int code = ws_deflate_expand(ws->deflate, bytes, pc->port->package_max_length, &expanded);

		if (code < 0) {
			fail_expansion(pc, code);
			return false;
		}
		buf_unref(ws->message);
		ws->message = expanded;
		ws->checked = 0;
		bytes = buf_str(expanded);
	}
	if (ws->opcode == WS_TEXT && !text_is_sound(ws, bytes, true)) {
		fail(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
		return false;
	}
	ws->ready = true;
	return true;
}

/* The message ends with the next `len` bytes of input.  Returns `len` when the worker has it, else 0: it is shown again. */
static ssize_t deliver(struct proto_conn *pc, struct ws *ws, size_t len)
{
	int r;

	if (!ws->ready && !make_ready(pc, ws))
		return 0;
	r = emit(pc, ws->opcode, ws->message ? buf_str(ws->message) : LS_STR(""));
	if (r == 0) {
		drop_message(ws);
		ws->reading = false;
	}
	return eaten(r, len);
}

/* Adds payload of ws->frame, which stands `at` bytes behind its beginning. */
static int gather(struct proto_conn *pc, struct ws *ws, struct str payload, uint64_t at)
{
	int r = buf_append(&ws->message, payload, (size_t)pc->port->package_max_length);
	char *p;

	if (r < 0)
		return r;
	if (payload.len == 0)
		return 0;
	p = ws->message->data + ws->message->len - payload.len;
	ws_frame_mask(p, str_make(p, payload.len), ws->frame.mask, at);
	if (ws->opcode == WS_TEXT && !ws->compressed && !text_is_sound(ws, buf_str(ws->message), false))
		fail(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
	return 0;
}

/* The next bytes of a frame that is not here as a whole. */
static ssize_t read_payload(struct proto_conn *pc, struct ws *ws, struct str in)
{
	struct str piece = str_take(in, (size_t)LS_MIN(ws->left, (uint64_t)in.len));
	bool last = piece.len == ws->left && ws->frame.fin;
	int r = ws->ready ? 0 : gather(pc, ws, piece, ws->frame.len - ws->left);

	if (r < 0)
		return r;
	if (pc->aborted)
		return 0;
	if (last)
		return deliver(pc, ws, piece.len);
	ws->left -= piece.len;
	ws->reading = ws->left > 0;
	return (ssize_t)piece.len;
}

/* One that came in a single frame, which is here as a whole: nothing of it is kept. */
static ssize_t deliver_at_once(struct proto_conn *pc, const struct ws_frame *f, struct str payload, size_t len)
{
	struct str bytes = str_make(scratch, payload.len);

	ws_frame_mask(scratch, payload, f->mask, 0);
	if (f->opcode == WS_TEXT && !codec_utf8_ok(bytes)) {
		fail(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
		return 0;
	}
	return eaten(emit(pc, f->opcode, bytes), len);
}

/* Whether a data frame may stand here (RFC 6455 §5.4, RFC 7692 §6.1). */
static bool data_frame_is_sound(const struct ws *ws, const struct ws_frame *f)
{
	if (f->compressed && (!ws->deflate || f->opcode == WS_CONTINUATION))
		return false;
	return (f->opcode == WS_CONTINUATION) == (ws->opcode != 0);
}

static ssize_t input_data(struct proto_conn *pc, struct ws *ws, const struct ws_frame *f, struct str payload,
                          size_t head)
{
	bool here = payload.len >= f->len, alone = f->fin && f->opcode && !f->compressed && f->len <= SCRATCH;
	size_t have = ws->message ? buf_str(ws->message).len : 0;
	ssize_t n;

	if (ws->ready)
		return deliver(pc, ws, head + (size_t)f->len);
	if (!data_frame_is_sound(ws, f)) {
		fail_protocol(pc);
		return 0;
	}
	if (f->len > pc->port->package_max_length - have) {
		fail(pc, WS_CODE_TOO_LARGE, CLOSE_TOO_LARGE);
		return 0;
	}
	if (here && alone)
		return deliver_at_once(pc, f, str_take(payload, (size_t)f->len), head + (size_t)f->len);
	if (f->opcode) {
		ws->opcode = f->opcode;
		ws->compressed = f->compressed;
	}
	ws->frame = *f;
	ws->left = f->len;
	if (!here) {
		ws->reading = true;
		return (ssize_t)head;
	}
	n = read_payload(pc, ws, payload);
	if (n < 0)
		return n;
	return ws->ready || pc->aborted ? 0 : (ssize_t)head + n; /* an empty frame eats its head alone */
}

/* The peer says goodbye.  The worker is told, for the close event, and answers it behind the answers to earlier messages, by CLOSE. */
static ssize_t input_close(struct proto_conn *pc, struct ws *ws, struct str payload, size_t len)
{
	struct frame shut = { .type = FRAME_SHUT, .conn = pc->id };
	unsigned code = WS_CODE_NONE;
	int r;

	if (payload.len >= 2)
		code = (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1];
	if (payload.len == 1 || (payload.len >= 2 && !ws_code_is_valid(code))) {
		fail_protocol(pc);
		return 0;
	}
	if (!codec_utf8_ok(str_skip(payload, 2))) {
		fail(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
		return 0;
	}
	r = emit(pc, WS_CLOSE, payload);
	if (r < 0)
		return eaten(r, len);
	ws->peer_code = (uint16_t)code;
	pc->goodbye = true;
	pc->close_reason = CLOSE_GOODBYE;
	pc->phase = PHASE_WAIT;
	if (pc->sink->emit(pc, &shut, NULL, 0, NULL) < 0)
		say_goodbye(pc, code, (struct str){ 0 });
	pc->aborted = true;
	return (ssize_t)len;
}

static ssize_t input_ping(struct proto_conn *pc, unsigned opcode, struct str payload, size_t len)
{
	bool wanted = opcode == WS_PING ? pc->port->open_websocket_ping_frame : pc->port->open_websocket_pong_frame;
	int r = wanted ? emit(pc, opcode, payload) : 0;

	if (r < 0)
		return eaten(r, len);
	if (opcode == WS_PING && !wanted && pc->out.bytes < PONGS_WAITING &&
	    put_frame(pc, &pc->out, WS_FIN | WS_PONG, payload) < 0)
		return -ENOMEM;
	return (ssize_t)len;
}

static ssize_t input_control(struct proto_conn *pc, struct ws *ws, const struct ws_frame *f, struct str in, size_t head)
{
	char room[WS_CONTROL_MAX];
	struct str payload = str_take(in, (size_t)f->len);

	if (f->compressed) {
		fail_protocol(pc);
		return 0;
	}
	if (in.len < f->len)
		return 0;
	ws_frame_mask(room, payload, f->mask, 0);
	payload.p = room;
	if (f->opcode == WS_CLOSE)
		return input_close(pc, ws, payload, head + payload.len);
	return input_ping(pc, f->opcode, payload, head + payload.len);
}

static ssize_t read_frame(struct proto_conn *pc, struct ws *ws, struct str in)
{
	struct ws_frame f;
	int head = ws_frame_head(in, &f);

	if (head < 0 || (head > 0 && !f.masked)) {
		fail_protocol(pc); /* a client masks (§5.1) */
		return 0;
	}
	if (head == 0)
		return 0;
	in = str_skip(in, (size_t)head);
	return ws_is_control(f.opcode) ? input_control(pc, ws, &f, in, (size_t)head)
	                               : input_data(pc, ws, &f, in, (size_t)head);
}

static ssize_t ws_input(struct proto_conn *pc, struct str in)
{
	struct ws *ws = pc->state;
	size_t eaten = 0;

	ws->pinged = false;
	if (!scratch)
		scratch = xalloc(SCRATCH);
	while (eaten < in.len && !pc->aborted && !pc->close_when_sent) {
		struct str rest = str_skip(in, eaten);
		ssize_t n = ws->reading ? read_payload(pc, ws, rest) : read_frame(pc, ws, rest);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		eaten += (size_t)n;
	}
	return (ssize_t)(pc->aborted ? in.len : eaten);
}

/* ---- silence and the end ---------------------------------------------------------------------------------------------------------- */

static uint64_t ws_patience(const struct proto_conn *pc)
{
	const struct ws *ws = pc->state;
	uint64_t interval = pc->port->websocket_ping_interval;

	return interval && ws->pinged ? interval + pc->port->websocket_pong_timeout : interval;
}

static void ws_timeout(struct proto_conn *pc)
{
	struct ws *ws = pc->state;

	if (!pc->overdue && !ws->pinged && put_frame(pc, &pc->out, WS_FIN | WS_PING, (struct str){ 0 }) == 0) {
		ws->pinged = true;
		return;
	}
	fail(pc, WS_CODE_POLICY, CLOSE_TIMEOUT_IDLE);
}

/* Without a Close frame: there is nobody to answer. */
static void ws_eof(struct proto_conn *pc, struct str rest)
{
	(void)rest;
	pc->close_when_sent = true;
}

static void ws_idle(struct proto_conn *pc)
{
	(void)pc; /* the state is small, and what was agreed on lasts */
}

static void ws_close(struct proto_conn *pc)
{
	struct ws *ws = pc->state;

	if (!ws)
		return;
	drop_message(ws);
	ws_deflate_free(ws->deflate);
	pool_put(&states, ws);
	pc->state = NULL;
}

int ws_begin(struct proto_conn *pc, const struct http_view *answer)
{
	struct str agreed = http_head_find(answer, LS_STR("sec-websocket-extensions"));
	struct ws_deflate *deflate = NULL;
	struct ws_terms terms;
	struct ws *ws;

	if (agreed.p && ws_terms_parse(agreed, &terms) < 0)
		return -EBADMSG;
	if (agreed.p && !(deflate = ws_deflate_new(&terms, pc->port)))
		return -ENOMEM;
	ws = pool_get(&states);
	*ws = (struct ws){ .deflate = deflate };
	pc->state = ws;
	pc->proto = &proto_ws;
	pc->phase = PHASE_IDLE;
	pc->paused = false;
	return 0;
}

bool ws_is_spoken(const struct proto_conn *pc)
{
	return pc->proto == &proto_ws;
}

void ws_trim(void)
{
	pool_trim(&states);
	free(scratch);
	scratch = NULL;
	ws_deflate_trim();
}

const struct proto proto_ws = {
	.name = "websocket",
	.doc = "WebSocket, once a handshake has been accepted.",
	.stateful = true,
	.input = ws_input,
	.output = ws_output,
	.publish = ws_publish,
	.farewell = ws_farewell,
	.eof = ws_eof,
	.timeout = ws_timeout,
	.patience = ws_patience,
	.idle = ws_idle,
	.close = ws_close,
};
