/* Time for Lua: sleep, after, tick, clear, now, time. */
#pragma once

#include <lua.h>

/* The module luaserv.core.time. */
int api_time_open(lua_State *L);
/* Drops every timer of the state; called before its loop ends. */
void api_time_clear_all(lua_State *L);
unsigned api_time_count(lua_State *L);
