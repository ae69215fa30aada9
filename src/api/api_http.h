/* The module luaserv.core.http: registers req and res. */
#pragma once

#include <lua.h>

int api_http_open(lua_State *L);
/* Pushes cjson.safe's function of that name ("encode", "decode"); raises where lua-cjson is not installed. */
void api_http_push_json(lua_State *L, const char *name);
