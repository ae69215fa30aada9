/* t/unit/test_bind.c — functions check their arguments and the role; handles end. */
#include "lua/bind.c"

#include "base/clock.h"
#include "tap.h"

#include <stdlib.h>

enum { BENCH_CALLS = 500000 };

static lua_State *L;
static int collected;

static int count_arguments(lua_State *S)
{
	lua_pushinteger(S, lua_gettop(S));
	return 1;
}

static int get_number(lua_State *S)
{
	int *object = lua_touserdata(S, 1) ? ((struct bind_handle *)lua_touserdata(S, 1))->object : NULL;

	lua_pushinteger(S, object ? *object : 0);
	return 1;
}

static int fail_politely(lua_State *S)
{
	return bind_fail(S, 1004, "the connection %d is closed", 7);
}

static const struct bind_row rows[] = {
	{ "send", count_arguments, "iS", LUA_ROLE_ALL, "" },
	{ "all", count_arguments, "snibfta?", LUA_ROLE_ALL, "" },
	{ "maybe", count_arguments, "s?i?", LUA_ROLE_ALL, "" },
	{ "rest", count_arguments, "s*", LUA_ROLE_ALL, "" },
	{ "reload", count_arguments, "", LUA_ROLE_MANAGER, "" },
	{ "waits", count_arguments, "n", LUA_ROLE_ALL | BIND_WAITS, "" },
	{ "free", count_arguments, NULL, 0, "" },
	{ "fail", fail_politely, "", LUA_ROLE_ALL, "" },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_row methods[] = {
	{ "number", get_number, "", LUA_ROLE_ALL, "" },
	{ "take", count_arguments, "is", LUA_ROLE_WORKER, "" },
	{ NULL, NULL, NULL, 0, NULL },
};

static int push_double(lua_State *S, void *object)
{
	lua_pushinteger(S, *(int *)object * 2);
	return 1;
}

static const struct bind_field fields[] = { { "field", push_double }, { NULL, NULL } };

static void thing_collect(LS_UNUSED void *object)
{
	collected++;
}

static const struct bind_kind thing_kind = {
	.name = "thing",
	.methods = methods,
	.fields = fields,
	.collect = thing_collect,
};

static const struct bind_kind other_kind = { .name = "other", .methods = methods };

/* The text's result or error. */
static const char *run(const char *text)
{
	static char out[1100];
	struct err err = { 0 };

	lua_settop(L, 0);
	if (luaL_loadbuffer(L, text, strlen(text), "@t.lua") != 0)
		return lua_tostring(L, -1);
	if (state_call(L, 0, 1, &err) < 0)
		snprintf(out, sizeof out, "%s", err.text);
	else
		snprintf(out, sizeof out, "%s", lua_isstring(L, -1) ? lua_tostring(L, -1) : luaL_typename(L, -1));
	return out;
}

static void expect(const char *text, const char *wanted)
{
	const char *got = run(text);

	ok(strncmp(got, wanted, strlen(wanted)) == 0, "%s", text);
	if (strncmp(got, wanted, strlen(wanted)) != 0)
		printf("#   got: %.200s\n#   not: %s\n", got, wanted);
}

static void checks_arguments(void)
{
	expect("return m.send(1, 'x')", "2");
	expect("return m.send(1, 2)", "2");
	expect("m.send(1)", "t.lua:1: bad argument #2 to 'm.send' (string or number expected, got no value)");
	expect("m.send('1', 'x')", "t.lua:1: bad argument #1 to 'm.send' (integer expected, got string)");
	expect("m.send(1.5, 'x')", "t.lua:1: bad argument #1 to 'm.send' (integer expected, got 1.5)");
	expect("m.send(2^53 + 2, 'x')", "t.lua:1: bad argument #1 to 'm.send' (integer expected, got 9.007");
	expect("m.send(0/0, 'x')", "t.lua:1: bad argument #1 to 'm.send' (integer expected, got ");
	expect("return m.all('', 1, 2, true, print, {}, nil)", "7");
	expect("return m.all('', 1, 2, true, print, {})", "6");
	expect("return m.all('', 1, 2, true, setmetatable({}, { __call = print }), {})", "6");
	expect("m.all('', 1, 2, true, {}, {})", "t.lua:1: bad argument #5 to 'm.all' (function expected, got table)");
	expect("m.all('', 1, 2, 1, print, {})", "t.lua:1: bad argument #4 to 'm.all' (boolean expected, got number)");
	expect("return m.maybe()", "0");
	expect("return m.maybe(nil, 3)", "2");
	expect("m.maybe(3)", "t.lua:1: bad argument #1 to 'm.maybe' (string expected, got number)");
	expect("return m.rest('a', 1, {}, nil)", "4");
	expect("return m.free(1, 2, 3)", "3");
	expect("m.reload()", "t.lua:1: m.reload cannot be called while the script is evaluated");
	state_set_role(L, LUA_ROLE_TASK);
	expect("m.reload()", "t.lua:1: m.reload cannot be called in a task worker");
	state_set_role(L, LUA_ROLE_WORKER);
	expect("m.reload()", "t.lua:1: m.reload cannot be called in a worker");
	expect("return m.waits(1, 2, 3)", "3");
	expect("m.waits()", "t.lua:1: bad argument #1 to 'm.waits' (number expected, got no value)");
	expect("local a, b, c = m.fail() return tostring(a) .. b .. c", "nilthe connection 7 is closed1004");
}

static void handles(void)
{
	static int seven = 7;
	struct bind_handle *h;

	bind_register(L, &thing_kind);
	bind_register(L, &thing_kind);
	bind_register(L, &other_kind);
	h = bind_push(L, &thing_kind, &seven);
	lua_setglobal(L, "thing");
	bind_push(L, &other_kind, &seven);
	lua_setglobal(L, "other");
	expect("return thing:number() .. thing.field .. tostring(thing.nothing)", "714nil");
	expect("return thing:take(1, 's')", "3");
	expect("thing:take(1)", "t.lua:1: bad argument #2 to 'thing:take' (string expected, got no value)");
	expect("thing.take(1)", "t.lua:1: bad self to 'thing:take' (thing expected, got number); call it with a colon");
	expect("thing.number(other)", "t.lua:1: bad self to 'thing:number' (thing expected, got userdata)");
	expect("thing.number(io.stdout)", "t.lua:1: bad self");
	expect("thing.x = 1", "t.lua:1: thing has no field 'x' to assign to");
	expect("return getmetatable(thing)", "thing");
	expect("return (tostring(thing):gsub(': .*', ''))", "thing");
	h->object = NULL;
	expect("thing:number()", "t.lua:1: thing is finished");
	expect("return thing.field", "t.lua:1: thing is finished");
	expect("return tostring(thing)", "thing (finished)");
	bind_push(L, &thing_kind, &seven);
	lua_settop(L, 0);
	run("thing = nil collectgarbage() collectgarbage()");
	ok(collected == 1, "a live object is collected, an ended one is not");
}

/* From a compiled loop, as an app would call it. */
static void measure(const char *name, const char *call)
{
	char text[256];
	uint64_t start;

	snprintf(text, sizeof text, "local thing, m, free = thing, m, m.free for i = 1, %d do %s end", BENCH_CALLS,
	         call);
	start = clock_ns();
	run(text);
	printf("# %s: %.1f ns\n", name, (double)(clock_ns() - start) / BENCH_CALLS);
}

static void measures(void)
{
	static int seven = 7;

	bind_push(L, &thing_kind, &seven);
	lua_setglobal(L, "thing");
	measure("empty loop", "");
	measure("bare C function", "free(1, 'x')");
	measure("checked function", "m.send(1, 'x')");
	measure("checked method, looked up", "thing:number()");
	measure("method with two arguments", "thing:take(1, 's')");
	measure("field", "local x = thing.field");
}

int main(void)
{
	struct err err;

	L = state_new(NULL, NULL, &err);
	bind_functions(L, "m", rows);
	lua_setglobal(L, "m");
	checks_arguments();
	handles();
	measures();
	state_close(L);
	return tap_done();
}
