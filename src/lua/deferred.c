#include "lua/deferred.h"

void deferred_add(lua_State *L, struct task *t, int idx)
{
	lua_pushvalue(L, idx);
	if (t->defers == LUA_NOREF) {
		lua_newtable(L);
		t->defers = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->defers);
	lua_insert(L, -2);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

void deferred_keep(struct task *t, int status)
{
	int n = lua_gettop(t->L);

	t->outcome = status;
	lua_createtable(t->L, n, 0);
	for (int i = 1; i <= n; i++) {
		lua_pushvalue(t->L, i);
		lua_rawseti(t->L, -2, i);
	}
	lua_pushinteger(t->L, n);
	lua_setfield(t->L, -2, "n");
	t->outcome_ref = luaL_ref(t->L, LUA_REGISTRYINDEX);
}

void deferred_restore(struct task *t)
{
	lua_State *L = t->L;

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->outcome_ref);
	lua_getfield(L, 1, "n");

	int n = (int)lua_tointeger(L, -1);

	lua_pop(L, 1);
	luaL_checkstack(L, n + 1, NULL);
	for (int i = 1; i <= n; i++)
		lua_rawgeti(L, 1, i);
	lua_remove(L, 1);
	luaL_unref(L, LUA_REGISTRYINDEX, t->outcome_ref);
	luaL_unref(L, LUA_REGISTRYINDEX, t->defers);
	t->outcome_ref = LUA_NOREF;
	t->defers = LUA_NOREF;
}

bool deferred_next(struct task *t)
{
	lua_State *L = t->L;

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->defers);

	int last = (int)lua_objlen(L, 1);

	if (last == 0)
		return false;
	lua_rawgeti(L, 1, last);
	lua_pushnil(L);
	lua_rawseti(L, 1, last);
	lua_remove(L, 1);
	return true;
}
