/* luaserv.client(type): sockets of clients, for coroutines. */
#pragma once

#include <lua.h>

/* The module luaserv.core.client. */
int api_client_open(lua_State *L);

/* Pushes a client of a stream socket that is connected already and non-blocking; takes the descriptor.  0, or negative errno: it cannot be
 * watched, and the client is closed. */
int api_client_push_connected(lua_State *L, int fd);
