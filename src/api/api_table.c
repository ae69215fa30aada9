#include "api/api_shared.h"

#include "api/columns.h"
#include "conf/shared.h"
#include "ipc/shtable.h"
#include "worker/codes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INTEGER_MAX 0x1p53

/* luaserv.table: columns over rows of bytes. */
struct table_object {
	struct shtable t;
	struct columns columns;
	char name[SHARED_NAME_MAX + 1];
	bool given[COLUMNS_MAX];       /* by a set() that is under way */
	char staged[SHTABLE_DATA_MAX]; /* their values */
	char row[SHTABLE_DATA_MAX];    /* what was read */
	char scratch[SHTABLE_DATA_MAX];
};

static const struct bind_kind table_kind;

static struct table_object *self(lua_State *L)
{
	return bind_self(L);
}

static struct str key_of(lua_State *L)
{
	size_t len;
	const char *p = lua_tolstring(L, 2, &len);

	return str_make(p, len);
}

static int fail(lua_State *L, const struct table_object *o, int r)
{
	switch (r) {
	case -ENOSPC:
		return bind_fail(L, CODE_TOO_LARGE, "table \"%s\" is full: %u of %u rows", o->name,
		                 shtable_count(&o->t), o->t.rows);
	case -EINVAL:
		return bind_fail(L, CODE_PARAMS, "a key has 1 to %d bytes", SHTABLE_KEY_MAX);
	case -EEXIST:
		return bind_fail(L, CODE_WRONG_OPERATION, "the key exists");
	case -ENOENT:
		return bind_fail(L, CODE_EMPTY, "the key does not exist");
	case -ERANGE:
		return bind_fail(L, CODE_TOO_LARGE, "the number would be beyond 2^53");
	case -ETIMEDOUT:
		return bind_fail(L, ETIMEDOUT, "another process holds table \"%s\" and stands still", o->name);
	default:
		return bind_fail(L, CODE_MALFORMED, "the memory of table \"%s\" is damaged", o->name);
	}
}

