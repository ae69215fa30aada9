/* luaserv.server(): the server object, its ports, and what handlers do with connections. */
#pragma once

#include <lua.h>

int api_server_open(lua_State *L);
