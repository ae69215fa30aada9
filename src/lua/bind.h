/* Functions and objects that Lua sees: tables of rows, arguments checked by a spec string, handles that can be voided. */
#pragma once

#include "lua/state.h"

#include <stdbool.h>

/* A row's roles: the function may park its coroutine.  It gets a Lua frame of its own, in which a cancellation is raised,
 * so that even pcall(luaserv.sleep, 1) sees it; costs some 30 ns a call. */
enum { BIND_WAITS = 1 << 8 };

/* One function.  args: one letter per argument, '?' behind it: optional; at most 12.  s string, n number, i integer,
 * b boolean, f callable, t table, a anything, S string or number; '*': any further ones.  doc: "send(fd, data) ->
 * true | nil, message, code: …". */
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

/* A field: pushes its value and returns 1, or 0 for nil. */
struct bind_field {
	const char *name;
	int (*push)(lua_State *L, void *object);
};

/* A kind of userdata: a handle on a C object that may end before Lua forgets it. */
struct bind_kind {
	const char *name;                /* "req": "req is finished" */
	const struct bind_row *methods;  /* checked, self too; the args spec counts from the second argument */
	const struct bind_field *fields; /* computed at each look; NULL: none, and methods are found without any call */
	int (*newindex)(lua_State *L, void *object); /* NULL: assignment is an error */
	void (*collect)(void *object);               /* __gc with a live object; NULL: none */
	/* The object's first member is a uint64_t serial, and its memory is never anything else: a handle whose serial is
	 * another one has ended.  Spares the finalizer, which costs more than the handle. */
	bool versioned;
};

struct bind_handle {
	void *object; /* NULL: ended */
	const struct bind_kind *kind;
	uint64_t serial; /* versioned kinds */
};

/* The object, or NULL when it has ended. */
static inline void *bind_object(const struct bind_handle *h)
{
	if (h->kind->versioned && *(const uint64_t *)h->object != h->serial)
		return NULL;
	return h->object;
}

/* Registers the metatable; once per state and kind. */
void bind_register(lua_State *L, const struct bind_kind *kind);
/* Makes the value on top (taken) a constant field, or another method, of every handle of a kind that has no computed fields. */
void bind_set_constant(lua_State *L, const struct bind_kind *kind, const char *name);
/* Pushes the method of that name, as apps call it. */
void bind_push_method(lua_State *L, const struct bind_kind *kind, const char *name);
/* Pushes a new handle. */
struct bind_handle *bind_push(lua_State *L, const struct bind_kind *kind, void *object);
/* The object at `idx`, which must be of that kind and alive, or raises "request is finished". */
void *bind_check(lua_State *L, int idx, const struct bind_kind *kind);
/* The object of a method's first argument, which the method's wrapper has already checked. */
static inline void *bind_self(lua_State *L)
{
	return ((const struct bind_handle *)lua_touserdata(L, 1))->object;
}
/* The handle at `idx` or NULL if it is something else. */
struct bind_handle *bind_test(lua_State *L, int idx, const struct bind_kind *kind);

/* nil, message, code: the expected failure.  Returns 3. */
int bind_fail(lua_State *L, int code, const char *fmt, ...) LS_PRINTF(3, 4);

/* True for functions and for what has a __call. */
bool bind_is_callable(lua_State *L, int index);
/* Pushes what require() gives for a module of the library. */
void bind_require(lua_State *L, const char *module);
/* Runs one of our own one-line chunks on the `nargs` values on top, leaving its result in their place. */
void bind_run_chunk(lua_State *L, const char *chunk, int nargs);
