#include "api/client_opts.h"

#include "api/api_script.h"
#include "base/bits.h"
#include "lua/bind.h"

#include <stdlib.h>

enum { CONNECT_MS = 10000, READ_MS = 60000, WRITE_MS = 60000, NAME_MAX_LENGTH = 63 };

#define TIME_ROW(field) \
	{ \
		.name = field, .type = "time", .kind = VALUE_TIME, .max = UINT64_C(86400000) \
	}

/* In the order of struct client_times; "timeout" stands for all. */
static const struct settings_row time_rows[] = {
	TIME_ROW("connect_timeout"),
	TIME_ROW("read_timeout"),
	TIME_ROW("write_timeout"),
};
static const struct settings_row timeout_row = TIME_ROW("timeout");

/* Settings of a port that frame a client's messages too. */
static const enum settings_index framing[] = {
	SETTING_protocol,
	SETTING_open_eof_check,
	SETTING_open_eof_split,
	SETTING_package_eof,
	SETTING_open_length_check,
	SETTING_package_length_type,
	SETTING_package_length_offset,
	SETTING_package_body_offset,
	SETTING_package_max_length,
};

static const char bind_address[] = "bind_address", bind_port[] = "bind_port";

/* ---- names ---------------------------------------------------------------------------------------------------------- */

static const char *name_of(unsigned i)
{
	if (i < LS_COUNT(framing))
		return settings_rows[framing[i]].name;
	i -= (unsigned)LS_COUNT(framing);
	if (i < LS_COUNT(time_rows))
		return time_rows[i].name;
	i -= (unsigned)LS_COUNT(time_rows);
	return i == 0 ? timeout_row.name : i == 1 ? bind_address : bind_port;
}

static int refuse_name(lua_State *L, const char *name)
{
	enum { NAMES = LS_COUNT(framing) + LS_COUNT(time_rows) + 3 };
	const char *nearest = name_of(0);
	unsigned least = UINT32_MAX;

	for (unsigned i = 0; i < NAMES && strlen(name) <= NAME_MAX_LENGTH; i++) {
		unsigned distance = str_distance(str_from(name), str_from(name_of(i)));

		if (distance < least) {
			least = distance;
			nearest = name_of(i);
		}
	}
	return state_error(L, "client:set: there is no option \"%.64s\"; did you mean \"%s\"?", name, nearest);
}

static bool is_framing(const char *name)
{
	for (unsigned i = 0; i < LS_COUNT(framing); i++)
		if (strcmp(name, name_of(i)) == 0)
			return true;
	return false;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

static uint64_t get_time(lua_State *L, int value, const struct settings_row *row)
{
	struct err err = { 0 };
	uint64_t ms = 0;

	/* Swoole's -1: no limit. */
	if (lua_type(L, value) == LUA_TNUMBER && lua_tonumber(L, value) < 0)
		return 0;
	if (value_parse(row, api_script_value(L, value, row->name), &ms, &err) < 0)
		state_error(L, "client:set: %s", err.text);
	return ms;
}

/* The one that stands for all comes first, whatever lua_next() says. */
static void set_all_times(lua_State *L, int table, struct client_times *times)
{
	lua_getfield(L, table, timeout_row.name);
	if (!lua_isnil(L, -1))
		times->connect = times->read = times->write = get_time(L, lua_gettop(L), &timeout_row);
	lua_pop(L, 1);
}

static bool set_time(lua_State *L, int value, const char *name, struct client_times *times)
{
	uint64_t *const fields[] = { &times->connect, &times->read, &times->write };

	for (unsigned i = 0; i < LS_COUNT(time_rows); i++) {
		if (strcmp(name, time_rows[i].name) != 0)
			continue;
		*fields[i] = get_time(L, value, &time_rows[i]);
		return true;
	}
	return strcmp(name, timeout_row.name) == 0;
}

static void set_framing(lua_State *L, int value, const char *name, struct client_opts *o)
{
	struct err err = { 0 };
	struct str text = api_script_value(L, value, name);

	if (!o->draft)
		o->draft = settings_port_new(o->said);
	if (settings_set(NULL, o->draft, name, text, LAYER_SCRIPT, &err) < 0)
		state_error(L, "client:set: %s", err.text);
	if (settings_port_is_http(o->draft))
		state_error(L, "client:set: protocol is %s, but a client's messages are tcp, eof or length",
		            settings_port_protocol(o->draft));
}

/* Both together, whatever lua_next() says first. */
static void set_own_address(lua_State *L, int table, struct sock_addr *from)
{
	const char *host;
	lua_Number port;
	struct err err = { 0 };

	lua_getfield(L, table, bind_address);
	lua_getfield(L, table, bind_port);
	host = lua_tostring(L, -2);
	port = lua_tonumber(L, -1);
	if (lua_isnil(L, -2) && !lua_isnil(L, -1))
		state_error(L, "client:set: bind_port needs a bind_address, such as 127.0.0.1 or 0.0.0.0");
	if (!(port >= 0 && port <= 65535))
		state_error(L, "client:set: bind_port %.14g is out of range; it must be 0 to 65535", port);
	if (!lua_isnil(L, -2) && (!host || sock_parse(host, (uint16_t)port, from, &err) < 0))
		state_error(L, "client:set: bind_address: %s", host ? err.text : "an address is expected");
	lua_pop(L, 2);
}

static void drop_draft(struct client_opts *o)
{
	settings_port_free(o->draft);
	o->draft = NULL;
}

/* What was said becomes what holds. */
static void adopt_draft(lua_State *L, struct client_opts *o)
{
	struct port *meant = settings_port_new(o->draft);
	struct err err = { 0 };

	settings_resolve_port(meant);
	if (settings_check_framing(meant, &err) < 0) {
		settings_port_free(meant);
		state_error(L, "client:set: %s", err.text);
	}
	settings_port_free(o->said);
	settings_port_free(o->framing);
	o->said = o->draft;
	o->framing = meant;
	o->draft = NULL;
}

void client_opts_set(lua_State *L, int table, struct client_opts *o)
{
	struct client_times times = o->times;
	struct sock_addr from = o->from;

	drop_draft(o);
	set_all_times(L, table, &times);
	set_own_address(L, table, &from);
	lua_pushnil(L);
	while (lua_next(L, table)) {
		int top = lua_gettop(L);

		if (lua_type(L, -2) != LUA_TSTRING)
			state_error(L, "client:set: an option's name is a string, not a %s", luaL_typename(L, -2));

		const char *name = lua_tostring(L, -2);

		if (is_framing(name))
			set_framing(L, top, name, o);
		else if (strcmp(name, bind_address) != 0 && strcmp(name, bind_port) != 0 &&
		         !set_time(L, top, name, &times))
			refuse_name(L, name);
		lua_settop(L, top - 1);
	}
	if (o->draft)
		adopt_draft(L, o);
	o->times = times;
	o->from = from;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

/* What most clients have: made once. */
static const struct port *plain_port(void)
{
	static struct port *port;

	if (!port) {
		port = settings_port_new(NULL);
		settings_resolve_port(port);
	}
	return port;
}

const struct port *client_opts_port(const struct client_opts *o)
{
	return o->framing ? o->framing : plain_port();
}

void client_opts_init(struct client_opts *o)
{
	*o = (struct client_opts){ .times = { CONNECT_MS, READ_MS, WRITE_MS } };
}

void client_opts_fini(struct client_opts *o)
{
	drop_draft(o);
	settings_port_free(o->said);
	settings_port_free(o->framing);
}
