#include "api/api_shared.h"

#include "conf/shared.h"
#include "ipc/shatomic.h"
#include "worker/codes.h"

#include <errno.h>
#include <string.h>

enum { WAKE_MAX = 1000000 };

static const struct bind_kind atomic_kind;

static struct shatomic *self(lua_State *L)
{
	return bind_self(L);
}

static int push_value(lua_State *L, int64_t value)
{
	lua_pushnumber(L, (lua_Number)value);
	return 1;
}

static int atomic_get(lua_State *L)
{
	return push_value(L, shatomic_get(self(L)));
}

static int atomic_set(lua_State *L)
{
	shatomic_set(self(L), (int64_t)lua_tonumber(L, 2));
	return 0;
}

static int atomic_add(lua_State *L)
{
	return push_value(L, shatomic_add(self(L), (int64_t)luaL_optnumber(L, 2, 1)));
}

static int atomic_sub(lua_State *L)
{
	return push_value(L, shatomic_add(self(L), -(int64_t)luaL_optnumber(L, 2, 1)));
}

static int atomic_cmpset(lua_State *L)
{
	lua_pushboolean(L, shatomic_cmpset(self(L), (int64_t)lua_tonumber(L, 2), (int64_t)lua_tonumber(L, 3)));
	return 1;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------- */

static int try_take(void *object, int way LS_UNUSED)
{
	return shatomic_take(object) ? 0 : -EAGAIN;
}

static int sleep_for(void *object, int way LS_UNUSED, uint64_t timeout_ms)
{
	return shatomic_wait(object, timeout_ms) ? 0 : -ETIMEDOUT;
}

static int push_result(lua_State *L, void *object LS_UNUSED, int r)
{
	if (r < 0)
		return bind_fail(L, -r, "timeout");
	lua_pushboolean(L, 1);
	return 1;
}

static int atomic_wait(lua_State *L)
{
	struct api_shared_wait w = {
		.what = "atomic:wait",
		.object = self(L),
		.try = try_take,
		.sleep = sleep_for,
		.push = push_result,
	};

	return api_shared_wait(L, &w, 2);
}

static int atomic_wakeup(lua_State *L)
{
	lua_Number n = luaL_optnumber(L, 2, 1);

	if (!(n >= 1 && n <= WAKE_MAX))
		return state_error(L, "bad argument #1 to 'atomic:wakeup' (1 to %d expected, got %.14g)", WAKE_MAX, n);
	shatomic_wakeup(self(L), (int)n);
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static void push(lua_State *L, const struct api_shared *s)
{
	struct shatomic *a = api_shared_push(L, s, &atomic_kind, sizeof *a);

	if (a)
		a->area = a->segment.map.p;
}

static struct api_shared describe(const char *name)
{
	return (struct api_shared){ "luaserv.atomic", name, "an atomic", sizeof(struct shatomic_area) };
}

int api_atomic_new(lua_State *L)
{
	struct api_shared s = describe(lua_tostring(L, 1));

	if (strncmp(s.name, SHARED_RESERVED, strlen(SHARED_RESERVED)) == 0)
		return state_error(L, "luaserv.atomic: names that begin with \"%s\" are the server's own",
		                   SHARED_RESERVED);
	push(L, &s);
	return 1;
}

void api_atomic_push_hidden(lua_State *L, const char *name)
{
	struct api_shared s = describe(name);

	push(L, &s);
}

static const struct bind_row methods[] = {
	{ "get", atomic_get, "", LUA_ROLE_ALL, "get() -> the number." },
	{ "set", atomic_set, "i", LUA_ROLE_ALL, "set(value)." },
	{ "add", atomic_add, "i?", LUA_ROLE_ALL, "add(n = 1) -> the new number." },
	{ "sub", atomic_sub, "i?", LUA_ROLE_ALL, "sub(n = 1) -> the new number." },
	{ "cmpset", atomic_cmpset, "ii", LUA_ROLE_ALL, "cmpset(old, new) -> whether it was `old` and is now `new`." },
	{ "wait", atomic_wait, "n?", LUA_ROLE_ALL | BIND_WAITS,
	  "wait(timeout) -> true | nil, message, code: until the number is above 0; then takes 1 off." },
	{ "wakeup", atomic_wakeup, "i?", LUA_ROLE_ALL, "wakeup(n = 1): adds n, so that n waits end." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind atomic_kind = { .name = "atomic", .methods = methods, .collect = api_shared_collect };

void api_atomic_register(lua_State *L)
{
	bind_register(L, &atomic_kind);
}
