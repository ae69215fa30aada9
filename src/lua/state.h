/* A Lua state as every role makes it: standard libraries, our searchers, a memory limit, no way to end the process. */
#pragma once

#include "base/err.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>

/* One C module of the runtime; THE LIST is api/modules.c. */
struct lua_module {
	const char *name;          /* "luaserv.core.time"; NULL ends the list */
	int (*open)(lua_State *L); /* pushes the module's table */
};

struct lua_limits {
	uint64_t memory; /* bytes; 0: none */
};

/* The role this process plays, for `luaserv.role` and for "cannot be called in a task worker". */
enum lua_role {
	LUA_ROLE_EVAL = 1,
	LUA_ROLE_MANAGER = 2,
	LUA_ROLE_WORKER = 4,
	LUA_ROLE_TASK = 8,
	LUA_ROLE_PROCESS = 16
};
/* Roles with connections, tasks and timers; all roles. */
enum { LUA_ROLE_SERVING = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS, LUA_ROLE_ALL = 31 };

/* Pointers kept beside the state, one per owner: found without the Lua stack, in about 2 ns. */
enum state_slot {
	STATE_SCHED,
	STATE_APP,
	STATE_KINDS,
	STATE_TIMERS,
	STATE_HOST,
	STATE_EVENTS,
	STATE_PROGRAMS,
	STATE_SLOTS
};

/* What the allocator knows; state_of() finds it.  STATE_HOST is for whoever runs the state (the worker). */
struct state {
	lua_Alloc inner; /* LuaJIT's own allocator, which this one counts and caps */
	void *inner_ctx;
	uint64_t bytes;
	uint64_t limit;   /* UINT64_MAX: none */
	uint64_t ceiling; /* limit while Lua runs, else UINT64_MAX: an error could not be caught there */
	enum lua_role role;
	unsigned pending; /* timers and watches that will call Lua */
	void *slots[STATE_SLOTS];
};

/* NULL: no memory or the libraries failed to open (the text says why).  os.exit raises an error; print goes to the log
 * descriptor in one write; the embedded library and `modules` are in package.preload. */
lua_State *state_new(const struct lua_limits *limits, const struct lua_module *modules, struct err *err);
void state_close(lua_State *L);
/* Bytes the state takes now. */
uint64_t state_bytes(lua_State *L);

void state_set_role(lua_State *L, enum lua_role role);
enum lua_role state_role(lua_State *L);
const char *state_role_name(enum lua_role role);

/* Calls the function with `nargs` arguments on the stack, with a traceback in err->text; results are left on the stack. */
int state_call(lua_State *L, int nargs, int nresults, struct err *err);

/* Zeroed memory of the state, `size` bytes, which `slot` points to until the state is closed; then `collect` is called with its userdata. */
void *state_keep(lua_State *L, enum state_slot slot, size_t size, lua_CFunction collect);
/* A coroutine that lives as long as the state, for callbacks that run in no other. */
lua_State *state_thread(lua_State *L);

/* A registry reference to the value at `idx`, to be given back with luaL_unref().  -ENOMEM: where luaL_ref() would raise. */
int state_anchor(lua_State *L, int idx);

/* Replaces the error value on top of L by its text and a traceback of `from`, from `level` on.  May raise. */
void state_explain(lua_State *L, lua_State *from, int level);
/* "app.lua:12": where L, whose innermost function is C, runs or waits; the runtime's own Lua frames are passed over.  Empty: in no
 * Lua function.  Returns `out`. */
const char *state_where(lua_State *L, char *out, size_t cap);
/* luaL_error() with the position of the caller's code: the runtime's own Lua frames are passed over. */
int state_error(lua_State *L, const char *fmt, ...) LS_PRINTF(2, 3);

/* Only for states made by state_new(). */
static inline struct state *state_of(lua_State *L)
{
	void *ctx;

	lua_getallocf(L, &ctx);
	return ctx;
}

/* Around running Lua: the memory limit counts.  Returns what state_leave() wants back. */
static inline uint64_t state_enter(struct state *st)
{
	uint64_t before = st->ceiling;

	st->ceiling = st->limit;
	return before;
}

static inline void state_leave(struct state *st, uint64_t before)
{
	st->ceiling = before;
}
