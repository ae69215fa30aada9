#include "api/api_server.h"

#include "api/api_conn.h"
#include "api/api_group.h"
#include "api/api_info.h"
#include "api/api_message.h"
#include "api/api_process.h"
#include "api/api_script.h"
#include "api/api_shared.h"
#include "api/api_task.h"
#include "api/api_websocket.h"
#include "lua/app.h"
#include "lua/bind.h"
#include "lua/callback.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const struct bind_kind server_kind, port_kind;

/* ---- ports ---------------------------------------------------------------------------------------------------------------------------- */

static enum port_type type_of(lua_State *L, const char *host, const char *type)
{
	if (!type && (host[0] == '/' || strncmp(host, "unix:", 5) == 0))
		return PORT_UNIX;
	if (!type)
		return strchr(host, ':') ? PORT_TCP6 : PORT_TCP;
	for (int i = 0; i < PORT_TYPES; i++)
		if (strcmp(settings_port_type_name((enum port_type)i), type) == 0)
			return (enum port_type)i;
	return (enum port_type)state_error(
		L, "listener type \"%s\" is not known; there are tcp, tcp6, unix, udp, udp6 and unix_dgram", type);
}

static struct port *add_port(lua_State *L, struct app *app, int first)
{
	const char *host = luaL_optstring(L, first, "0.0.0.0");
	lua_Number number = luaL_optnumber(L, first + 1, 0);
	enum port_type type = type_of(L, host, lua_tostring(L, first + 2));
	struct err err = { 0 };

	if (number < 0 || number > 65535)
		state_error(L, "port %.14g is out of range; it must be 0 to 65535", number);

	struct port *port = settings_add_port(&app->settings, host, (uint16_t)number, type, &err);

	if (!port)
		state_error(L, "%s", err.text);
	return port;
}

static int port_set(lua_State *L)
{
	api_script_set(L, 2, bind_self(L), "port:set");
	lua_settop(L, 1);
	return 1;
}

static int port_on(lua_State *L)
{
	api_script_on(L, 2, 3, bind_self(L), "port:on");
	lua_settop(L, 1);
	return 1;
}

static int push_port_host(lua_State *L, void *object)
{
	lua_pushstring(L, ((const struct port *)object)->host);
	return 1;
}

/* What the server really uses: options and environment may have changed what the script said. */
static const struct settings *effective(const struct app *app)
{
	const struct worker *w = worker_current();

	return w ? w->o.settings : &app->settings;
}

static int push_port_number(lua_State *L, void *object)
{
	unsigned index = ((const struct port *)object)->index;
	const struct settings *s = effective(app_of(L));

	lua_pushinteger(L, index < s->n_ports ? settings_port_number(&s->ports[index]) : 0);
	return 1;
}

static int push_port_type(lua_State *L, void *object)
{
	lua_pushstring(L, settings_port_type_name(((const struct port *)object)->type));
	return 1;
}

static const struct bind_field port_fields[] = {
	{ "host", push_port_host },
	{ "port", push_port_number },
	{ "type", push_port_type },
	{ NULL, NULL },
};

