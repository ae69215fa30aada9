/* What a script says before server:start(): settings and handlers, of the server or of one port.  All raise Lua errors. */
#pragma once

#include "conf/settings.h"

#include <lua.h>

/* One value of a settings table, at `idx`, as the text that settings_set() takes: of a list the items, with commas between.  Leaves
 * one value on the stack, which owns the text. */
struct str api_script_value(lua_State *L, int idx, const char *name);
/* Raises if the server has been started; `what` is the caller's name, "server:set". */
void api_script_check_open(lua_State *L, const char *what);
/* The settings of the table at index `table`; port NULL: the server's. */
void api_script_set(lua_State *L, int table, struct port *port, const char *what);
/* The handler at `handler_idx`, in one of the four callback styles, for the event named at `event_idx`; port NULL: the server's. */
void api_script_on(lua_State *L, int event_idx, int handler_idx, const struct port *port, const char *what);
/* The script has said all: handlers become functions, and settings tell which events have any. */
void api_script_end(lua_State *L);
