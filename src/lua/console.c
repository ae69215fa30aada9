#include "lua/console.h"

#include "base/log.h"
#include "sys/fd.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 8000 };

/* Joins the arguments, as tostring() shows them, to one string on top of the stack. */
static struct str join(lua_State *L, int n, char separator, bool newline)
{
	struct str text;
	luaL_Buffer b;

	lua_getglobal(L, "tostring");
	for (int i = 1; i <= n; i++) {
		lua_pushvalue(L, n + 1);
		lua_pushvalue(L, i);
		lua_call(L, 1, 1);
		if (!lua_isstring(L, -1))
			luaL_error(L, "'tostring' must return a string");
		lua_replace(L, i);
	}
	luaL_buffinit(L, &b);
	for (int i = 1; i <= n; i++) {
		if (i > 1)
			luaL_addchar(&b, separator);
		lua_pushvalue(L, i);
		luaL_addvalue(&b);
	}
	if (newline)
		luaL_addchar(&b, '\n');
	luaL_pushresult(&b);
	text.p = lua_tolstring(L, -1, &text.len);
	return text;
}

int console_print(lua_State *L)
{
	struct str text = join(L, lua_gettop(L), '\t', true);

	/* A full disk must not fail the handler that prints. */
	(void)fd_write_all(log_fd(), text);
	return 0;
}

/* Control bytes as \xHH, but for line ends, which the log indents, and tabs; bytes of UTF-8 stay.  Cut at TEXT_MAX. */
static void escape(struct str text, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len && n + 5 < TEXT_MAX; i++) {
		uint8_t c = (uint8_t)text.p[i];

		if ((c < 32 && c != '\n' && c != '\t') || c == 127)
			n += (size_t)snprintf(out + n, 5, "\\x%02X", c);
		else
			out[n++] = (char)c;
	}
	out[n] = 0;
}

/* "app.lua:12", where the log function was called. */
static void find_caller(lua_State *L, char *out, size_t cap)
{
	const char *name = "lua";
	lua_Debug ar = { .currentline = -1 };

	if (lua_getstack(L, 1, &ar) && lua_getinfo(L, "Sl", &ar)) {
		const char *slash = strrchr(ar.short_src, '/');

		name = slash ? slash + 1 : ar.short_src;
	}
	if (ar.currentline > 0)
		snprintf(out, cap, "%s:%d", name, ar.currentline);
	else
		snprintf(out, cap, "%s", name);
}

static int log_at(lua_State *L, enum log_level level)
{
	char file[LUA_IDSIZE + 16];
	char text[TEXT_MAX];

	if (level > log_get_level())
		return 0;
	find_caller(L, file, sizeof file);
	escape(join(L, lua_gettop(L), ' ', false), text);
	log_line(level, file, "%s", text);
	return 0;
}

static int lua_log_error(lua_State *L)
{
	return log_at(L, LOG_LEVEL_ERROR);
}

static int lua_log_warn(lua_State *L)
{
	return log_at(L, LOG_LEVEL_WARN);
}

static int lua_log_notice(lua_State *L)
{
	return log_at(L, LOG_LEVEL_NOTICE);
}

static int lua_log_info(lua_State *L)
{
	return log_at(L, LOG_LEVEL_INFO);
}

static int lua_log_debug(lua_State *L)
{
	return log_at(L, LOG_LEVEL_DEBUG);
}

int console_open(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{ "error", lua_log_error }, { "warn", lua_log_warn },   { "notice", lua_log_notice },
		{ "info", lua_log_info },   { "debug", lua_log_debug },
	};

	lua_createtable(L, 0, (int)LS_COUNT(functions));
	for (size_t i = 0; i < LS_COUNT(functions); i++) {
		lua_pushcfunction(L, functions[i].func);
		lua_setfield(L, -2, functions[i].name);
	}
	return 1;
}
