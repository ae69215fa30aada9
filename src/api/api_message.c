#include "api/api_message.h"

#include "api/api_script.h"
#include "api/api_sync.h"
#include "api/api_value.h"
#include "lua/bind.h"
#include "lua/callback.h"
#include "worker/codes.h"
#include "worker/commands.h"
#include "worker/messages.h"
#include "worker/runtime.h"

#include <errno.h>

enum { COMMAND_MS = 5000 };

/* The slot at `idx`. */
static unsigned slot_of(lua_State *L, int idx, const char *method)
{
	unsigned n = crew_count(worker_current()->o.settings);
	lua_Number slot = lua_tonumber(L, idx);

	if (!(slot >= 0 && slot < n))
		state_error(L, "server:%s: there is no process %.14g; they are 0 to %d", method, slot, (int)n - 1);
	return (unsigned)slot;
}

/* send_message(data, worker_id) */
int api_message_send(lua_State *L)
{
	struct worker *w = worker_current();
	unsigned slot = slot_of(L, 3, "send_message");
	struct packed value;
	int r;

	if (!(w->o.settings->events & 1ULL << EVENT_pipe_message))
		return state_error(L, "server:send_message needs a pipe_message handler, which gets the message");
	if (slot == w->o.slot)
		return state_error(L, "server:send_message: process %d is this one itself", (int)slot);
	r = api_value_pack(L, 2, "data", &value);
	return r ? codes_push(L, r)
	         : messages_send(w->messages, L, slot, &value, MESSAGE_TO_HANDLER, "server:send_message");
}

static struct str name_of(lua_State *L, const char *method)
{
	struct str name = { 0 };

	name.p = lua_tolstring(L, 2, &name.len);
	if (name.len == 0 || name.len > COMMAND_NAME_MAX)
		state_error(L, "server:%s: the name of a command has 1 to %d bytes, this one has %d", method,
		            COMMAND_NAME_MAX, (int)name.len);
	return name;
}

/* add_command(name, handler) */
int api_message_add_command(lua_State *L)
{
	struct str name = name_of(L, "add_command");
	struct err err = { 0 };

	api_script_check_open(L, "server:add_command");
	if (callback_resolve(L, 3, &err) < 0)
		return state_error(L, "server:add_command: %.*s: %s", LS_STR_ARG(name), err.text);
	commands_define(L, name.p, lua_gettop(L));
	lua_settop(L, 1);
	return 1;
}

/* command(name, worker_id, data, timeout = 5) -> value */
int api_message_command(lua_State *L)
{
	struct worker *w = worker_current();
	struct str name = name_of(L, "command");
	unsigned slot = slot_of(L, 3, "command");
	struct packed data;
	uint64_t ms;
	int r;

	lua_settop(L, 5);
	if (slot == w->o.slot)
		return commands_ask_self(L, name, 4);
	if (!api_sync_timeout(L, 5, "server:command", COMMAND_MS, &ms))
		return bind_fail(L, ETIMEDOUT, "timeout");
	r = api_value_pack(L, 4, "data", &data);
	return r ? codes_push(L, r) : commands_ask(w->commands, L, slot, name, &data, ms);
}
