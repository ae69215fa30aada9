#include "api/api_script.h"

#include "base/mem.h"
#include "lua/app.h"
#include "lua/callback.h"
#include "lua/framer.h"

/* ---- settings from Lua ---------------------------------------------------------------------------------------------------------- */

struct str api_script_value(lua_State *L, int idx, const char *name)
{
	struct str text = { 0 };
	luaL_Buffer list;

	switch (lua_type(L, idx)) {
	case LUA_TBOOLEAN:
		return str_from(lua_toboolean(L, idx) ? "true" : "false");
	case LUA_TNUMBER:
	case LUA_TSTRING:
		lua_pushvalue(L,
		              idx); /* a number is turned into text in place, which a key of lua_next() must not be */
		break;
	case LUA_TTABLE:
		luaL_buffinit(L, &list);
		for (int i = 1; i <= (int)lua_objlen(L, idx); i++) {
			if (i > 1)
				luaL_addchar(&list, ',');
			lua_rawgeti(L, idx, i);
			if (!lua_isstring(L, -1))
				state_error(L, "%s: item %d of the list is a %s, not a string", name, i,
				            luaL_typename(L, -1));
			luaL_addvalue(&list);
		}
		luaL_pushresult(&list);
		break;
	default:
		state_error(L, "%s is a %s; a setting is a boolean, a number, a string or a list of strings", name,
		            luaL_typename(L, idx));
	}
	text.p = lua_tolstring(L, -1, &text.len);
	return text;
}

/* A protocol is given as the module itself: port:set { protocol = require "my.protocol" }. */
static void set_protocol(lua_State *L, int idx, struct app *app, struct port *port)
{
	struct err err = { 0 };
	struct str name;

	lua_getfield(L, idx, "input");
	if (!lua_isfunction(L, -1))
		state_error(L, "protocol is a table without a function input, so it is not a protocol");
	name = str_from(framer_name(L, idx));
	if (settings_set(&app->settings, port, "protocol_module", name, LAYER_SCRIPT, &err) < 0 ||
	    settings_set(&app->settings, port, "protocol", LS_STR("lua"), LAYER_SCRIPT, &err) < 0)
		state_error(L, "%s", err.text);
}

static void set_one(lua_State *L, const char *name, int idx, struct app *app, struct port *port)
{
	struct err err = { 0 };
	struct str text;

	if (lua_istable(L, idx) && strcmp(name, "protocol") == 0) {
		set_protocol(L, idx, app, port);
		return;
	}
	text = api_script_value(L, idx, name);
	if (settings_set(&app->settings, port, name, text, LAYER_SCRIPT, &err) < 0)
		state_error(L, "%s", err.text);
}

static void set_all(lua_State *L, int table, struct app *app, struct port *port)
{
	lua_pushnil(L);
	while (lua_next(L, table)) {
		int top = lua_gettop(L);

		if (lua_type(L, -2) != LUA_TSTRING)
			state_error(L, "a setting's name is a string, not a %s", luaL_typename(L, -2));
		set_one(L, lua_tostring(L, -2), top, app, port);
		lua_settop(L, top - 1);
	}
}

void api_script_check_open(lua_State *L, const char *what)
{
	if (app_of(L)->started)
		state_error(L, "%s: the server has been started; this belongs before server:start()", what);
}

/* ---- handlers --------------------------------------------------------------------------------------------------------------------- */

static int event_of(lua_State *L, int idx)
{
	struct str name = { 0 };

	name.p = lua_tolstring(L, idx, &name.len);

	int event = settings_event_find(name);

	if (event < 0)
		state_error(L, "there is no event \"%s\"; did you mean \"%s\"?", name.p, settings_event_nearest(name));
	return event;
}

static void store_handler(lua_State *L, int idx, int *slot)
{
	luaL_unref(L, LUA_REGISTRYINDEX, *slot);
	lua_pushvalue(L, idx);
	*slot = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int (*port_table(struct app *app, unsigned index))[EVENTS]
{
	if (index >= app->n_port_handlers) {
		app->port_handlers = xrealloc(app->port_handlers, (index + 1) * sizeof *app->port_handlers);
		for (unsigned i = app->n_port_handlers; i <= index; i++)
			for (int event = 0; event < EVENTS; event++)
				app->port_handlers[i][event] = LUA_NOREF;
		app->n_port_handlers = index + 1;
	}
	return &app->port_handlers[index];
}

/* What on() was given becomes a function now, when every module it may name is there. */
static void resolve(lua_State *L, int *slot, const char *what, const char *of)
{
	struct err err = { 0 };

	lua_rawgeti(L, LUA_REGISTRYINDEX, *slot);
	if (callback_resolve(L, lua_gettop(L), &err) < 0)
		state_error(L, "the %s of \"%s\": %s", what, of, err.text);
	store_handler(L, lua_gettop(L), slot);
	lua_pop(L, 2);
}

static void resolve_handler(lua_State *L, int *slot, int event)
{
	if (*slot != LUA_NOREF)
		resolve(L, slot, "handler", settings_event_name(event));
}

static void resolve_handlers(lua_State *L, struct app *app)
{
	for (int event = 0; event < EVENTS; event++)
		resolve_handler(L, &app->handlers[event], event);
	for (unsigned i = 0; i < app->n_port_handlers; i++)
		for (int event = 0; event < EVENTS; event++)
			resolve_handler(L, &app->port_handlers[i][event], event);
	for (unsigned i = 0; i < app->n_processes; i++)
		resolve(L, &app->processes[i].fn, "function", "add_process");
}

/* Which events have handlers, for the reactors and the supervisor. */
static void note_events(struct app *app)
{
	app->settings.events = 0;
	for (int event = 0; event < EVENTS; event++)
		if (app->handlers[event] != LUA_NOREF && !settings_event_is_port(event))
			app->settings.events |= 1ULL << event;
	for (unsigned i = 0; i < app->settings.n_ports; i++) {
		app->settings.ports[i].events = 0;
		for (int event = 0; event < EVENTS; event++)
			if (settings_event_is_port(event) &&
			    app_handler(app, i, (enum settings_event)event) != LUA_NOREF)
				app->settings.ports[i].events |= 1ULL << event;
	}
}

/* ---- what the server and its ports offer ------------------------------------------------------------------------------------------------ */

void api_script_set(lua_State *L, int table, struct port *port, const char *what)
{
	api_script_check_open(L, what);
	set_all(L, table, app_of(L), port);
}

void api_script_on(lua_State *L, int event_idx, int handler_idx, const struct port *port, const char *what)
{
	struct app *app = app_of(L);
	int event = event_of(L, event_idx);

	api_script_check_open(L, what);
	if (port && !settings_event_is_port(event))
		state_error(L, "\"%s\" is an event of the server, not of a port; use server:on",
		            settings_event_name(event));
	store_handler(L, handler_idx, port ? &(*port_table(app, port->index))[event] : &app->handlers[event]);
}

void api_script_end(lua_State *L)
{
	resolve_handlers(L, app_of(L));
	note_events(app_of(L));
}
