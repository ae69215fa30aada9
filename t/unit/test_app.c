/* t/unit/test_app.c — scripts end in server:start(), return a function, or are told what is wrong with them. */
#include "lua/app.c"

#include "tap.h"

#include <stdio.h>
#include <unistd.h>

static char path[] = "/tmp/luaserv-app-XXXXXX.lua";
static lua_State *L;
static struct app *app;
static char log_path[sizeof path + 4];

/* As api/api_server.c does it. */
static int start(lua_State *co)
{
	app_of(co)->started = true;
	return lua_yield(co, 0);
}

static int make_server(lua_State *co)
{
	struct err err;

	app_of(co)->has_server = true;
	settings_add_port(&app_of(co)->settings, "127.0.0.1", 9501, PORT_TCP, &err);
	lua_newtable(co);
	lua_pushcfunction(co, start);
	lua_setfield(co, -2, "start");
	return 1;
}

/* 0, or the error's text in `err`. */
static int run(const char *text, struct err *err)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	app_free(app);
	if (L)
		state_close(L);
	L = state_new(NULL, NULL, err);
	app = app_new(L);
	lua_register(L, "make_server", make_server);
	*err = (struct err){ 0 };
	return app_run(app, L, NULL, path, err);
}

static void refuses(const char *text, const char *wanted)
{
	struct err err;
	int r = run(text, &err);

	ok(r < 0 && strstr(err.text, wanted) && lua_gettop(L) == 0, "refused: %s", wanted);
	if (r >= 0 || !strstr(err.text, wanted))
		printf("# got: %.300s\n", err.text);
}

static void runs_scripts(void)
{
	struct err err;

	ok(run("local s = make_server() s:start()", &err) == 0 && app->started && !app->is_function_app,
	   "a script that starts");
	ok(run("local s = make_server() pcall(function() s:start() end)", &err) == 0 && app->started, "inside pcall");
	ok(run("local s = make_server() local function go() s:start() end go()", &err) == 0 && app->started,
	   "in a function");
	lua_gc(L, LUA_GCCOLLECT, 0);
	lua_gc(L, LUA_GCCOLLECT, 0);
	ok(app->script_ref != LUA_NOREF, "the script's coroutine is kept");
	ok(run("return function(req, res) return 1 end", &err) == 0 && app->is_function_app && !app->started,
	   "a function app");
	ok(app->settings.n_ports == 1 && app->settings.ports[0].number == 8080 &&
	           app->settings.ports[0].protocol == PROTOCOL_HTTP &&
	           strcmp(app->settings.ports[0].host, "0.0.0.0") == 0,
	   "has one HTTP port, 8080 on all addresses");
	ok(app->settings.ports[0].events == 1ULL << EVENT_request && app_handler(app, 0, EVENT_request) != LUA_NOREF,
	   "and a handler for requests");
}

static void names_what_is_wrong(void)
{
	refuses("local x = 1",
	        "returned nothing and started no server; end it with server:start() or return a function(req, res)");
	refuses("return {}", "returned a table and started no server");
	refuses("make_server()", "made a server but did not start it");
	refuses("make_server() return function() end", "made a server and returned a function");
	refuses("local s = make_server() table.sort({ 1, 2 }, function() s:start() end)",
	        "server:start() must be called from the script itself");
	refuses("local s = make_server() package.preload.x = function() s:start() end pcall(require, 'x') return 1",
	        "server:start() must be called from the script itself");
	refuses("coroutine.yield()", "called coroutine.yield outside of any coroutine");
	refuses("\n\nlocal t = nil; t.x = 1", "lua:3: attempt to index local 't'");
	refuses("local function f() error('deep') end\nlocal function g() f() end g()", "in function 'g'");
	refuses("return return", "unexpected symbol");
	refuses("error({})", "the error is a table value");
	refuses("os.exit(3)", "os.exit cannot be called here");
}

/* The log's text since the last call. */
static const char *logged(void)
{
	static char text[4096];
	static long from;
	FILE *f = fopen(log_path, "r");

	fseek(f, from, SEEK_SET);
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	from = ftell(f);
	fclose(f);
	return text;
}

static void warns_of_dead_code(void)
{
	static const char *const silent[] = {
		"local s = make_server()\ns:start()",
		"local s = make_server()\ns:start()\n\n-- the end\n",
		"local s = make_server()\ns:start()\nreturn s\n",
		"local s = make_server()\nif s then\n\ts:start()\nelse\n\tprint(1)\nend\nprint(2)",
		"local s = make_server()\ns:start(\n)\n",
	};
	struct err err;

	for (size_t i = 0; i < LS_COUNT(silent); i++) {
		run(silent[i], &err);
		ok(logged()[0] == 0, "nothing to warn of in script %zu", i);
	}
	run("local s = make_server()\ns:start()\n\nprint('never')\nprint('nor this')\n", &err);
	ok(strstr(logged(), "line 4 and what follows never runs, since server:start() in line 2"),
	   "code behind the start");
	run("local s = make_server()\ns:start()\nprint('never')", &err);
	ok(strstr(logged(), "line 3"), "in the last line, too");
}

int main(void)
{
	struct err err;
	int fd = mkstemps(path, 4);

	close(fd);
	snprintf(log_path, sizeof log_path, "%s.log", path);
	log_open(log_path, &err);
	runs_scripts();
	names_what_is_wrong();
	warns_of_dead_code();
	app_free(app);
	state_close(L);
	unlink(path);
	unlink(log_path);
	return tap_done();
}
