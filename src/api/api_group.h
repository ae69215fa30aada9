/* Methods of the server object that concern groups of connections; rows of api_server.c. */
#pragma once

#include <lua.h>

int api_group_join(lua_State *L);
int api_group_leave(lua_State *L);
int api_group_publish(lua_State *L);
