/* Values that Lua gives for other processes. */
#pragma once

#include "lua/pack.h"

/* The value at `idx`, called `name` in messages, as bytes that are good until the next call.  Raises for what is no plain value; 0 or
 * a code. */
int api_value_pack(lua_State *L, int idx, const char *name, struct packed *out);
