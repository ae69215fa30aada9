#include "lua/callback.h"

#include "lua/bind.h"

#include <errno.h>
#include <string.h>

/* In Lua, since a C function between the scheduler and the handler could not be yielded across. */
static const char passing_chunk[] = "local f, object = ... return function(...) return f(object, ...) end";

/* With a function and an object on the stack, makes the one that passes the object first. */
static int resolve_bound(lua_State *L)
{
	bind_run_chunk(L, passing_chunk, 2);
	return 1;
}

/* (name) -> function; the name is "module.fn", the module's own name may have dots. */
static int resolve_name(lua_State *L)
{
	const char *name = lua_tostring(L, 1);
	const char *dot = strrchr(name, '.');

	if (!dot || dot == name || !dot[1])
		return luaL_error(L, "\"%s\" is not of the form \"module.function\"", name);
	lua_getglobal(L, "require");
	lua_pushlstring(L, name, (size_t)(dot - name));
	lua_call(L, 1, 1);
	if (!lua_istable(L, -1))
		return luaL_error(L, "module of \"%s\" gave a %s instead of a table", name, luaL_typename(L, -1));
	lua_getfield(L, -1, dot + 1);
	if (lua_isnil(L, -1))
		return luaL_error(L, "there is no function \"%s\" in the module of \"%s\"", dot + 1, name);
	lua_remove(L, -2);
	return 1;
}

/* (table) -> function; { object, "method" } or a callable one. */
static int resolve_table(lua_State *L)
{
	if (luaL_getmetafield(L, 1, "__call")) {
		lua_pushvalue(L, 1);
		return resolve_bound(L);
	}
	lua_rawgeti(L, 1, 2);
	lua_rawgeti(L, 1, 1);
	if (lua_type(L, 2) != LUA_TSTRING || lua_isnil(L, 3))
		return luaL_error(L, "a table must be callable or of the form { object, \"method\" }");
	if (lua_type(L, 3) != LUA_TTABLE && lua_type(L, 3) != LUA_TUSERDATA)
		return luaL_error(L, "the object of a method must be a table or userdata, not a %s",
		                  luaL_typename(L, 3));
	lua_getfield(L, 3, lua_tostring(L, 2));
	if (!bind_is_callable(L, -1))
		return luaL_error(L, "the object has no method \"%s\"", lua_tostring(L, 2));
	lua_insert(L, 3);
	return resolve_bound(L);
}

static int resolve(lua_State *L)
{
	switch (lua_type(L, 1)) {
	case LUA_TFUNCTION:
		return 1;
	case LUA_TSTRING:
		resolve_name(L);
		if (lua_type(L, -1) == LUA_TFUNCTION)
			return 1;
		lua_replace(L, 1);
		lua_settop(L, 1);
		if (lua_type(L, 1) != LUA_TTABLE || !bind_is_callable(L, 1))
			return luaL_error(L, "that name stands for a %s, not a function", luaL_typename(L, 1));
		return resolve_table(L);
	case LUA_TTABLE:
		return resolve_table(L);
	default:
		return luaL_error(L,
		                  "a function, \"module.function\", { object, \"method\" } or a callable table "
		                  "is expected, got a %s",
		                  luaL_typename(L, 1));
	}
}

int callback_resolve(lua_State *L, int idx, struct err *err)
{
	lua_pushvalue(L, idx);
	lua_pushcfunction(L, resolve);
	lua_insert(L, -2);
	if (lua_pcall(L, 1, 1, 0) == 0)
		return 0;
	err_set(err, -EINVAL, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : "the module failed to load");
	lua_pop(L, 1);
	return -EINVAL;
}
