#include "api/api_co.h"

#include "api/api_sync.h"
#include "base/mem.h"
#include "lua/bind.h"
#include "lua/sched.h"
#include "worker/codes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { CODE_TOO_MANY_COROUTINES = 10001 }; /* Swoole's */

/* ---- coroutines ---------------------------------------------------------------------------------------------------- */

static struct sched *need_sched(lua_State *L, const char *what)
{
	struct sched *s = sched_of(L);

	if (!s)
		state_error(L, "luaserv.%s needs an event loop, and this process has none", what);
	return s;
}

static int co_go(lua_State *L)
{
	struct task *t = sched_task(need_sched(L, "go"));
	int n = lua_gettop(L);

	if (!t)
		return bind_fail(L, CODE_TOO_MANY_COROUTINES, "max_coroutine coroutines are alive");

	lua_Number id = (lua_Number)t->id;

	t->event = "go";
	lua_xmove(L, t->L, n);
	sched_start(t, n - 1);
	/* It may have ended by now, and the task be another's. */
	lua_pushnumber(L, id);
	return 1;
}

static int co_defer(lua_State *L)
{
	sched_defer(L, 1);
	return 0;
}

static int co_cancel(lua_State *L)
{
	lua_Number id = lua_tonumber(L, 1);
	struct task *t = id >= 1 ? sched_find(need_sched(L, "cancel"), (uint64_t)id) : NULL;

	if (t)
		sched_cancel(t);
	lua_pushboolean(L, t != NULL);
	return 1;
}

static int co_id(lua_State *L)
{
	struct sched *s = sched_of(L);
	const struct task *t = s ? sched_current(s) : NULL;

	if (!t)
		return 0;
	lua_pushnumber(L, (lua_Number)t->id);
	return 1;
}

static int co_yield (lua_State *L)
{
	return sched_pause(L, "luaserv.yield");
}

static int co_running(lua_State *L)
{
	struct sched *s = sched_of(L);

	lua_pushnumber(L, s ? sched_count(s) : 0);
	return 1;
}

/* ---- the module ---------------------------------------------------------------------------------------------------- */

enum { ROLES = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS };

static const struct bind_row functions[] = {
	{ "go", co_go, "f*", ROLES,
	  "go(fn, …) -> id | nil, message, code: runs fn(…) in a new coroutine at once, up to its first wait." },
	{ "defer", co_defer, "f", ROLES,
	  "defer(fn): fn runs when this coroutine ends, the last one first, also after an error." },
	{ "cancel", co_cancel, "n", ROLES,
	  "cancel(id) -> boolean: the coroutine's wait raises \"cancelled\"; false: it has ended." },
	{ "id", co_id, "", LUA_ROLE_ALL, "id() -> number of this coroutine, or nothing outside of any." },
	{ "yield", co_yield, "", ROLES | BIND_WAITS, "yield(): lets others run first." },
	{ "running", co_running, "", LUA_ROLE_ALL, "running() -> how many coroutines are alive in this process." },
	{ "channel", api_sync_channel, "n?", LUA_ROLE_ALL,
	  "channel(capacity = 1) -> channel: with 0, push waits for pop." },
	{ "wait_group", api_sync_wait_group, "n?", LUA_ROLE_ALL, "wait_group(count = 0) -> wait group." },
	{ "semaphore", api_sync_semaphore, "n?", LUA_ROLE_ALL, "semaphore(permits = 1) -> semaphore." },
	{ NULL, NULL, NULL, 0, NULL },
};

int api_co_open(lua_State *L)
{
	api_sync_register(L);
	bind_functions(L, "luaserv", functions);
	return 1;
}
