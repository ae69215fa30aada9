#include "api/api_process.h"

#include "api/api_script.h"
#include "api/api_sync.h"
#include "api/api_value.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "lua/app.h"
#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/colleague.h"
#include "worker/intake.h"
#include "worker/messages.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { NOT_ADDED = -1 };

struct user_process {
	struct userproc plan;
	int index; /* among those that were added, or NOT_ADDED */
};

static const struct bind_kind process_kind;

/* ---- what the script says -------------------------------------------------------------------------------------------------------------- */

static void take_option(lua_State *L, const char *key, int idx, struct userproc *plan)
{
	if (strcmp(key, "name") == 0 && lua_type(L, idx) == LUA_TSTRING) {
		if (!str_copy(str_from(lua_tostring(L, idx)), plan->name, sizeof plan->name))
			state_error(L, "luaserv.process: name has more than %d bytes", USERPROC_NAME_MAX - 1);
	} else if (strcmp(key, "restart") == 0 && lua_type(L, idx) == LUA_TSTRING) {
		int restart = userproc_restart_find(str_from(lua_tostring(L, idx)));

		if (restart < 0)
			state_error(
				L,
				"luaserv.process: restart is \"%s\"; it can be \"always\", \"on_error\" or \"never\"",
				lua_tostring(L, idx));
		plan->restart = (enum userproc_restart)restart;
	} else if (strcmp(key, "coroutine") == 0 && lua_isboolean(L, idx)) {
		plan->coroutine = lua_toboolean(L, idx);
	} else {
		state_error(
			L,
			"luaserv.process: %s = %s cannot be; options are name (a string), coroutine (a boolean) and restart (a "
			"string)",
			key, luaL_typename(L, idx));
	}
}

static void take_options(lua_State *L, int table, struct userproc *plan)
{
	lua_pushnil(L);
	while (lua_next(L, table)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			state_error(L, "luaserv.process: an option's name is a string, not a %s", luaL_typename(L, -2));
		take_option(L, lua_tostring(L, -2), lua_gettop(L), plan);
		lua_pop(L, 1);
	}
}

/* process(fn, opts); the function stands in the object's environment. */
static int make_process(lua_State *L)
{
	struct userproc plan = { .restart = RESTART_ALWAYS, .coroutine = true };
	struct user_process *p;

	lua_settop(L, 2);
	if (!lua_isnil(L, 2))
		take_options(L, 2, &plan);
	p = xalloc(sizeof *p);
	*p = (struct user_process){ .plan = plan, .index = NOT_ADDED };
	bind_push(L, &process_kind, p);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 1);
	lua_rawseti(L, -2, 1);
	lua_setfenv(L, -2);
	return 1;
}

/* Notes a reference to the function and to the object. */
static void keep(lua_State *L, int idx, struct app *app)
{
	struct app_process *entry;

	app->processes = xrealloc(app->processes, (app->n_processes + 1) * sizeof *app->processes);
	entry = &app->processes[app->n_processes++];
	*entry = (struct app_process){ LUA_NOREF, LUA_NOREF };
	lua_pushvalue(L, idx);
	entry->object = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_getfenv(L, idx);
	lua_rawgeti(L, -1, 1);
	entry->fn = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 1);
}

int api_process_add(lua_State *L)
{
	struct app *app = app_of(L);
	struct user_process *p = bind_check(L, 2, &process_kind);
	struct err err = { 0 };

	api_script_check_open(L, "server:add_process");
	if (p->index != NOT_ADDED)
		return state_error(
			L,
			"server:add_process: this process has been added already; make another one of the same function");
	if (userproc_add(&app->settings, str_from(p->plan.name), p->plan.restart, p->plan.coroutine, &err) < 0)
		return state_error(L, "server:add_process: %s", err.text);
	p->index = (int)app->n_processes;
	keep(L, 2, app);
	lua_pushinteger(L, p->index);
	return 1;
}

/* ---- the object -------------------------------------------------------------------------------------------------------------------------- */

/* Its worker_id; -1: it was not added, or the numbers before it are not known yet. */
static int slot_of(const struct user_process *p)
{
	const struct worker *w = worker_current();

	return w && p->index != NOT_ADDED ? (int)crew_first_process(w->o.settings) + p->index : -1;
}

static int push_id(lua_State *L, void *object)
{
	int slot = slot_of(object);

	if (slot < 0)
		return 0;
	lua_pushinteger(L, slot);
	return 1;
}

static int push_pid(lua_State *L, void *object)
{
	int slot = slot_of(object);
	struct worker *w = worker_current();
	const struct colleague *c;

	if (slot < 0)
		return 0;
	if ((unsigned)slot == w->o.slot) {
		lua_pushinteger(L, getpid());
		return 1;
	}
	c = colleague_of_slot(w, (unsigned)slot);
	if (!c)
		return 0;
	lua_pushnumber(L, (lua_Number)board_get(&c->board->pid));
	return 1;
}

static int push_name(lua_State *L, void *object)
{
	lua_pushstring(L, ((const struct user_process *)object)->plan.name);
	return 1;
}

/* write(data): to the process, from any other one. */
static int process_write(lua_State *L)
{
	struct worker *w = worker_current();
	int slot = slot_of(bind_self(L));
	struct packed value;
	int r;

	if (slot < 0)
		return state_error(L, "process:write: it was not given to server:add_process");
	if ((unsigned)slot == w->o.slot)
		return state_error(L, "process:write is for the others; this process answers by server:send_message");
	r = api_value_pack(L, 2, "data", &value);
	return r ? codes_push(L, r)
	         : messages_send(w->messages, L, (unsigned)slot, &value, MESSAGE_TO_READ, "process:write");
}

/* read(timeout) */
static int process_read(lua_State *L)
{
	struct worker *w = worker_current();
	uint64_t ms;
	bool waits = api_sync_timeout(L, 2, "process:read", 0, &ms);

	if (slot_of(bind_self(L)) != (int)w->o.slot)
		return state_error(L, "process:read is for the process itself, which gets what others write");
	if (!waits && intake_is_empty(w->intake))
		return bind_fail(L, ETIMEDOUT, "timeout");
	return intake_read(w->intake, L, ms);
}

static const struct bind_row process_methods[] = {
	{ "write", process_write, "a", LUA_ROLE_SERVING | BIND_WAITS,
	  "write(data) -> true | nil, message, code: any plain value, for read() in the process; waits while it is too far behind "
	  "(message_queue_size)." },
	{ "read", process_read, "n?", LUA_ROLE_PROCESS | BIND_WAITS,
	  "read(timeout) -> value, worker_id | nil, message, code: what another process wrote, in the order in which it came." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_field process_fields[] = {
	{ "id", push_id },
	{ "pid", push_pid },
	{ "name", push_name },
	{ NULL, NULL },
};

static const struct bind_kind process_kind = {
	.name = "process",
	.methods = process_methods,
	.fields = process_fields,
	.collect = free,
};

static const struct bind_row functions[] = {
	{ "process", make_process, "at?", LUA_ROLE_ALL,
	  "process(fn, opts) -> process, for server:add_process: opts are name, coroutine = true, restart = \"always\" | \"on_error\" | "
	  "\"never\"." },
	{ NULL, NULL, NULL, 0, NULL },
};

int api_process_open(lua_State *L)
{
	bind_register(L, &process_kind);
	bind_functions(L, "luaserv", functions);
	return 1;
}
