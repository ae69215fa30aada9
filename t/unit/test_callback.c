/* t/unit/test_callback.c — the four styles become functions, and what is none of them is refused with a reason. */
#include "lua/callback.c"

#include "lua/state.h"
#include "tap.h"

static lua_State *L;

/* Leaves the text's result alone on the stack. */
static void make(const char *text)
{
	struct err err = { 0 };

	lua_settop(L, 0);
	if (luaL_loadbuffer(L, text, strlen(text), "@t.lua") != 0 || state_call(L, 0, 1, &err) < 0)
		printf("Bail out! %s\n", err.text);
}

static void callbacks(void)
{
	struct err err = { 0 };

	make("package.preload['app.handlers'] = function() return { go = function(a) return 'went ' .. a end, n = 1 } end "
	     "object = { name = 'me', hi = function(self, a) return self.name .. a end } "
	     "callable = setmetatable({ 'self' }, { __call = function(self, a) return self[1] .. a end }) "
	     "package.preload.bad = function() error('does not load') end");
	static const struct {
		const char *make;
		const char *result;
	} good[] = {
		{ "return function(a) return 'plain ' .. a end", "plain x" },
		{ "return 'app.handlers.go'", "went x" },
		{ "return { object, 'hi' }", "mex" },
		{ "return callable", "selfx" },
	};
	static const struct {
		const char *make;
		const char *message;
	} bad[] = {
		{ "return 'nodot'", "is not of the form \"module.function\"" },
		{ "return 'app.handlers.missing'", "there is no function \"missing\"" },
		{ "return 'app.handlers.n'", "stands for a number" },
		{ "return 'no.such.module.fn'", "module 'no.such.module' not found" },
		{ "return 'bad.fn'", "does not load" },
		{ "return { object, 'nope' }", "has no method \"nope\"" },
		{ "return { 1, 2, 3 }", "must be callable or of the form" },
		{ "return true", "got a boolean" },
	};

	for (size_t i = 0; i < LS_COUNT(good); i++) {
		make(good[i].make);
		bool found = callback_resolve(L, 1, &err) == 0 && lua_isfunction(L, -1);

		lua_pushliteral(L, "x");
		lua_call(L, 1, 1);
		ok(found && strcmp(lua_tostring(L, -1), good[i].result) == 0, "%s", good[i].make);
	}
	for (size_t i = 0; i < LS_COUNT(bad); i++) {
		make(bad[i].make);
		ok(callback_resolve(L, 1, &err) < 0 && strstr(err.text, bad[i].message) && lua_gettop(L) == 1, "%s",
		   bad[i].make);
	}
}

int main(void)
{
	struct err err;

	L = state_new(NULL, NULL, &err);
	callbacks();
	state_close(L);
	return tap_done();
}
