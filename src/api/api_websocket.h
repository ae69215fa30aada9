/* What the server object does with WebSockets: lua_CFunctions of its methods, whose arguments have been checked. */
#pragma once

#include <lua.h>

int api_websocket_push(lua_State *L);
int api_websocket_disconnect(lua_State *L);
int api_websocket_is_established(lua_State *L);
/* The opcode at `idx`, a number or a name; nothing is text.  Raises for others, naming `method`. */
unsigned api_websocket_opcode(lua_State *L, int idx, const char *method);
