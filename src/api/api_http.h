/* req and res: what a request handler sees. */
#pragma once

#include <lua.h>

int api_http_open(lua_State *L);
