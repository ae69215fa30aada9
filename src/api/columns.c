#include "api/columns.h"

#include "ipc/shtable.h"
#include "worker/codes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTEGER_MAX 0x1p53

/* A string is its length and its bytes. */
typedef uint32_t string_len;

static const char *const type_names[] = { "int", "float", "string" };

uint32_t columns_room(const struct column *c)
{
	if (c->type == COLUMN_STRING)
		return (uint32_t)align_up(sizeof(string_len) + c->most, 8);
	return 8;
}

/* ---- declaring ----------------------------------------------------------------------------------------------------- */

static void parse_type(lua_State *L, struct column *c, struct str text)
{
	uint64_t most;

	if (str_eq(text, LS_STR("int"))) {
		c->type = COLUMN_INT;
		return;
	}
	if (str_eq(text, LS_STR("float"))) {
		c->type = COLUMN_FLOAT;
		return;
	}
	if (!str_starts(text, LS_STR("string(")) || !str_ends(text, LS_STR(")")) ||
	    str_to_u64(str_take(str_skip(text, 7), text.len - 8), &most) < 0 || most == 0 || most > SHTABLE_DATA_MAX)
		state_error(L,
		            "luaserv.table: column \"%s\" is \"%s\" (\"int\", \"float\" or \"string(n)\" with n from 1 "
		            "to %d expected)",
		            c->name, text.p, SHTABLE_DATA_MAX);
	c->type = COLUMN_STRING;
	c->most = (uint32_t)most;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct column *)a)->name, ((const struct column *)b)->name);
}

static void place(lua_State *L, struct columns *c)
{
	uint64_t size = 0;

	qsort(c->at, c->n, sizeof *c->at, by_name);
	for (unsigned i = 0; i < c->n; i++) {
		c->at[i].offset = (uint32_t)size;
		size += columns_room(&c->at[i]);
		if (size > SHTABLE_DATA_MAX)
			state_error(L, "luaserv.table: a row has more than %d bytes", SHTABLE_DATA_MAX);
	}
	c->size = (uint32_t)size;
}

void columns_parse(lua_State *L, int idx, struct columns *out)
{
	memset(out, 0, sizeof *out);
	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
		struct column *c = &out->at[out->n];
		size_t len;

		if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
			state_error(
				L,
				"bad argument #3 to 'luaserv.table' (a table { column = \"int\" … } expected, it has "
				"a %s = %s)",
				luaL_typename(L, -2), luaL_typename(L, -1));
		if (out->n == COLUMNS_MAX)
			state_error(L, "luaserv.table: there are more than %d columns", COLUMNS_MAX);
		if (!str_copy(str_from(lua_tolstring(L, -2, &len)), c->name, sizeof c->name) ||
		    len != strlen(c->name) || len == 0)
			state_error(L, "luaserv.table: a column's name has 1 to %d characters", COLUMN_NAME_MAX);
		parse_type(L, c, str_from(lua_tostring(L, -1)));
		out->n++;
	}
	if (out->n == 0)
		state_error(L, "luaserv.table: a table has at least one column");
	place(L, out);
}

void columns_shape(const struct columns *c, uint32_t rows, char *out, size_t cap)
{
	int used = snprintf(out, cap, "a table of %u rows:", rows);

	for (unsigned i = 0; i < c->n && used > 0 && (size_t)used < cap; i++) {
		used += snprintf(out + used, cap - (size_t)used, "%s %s %s", i ? "," : "", c->at[i].name,
		                 type_names[c->at[i].type]);
		if (c->at[i].type == COLUMN_STRING && (size_t)used < cap)
			used += snprintf(out + used, cap - (size_t)used, "(%u)", c->at[i].most);
	}
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

const struct column *columns_check(lua_State *L, const struct columns *c, int idx, const char *what)
{
	size_t len = 0;
	const char *name = lua_type(L, idx) == LUA_TSTRING ? lua_tolstring(L, idx, &len) : NULL;
	char known[512];

	for (unsigned i = 0; name && i < c->n; i++)
		if (strcmp(c->at[i].name, name) == 0)
			return &c->at[i];
	columns_shape(c, 0, known, sizeof known);
	state_error(L, "%s: there is no column \"%s\"; there are%s", what, name ? name : luaL_typename(L, idx),
	            strchr(known, ':') + 1);
	return NULL;
}

static void check_type(lua_State *L, const struct column *c, int idx, const char *what)
{
	bool string = c->type == COLUMN_STRING;
	lua_Number n = lua_tonumber(L, idx);

	if (lua_type(L, idx) != (string ? LUA_TSTRING : LUA_TNUMBER))
		state_error(L, "%s: column \"%s\" takes a %s, not a %s", what, c->name, string ? "string" : "number",
		            luaL_typename(L, idx));
	if (c->type == COLUMN_INT && !(n >= -INTEGER_MAX && n <= INTEGER_MAX && n == (lua_Number)(int64_t)n))
		state_error(L, "%s: column \"%s\" takes an integer within 2^53, not %.14g", what, c->name, n);
}

int columns_put(lua_State *L, const struct column *c, int idx, char *data, const char *what)
{
	char *at = data + c->offset;

	check_type(L, c, idx, what);
	if (c->type == COLUMN_STRING) {
		size_t len;
		const char *p = lua_tolstring(L, idx, &len);
		string_len stored = (string_len)len;

		if (len > c->most)
			return bind_fail(L, CODE_TOO_LARGE, "column \"%s\" holds %u bytes, the string has %zu", c->name,
			                 c->most, len);
		memset(at, 0, columns_room(c));
		memcpy(at, &stored, sizeof stored);
		memcpy(at + sizeof stored, p, len);
	} else if (c->type == COLUMN_INT) {
		int64_t integer = (int64_t)lua_tonumber(L, idx);

		memcpy(at, &integer, sizeof integer);
	} else {
		double number = lua_tonumber(L, idx);

		memcpy(at, &number, sizeof number);
	}
	return 0;
}

void columns_push(lua_State *L, const struct column *c, const char *data)
{
	const char *at = data + c->offset;

	if (c->type == COLUMN_STRING) {
		string_len len;

		memcpy(&len, at, sizeof len);
		lua_pushlstring(L, at + sizeof len, LS_MIN(len, c->most));
	} else if (c->type == COLUMN_INT) {
		int64_t integer;

		memcpy(&integer, at, sizeof integer);
		lua_pushnumber(L, (lua_Number)integer);
	} else {
		double number;

		memcpy(&number, at, sizeof number);
		lua_pushnumber(L, number);
	}
}
