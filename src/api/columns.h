/* The columns of a luaserv.table: where each stands in a row, and its values from and to Lua. */
#pragma once

#include "base/str.h"
#include "lua/bind.h"

enum { COLUMNS_MAX = 64, COLUMN_NAME_MAX = 63 };
enum column_type { COLUMN_INT, COLUMN_FLOAT, COLUMN_STRING };

struct column {
	char name[COLUMN_NAME_MAX + 1];
	enum column_type type;
	uint32_t most;   /* bytes of a string */
	uint32_t offset; /* in the row's data */
};

struct columns {
	struct column at[COLUMNS_MAX]; /* by name */
	unsigned n;
	uint32_t size; /* of a row's data, a multiple of 8 */
};

/* The table at `idx`, { name = "int" | "float" | "string(n)" }.  Raises. */
void columns_parse(lua_State *L, int idx, struct columns *out);
/* "a table of 1024 rows: age int, name string(20)" */
void columns_shape(const struct columns *c, uint32_t rows, char *out, size_t cap);
/* Bytes that a column takes in a row. */
uint32_t columns_room(const struct column *c);
/* The column named by the string at `idx`, or raises. */
const struct column *columns_check(lua_State *L, const struct columns *c, int idx, const char *what);
/* The value at `idx` into its place in `data`.  0; 3: a string is too long, and nil, message, code are pushed.  Raises when it has the
 * wrong type. */
int columns_put(lua_State *L, const struct column *c, int idx, char *data, const char *what);
void columns_push(lua_State *L, const struct column *c, const char *data);
