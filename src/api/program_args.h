/* What a program is started with, from tables of Lua. */
#pragma once

#include <lua.h>
#include <stddef.h>

/* The strings of the list at `idx`, *n of them, in memory of Lua's that stays on the stack.  Raises. */
const char *const *program_args(lua_State *L, int idx, size_t *n);
/* This process's environment with the changes of the table at `idx`: name = value, or false.  What it is made of stays on the stack,
 * in a table.  Raises. */
char **program_environment(lua_State *L, int idx);
