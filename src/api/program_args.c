#include "api/program_args.h"

#include "lua/bind.h"

#include <string.h>
#include <unistd.h>

const char *const *program_args(lua_State *L, int idx, size_t *n)
{
	*n = lua_objlen(L, idx);
	if (*n == 0)
		state_error(L, "luaserv.process: the list of a program's name and arguments is empty");

	const char **args = lua_newuserdata(L, *n * sizeof *args);

	for (size_t i = 0; i < *n; i++) {
		size_t len;

		lua_rawgeti(L, idx, (int)i + 1);
		args[i] = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
		if (!args[i] || strlen(args[i]) != len)
			state_error(L, "luaserv.process: argument %d of the program is %s", (int)i,
			            args[i] ? "a string with a zero byte" : luaL_typename(L, -1));
		lua_pop(L, 1); /* the list holds it */
	}
	return args;
}

static bool is_overridden(lua_State *L, int changes, const char *variable)
{
	bool there;

	lua_pushlstring(L, variable, strcspn(variable, "="));
	lua_rawget(L, changes);
	there = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return there;
}

char **program_environment(lua_State *L, int idx)
{
	size_t n = 0, most = 1;
	char **env;

	for (char **at = environ; *at; at++)
		most++;
	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1))
		most++;
	env = lua_newuserdata(L, most * sizeof *env);
	for (char **at = environ; *at; at++)
		if (!is_overridden(L, idx, *at))
			env[n++] = *at;
	lua_newtable(L);
	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING ||
		    (lua_type(L, -1) != LUA_TSTRING && (!lua_isboolean(L, -1) || lua_toboolean(L, -1))))
			state_error(L, "luaserv.process: env has names and their values, which are strings or false");
		if (lua_isboolean(L, -1))
			continue;
		lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
		env[n++] = (char *)(uintptr_t)lua_tostring(L, -1);
		lua_rawseti(L, -4, (int)n);
	}
	env[n] = NULL;
	return env;
}
