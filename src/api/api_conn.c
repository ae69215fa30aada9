#include "api/api_conn.h"

#include "lua/bind.h"
#include "worker/inquiry.h"
#include "worker/codes.h"
#include "worker/packet.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

static conn_id id_of(lua_State *L)
{
	return (conn_id)lua_tonumber(L, 2);
}

int api_conn_send(lua_State *L)
{
	return session_send(worker_current(), L, id_of(L), 3, false);
}

int api_conn_sendwait(lua_State *L)
{
	return session_send(worker_current(), L, id_of(L), 3, true);
}

int api_conn_sendto(lua_State *L)
{
	struct packet_to to = { .host = lua_tostring(L, 2), .port = -1 };
	lua_Number number = lua_tonumber(L, 3);
	struct str bytes = { 0 };

	bool by_path =
		to.host[0] == '\0' || to.host[0] == '/' || to.host[0] == '@' || strncmp(to.host, "unix:", 5) == 0;

	if (!by_path && (number < 1 || number > 65535))
		return state_error(L, "server:sendto: port %.14g is out of range; it must be 1 to 65535", number);
	to.number = by_path ? 0 : (uint16_t)number;
	if (!lua_isnoneornil(L, 5))
		to.port = (int)lua_tointeger(L, 5);
	bytes.p = lua_tolstring(L, 4, &bytes.len);
	return codes_push(L, packet_send(worker_current(), &to, bytes));
}

int api_conn_sendfile(lua_State *L)
{
	lua_Number offset = luaL_optnumber(L, 4, 0);
	lua_Number length = luaL_optnumber(L, 5, 0);

	if (offset < 0 || length < 0)
		return state_error(L, "server:sendfile: offset and length are not negative");

	/* The reactor opens it, whose working directory need not be ours. */
	char *path = realpath(lua_tostring(L, 3), NULL);

	if (!path)
		return bind_fail(L, CODE_FILE_NOT_FOUND, "%s: %s", lua_tostring(L, 3), strerror(errno));
	lua_pushstring(L, path);
	free(path);
	return session_send_file(worker_current(), L, id_of(L), lua_tostring(L, -1), (uint64_t)offset,
	                         (uint64_t)length);
}

int api_conn_close(lua_State *L)
{
	return codes_push(L, session_close(worker_current(), id_of(L), lua_toboolean(L, 3)));
}

int api_conn_pause(lua_State *L)
{
	return codes_push(L, session_pause(worker_current(), id_of(L), true));
}

int api_conn_resume(lua_State *L)
{
	return codes_push(L, session_pause(worker_current(), id_of(L), false));
}

int api_conn_confirm(lua_State *L)
{
	return codes_push(L, session_confirm(worker_current(), id_of(L)));
}

int api_conn_bind(lua_State *L)
{
	char uid[SESSION_UID_MAX];
	int type = lua_type(L, 3); /* before the number becomes a string */
	struct str text = { 0 };

	text.p = type == LUA_TNUMBER || type == LUA_TSTRING ? lua_tolstring(L, 3, &text.len) : NULL;
	if (!text.p || text.len == 0 || text.len >= sizeof uid || memchr(text.p, '\0', text.len))
		return state_error(
			L,
			"bad argument #2 to 'server:bind' (a number, or a string of 1 to %d bytes without a NUL, expected)",
			SESSION_UID_MAX - 1);
	uid[0] = type == LUA_TNUMBER ? 'n' : 's';
	memcpy(uid + 1, text.p, text.len);
	return codes_push(L, session_bind(worker_current(), id_of(L), str_make(uid, text.len + 1)));
}

int api_conn_protect(lua_State *L)
{
	bool protect = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);

	return codes_push(L, session_protect(worker_current(), id_of(L), protect));
}

/* Plain handlers cannot wait for the reactors: they know their worker's connections that have sent something. */
static int heartbeat_here(lua_State *L)
{
	struct worker *w = worker_current();
	bool close = lua_toboolean(L, 2);
	size_t cursor = 0;
	int n = 0;

	lua_newtable(L);
	for (const struct session *s; (s = session_next(w, &cursor));) {
		if (!session_is_silent(s))
			continue;
		lua_pushnumber(L, (lua_Number)s->id);
		lua_rawseti(L, -2, ++n);
		if (close)
			(void)session_close(w, s->id, false); /* one that is closing already is as good */
	}
	return 1;
}

