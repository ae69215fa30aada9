#include "api/api_shared.h"

#include "conf/shared.h"
#include "ipc/shgate.h"
#include "worker/codes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct bind_kind lock_kind;

static struct shgate *self(lua_State *L)
{
	return bind_self(L);
}

static int fail(lua_State *L, const struct shgate *g, int r)
{
	switch (r) {
	case -EAGAIN:
		return bind_fail(L, EAGAIN, "the %s is held", shgate_kind_name(g->kind));
	case -EPERM:
		return bind_fail(L, CODE_WRONG_OPERATION, "this process does not hold the %s",
		                 shgate_kind_name(g->kind));
	case -ENOSPC:
		return bind_fail(L, CODE_TOO_LARGE, "more than %d processes hold the %s", SHGATE_HOLDERS,
		                 shgate_kind_name(g->kind));
	case -EOVERFLOW:
		return bind_fail(L, CODE_TOO_LARGE, "this process holds the %s %d times", shgate_kind_name(g->kind),
		                 SHGATE_HELD_MAX);
	default:
		return bind_fail(L, ETIMEDOUT, "timeout");
	}
}

static int push_result(lua_State *L, void *object, int r)
{
	if (r < 0)
		return fail(L, object, r);
	lua_pushboolean(L, 1);
	if (r != SHGATE_INHERITED)
		return 1;
	lua_pushliteral(L, "the owner died");
	return 2;
}

static int try(void *object, int way)
{
	return shgate_try(object, (enum shgate_way)way);
}

static int sleep_for(void *object, int way, uint64_t timeout_ms)
{
	return shgate_wait(object, (enum shgate_way)way, timeout_ms);
}

static int begin(void *object, int way)
{
	return way == SHGATE_WRITE ? shgate_want(object) : 0;
}

static void end(void *object, int way)
{
	if (way == SHGATE_WRITE)
		shgate_unwant(object);
}

static int wait_for(lua_State *L, const char *what, enum shgate_way way)
{
	struct api_shared_wait w = {
		.what = what,
		.object = self(L),
		.way = way,
		.try = try,
		.sleep = sleep_for,
		.begin = begin,
		.end = end,
		.push = push_result,
	};

	return api_shared_wait(L, &w, 2);
}

static void check_reads(lua_State *L, const char *what)
{
	if (self(L)->kind != SHGATE_RWLOCK)
		state_error(L, "%s: this is a %s; only a rwlock has readers", what, shgate_kind_name(self(L)->kind));
}

static int lock_lock(lua_State *L)
{
	return wait_for(L, "lock:lock", SHGATE_WRITE);
}

static int lock_read(lua_State *L)
{
	check_reads(L, "lock:lock_read");
	return wait_for(L, "lock:lock_read", SHGATE_READ);
}

static int lock_try(lua_State *L)
{
	return push_result(L, self(L), shgate_try(self(L), SHGATE_WRITE));
}

static int lock_try_read(lua_State *L)
{
	check_reads(L, "lock:trylock_read");
	return push_result(L, self(L), shgate_try(self(L), SHGATE_READ));
}

static int lock_unlock(lua_State *L)
{
	return push_result(L, self(L), shgate_release(self(L)));
}

static int lock_count(lua_State *L)
{
	int n = shgate_count(self(L));

	if (n < 0)
		return fail(L, self(L), n);
	lua_pushinteger(L, n);
	return 1;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static int check_permits(lua_State *L, enum shgate_kind kind)
{
	lua_Number n = luaL_optnumber(L, 3, 1);

	if (kind != SHGATE_SEM && !lua_isnoneornil(L, 3))
		return state_error(L, "bad argument #3 to 'luaserv.lock' (only a \"sem\" has permits)");
	if (!(n >= 1 && n <= SHGATE_HELD_MAX))
		return state_error(L, "bad argument #3 to 'luaserv.lock' (1 to %d expected, got %.14g)",
		                   SHGATE_HELD_MAX, n);
	return (int)n;
}

static void write_shape(enum shgate_kind kind, int permits, char *out, size_t cap)
{
	if (kind == SHGATE_SEM)
		snprintf(out, cap, "a sem lock of %d permits", permits);
	else
		snprintf(out, cap, "a %s lock", shgate_kind_name(kind));
}

int api_lock_new(lua_State *L)
{
	const char *word = luaL_optstring(L, 2, "mutex");
	int kind = shgate_kind_find(word);
	char shape[64];
	struct api_shared s = { "luaserv.lock", lua_tostring(L, 1), shape, sizeof(struct shgate_area) };
	struct shgate *g;
	int permits;

	if (kind < 0)
		return state_error(L,
		                   "bad argument #2 to 'luaserv.lock' (\"mutex\", \"rwlock\", \"spin\" or \"sem\" "
		                   "expected, got \"%s\")",
		                   word);
	permits = check_permits(L, (enum shgate_kind)kind);
	write_shape((enum shgate_kind)kind, permits, shape, sizeof shape);
	g = api_shared_push(L, &s, &lock_kind, sizeof *g);
	if (g) {
		g->area = g->segment.map.p;
		g->kind = (enum shgate_kind)kind;
		g->permits = (unsigned)permits;
	}
	return 1;
}

static const struct bind_row methods[] = {
	{ "lock", lock_lock, "n?", LUA_ROLE_ALL | BIND_WAITS,
	  "lock(timeout) -> true [, \"the owner died\"] | nil, message, code: waits for it, to write; of a sem: for a permit." },
	{ "trylock", lock_try, "", LUA_ROLE_ALL, "trylock() -> true [, \"the owner died\"] | nil, message, code." },
	{ "lock_read", lock_read, "n?", LUA_ROLE_ALL | BIND_WAITS,
	  "lock_read(timeout) -> true | nil, message, code: of a rwlock, beside other readers." },
	{ "trylock_read", lock_try_read, "", LUA_ROLE_ALL, "trylock_read() -> true | nil, message, code." },
	{ "unlock", lock_unlock, "", LUA_ROLE_ALL,
	  "unlock() -> true | nil, message, code: gives back what this process took last." },
	{ "count", lock_count, "", LUA_ROLE_ALL, "count() -> how many hold it." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind lock_kind = { .name = "lock", .methods = methods, .collect = api_shared_collect };

void api_lock_register(lua_State *L)
{
	bind_register(L, &lock_kind);
}
