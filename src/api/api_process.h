/* User processes as Lua sees them: luaserv.process(fn, opts) and server:add_process(). */
#pragma once

#include <lua.h>

/* server:add_process(process) */
int api_process_add(lua_State *L);
int api_process_open(lua_State *L);
