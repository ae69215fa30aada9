/* Rows of the server object between processes: send_message, add_command, command. */
#pragma once

#include <lua.h>

int api_message_send(lua_State *L);
int api_message_add_command(lua_State *L);
int api_message_command(lua_State *L);
