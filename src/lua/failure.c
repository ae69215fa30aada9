#include "lua/failure.h"

/* (message, dead coroutine) -> text.  The coroutine is given as a value, since C cannot pass it on otherwise. */
static int explain(lua_State *L)
{
	lua_State *dead = lua_tothread(L, 2);

	lua_settop(L, 1);
	state_explain(L, dead, 0);
	return 1;
}

void failure_init(struct failure *f, lua_State *L)
{
	f->L = L;
	lua_pushcfunction(L, explain);
	f->explain_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushliteral(L, "not enough memory (nor for a traceback)");
	f->no_memory_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void failure_fini(struct failure *f)
{
	luaL_unref(f->L, LUA_REGISTRYINDEX, f->explain_ref);
	luaL_unref(f->L, LUA_REGISTRYINDEX, f->no_memory_ref);
}

void failure_explain(struct failure *f, lua_State *dead)
{
	lua_State *L = f->L;
	/* The watchdog's hook would raise in here, too. */
	lua_Hook hook = lua_gethook(L);
	int mask = lua_gethookmask(L);
	int count = lua_gethookcount(L);

	if (hook)
		lua_sethook(L, NULL, 0, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, f->explain_ref);
	lua_xmove(dead, L, 1);
	lua_pushthread(dead);
	lua_xmove(dead, L, 1);
	if (lua_pcall(L, 2, 1, 0) != 0) {
		lua_pop(L, 1);
		lua_rawgeti(L, LUA_REGISTRYINDEX, f->no_memory_ref);
	}
	if (hook)
		lua_sethook(L, hook, mask, count);
}

struct str failure_message(struct str text)
{
	ssize_t end = str_find(text, LS_STR("\nstack traceback:"));

	return end < 0 ? text : str_take(text, (size_t)end);
}
