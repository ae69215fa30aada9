/* Rows of the server object about its processes: stats, stop, get_worker_pid, get_worker_status. */
#pragma once

#include <lua.h>

int api_info_stats(lua_State *L);
int api_info_stop(lua_State *L);
int api_info_worker_pid(lua_State *L);
int api_info_worker_status(lua_State *L);
