/* t/unit/test_framer.c — protocols written in Lua are found by name or given as tables, and refused with a reason. */
#include "lua/framer.c"

#include "tap.h"

static lua_State *L;
static struct app *app;
static struct settings *s;
static struct err err;

static void run(const char *text)
{
	if (luaL_loadbuffer(L, text, strlen(text), "@t.lua") != 0 || state_call(L, 0, 1, &err) < 0)
		printf("Bail out! %s\n", err.text);
}

static void begin(void)
{
	L = state_new(NULL, NULL, &err);
	app = app_new(L);
	s = &app->settings;
	run("good = { input = function() return 'in' end, encode = function() return 'en' end } "
	    "package.preload['my.good'] = function() return good end "
	    "package.preload['my.bad'] = function() error('does not load') end "
	    "package.preload['my.table'] = function() return { input = 3 } end "
	    "package.preload['my.decode'] = function() return { input = print, decode = true } end "
	    "package.preload['my.number'] = function() return 3 end "
	    "return nil");
	err = (struct err){ 0 };
}

static void done(void)
{
	app_free(app);
	state_close(L);
}

static int load_named(const char *name)
{
	struct port *p = settings_add_port(s, "127.0.0.1", 9501, PORT_TCP, &err);

	settings_set(s, p, "protocol", str_from(name), LAYER_SCRIPT, &err);
	return framer_load_all(app, L, s, &err);
}

static const char *calls(int ref)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	lua_call(L, 0, 1);
	return lua_tostring(L, -1);
}

static void loads_by_name(void)
{
	begin();
	settings_add_port(s, "127.0.0.1", 9500, PORT_TCP, &err);
	ok(load_named("my.good") == 0, "loaded %s", err.text);
	struct framer *f = framer_of_port(app, 1);

	ok(f && strcmp(f->name, "my.good") == 0 && strcmp(calls(f->input), "in") == 0 && f->decode == LUA_NOREF &&
	           strcmp(calls(f->encode), "en") == 0,
	   "its functions; one may be missing");
	ok(!framer_of_port(app, 0) && !framer_of_port(app, 2), "other ports have none");
	done();
}

static void refuses(const char *name, const char *wanted)
{
	begin();
	ok(load_named(name) == -EINVAL && strstr(err.text, "port 9501: \"") && strstr(err.text, wanted), "%s",
	   err.text);
	ok(lua_gettop(L) == 1, "nothing is left on the stack");
	done();
}

/* What framer_name() says of the value of a text. */
static const char *name_of(const char *text)
{
	lua_settop(L, 0);
	run(text);
	return framer_name(L, 1);
}

static void names_tables(void)
{
	begin();
	ok(strcmp(name_of("return good"), "(table 1)") == 0, "one that nobody required");
	ok(strcmp(name_of("return good"), "(table 1)") == 0, "is the same the next time");
	ok(strcmp(name_of("other = { input = print } return other"), "(table 2)") == 0, "another one is not");
	ok(strcmp(name_of("a = { input = good.input } package.loaded['z.a'] = a package.loaded['b.a'] = a return a"),
	          "b.a") == 0,
	   "one that was required, by its first name");
	ok(lua_gettop(L) == 2, "the name alone is pushed");
	run("package.loaded['b.a'] = nil return nil");

	struct port *p = settings_add_port(s, "127.0.0.1", 9501, PORT_TCP, &err);

	settings_set(s, p, "protocol", LS_STR("lua"), LAYER_SCRIPT, &err);
	settings_set(s, p, "protocol_module", LS_STR("(table 1)"), LAYER_SCRIPT, &err);
	p = settings_add_port(s, "127.0.0.1", 9502, PORT_TCP, &err);
	settings_set(s, p, "protocol", LS_STR("b.a"), LAYER_SCRIPT, &err);
	ok(framer_load_all(app, L, s, &err) == 0 && strcmp(calls(framer_of_port(app, 0)->input), "in") == 0 &&
	           strcmp(calls(framer_of_port(app, 1)->input), "in") == 0,
	   "both are found again %s", err.text);
	ok(framer_load_all(app, L, s, &err) == 0, "also a second time");
	done();
}

int main(void)
{
	loads_by_name();
	refuses("my.none", "module 'my.none' not found");
	refuses("my.bad", "does not load");
	refuses("my.table", "its input is a number, not a function");
	refuses("my.decode", "its decode is a boolean, not a function");
	refuses("my.number", "the module gave a number instead of a table");
	names_tables();
	return tap_done();
}
