/* t/unit/test_console.c — what Lua logs has its place and its level, and cannot forge lines. */
#include "lua/console.c"

#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/luaserv-console-XXXXXX";
static lua_State *L;

/* What running the text adds to the log. */
static const char *log_of(const char *text)
{
	static char out[20000];
	static long from;
	struct err err = { 0 };
	FILE *f = fopen(path, "r");

	luaL_loadbuffer(L, text, strlen(text), "@/srv/app/app.lua");
	if (state_call(L, 0, 0, &err) < 0)
		printf("# %s\n", err.text);
	fseek(f, from, SEEK_SET);
	out[fread(out, 1, sizeof out - 1, f)] = 0;
	from = ftell(f);
	fclose(f);
	return out;
}

int main(void)
{
	struct err err;
	const char *text;

	close(mkstemp(path));
	log_open(path, &err);
	L = state_new(NULL, NULL, &err);
	luaL_loadstring(L, "log = require 'luaserv.core.log'");
	lua_call(L, 0, 0);

	text = log_of("\nlog.warn('disk', 93.5, true, nil)");
	ok(strstr(text, " warn ") && strstr(text, "app.lua:2: disk 93.5 true nil\n"), "level, place and arguments");
	ok(log_of("log.debug('x') log.info('x')")[0] == 0, "what is below the level is not written");
	log_set_level(LOG_LEVEL_DEBUG);
	text = log_of("log.debug('a') log.info('b') log.notice('c') log.error('d')");
	ok(strstr(text, " debug ") && strstr(text, " info ") && strstr(text, " notice ") && strstr(text, " error "),
	   "all levels");
	text = log_of("log.error('a\\27[31m\\rb\\0c\\n2026-01-01T00:00:00.000Z error forged')");
	ok(strstr(text, "a\\x1B[31m\\x0Db\\x00c\n\t2026"), "control bytes are escaped and line ends indented");
	ok(strstr(log_of("log.error('gr\xc3\xbc\xc3\x9f')"), "gr\xc3\xbc\xc3\x9f"), "UTF-8 stays");
	text = log_of("log.error(('x'):rep(100000))");
	ok(strlen(text) > 7000 && strlen(text) < 9000, "a long text is cut");
	ok(strcmp(log_of("print('p', 1)"), "p\t1\n") == 0, "print goes to the log's descriptor");

	state_close(L);
	unlink(path);
	return tap_done();
}