/* ---- what is known of a connection --------------------------------------------------------------------------------------------- */

static void set_number(lua_State *L, const char *name, double value)
{
	lua_pushnumber(L, value);
	lua_setfield(L, -2, name);
}

/* As bind() was given it. */
static void set_uid(lua_State *L, struct str uid)
{
	char text[SESSION_UID_MAX];

	if (uid.len < 2 || !str_copy(str_skip(uid, 1), text, sizeof text))
		return;
	if (uid.p[0] == 'n')
		lua_pushnumber(L, strtod(text, NULL));
	else
		lua_pushstring(L, text);
	lua_setfield(L, -2, "uid");
}

enum { WEBSOCKET_ACTIVE = 3 }; /* Swoole's number */

/* Swoole's names; times are seconds since 1970, with fractions. */
static int push_info(lua_State *L, const struct frame_info *info, struct str uid)
{
	const struct settings *s = worker_current()->o.settings;
	char text[SOCK_TEXT_MAX];

	if (!info || info->port >= s->n_ports)
		return codes_push(L, CODE_NO_CONNECTION);
	lua_createtable(L, 0, 10);
	lua_pushstring(L, sock_peer_text(&info->peer, text));
	lua_setfield(L, -2, "remote_ip");
	set_number(L, "remote_port", info->peer.port);
	set_number(L, "server_port", settings_port_number(&s->ports[info->port]));
	set_number(L, "reactor_id", info->reactor);
	set_number(L, "connect_time", (double)info->connected_us / 1e6);
	set_number(L, "last_recv_time", (double)info->received_us / 1e6);
	set_number(L, "send_queued_bytes", (double)info->queued);
	lua_pushboolean(L, info->closing != 0);
	lua_setfield(L, -2, "closing");
	if (info->websocket)
		set_number(L, "websocket_status", WEBSOCKET_ACTIVE);
	set_uid(L, uid);
	return 1;
}

int api_conn_info(lua_State *L)
{
	const struct session *s = session_known(worker_current(), id_of(L));
	struct frame_info info;

	if (!s || s->moved)
		return inquiry_info(worker_current(), L, id_of(L), "server:get_client_info", push_info);
	info = (struct frame_info){
		.peer = s->peer,
		.reactor = s->reactor,
		.port = s->port->index,
		.closing = s->closing || s->closed,
		.websocket = s->websocket,
		.connected_us = s->connected_us,
		.received_us = s->received_us ? s->received_us : s->connected_us,
		.queued = s->out.sent - s->out.acked,
	};
	push_info(L, &info, str_from(s->uid ? s->uid : ""));
	set_number(L, "recv_queued_bytes", (double)session_queued(s));
	return 1;
}

static int push_existence(lua_State *L, const struct frame_info *info, struct str uid LS_UNUSED)
{
	lua_pushboolean(L, info && !info->closing);
	return 1;
}

int api_conn_exists(lua_State *L)
{
	const struct session *s = session_known(worker_current(), id_of(L));

	if (!s || s->moved)
		return inquiry_info(worker_current(), L, id_of(L), "server:exists", push_existence);
	lua_pushboolean(L, !s->closed && !s->closing);
	return 1;
}

int api_conn_list(lua_State *L)
{
	conn_id after = (conn_id)luaL_optnumber(L, 2, 0);
	lua_Number n = luaL_optnumber(L, 3, 10);

	if (n < 1 || n > INQUIRY_LIST_MAX)
		return state_error(L, "bad argument #2 to 'server:get_client_list' (1 to %d expected, got %.14g)",
		                   INQUIRY_LIST_MAX, n);
	return inquiry_list(worker_current(), L, after, (unsigned)n);
}

/* In Lua, since it waits between its steps. */
int api_conn_iterate(lua_State *L)
{
	bind_require(L, "luaserv.connections");
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	return 1;
}

int api_conn_heartbeat(lua_State *L)
{
	struct worker *w = worker_current();

	return sched_is_plain(w->sched) ? heartbeat_here(L) : inquiry_silent(w, L, lua_toboolean(L, 2));
}
