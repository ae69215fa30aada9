/* Functions and objects that Lua sees: tables of rows, arguments checked by a spec string, handles that can be voided. */
#pragma once

#include "lua/state.h"

#include <stdbool.h>

/* A row's roles: the function may park its coroutine.  It gets a Lua frame of its own, in which a cancellation is raised, so
 * that even pcall(luaserv.sleep, 1) sees it; costs some 30 ns a call. */
enum { BIND_WAITS = 1 << 8 };

/* One function.  args: one letter per argument, '?' behind it: optional.  s string, n number, i integer, b boolean, f callable,
 * t table, a anything, S string or number; '*': any further ones; at most 12.  doc: "send(fd, data) -> true | nil, message, code: …". */
struct bind_row {
	const char *name;
	lua_CFunction fn;
	const char *args;
	unsigned roles; /* enum lua_role bits that may call it; BIND_WAITS */
	const char *doc;
};

/* Pushes a table with the functions of `rows` (name == NULL ends), each wrapped in the check of arguments and role.  `module` is how
 * messages name it: "luaserv", "server", "res". The wrapper costs one lua_CFunction call; rows whose args are NULL are not
 * wrapped. */
void bind_functions(lua_State *L, const char *module, const struct bind_row *rows);

/* ---- objects -------------------------------------------------------------------------------------------------------- */

/* A kind of userdata: a handle on a C object that may end before Lua forgets it. */
struct bind_kind {
	const char *name;                 /* "request": "request is finished" */
	const struct bind_row *methods;   /* called with the object as first argument, checked; args spec counts from the second */
	int (*index)(lua_State *L, void *object, const char *key, size_t len); /* fields; 0 results: look at the methods; NULL: none */
	int (*newindex)(lua_State *L, void *object);  /* NULL: assignment is an error */
	void (*collect)(void *object);    /* __gc with a live object; NULL: none */
};

struct bind_handle {
	void *object; /* NULL: ended */
	const struct bind_kind *kind;
};

/* Registers the metatable; once per state and kind. */
void bind_register(lua_State *L, const struct bind_kind *kind);
/* Pushes a new handle. */
struct bind_handle *bind_push(lua_State *L, const struct bind_kind *kind, void *object);
/* The object at `idx`, which must be of that kind and alive, or raises "request is finished". */
void *bind_check(lua_State *L, int idx, const struct bind_kind *kind);
/* The handle at `idx` or NULL if it is something else. */
struct bind_handle *bind_test(lua_State *L, int idx, const struct bind_kind *kind);

/* nil, message, code: the expected failure.  Returns 3. */
int bind_fail(lua_State *L, int code, const char *fmt, ...) LS_PRINTF(3, 4);

/* Resolves the four callback styles at stack index `idx`: function, "module.fn", { object, "method" }, callable table; leaves a
 * function on the stack (for { object, "method" } a closure that passes the object first).  Error text names what is wrong. */
int bind_callback(lua_State *L, int idx, struct err *err);
