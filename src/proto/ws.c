#include "proto/ws.h"

#include "base/bits.h"
#include "base/codec.h"
#include "base/mem.h"
#include "proto/ws_write.h"

#include <errno.h>
#include <stdlib.h>

enum {
	STATES_KEPT = 1024,
	SCRATCH = 64 * 1024,      /* a message up to this that came in one frame is unmasked here */
	PONGS_WAITING = 16 * 1024 /* a peer that does not read what waits for it gets no further pongs */
};

static _Thread_local struct pool states = { .size = sizeof(struct ws), .keep = STATES_KEPT };
static _Thread_local char *scratch;

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
	size_t sound;

	text = str_skip(text, ws->checked);
	sound = codec_utf8_prefix(text, &may_go_on);
	ws->checked += sound;
	return whole ? sound == text.len : may_go_on;
}

static void fail_expansion(struct proto_conn *pc, int code)
{
	if (code == -EMSGSIZE)
		ws_write_failure(pc, WS_CODE_TOO_LARGE, CLOSE_TOO_LARGE);
	else if (code == -ENOMEM)
		ws_write_failure(pc, WS_CODE_FAILED, CLOSE_BUFFER_FULL);
	else
		ws_write_failure(pc, WS_CODE_BAD_TEXT, CLOSE_MALFORMED);
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
		ws_write_failure(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
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
		ws_write_failure(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
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
		ws_write_failure(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
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
		ws_write_protocol_failure(pc);
		return 0;
	}
	if (f->len > pc->port->package_max_length - have) {
		ws_write_failure(pc, WS_CODE_TOO_LARGE, CLOSE_TOO_LARGE);
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
		ws_write_protocol_failure(pc);
		return 0;
	}
	if (!codec_utf8_ok(str_skip(payload, 2))) {
		ws_write_failure(pc, WS_CODE_BAD_TEXT, CLOSE_BAD_TEXT);
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
		ws_write_goodbye(pc, code, (struct str){ 0 });
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
	    ws_write_frame(pc, &pc->out, WS_FIN | WS_PONG, payload) < 0)
		return -ENOMEM;
	return (ssize_t)len;
}

static ssize_t input_control(struct proto_conn *pc, struct ws *ws, const struct ws_frame *f, struct str in, size_t head)
{
	char room[WS_CONTROL_MAX];
	struct str payload = str_take(in, (size_t)f->len);

	if (f->compressed) {
		ws_write_protocol_failure(pc);
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
		ws_write_protocol_failure(pc); /* a client masks (§5.1) */
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

	if (!pc->overdue && !ws->pinged && ws_write_frame(pc, &pc->out, WS_FIN | WS_PING, (struct str){ 0 }) == 0) {
		ws->pinged = true;
		return;
	}
	ws_write_failure(pc, WS_CODE_POLICY, CLOSE_TIMEOUT_IDLE);
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
	.output = ws_write_output,
	.publish = ws_write_publication,
	.farewell = ws_write_farewell,
	.eof = ws_eof,
	.timeout = ws_timeout,
	.patience = ws_patience,
	.idle = ws_idle,
	.close = ws_close,
};