static const struct bind_row port_methods[] = {
	{ "set", port_set, "t", LUA_ROLE_ALL, "set(settings) -> port: settings of this port alone." },
	{ "on", port_on, "sa", LUA_ROLE_ALL, "on(event, handler) -> port: a handler for this port alone." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind port_kind = { .name = "port", .methods = port_methods, .fields = port_fields };

/* ---- before start --------------------------------------------------------------------------------------------------------------------- */

static int server_set(lua_State *L)
{
	api_script_set(L, 2, NULL, "server:set");
	lua_settop(L, 1);
	return 1;
}

static int server_on(lua_State *L)
{
	api_script_on(L, 2, 3, NULL, "server:on");
	lua_settop(L, 1);
	return 1;
}

static int new_hidden_atomic(lua_State *L)
{
	api_atomic_push_hidden(L, luaL_checkstring(L, 1));
	return 1;
}

/* cron(spec, handler): lua/luaserv/cron.lua, with a number that all workers see for each job. */
static int server_cron(lua_State *L)
{
	struct err err = { 0 };

	api_script_check_open(L, "server:cron");
	if (callback_resolve(L, 3, &err) < 0)
		return state_error(L, "server:cron: %s", err.text);
	lua_replace(L, 3);
	lua_settop(L, 3);
	bind_require(L, "luaserv.cron");
	lua_insert(L, 1);
	lua_pushcfunction(L, new_hidden_atomic);
	lua_call(L, 4, 1);
	return 1;
}

static int server_listen(lua_State *L)
{
	api_script_check_open(L, "server:listen");
	bind_push(L, &port_kind, add_port(L, app_of(L), 2));
	return 1;
}

/* ---- in a worker ------------------------------------------------------------------------------------------------------------------------ */

static int signal_master(lua_State *L, int sig)
{
	/* Our master is alive as long as we are: its end ends us, so its number is nobody else's. */
	if (kill(worker_current()->o.master_pid, sig) < 0) /* lint: the number is our living master's */
		return bind_fail(L, CODE_WRONG_OPERATION, "the master cannot be signalled: %s", strerror(errno));
	lua_pushboolean(L, 1);
	return 1;
}

static int server_reload(lua_State *L)
{
	return signal_master(L, SIGUSR1);
}

static int server_shutdown(lua_State *L)
{
	return signal_master(L, SIGTERM);
}

/* ---- the object --------------------------------------------------------------------------------------------------------------------------- */

static void set_number(lua_State *L, const char *name, lua_Number value)
{
	lua_pushnumber(L, value);
	bind_set_constant(L, &server_kind, name);
}

/* server.setting: every value as text, as `luaserv settings` prints it. */
static void set_setting(lua_State *L, const struct settings *s)
{
	char text[512];

	lua_createtable(L, 0, (int)settings_row_count);
	for (unsigned i = 0; i < settings_row_count; i++) {
		const struct settings_row *row = &settings_rows[i];

		lua_pushstring(L, settings_text(s, s->n_ports ? &s->ports[0] : NULL, row, text, sizeof text));
		lua_setfield(L, -2, row->name);
	}
	bind_set_constant(L, &server_kind, "setting");
}

/* It may wait, so it is Lua's own. */
static void set_broadcast(lua_State *L)
{
	bind_require(L, "luaserv.broadcast");
	bind_set_constant(L, &server_kind, "broadcast");
}

/* server:after, tick and clear are luaserv's own functions, called with a colon. */
static void set_time_functions(lua_State *L)
{
	static const char chunk[] =
		"local f = require('luaserv.core.time')[...] return function(_, ...) return f(...) end";
	static const char *const names[] = { "after", "tick", "clear" };

	for (unsigned i = 0; i < LS_COUNT(names); i++) {
		if (luaL_loadbuffer(L, chunk, sizeof chunk - 1, "=luaserv") != 0)
			lua_error(L);
		lua_pushstring(L, names[i]);
		lua_call(L, 1, 1);
		bind_set_constant(L, &server_kind, names[i]);
	}
}

/* Fields that stay as they are while the process lives. */
static void set_constants(lua_State *L, const struct app *app)
{
	const struct worker *w = worker_current();

	if (app->settings.n_ports) {
		lua_pushstring(L, app->settings.ports[0].host);
		bind_set_constant(L, &server_kind, "host");
		set_number(L, "port", settings_port_number(&effective(app)->ports[0]));
	}
	set_time_functions(L);
	set_broadcast(L);
	if (!w)
		return;
	set_number(L, "worker_id", w->o.slot);
	set_number(L, "worker_pid", getpid());
	set_number(L, "master_pid", w->o.master_pid);
	set_number(L, "manager_pid", w->o.manager_pid);
	set_setting(L, w->o.settings);
}

/* server.ports, server.mode: known when the script has said all. */
static void set_declared(lua_State *L, struct app *app)
{
	char mode[32];

	lua_pushstring(L, settings_text(effective(app), NULL, settings_find("mode"), mode, sizeof mode));
	bind_set_constant(L, &server_kind, "mode");
	lua_createtable(L, (int)app->settings.n_ports, 0);
	for (unsigned i = 0; i < app->settings.n_ports; i++) {
		bind_push(L, &port_kind, &app->settings.ports[i]);
		lua_rawseti(L, -2, (int)i + 1);
	}
	bind_set_constant(L, &server_kind, "ports");
}

static int server_start(lua_State *L)
{
	struct app *app = app_of(L);

	api_script_check_open(L, "server:start");
	api_script_end(L);
	set_declared(L, app);
	app->started = true;
	return lua_yield(L, 0); /* app_run() never resumes the script */
}

static const struct bind_row server_methods[] = {
	{ "set", server_set, "t", LUA_ROLE_ALL, "set(settings) -> server: several calls merge." },
	{ "on", server_on, "sa", LUA_ROLE_ALL, "on(event, handler) -> server: see the events' reference." },
	{ "listen", server_listen, "s?i?s?", LUA_ROLE_ALL, "listen(host, port, type) -> port: one more listener." },
	{ "add_command", api_message_add_command, "sa", LUA_ROLE_ALL,
	  "add_command(name, handler) -> server: handler(server, data) answers server:command(name, …) of any process." },
	{ "add_process", api_process_add, "a", LUA_ROLE_ALL,
	  "add_process(luaserv.process(fn, opts)) -> number, from 0: a process of its own runs fn(process, server) while the server does." },
	{ "cron", server_cron, "sa", LUA_ROLE_ALL,
	  "cron(spec, handler) -> server: calls handler(server) by the clock, as crontab(5) has it, in one worker of all; with six fields the "
	  "first is the second." },
	{ "start", server_start, "", LUA_ROLE_ALL, "start(): ends the script's part; the runtime takes over." },
	{ "send", api_conn_send, "ia", LUA_ROLE_SERVING,
	  "send(fd, data) -> true | nil, message, code: waits while the connection's budget is used up. data is a string, or what "
	  "encode of the port's protocol in Lua takes." },
	{ "sendto", api_conn_sendto, "siSi?", LUA_ROLE_SERVING,
	  "sendto(address, port, data, server_socket) -> true | nil, message, code: a datagram to an IP address, or to the path or "
	  "\"@name\" of a unix socket (port 0); from the first port of that family, or that of client.server_socket." },
	{ "close", api_conn_close, "ib?", LUA_ROLE_SERVING,
	  "close(fd, reset) -> true | nil, message, code: what is queued leaves first, unless reset." },
	{ "exists", api_conn_exists, "i", LUA_ROLE_SERVING,
	  "exists(fd) -> boolean: it is open; of a connection that is not this worker's the reactor is asked." },
	{ "sendwait", api_conn_sendwait, "ia", LUA_ROLE_SERVING,
	  "sendwait(fd, data) -> true | nil, message, code: as send, and waits for room also when send_yield is off." },
	{ "sendfile", api_conn_sendfile, "isi?i?", LUA_ROLE_SERVING,
	  "sendfile(fd, path, offset = 0, length = 0) -> true | nil, message, code: behind what was sent before; 0: to its end." },
	{ "pause", api_conn_pause, "i", LUA_ROLE_SERVING,
	  "pause(fd) -> true | nil, message, code: the connection is not read, and no message of it handled, until resume(fd)." },
	{ "resume", api_conn_resume, "i", LUA_ROLE_SERVING, "resume(fd) -> true | nil, message, code" },
	{ "confirm", api_conn_confirm, "i", LUA_ROLE_SERVING,
	  "confirm(fd) -> true | nil, message, code: a connection of a port with enable_delay_receive is read from now on." },
	{ "bind", api_conn_bind, "ia", LUA_ROLE_SERVING,
	  "bind(fd, uid) -> true | nil, message, code: names the connection with a number or string; with dispatch_mode uid all "
	  "connections of one uid are served by one worker." },
	{ "push", api_websocket_push, "iaa?a?", LUA_ROLE_SERVING,
	  "push(fd, data, opcode = \"text\", finish = true) -> true | nil, message, code: a message for a WebSocket; data may be a frame, "
	  "{ data, opcode, finish }. Without finish the next one, of opcode \"continuation\", goes on with it." },
	{ "disconnect", api_websocket_disconnect, "ii?s?", LUA_ROLE_SERVING,
	  "disconnect(fd, code = 1000, reason = \"\") -> true | nil, message, code: ends a WebSocket with a Close frame." },
	{ "is_established", api_websocket_is_established, "i", LUA_ROLE_SERVING,
	  "is_established(fd) -> boolean: it is an open WebSocket; of a connection that is not this worker's the reactor is asked." },
	{ "join", api_group_join, "is", LUA_ROLE_SERVING,
	  "join(fd, group) -> true | nil, message, code: what is published to the group is sent to the connection, too." },
	{ "leave", api_group_leave, "is", LUA_ROLE_SERVING, "leave(fd, group) -> true | nil, message, code" },
	{ "publish", api_group_publish, "sSa?i?", LUA_ROLE_SERVING,
	  "publish(group, data, opcode = \"text\", except) -> true | nil, message, code: sends to every connection in the group but "
	  "the fd `except`; a slow one is passed over or closed (socket_buffer_policy). opcode is for WebSocket." },
	{ "protect", api_conn_protect, "ib?", LUA_ROLE_SERVING,
	  "protect(fd, on = true) -> true | nil, message, code: heartbeat_idle_time does not end it." },
	{ "heartbeat", api_conn_heartbeat, "b?", LUA_ROLE_SERVING,
	  "heartbeat(close = false) -> list | nil, message, code: fds of all workers' connections that were silent for "
	  "heartbeat_idle_time; closes them if asked." },
	{ "get_client_info", api_conn_info, "i", LUA_ROLE_SERVING,
	  "get_client_info(fd) -> table | nil, message, code: who it is, and what is queued." },
	{ "get_client_list", api_conn_list, "i?i?", LUA_ROLE_SERVING,
	  "get_client_list(after = 0, count = 10) -> list | nil, message, code: fds of all workers' connections behind `after`, "
	  "in order; empty at the end." },
	{ "connections", api_conn_iterate, "", LUA_ROLE_SERVING,
	  "connections() -> iterator: for fd in server:connections() do; all workers' connections, page by page." },
	{ "task", api_task_give, "ai?f?", LUA_ROLE_WORKER | LUA_ROLE_PROCESS,
	  "task(data, dst = -1, callback) -> task_id | nil, message, code: for task worker `dst`, counted from 0, or any. Each result is "
	  "told to callback(server, task_id, data, failure), or to the finish event." },
	{ "task_wait", api_task_wait, "an?i?", LUA_ROLE_WORKER | LUA_ROLE_PROCESS | BIND_WAITS,
	  "task_wait(data, timeout = 0.5, dst = -1) -> value | nil, message, code: the task's first result." },
	{ "task_wait_multi", api_task_wait_multi, "tn?", LUA_ROLE_WORKER | LUA_ROLE_PROCESS | BIND_WAITS,
	  "task_wait_multi(list, timeout = 0.5) -> results, failures: by their places in the list; a task that failed has no result, but a "
	  "message in failures." },
	{ "task_co", api_task_co, "tn?", LUA_ROLE_WORKER | LUA_ROLE_PROCESS | BIND_WAITS,
	  "task_co(list, timeout = 0.5) -> results: by their places in the list; false for a task that failed." },
	{ "finish", api_task_finish, "a", LUA_ROLE_TASK,
	  "finish(data) -> true | nil, message, code: a result of the task that runs; what its handler returns is one more." },
	{ "send_message", api_message_send, "ai", LUA_ROLE_SERVING | BIND_WAITS,
	  "send_message(data, worker_id) -> true | nil, message, code: the pipe_message event of that process gets it; waits while it is too "
	  "far behind (message_queue_size)." },
	{ "command", api_message_command, "sia?n?", LUA_ROLE_SERVING | BIND_WAITS,
	  "command(name, worker_id, data, timeout = 5) -> value | nil, message, code: what that process's handler of the command returns." },
	{ "stats", api_info_stats, "", LUA_ROLE_SERVING,
	  "stats() -> table: what the server has counted, under Swoole's names, and the connections of each port in `ports`." },
	{ "stop", api_info_stop, "i?", LUA_ROLE_SERVING,
	  "stop(worker_id = this one) -> true | nil, message, code: the process is replaced once its work is done." },
	{ "get_worker_pid", api_info_worker_pid, "i?", LUA_ROLE_SERVING,
	  "get_worker_pid(worker_id = this one) -> pid | nil, message, code" },
	{ "get_worker_status", api_info_worker_status, "i?", LUA_ROLE_SERVING,
	  "get_worker_status(worker_id = this one) -> \"busy\" | \"idle\" | \"exit\"" },
	{ "reload", server_reload, "", LUA_ROLE_SERVING,
	  "reload() -> true | nil, message, code: as `luaserv reload`." },
	{ "shutdown", server_shutdown, "", LUA_ROLE_SERVING,
	  "shutdown() -> true | nil, message, code: as `luaserv stop`." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind server_kind = { .name = "server", .methods = server_methods };

/* The host of a server that has no port. */
#define NO_PORT "none"

/* server(host, port, mode, type) */
static int make_server(lua_State *L)
{
	struct app *app = app_of(L);
	struct err err = { 0 };

	if (!app)
		return state_error(L, "luaserv.server can only be called by an app script that luaserv runs");
	if (app->has_server)
		return state_error(L, "there is a server already; use server:listen for further ports");
	if (!lua_isnoneornil(L, 3)) {
		struct str mode = str_from(lua_tostring(L, 3));

		if (settings_set(&app->settings, NULL, "mode", mode, LAYER_SCRIPT, &err) < 0)
			return state_error(L, "%s", err.text);
	}
	lua_settop(L, 4);
	lua_remove(L, 3);
	if (lua_type(L, 1) != LUA_TSTRING || strcmp(lua_tostring(L, 1), NO_PORT) != 0)
		add_port(L, app, 1);
	app->has_server = true;
	set_constants(L, app);
	bind_push(L, &server_kind, app);
	lua_pushvalue(L, -1);
	app->server_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 1;
}

static const struct bind_row functions[] = {
	{ "server", make_server, "s?i?s?s?", LUA_ROLE_ALL,
	  "server(host = \"0.0.0.0\", port = 0, mode = \"process\", type = \"tcp\") -> server: host \"none\" is one without a port." },
	{ NULL, NULL, NULL, 0, NULL },
};

int api_server_open(lua_State *L)
{
	bind_register(L, &server_kind);
	bind_register(L, &port_kind);
	api_task_open(L);
	bind_functions(L, "luaserv", functions);
	return 1;
}
