#include "api/api_websocket.h"

#include "base/codec.h"
#include "lua/bind.h"
#include "proto/ws_frame.h"
#include "worker/codes.h"
#include "worker/inquiry.h"
#include "worker/runtime.h"
#include "worker/websocket.h"

enum { REASON_MAX = WS_CONTROL_MAX - 2, FLAG_FINISH = 1 };

unsigned api_websocket_opcode(lua_State *L, int idx, const char *method)
{
	static const struct {
		const char *name;
		unsigned opcode;
	} names[] = {
		{ "continuation", WS_CONTINUATION },
		{ "text", WS_TEXT },
		{ "binary", WS_BINARY },
		{ "close", WS_CLOSE },
		{ "ping", WS_PING },
		{ "pong", WS_PONG },
	};
	bool is_number = lua_type(L, idx) == LUA_TNUMBER, is_name = lua_type(L, idx) == LUA_TSTRING;

	if (lua_isnoneornil(L, idx))
		return WS_TEXT;
	for (unsigned i = 0; i < LS_COUNT(names); i++) {
		if (is_number && lua_tonumber(L, idx) == names[i].opcode)
			return names[i].opcode;
		if (is_name && strcmp(lua_tostring(L, idx), names[i].name) == 0)
			return names[i].opcode;
	}
	return (unsigned)state_error(
		L,
		"%s: that is no opcode; there are text, binary, ping, pong, close and continuation, and their numbers",
		method);
}

/* The fourth argument: a boolean, or Swoole's flags. */
static bool is_last(lua_State *L, int idx)
{
	if (lua_type(L, idx) == LUA_TNUMBER)
		return lua_tointeger(L, idx) & FLAG_FINISH;
	return lua_isnoneornil(L, idx) || lua_toboolean(L, idx);
}

/* Puts data, opcode and finish of a frame in the place of the arguments. */
static void unfold_frame(lua_State *L)
{
	lua_getfield(L, 3, "data");
	lua_getfield(L, 3, "opcode");
	lua_getfield(L, 3, "finish");
	lua_replace(L, 5);
	lua_replace(L, 4);
	lua_replace(L, 3);
}

int api_websocket_push(lua_State *L)
{
	lua_settop(L, 5);
	if (lua_istable(L, 3))
		unfold_frame(L);
	if (!lua_isstring(L, 3))
		return state_error(L, "bad argument #2 to 'server:push' (string or frame expected, got %s)",
		                   luaL_typename(L, 3));
	return websocket_push(worker_current(), L, (conn_id)lua_tonumber(L, 2), 3,
	                      api_websocket_opcode(L, 4, "server:push"), is_last(L, 5));
}

int api_websocket_disconnect(lua_State *L)
{
	lua_Number code = luaL_optnumber(L, 3, WS_CODE_NORMAL);
	struct str reason = { 0 };

	if (!lua_isnoneornil(L, 4))
		reason.p = lua_tolstring(L, 4, &reason.len);
	if (code < 1000 || code > 4999 || !ws_code_is_valid((unsigned)code))
		return state_error(
			L,
			"server:disconnect: %.14g is no code for a Close frame; there are 1000 and 3000 to 4999, and some in between",
			code);
	if (reason.len > REASON_MAX || !codec_utf8_ok(reason))
		return state_error(L, "server:disconnect: the reason must be UTF-8 and have at most %d bytes",
		                   REASON_MAX);
	return codes_push(L,
	                  websocket_disconnect(worker_current(), (conn_id)lua_tonumber(L, 2), (unsigned)code, reason));
}

static int push_established(lua_State *L, const struct frame_info *info, struct str uid LS_UNUSED)
{
	lua_pushboolean(L, info && info->websocket && !info->closing);
	return 1;
}

int api_websocket_is_established(lua_State *L)
{
	conn_id id = (conn_id)lua_tonumber(L, 2);
	const struct session *s = session_known(worker_current(), id);

	if (!s || s->moved)
		return inquiry_info(worker_current(), L, id, "server:is_established", push_established);
	lua_pushboolean(L, s->websocket && !s->closed && !s->closing);
	return 1;
}
