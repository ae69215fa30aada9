#pragma once

#include <lua.h>

/* The module luaserv.core.event. */
int api_event_open(lua_State *L);
