/* luaserv.signal(name, fn): signals as events of a worker, task worker or user process. */
#pragma once

#include <lua.h>

/* Signals that a script may handle, 0-terminated. The process blocks them before it has threads, and reads them from its signalfd. */
extern const int api_signal_allowed[];

/* Calls the handler of the process's script, if it has one for this signal. */
void api_signal_deliver(int sig, int sender);

/* The module luaserv.core.signal. */
int api_signal_open(lua_State *L);
