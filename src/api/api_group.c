#include "api/api_group.h"

#include "api/api_websocket.h"
#include "lua/bind.h"
#include "proto/ws_frame.h"
#include "worker/codes.h"
#include "worker/group.h"
#include "worker/runtime.h"

static struct str check_name(lua_State *L, int idx, const char *method)
{
	struct str name = { 0 };

	name.p = lua_tolstring(L, idx, &name.len);
	if (name.len == 0 || name.len > GROUP_NAME_MAX)
		state_error(L, "server:%s: the name of a group has 1 to %d bytes, this one has %d", method,
		            GROUP_NAME_MAX, (int)name.len);
	return name;
}

static int change(lua_State *L, const char *method, bool join)
{
	struct str name = check_name(L, 3, method);

	return codes_push(L, group_change(worker_current(), (conn_id)lua_tonumber(L, 2), name, join));
}

int api_group_join(lua_State *L)
{
	return change(L, "join", true);
}

int api_group_leave(lua_State *L)
{
	return change(L, "leave", false);
}

/* publish(group, data, opcode, except): raw connections know no opcodes. */
int api_group_publish(lua_State *L)
{
	struct str name = check_name(L, 2, "publish"), bytes = { 0 };
	unsigned opcode = api_websocket_opcode(L, 4, "server:publish");
	conn_id except = (conn_id)luaL_optnumber(L, 5, 0);

	bytes.p = lua_tolstring(L, 3, &bytes.len);
	if (bytes.len == 0)
		return codes_push(L, CODE_EMPTY);
	if (opcode != WS_TEXT && opcode != WS_BINARY)
		return codes_push(L, CODE_PARAMS);
	return codes_push(L, group_publish(worker_current(), name, bytes, opcode, except));
}
