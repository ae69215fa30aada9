/* Coroutines for Lua: go, defer, cancel, id, yield, channel, wait_group, semaphore. */
#pragma once

#include <lua.h>

/* The module luaserv.core.co. */
int api_co_open(lua_State *L);
