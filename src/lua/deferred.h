/* Functions that run when a task's own has ended (luaserv.defer), and what that one gave, kept meanwhile. */
#pragma once

#include "lua/sched.h"

/* The function at `idx` of L, which the task runs, runs when the task's own has ended. */
void deferred_add(lua_State *L, struct task *t, int idx);
/* Puts the task's results, or its error, away: the coroutine is needed for deferred functions. */
void deferred_keep(struct task *t, int status);
/* Puts them back; there is no deferred function any more. */
void deferred_restore(struct task *t);
/* Leaves the function deferred last on the stack and forgets it; false: there is none. */
bool deferred_next(struct task *t);
