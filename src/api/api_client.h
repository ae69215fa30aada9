/* luaserv.client(type): sockets of clients, for coroutines. */
#pragma once

#include <lua.h>

/* The module luaserv.core.client. */
int api_client_open(lua_State *L);
