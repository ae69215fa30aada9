/* What the server object does with connections: lua_CFunctions of its methods, whose arguments have been checked. */
#pragma once

#include <lua.h>

int api_conn_send(lua_State *L);
int api_conn_sendwait(lua_State *L);
int api_conn_sendto(lua_State *L);
int api_conn_sendfile(lua_State *L);
int api_conn_close(lua_State *L);
int api_conn_exists(lua_State *L);
int api_conn_pause(lua_State *L);
int api_conn_resume(lua_State *L);
int api_conn_confirm(lua_State *L);
int api_conn_bind(lua_State *L);
int api_conn_protect(lua_State *L);
int api_conn_heartbeat(lua_State *L);
int api_conn_info(lua_State *L);
int api_conn_list(lua_State *L);
int api_conn_iterate(lua_State *L);
