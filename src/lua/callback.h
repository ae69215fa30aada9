/* Handlers as apps may give them, in four styles. */
#pragma once

#include "base/err.h"

#include <lua.h>

/* Resolves the four callback styles at stack index `idx`: function, "module.fn", { object, "method" }, callable table; leaves a
 * function on the stack (for { object, "method" } a closure that passes the object first).  Error text names what is wrong. */
int callback_resolve(lua_State *L, int idx, struct err *err);
