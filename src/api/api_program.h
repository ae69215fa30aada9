/* Programs that the app runs: the module luaserv.core.program, on which lua/luaserv/program.lua builds. */
#pragma once

#include <lua.h>

int api_program_open(lua_State *L);
