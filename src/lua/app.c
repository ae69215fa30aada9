#include "lua/app.h"

#include "base/log.h"
#include "base/mem.h"
#include "lua/failure.h"
#include "lua/image.h"
#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FUNCTION_APP_PORT = 8080, SCRIPT_MAX = 64 << 20 };

struct app *app_new(lua_State *L)
{
	struct app *a = xzalloc(sizeof *a);

	settings_init(&a->settings);
	a->server_ref = LUA_NOREF;
	a->script_ref = LUA_NOREF;
	for (int event = 0; event < EVENTS; event++)
		a->handlers[event] = LUA_NOREF;
	state_of(L)->slots[STATE_APP] = a;
	return a;
}

struct app *app_of(lua_State *L)
{
	return state_of(L)->slots[STATE_APP];
}

void app_share(struct app *a, const struct shared_list *declared, const int *fds)
{
	a->shared = declared;
	a->shared_fds = fds;
}

void app_free(struct app *a)
{
	if (!a)
		return;
	settings_fini(&a->settings);
	free(a->port_handlers);
	free(a->processes);
	free(a->framers);
	free(a);
}

int app_handler(const struct app *a, unsigned port, enum settings_event event)
{
	if (port < a->n_port_handlers && a->port_handlers[port][event] != LUA_NOREF)
		return a->port_handlers[port][event];
	return a->handlers[event];
}

/* ---- code behind server:start() ------------------------------------------------------------------------------------ */

static struct str line_of(struct str text, int number)
{
	struct str line = { 0 };

	for (int i = 0; i < number && text.p; i++)
		line = str_split(&text, '\n');
	return line;
}

/* What may stand behind the call without being meant to run. */
static bool is_closing(struct str line)
{
	static const char *const words[] = { "end", "return", ")", "}", "]", ";" };
	struct str trimmed = str_trim(line);

	for (size_t i = 0; i < LS_COUNT(words); i++)
		if (str_starts(trimmed, str_from(words[i])))
			return true;
	return trimmed.len == 0;
}

/* The first line with code behind `start`, of the set of lines on top of the stack (debug.getinfo's activelines);
 * 0: none. */
static int first_code_behind(lua_State *L, int start, struct str text)
{
	int first = 0;

	lua_pushnil(L);
	while (lua_next(L, -2)) {
		int line = (int)lua_tointeger(L, -2);

		lua_pop(L, 1);
		if (line > start && (first == 0 || line < first) && !is_closing(line_of(text, line)))
			first = line;
	}
	return first;
}

/* `co` waits in server:start().  A call that is indented stands in a branch, and other code may well run instead of it. */
static void warn_of_dead_code(lua_State *co, const struct image *image, const char *path)
{
	struct str text = { 0 };
	char *owned = NULL;
	lua_Debug ar;
	ssize_t len;

	if (!lua_getstack(co, 1, &ar) || !lua_getinfo(co, "Sl", &ar) || strcmp(ar.what, "main") != 0)
		return;
	if (image) {
		text = image_find(image, path);
	} else if ((len = fd_read_file(path, SCRIPT_MAX, &owned, NULL)) >= 0) {
		text = str_make(owned, (size_t)len);
	}

	struct str call = line_of(text, ar.currentline);

	if (call.len && call.p[0] != ' ' && call.p[0] != '\t') {
		lua_getinfo(co, "L", &ar);

		int line = first_code_behind(co, ar.currentline, text);

		lua_pop(co, 1);
		if (line)
			log_warn(
				"%s: line %d and what follows never runs, since server:start() in line %d ends the script",
				path, line, ar.currentline);
	}
	free(owned);
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

/* The function on top of `co` is the app: every request of port 8080. */
static int declare_function_app(struct app *a, lua_State *co, struct err *err)
{
	struct port *port;

	if (a->has_server)
		return err_set(err, -EINVAL,
		               "the script made a server and returned a function; do one of the two, and end a "
		               "script that makes a server with server:start()");
	port = settings_add_port(&a->settings, "0.0.0.0", FUNCTION_APP_PORT, PORT_TCP, err);
	if (!port)
		return err->code;

	int r = settings_set(&a->settings, port, "protocol", LS_STR("http"), LAYER_SCRIPT, err);

	if (r < 0)
		return r;
	a->handlers[EVENT_request] = luaL_ref(co, LUA_REGISTRYINDEX);
	port->events |= 1ULL << EVENT_request;
	a->is_function_app = true;
	return 0;
}

static int explain_return(const struct app *a, lua_State *co, const char *name, struct err *err)
{
	const char *given = lua_gettop(co) && !lua_isnil(co, -1) ? luaL_typename(co, -1) : NULL;

	if (a->has_server)
		return err_set(err, -EINVAL, "%s made a server but did not start it; end it with server:start()", name);
	return err_set(err, -EINVAL,
	               "%s returned %s%s and started no server; end it with server:start() or "
	               "return a function(req, res)",
	               name, given ? "a " : "nothing", given ? given : "");
}

/* The script's error, with a traceback of its coroutine. */
static int report_failure(lua_State *L, lua_State *co, int status, struct err *err)
{
	struct failure failure;

	failure_init(&failure, L);
	failure_explain(&failure, co);
	err_set(err, status == LUA_ERRMEM ? -ENOMEM : -EINVAL, "%s", lua_tostring(L, -1));
	failure_fini(&failure);
	return status == LUA_ERRMEM ? -ENOMEM : -EINVAL;
}

static int settle(struct app *a, lua_State *L, lua_State *co, int status, const struct image *image, const char *path,
                  struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (status == LUA_YIELD && a->started) {
		if (state_role(L) == LUA_ROLE_EVAL)
			warn_of_dead_code(co, image, path);
		return 0;
	}
	if (status == LUA_YIELD)
		return err_set(err, -EINVAL, "%s called coroutine.yield outside of any coroutine of its own", name);
	if (a->started)
		return err_set(err, -EINVAL,
		               "server:start() must be called from the script itself, not through require, "
		               "table.sort or another function called from C; it is what ends the script");
	if (status != 0)
		return report_failure(L, co, status, err);
	if (lua_gettop(co) && lua_type(co, -1) == LUA_TFUNCTION)
		return declare_function_app(a, co, err);
	return explain_return(a, co, name, err);
}

int app_run(struct app *a, lua_State *L, const struct image *image, const char *path, struct err *err)
{
	int top = lua_gettop(L);
	lua_State *co = lua_newthread(L);
	int r;

	/* Parked in server:start(), it holds the script's locals, and with them what the handlers were made of. */
	a->script_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	r = image_load(co, image, path, err);
	if (r == 0) {
		uint64_t before = state_enter(state_of(L));
		int status = lua_resume(co, 0);

		state_leave(state_of(L), before);
		r = settle(a, L, co, status, image, path, err);
	}
	lua_settop(L, top);
	return r;
}
