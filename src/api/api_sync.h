/* What coroutines wait for together: channels, wait groups, semaphores.  Rows and kinds of the module luaserv.core.co. */
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Makes the kinds known; once per state. */
void api_sync_register(lua_State *L);
/* channel(capacity), wait_group(count), semaphore(permits): lua_CFunctions, to be wrapped in the check of arguments. */
int api_sync_channel(lua_State *L);
int api_sync_wait_group(lua_State *L);
int api_sync_semaphore(lua_State *L);
/* The optional argument in seconds of what waits; false: 0, the caller may not wait at all.  Negative, as in Swoole: no limit (*ms is 0);
 * absent: `otherwise`.  Raises. */
bool api_sync_timeout(lua_State *L, int idx, const char *what, uint64_t otherwise, uint64_t *ms);
