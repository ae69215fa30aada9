/* t/unit/test_state.c — a Lua state counts and caps its memory, cannot end the process, and explains errors. */
#include "lua/state.c"

#include "tap.h"

#include <unistd.h>

static int open_sample(lua_State *L)
{
	lua_newtable(L);
	lua_pushliteral(L, "here");
	lua_setfield(L, -2, "sample");
	return 1;
}

static const struct lua_module modules[] = { { "luaserv.core.sample", open_sample }, { NULL, NULL } };

static lua_State *open_state(uint64_t memory)
{
	struct lua_limits limits = { .memory = memory };
	struct err err = { 0 };
	lua_State *L = state_new(&limits, modules, &err);

	if (!L) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	return L;
}

/* Runs the text; its one result, or the error's text. */
static const char *run(lua_State *L, const char *text)
{
	static char out[1100];
	struct err err = { 0 };

	lua_settop(L, 0);
	if (luaL_loadbuffer(L, text, strlen(text), "@t.lua") != 0)
		return lua_tostring(L, -1);
	if (state_call(L, 0, 1, &err) < 0)
		snprintf(out, sizeof out, "%d %s", err.code, err.text);
	else
		snprintf(out, sizeof out, "%s", lua_tostring(L, -1) ? lua_tostring(L, -1) : "nil");
	return out;
}

static void has_libraries(void)
{
	lua_State *L = open_state(0);

	ok(strcmp(run(L, "return require 'luaserv.core.sample'.sample"), "here") == 0,
	   "C modules are in package.preload");
	ok(strcmp(run(L, "return type(require 'luaserv.co'.foreign)"), "table") == 0, "so is the embedded library");
	ok(strcmp(run(L, "return require 'luaserv.core.state'.role"), "eval") == 0, "the role is eval at first");
	ok(strstr(run(L, "os.exit(0)"), "os.exit cannot be called here"), "os.exit raises");
	ok(strcmp(run(L, "return jit.status() and 'on'"), "on") == 0, "the JIT is on");
	ok(strstr(run(L, "require 'nothing.of.that.name'"), "module 'nothing.of.that.name' not found"),
	   "require reports");
	state_set_role(L, LUA_ROLE_TASK);
	ok(state_role(L) == LUA_ROLE_TASK && strcmp(state_role_name(LUA_ROLE_TASK), "task") == 0,
	   "the role can be set");
	state_close(L);
}

static void counts_memory(void)
{
	lua_State *L = open_state(0);
	uint64_t before = state_bytes(L);

	run(L, "big = ('x'):rep(1000000)");
	ok(state_bytes(L) >= before + 1000000, "a string of a megabyte is counted");
	run(L, "big = nil for i = 1, 10 do collectgarbage() end"); /* each halves the buffer that made it */
	ok(state_bytes(L) < before + 100000, "and its end, too");
	ok(state_bytes(L) / 1024 == (uint64_t)lua_gc(L, LUA_GCCOUNT, 0), "the count is LuaJIT's own");
	state_close(L);
}

static void caps_memory(void)
{
	lua_State *L = open_state(4 << 20);
	const char *text = run(L, "local t = {} for i = 1, 1e8 do t[i] = i .. 'x' end");

	ok(strstr(text, "not enough memory"), "the cap ends a script: %.60s", text);
	ok(atoi(text) == -ENOMEM, "as -ENOMEM");
	lua_gc(L, LUA_GCCOLLECT, 0);
	ok(strcmp(run(L, "local n = 0 for i = 1, 20000 do n = n + #(i .. 'abc' ):rep(100) end return n > 0 and 'fine'"),
	          "fine") == 0,
	   "garbage of many times the cap is fine");
	lua_settop(L, 0);
	for (int i = 0; i < 6; i++) {
		lua_pushfstring(L, "%d", i);
		lua_pushlstring(L, "", 0);
		char *mb = malloc(1 << 20);

		memset(mb, 'a' + i, 1 << 20);
		lua_pushlstring(L, mb, 1 << 20);
		free(mb);
	}
	ok(state_bytes(L) > 4 << 20, "what C pushes outside of Lua is not capped: it could not be caught");
	state_close(L);
}

static void anchors(void)
{
	lua_State *L = open_state(0);
	struct state *st = state_of(L);
	uint64_t before;
	int n = 0;

	lua_pushliteral(L, "kept");

	int ref = state_anchor(L, -1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
	ok(ref > 0 && lua_gettop(L) == 2 && lua_rawequal(L, 1, 2), "an anchor refers to the value");
	st->limit = st->bytes;
	before = state_enter(st);
	while (n < 100000 && state_anchor(L, 1) > 0)
		n++;
	ok(n < 100000 && state_anchor(L, 1) == -ENOMEM && lua_gettop(L) == 2,
	   "without memory there is none, and nothing is raised");
	state_leave(st, before);
	ok(state_anchor(L, 1) > 0, "with memory again there is one");
	state_close(L);
}

static void explains(void)
{
	lua_State *L = open_state(0);
	const char *text = run(L, "local function f() error('broken') end\nlocal function g() f() end\ng()");

	ok(strstr(text, "t.lua:1: broken\nstack traceback:") && strstr(text, "t.lua:2: in function 'g'"),
	   "an error has a traceback");
	ok(strstr(run(L, "error()"), "the error is a nil value"), "nil as an error");
	ok(strstr(run(L, "error(setmetatable({}, { __tostring = function() return 'shown' end }))"), "shown"),
	   "__tostring is asked");
	text = run(L, "local function f() return f() + 1 end return f()");
	ok(strstr(text, "stack overflow"), "a stack overflow: %.80s", text);
	ok(lua_gettop(L) == 0, "the stack is as before");
	state_close(L);
}

static int refuse(lua_State *L)
{
	return state_error(L, "no %s", "way");
}

static void positions(void)
{
	lua_State *L = open_state(0);

	lua_register(L, "refuse", refuse);
	luaL_loadbuffer(L, "return function() local r = refuse() return r end", 49, "=luaserv.x");
	lua_call(L, 0, 1);
	lua_setglobal(L, "wrapped");
	ok(strstr(run(L, "\n\nlocal r = wrapped() return r"), "t.lua:3: no way"),
	   "errors name the app's line, not the runtime's");
	state_close(L);
}

static void prints_in_one_write(void)
{
	lua_State *L = open_state(0);
	char text[64] = "";
	int saved = dup(2);
	int ends[2];

	if (pipe(ends) < 0)
		return;
	dup2(ends[1], 2);
	run(L, "print('a', 1, nil, setmetatable({}, { __tostring = function() return 'T' end }))");
	dup2(saved, 2);
	ok(read(ends[0], text, sizeof text - 1) == 10 && strcmp(text, "a\t1\tnil\tT\n") == 0, "print writes a line");
	close(saved);
	close(ends[0]);
	close(ends[1]);
	state_close(L);
}

int main(void)
{
	has_libraries();
	counts_memory();
	caps_memory();
	anchors();
	explains();
	positions();
	prints_in_one_write();
	return tap_done();
}
