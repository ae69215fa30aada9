#include "lua/framer.h"

#include "base/mem.h"
#include "lua/app.h"

#include <errno.h>

static const char given_key[] = "luaserv.protocols"; /* registry: name -> table that set{} was given */

/* ---- tables of set{} ----------------------------------------------------------------------------------------------- */

static void push_given(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, given_key);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, given_key);
}

/* Pushes the name under which the table on top stands at `idx`; the first of several, so that all processes agree.
 * False: nothing was pushed. */
static bool push_name_in(lua_State *L, int idx, int module)
{
	const char *best = NULL;

	lua_pushnil(L); /* the best name so far */
	lua_pushnil(L);
	while (lua_next(L, idx)) {
		bool same = lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, module);

		lua_pop(L, 1);
		if (!same || (best && strcmp(best, lua_tostring(L, -1)) <= 0))
			continue;
		lua_pushvalue(L, -1);
		lua_replace(L, -3);
		best = lua_tostring(L, -2);
	}
	if (!best)
		lua_pop(L, 1);
	return best != NULL;
}

static bool push_required_name(lua_State *L, int module)
{
	bool found;

	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	found = push_name_in(L, lua_gettop(L), module);
	lua_remove(L, found ? -2 : -1);
	return found;
}

/* The script says the same in every process, so that the count is the same as well. */
static void push_new_name(lua_State *L, int given)
{
	int n = 1;

	lua_pushnil(L);
	for (; lua_next(L, given); n++)
		lua_pop(L, 1);
	lua_pushfstring(L, "(table %d)", n);
}

const char *framer_name(lua_State *L, int idx)
{
	int given;

	push_given(L);
	given = lua_gettop(L);
	if (!push_name_in(L, given, idx)) {
		if (!push_required_name(L, idx))
			push_new_name(L, given);
		lua_pushvalue(L, -1);
		lua_pushvalue(L, idx);
		lua_rawset(L, given);
	}
	lua_remove(L, given);
	return lua_tostring(L, -1);
}

/* ---- loading ------------------------------------------------------------------------------------------------------- */

/* Pushes the module: the table that set{} was given, or what require() says. */
static void push_module(lua_State *L, const char *name)
{
	push_given(L);
	lua_getfield(L, -1, name);
	lua_remove(L, -2);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_getglobal(L, "require");
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
	if (!lua_istable(L, -1))
		luaL_error(L, "the module gave a %s instead of a table", luaL_typename(L, -1));
}

/* The function of that name in the module on top, as a registry reference. */
static int take_function(lua_State *L, const char *name, bool needed)
{
	lua_getfield(L, -1, name);
	if (lua_isfunction(L, -1))
		return luaL_ref(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1) || needed)
		luaL_error(L, "its %s is a %s, not a function", name, luaL_typename(L, -1));
	lua_pop(L, 1);
	return LUA_NOREF;
}

/* (framer) */
static int load(lua_State *L)
{
	struct framer *f = lua_touserdata(L, 1);

	push_module(L, f->name);
	f->input = take_function(L, "input", true);
	f->decode = take_function(L, "decode", false);
	f->encode = take_function(L, "encode", false);
	return 0;
}

static int load_one(lua_State *L, struct framer *f, const struct port *port, struct err *err)
{
	char name[SETTINGS_PORT_TEXT_MAX];
	uint64_t before = state_enter(state_of(L));
	int r = lua_cpcall(L, load, f);

	state_leave(state_of(L), before);
	if (r == 0)
		return 0;
	err_set(err, -EINVAL, "%s: \"%s\" is neither a protocol of luaserv nor a module that can be one: %s",
	        settings_port_text(port, name), f->name,
	        lua_isstring(L, -1) ? lua_tostring(L, -1) : "it failed to load");
	lua_pop(L, 1);
	return -EINVAL;
}

int framer_load_all(struct app *a, lua_State *L, const struct settings *settings, struct err *err)
{
	int r = 0;

	a->framers = xrealloc(a->framers, settings->n_ports * sizeof *a->framers);
	a->n_framers = settings->n_ports;
	for (unsigned i = 0; i < settings->n_ports; i++)
		a->framers[i] = (struct framer){ .input = LUA_NOREF, .decode = LUA_NOREF, .encode = LUA_NOREF };
	for (unsigned i = 0; i < settings->n_ports && r == 0; i++) {
		const struct port *port = &settings->ports[i];

		if (port->protocol != PROTOCOL_LUA)
			continue;
		a->framers[i].name = port->protocol_module;
		r = load_one(L, &a->framers[i], port, err);
	}
	return r;
}

struct framer *framer_of_port(const struct app *a, unsigned port)
{
	return port < a->n_framers && a->framers[port].input != LUA_NOREF ? &a->framers[port] : NULL;
}
