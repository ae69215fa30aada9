/* THE LIST of Lua modules written in C. */
#pragma once

#include "lua/state.h"

extern const struct lua_module modules[];
