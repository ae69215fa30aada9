#include "worker/websocket.h"

#include "base/codec.h"
#include "lua/bind.h"
#include "proto/ws.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

/* ---- how it ends ------------------------------------------------------------------------------------------------------------------ */

/* What the peer's Close frame says, or ours; the first one counts. */
static void note_end(struct session *s, unsigned code, struct str reason)
{
	if (s->close_code)
		return;
	s->close_code = (uint16_t)code;
	s->close_text = reason.len ? xmemdup0(reason.p, reason.len) : NULL;
}

bool websocket_swallows(struct session *s, unsigned opcode, struct str payload)
{
	if (opcode != WS_CLOSE)
		return false;
	if (payload.len >= 2)
		note_end(s, (unsigned)(unsigned char)payload.p[0] << 8 | (unsigned char)payload.p[1],
		         str_skip(payload, 2));
	else
		note_end(s, WS_CODE_NONE, (struct str){ 0 });
	return !s->port->open_websocket_close_frame;
}

/* Without a Close frame of the peer or the app: the one that the reactor has sent for a mistake of the peer. */
static unsigned code_of_cause(unsigned cause)
{
	switch (cause) {
	case CLOSE_MALFORMED:
		return WS_CODE_PROTOCOL;
	case CLOSE_BAD_TEXT:
		return WS_CODE_BAD_TEXT;
	case CLOSE_TOO_LARGE:
		return WS_CODE_TOO_LARGE;
	case CLOSE_BY_APP:
		return WS_CODE_NORMAL;
	case CLOSE_SHUTDOWN:
		return WS_CODE_GOING_AWAY;
	default:
		return WS_CODE_ABNORMAL;
	}
}

void websocket_explain_close(lua_State *L, const struct session *s, unsigned cause)
{
	lua_pushstring(L, close_reason_name(cause));
	lua_setfield(L, -2, "cause");
	lua_pushinteger(L, s->close_code ? s->close_code : (int)code_of_cause(cause));
	lua_setfield(L, -2, "code");
	lua_pushstring(L, s->close_text ? s->close_text : "");
	lua_setfield(L, -2, "reason");
}

/* ---- messages in ------------------------------------------------------------------------------------------------------------------ */

void websocket_push_frame(lua_State *L, const struct session *s, unsigned opcode, struct str payload)
{
	lua_createtable(L, 0, 4);
	lua_pushnumber(L, (lua_Number)s->id);
	lua_setfield(L, -2, "fd");
	lua_pushlstring(L, payload.p, payload.len);
	lua_setfield(L, -2, "data");
	lua_pushinteger(L, (lua_Integer)opcode);
	lua_setfield(L, -2, "opcode");
	lua_pushboolean(L, 1);
	lua_setfield(L, -2, "finish");
}

/* ---- messages out ----------------------------------------------------------------------------------------------------------------- */

/* The tag of a send: what PUSH.arg says of its last piece. */
static uint32_t tag_of(unsigned opcode, bool last)
{
	return opcode | (last ? WS_PUSH_LAST : 0);
}

ssize_t websocket_emit(struct outflow *of, struct str piece, bool end LS_UNUSED, const struct outflow_source *from)
{
	struct session *s = LS_CONTAINER_OF(of, struct session, out);
	struct str part = str_take(piece, of->line->piece_max);
	bool more = from->more || part.len < piece.len;
	struct frame f = {
		.type = FRAME_PUSH,
		.flags = (from->begun ? FRAME_REST : 0) | (more ? FRAME_MORE : 0),
		.conn = s->id,
		.arg = from->tag,
	};
	int r = outflow_frame(of, &f, part, from);

	if (r < 0)
		session_reset(s); /* half a message is of no use */
	return r < 0 ? r : (ssize_t)part.len;
}

/* Of a connection that this worker was not told of: whoever has it frames it, or drops it where that is no WebSocket. */
static int push_unknown(struct worker *w, conn_id id, uint32_t tag, struct str bytes)
{
	struct frame f = { .type = FRAME_PUSH, .conn = id, .arg = tag };

	return codes_of_send(worker_send_any(w, &f, &bytes, 1));
}

static int pushing_code(const struct session *s)
{
	return s->websocket ? session_sending_code(s) : CODE_NO_WEBSOCKET;
}

int websocket_push(struct worker *w, lua_State *L, conn_id id, int idx, unsigned opcode, bool last)
{
	struct session *s = session_known(w, id);
	uint32_t tag = tag_of(opcode, last);
	struct str bytes = { 0 };
	int code;

	bytes.p = lua_tolstring(L, idx, &bytes.len);
	if (ws_is_control(opcode) ? !last || bytes.len > WS_CONTROL_MAX : opcode > WS_BINARY)
		return codes_push(L, CODE_PARAMS);
	if (opcode == WS_TEXT && last && !codec_utf8_ok(bytes))
		return bind_fail(L, CODE_PARAMS, "the text is not UTF-8; send it as binary");
	if (!s || s->moved)
		return codes_push(L, push_unknown(w, id, tag, bytes));
	code = pushing_code(s);
	if (code)
		return codes_push(L, code);
	s->out.tag = tag;
	return session_send_string(s, L, idx, "server:push");
}

static int push_close(struct worker *w, conn_id id, unsigned code, struct str reason)
{
	char payload[WS_CONTROL_MAX] = { (char)(code >> 8), (char)code };

	if (reason.len)
		memcpy(payload + 2, reason.p, reason.len);
	return push_unknown(w, id, tag_of(WS_CLOSE, true), str_make(payload, 2 + reason.len));
}

void websocket_say_close(struct session *s)
{
	/* Where it is not taken the connection ends by its time-outs. */
	(void)push_close(s->worker, s->id, s->close_code, str_from(s->close_text ? s->close_text : ""));
}

int websocket_disconnect(struct worker *w, conn_id id, unsigned code, struct str reason)
{
	struct session *s = session_known(w, id);
	int refused;

	if (!s || s->moved)
		return push_close(w, id, code, reason);
	refused = pushing_code(s);
	if (refused)
		return refused;
	note_end(s, code, reason);
	s->closing = true;
	if (list_empty(&s->out.pending))
		websocket_say_close(s);
	return 0; /* else what was sent before leaves before */
}