static int answer(lua_State *L, const struct table_object *o, int r)
{
	if (r < 0)
		return fail(L, o, r);
	lua_pushboolean(L, 1);
	return 1;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int push_row(lua_State *L, const struct table_object *o)
{
	lua_createtable(L, 0, (int)o->columns.n);
	for (unsigned i = 0; i < o->columns.n; i++) {
		columns_push(L, &o->columns.at[i], o->row);
		lua_setfield(L, -2, o->columns.at[i].name);
	}
	return 1;
}

static int table_get(lua_State *L)
{
	struct table_object *o = self(L);
	const struct column *c = lua_isnoneornil(L, 3) ? NULL : columns_check(L, &o->columns, 3, "table:get");
	int r = shtable_get(&o->t, key_of(L), o->row);

	if (r == -ENOENT) {
		lua_pushnil(L);
		return 1;
	}
	if (r < 0)
		return fail(L, o, r);
	if (!c)
		return push_row(L, o);
	columns_push(L, c, o->row);
	return 1;
}

static int table_exists(lua_State *L)
{
	struct table_object *o = self(L);
	int r = shtable_get(&o->t, key_of(L), o->row);

	if (r < 0 && r != -ENOENT)
		return fail(L, o, r);
	lua_pushboolean(L, r == 0);
	return 1;
}

/* The iterator: upvalues are the table and the row it is at. */
static int next_row(lua_State *L)
{
	struct table_object *o = ((struct bind_handle *)lua_touserdata(L, lua_upvalueindex(1)))->object;
	uint32_t cursor = (uint32_t)lua_tonumber(L, lua_upvalueindex(2));
	char key[SHTABLE_KEY_MAX];
	size_t len = shtable_next(&o->t, &cursor, key, o->row);

	lua_pushnumber(L, cursor);
	lua_replace(L, lua_upvalueindex(2));
	if (len == 0)
		return 0;
	lua_pushlstring(L, key, len);
	return 1 + push_row(L, o);
}

static int table_each(lua_State *L)
{
	lua_pushvalue(L, 1);
	lua_pushnumber(L, 0);
	lua_pushcclosure(L, next_row, 2);
	return 1;
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static int copy_given(void *ctx, char *data)
{
	const struct table_object *o = ctx;

	for (unsigned i = 0; i < o->columns.n; i++)
		if (o->given[i])
			memcpy(data + o->columns.at[i].offset, o->staged + o->columns.at[i].offset,
			       columns_room(&o->columns.at[i]));
	return 0;
}

/* The values of the table at 3; 0, or how many results say what is wrong. */
static int stage(lua_State *L, struct table_object *o, const char *what)
{
	memset(o->given, 0, sizeof o->given);
	lua_pushnil(L);
	while (lua_next(L, 3)) {
		const struct column *c = columns_check(L, &o->columns, -2, what);
		int wrong = columns_put(L, c, -1, o->staged, what);

		if (wrong)
			return wrong;
		o->given[c - o->columns.at] = true;
		lua_pop(L, 1);
	}
	return 0;
}

static int write_row(lua_State *L, enum shtable_how how, const char *what)
{
	struct table_object *o = self(L);
	int wrong = stage(L, o, what);

	return wrong ? wrong : answer(L, o, shtable_write(&o->t, key_of(L), how, copy_given, o));
}

static int table_set(lua_State *L)
{
	return write_row(L, SHTABLE_SET, "table:set");
}

static int table_add(lua_State *L)
{
	return write_row(L, SHTABLE_ADD, "table:add");
}

static int table_update(lua_State *L)
{
	return write_row(L, SHTABLE_UPDATE, "table:update");
}

static int table_del(lua_State *L)
{
	struct table_object *o = self(L);
	int r = shtable_del(&o->t, key_of(L), NULL);

	if (r < 0 && r != -ENOENT)
		return fail(L, o, r);
	lua_pushboolean(L, r == 0);
	return 1;
}

static int table_getdel(lua_State *L)
{
	struct table_object *o = self(L);
	int r = shtable_del(&o->t, key_of(L), o->row);

	if (r == -ENOENT) {
		lua_pushnil(L);
		return 1;
	}
	return r < 0 ? fail(L, o, r) : push_row(L, o);
}

struct increment {
	const struct column *column;
	double by;
	double result;
};

static int increment(void *ctx, char *data)
{
	struct increment *i = ctx;
	char *at = data + i->column->offset;
	int64_t integer;

	if (i->column->type == COLUMN_FLOAT) {
		memcpy(&i->result, at, sizeof i->result);
		i->result += i->by;
		memcpy(at, &i->result, sizeof i->result);
		return 0;
	}
	memcpy(&integer, at, sizeof integer);
	i->result = (double)integer + i->by;
	if (!(i->result >= -INTEGER_MAX && i->result <= INTEGER_MAX))
		return -ERANGE;
	integer = (int64_t)i->result;
	memcpy(at, &integer, sizeof integer);
	return 0;
}

static int change_by(lua_State *L, double sign, const char *what)
{
	struct table_object *o = self(L);
	struct increment i = { .column = columns_check(L, &o->columns, 3, what), .by = sign * luaL_optnumber(L, 4, 1) };
	int r;

	if (i.column->type == COLUMN_STRING)
		return state_error(L, "%s: column \"%s\" holds strings", what, i.column->name);
	if (i.column->type == COLUMN_INT && i.by != (double)(int64_t)i.by)
		return state_error(L, "%s: column \"%s\" holds integers, not %.14g", what, i.column->name, i.by);
	r = shtable_write(&o->t, key_of(L), SHTABLE_SET, increment, &i);
	if (r < 0)
		return fail(L, o, r);
	lua_pushnumber(L, i.result);
	return 1;
}

static int table_incr(lua_State *L)
{
	return change_by(L, 1, "table:incr");
}

static int table_decr(lua_State *L)
{
	return change_by(L, -1, "table:decr");
}

/* ---- what there is ------------------------------------------------------------------------------------------------- */

static int table_count(lua_State *L)
{
	lua_pushnumber(L, shtable_count(&self(L)->t));
	return 1;
}

static int table_capacity(lua_State *L)
{
	lua_pushnumber(L, self(L)->t.rows);
	return 1;
}

static int table_memory(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)self(L)->t.segment.map.size);
	return 1;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static uint32_t check_rows(lua_State *L)
{
	lua_Number n = lua_tonumber(L, 2);

	if (!(n >= 1 && n <= SHTABLE_ROWS_MAX))
		state_error(L, "bad argument #2 to 'luaserv.table' (1 to %d rows expected, got %.14g)",
		            SHTABLE_ROWS_MAX, n);
	return (uint32_t)n;
}

int api_table_new(lua_State *L)
{
	struct columns columns;
	char shape[SHARED_SHAPE_MAX];
	struct api_shared s = { .what = "luaserv.table", .name = lua_tostring(L, 1), .shape = shape };
	uint32_t rows = check_rows(L);
	struct table_object *o;

	columns_parse(L, 3, &columns);
	columns_shape(&columns, rows, shape, sizeof shape);
	if (strlen(shape) == sizeof shape - 1)
		return state_error(L, "luaserv.table: the names of its columns are too long together");
	s.bytes = shtable_bytes(rows, columns.size);
	o = api_shared_push(L, &s, &table_kind, sizeof *o);
	if (o) {
		o->columns = columns;
		str_copy(str_from(s.name), o->name, sizeof o->name);
		shtable_init(&o->t, rows, columns.size, o->scratch);
	}
	return 1;
}

static const struct bind_row methods[] = {
	{ "get", table_get, "Ss?", LUA_ROLE_ALL,
	  "get(key, column) -> the row as a table, or one column of it; nil: no such key." },
	{ "set", table_set, "St", LUA_ROLE_ALL,
	  "set(key, { column = value, … }) -> true | nil, message, code: columns not named stay, or are 0 and \"\"." },
	{ "add", table_add, "St", LUA_ROLE_ALL, "add(key, row): as set, but the key must not exist." },
	{ "update", table_update, "St", LUA_ROLE_ALL, "update(key, row): as set, but the key must exist." },
	{ "del", table_del, "S", LUA_ROLE_ALL, "del(key) -> whether it existed." },
	{ "getdel", table_getdel, "S", LUA_ROLE_ALL, "getdel(key) -> the row it was, or nil." },
	{ "exists", table_exists, "S", LUA_ROLE_ALL, "exists(key) -> boolean." },
	{ "incr", table_incr, "Ssn?", LUA_ROLE_ALL,
	  "incr(key, column, n = 1) -> the new number | nil, message, code: a key that does not exist begins with 0." },
	{ "decr", table_decr, "Ssn?", LUA_ROLE_ALL,
	  "decr(key, column, n = 1) -> the new number | nil, message, code." },
	{ "each", table_each, "", LUA_ROLE_ALL,
	  "each() -> iterator: for key, row in table:each() do … end; rows may be written and deleted meanwhile." },
	{ "count", table_count, "", LUA_ROLE_ALL, "count() -> rows in use." },
	{ "capacity", table_capacity, "", LUA_ROLE_ALL, "capacity() -> rows that fit." },
	{ "memory", table_memory, "", LUA_ROLE_ALL, "memory() -> bytes." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind table_kind = { .name = "table", .methods = methods, .collect = api_shared_collect };

void api_table_register(lua_State *L)
{
	bind_register(L, &table_kind);
}
