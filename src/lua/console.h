/* What Lua writes for people: print() and luaserv.log. */
#pragma once

#include "lua/state.h"

/* print(): one write to the log's descriptor, so that lines of several processes do not mix. */
int console_print(lua_State *L);
/* The module luaserv.core.log: error, warn, notice, info, debug.  They take what print() takes. */
int console_open(lua_State *L);
