#include "lua/state.h"

#include "base/log.h"
#include "lua/console.h"
#include "lua/embed.h"

#include <errno.h>
#include <luajit.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* LuaJIT starts a collection when memory has grown to this many per cent of what was live.  Its default, 200, would run
 * into a limit with half of it garbage, and a failing allocation does not collect first. */
enum { PAUSE_WITH_LIMIT = 140 };

struct opening {
	const struct lua_module *modules;
};

static void *count_alloc(void *ctx, void *p, size_t old_size, size_t new_size)
{
	struct state *st = ctx;

	if (new_size > old_size && st->bytes + (new_size - old_size) > st->ceiling)
		return NULL;

	void *q = st->inner(st->inner_ctx, p, old_size, new_size);

	if (q || new_size == 0)
		st->bytes = st->bytes - old_size + new_size;
	return q;
}

/* ---- what replaces standard functions ------------------------------------------------------------------------------ */

static int refuse_exit(lua_State *L)
{
	return state_error(L, "os.exit cannot be called here: the process belongs to the server; "
	                      "return from the handler, or stop the server");
}

/* ---- what lives with the state ------------------------------------------------------------------------------------- */

void *state_keep(lua_State *L, enum state_slot slot, size_t size, lua_CFunction collect)
{
	void *kept = lua_newuserdata(L, size);

	memset(kept, 0, size);
	if (collect) {
		lua_createtable(L, 0, 1);
		lua_pushcfunction(L, collect);
		lua_setfield(L, -2, "__gc");
		lua_setmetatable(L, -2);
	}
	luaL_ref(L, LUA_REGISTRYINDEX);
	state_of(L)->slots[slot] = kept;
	return kept;
}

lua_State *state_thread(lua_State *L)
{
	lua_State *thread = lua_newthread(L);

	luaL_ref(L, LUA_REGISTRYINDEX);
	return thread;
}

/* ---- anchors ------------------------------------------------------------------------------------------------------- */

static const char anchor_key[] = "luaserv.anchor";

static int anchor(lua_State *L)
{
	lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
	return 1;
}

int state_anchor(lua_State *L, int idx)
{
	lua_pushvalue(L, idx);
	lua_getfield(L, LUA_REGISTRYINDEX, anchor_key);
	lua_insert(L, -2);

	int ref = lua_pcall(L, 1, 1, 0) == 0 ? (int)lua_tointeger(L, -1) : -ENOMEM;

	lua_pop(L, 1);
	return ref;
}

/* ---- modules ------------------------------------------------------------------------------------------------------- */

/* luaserv.core.state: what does not change while the process lives. */
static int open_state_module(lua_State *L)
{
	lua_createtable(L, 0, 2);
	lua_pushstring(L, state_role_name(state_role(L)));
	lua_setfield(L, -2, "role");
	lua_pushliteral(L, LS_VERSION);
	lua_setfield(L, -2, "version");
	return 1;
}

static int load_embedded(lua_State *L)
{
	const struct embed_file *file = &embed_files[lua_tointeger(L, lua_upvalueindex(1))];

	lua_settop(L, 1);
	lua_pushfstring(L, "=%s", file->name);
	if (luaL_loadbuffer(L, file->data, file->len, lua_tostring(L, -1)) != 0)
		return lua_error(L);
	lua_pushvalue(L, 1);
	lua_call(L, 1, 1);
	return 1;
}

static void fill_preload(lua_State *L, const struct lua_module *modules)
{
	lua_getglobal(L, "package");
	lua_getfield(L, -1, "preload");
	for (int i = 0; embed_files[i].name; i++) {
		lua_pushinteger(L, i);
		lua_pushcclosure(L, load_embedded, 1);
		lua_setfield(L, -2, embed_files[i].name);
	}
	for (const struct lua_module *m = modules; m && m->name; m++) {
		lua_pushcfunction(L, m->open);
		lua_setfield(L, -2, m->name);
	}
	lua_pushcfunction(L, open_state_module);
	lua_setfield(L, -2, "luaserv.core.state");
	lua_pushcfunction(L, console_open);
	lua_setfield(L, -2, "luaserv.core.log");
	lua_pop(L, 2);
}

static int open_all(lua_State *L)
{
	struct opening *o = lua_touserdata(L, 1);

	luaL_openlibs(L);
	fill_preload(L, o->modules);

	lua_getglobal(L, "os");
	lua_pushcfunction(L, refuse_exit);
	lua_setfield(L, -2, "exit");
	lua_pushcfunction(L, console_print);
	lua_setglobal(L, "print");
	lua_pushcfunction(L, anchor);
	lua_setfield(L, LUA_REGISTRYINDEX, anchor_key);

	/* Replaces coroutine.resume and wrap before anybody can keep the originals. */
	lua_getglobal(L, "require");
	lua_pushliteral(L, "luaserv.co");
	lua_call(L, 1, 0);
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

static int panic(lua_State *L)
{
	log_error("Lua failed outside of any protected call, so the process ends: %s", lua_tostring(L, -1));
	abort();
}

static void ignore_sample(LS_UNUSED void *ctx, LS_UNUSED lua_State *L, LS_UNUSED int samples, LS_UNUSED int vmstate)
{
}

static lua_State *make_counted(const struct lua_limits *limits)
{
	lua_State *L = luaL_newstate();
	struct state *st = calloc(1, sizeof *st);

	if (!L || !st) {
		if (L)
			lua_close(L);
		free(st);
		return NULL;
	}
	st->inner = lua_getallocf(L, &st->inner_ctx);
	st->bytes = (uint64_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (uint64_t)lua_gc(L, LUA_GCCOUNTB, 0);
	st->limit = limits && limits->memory ? limits->memory : UINT64_MAX;
	st->ceiling = UINT64_MAX;
	st->role = LUA_ROLE_EVAL;
	lua_setallocf(L, count_alloc, st);
	lua_atpanic(L, panic);
	if (st->limit != UINT64_MAX)
		lua_gc(L, LUA_GCSETPAUSE, PAUSE_WITH_LIMIT);
	return L;
}

lua_State *state_new(const struct lua_limits *limits, const struct lua_module *modules, struct err *err)
{
	struct opening o = { .modules = modules };
	lua_State *L = make_counted(limits);

	if (!L) {
		err_set(err, -ENOMEM, "there is no memory for a Lua state");
		return NULL;
	}
	/* In mode "l" every compiled loop polls, so that the watchdog's hook can stop it.  Before any Lua runs: traces
	 * made earlier would not poll. */
	luaJIT_profile_start(L, "li100", ignore_sample, NULL);

	if (lua_cpcall(L, open_all, &o) != 0) {
		err_set(err, -ENOTSUP,
		        "the Lua libraries do not open: %s (a sandbox that forbids executable memory, such as "
		        "systemd's MemoryDenyWriteExecute, causes this)",
		        lua_tostring(L, -1));
		state_close(L);
		return NULL;
	}
	return L;
}

void state_close(lua_State *L)
{
	if (!L)
		return;

	struct state *st = state_of(L);

	/* The counting allocator stays until the end, since finalizers look for the state through it.  LuaJIT therefore
	 * does not unmap its own arena as a whole; what is left is a few pages of a process that ends. */
	lua_close(L);
	free(st);
}

uint64_t state_bytes(lua_State *L)
{
	return state_of(L)->bytes;
}

/* ---- role ---------------------------------------------------------------------------------------------------------- */

void state_set_role(lua_State *L, enum lua_role role)
{
	state_of(L)->role = role;
}

enum lua_role state_role(lua_State *L)
{
	return state_of(L)->role;
}

const char *state_role_name(enum lua_role role)
{
	switch (role) {
	case LUA_ROLE_EVAL:
		return "eval";
	case LUA_ROLE_MANAGER:
		return "manager";
	case LUA_ROLE_WORKER:
		return "worker";
	case LUA_ROLE_TASK:
		return "task";
	case LUA_ROLE_PROCESS:
		return "process";
	}
	return "unknown";
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

void state_explain(lua_State *L, lua_State *from, int level)
{
	if (!lua_isstring(L, -1)) {
		if (!luaL_callmeta(L, -1, "__tostring") || !lua_isstring(L, -1))
			lua_pushfstring(L, "(the error is a %s value)", luaL_typename(L, -1));
	}
	luaL_traceback(L, from, lua_tostring(L, -1), level);
}

static int explain_here(lua_State *L)
{
	lua_settop(L, 1);
	state_explain(L, L, 1);
	return 1;
}

int state_call(lua_State *L, int nargs, int nresults, struct err *err)
{
	int handler = lua_gettop(L) - nargs;

	lua_pushcfunction(L, explain_here);
	lua_insert(L, handler);

	uint64_t before = state_enter(state_of(L));
	int status = lua_pcall(L, nargs, nresults, handler);

	state_leave(state_of(L), before);
	lua_remove(L, handler);
	if (status == 0)
		return 0;

	const char *text = lua_tostring(L, -1);

	/* After a stack overflow there is no stack for the handler either, and LuaJIT gives its own text. */
	if (status == LUA_ERRERR || !text)
		text = "stack overflow, or an error inside the __tostring of an error";
	err_set(err, status == LUA_ERRMEM ? -ENOMEM : -EINVAL, "%s", text);
	lua_pop(L, 1);
	return status == LUA_ERRMEM ? -ENOMEM : -EINVAL;
}

const char *state_where(lua_State *L, char *out, size_t cap)
{
	lua_Debug ar;

	out[0] = '\0';
	for (int level = 1; lua_getstack(L, level, &ar); level++) {
		lua_getinfo(L, "Sl", &ar);
		if (strncmp(ar.source, "=luaserv", 8) == 0)
			continue;
		if (ar.currentline > 0)
			snprintf(out, cap, "%s:%d", ar.short_src, ar.currentline);
		break;
	}
	return out;
}

int state_error(lua_State *L, const char *fmt, ...)
{
	char text[512], where[LUA_IDSIZE + 16];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);

	state_where(L, where, sizeof where);
	lua_pushfstring(L, "%s%s%s", where, where[0] ? ": " : "", text);
	return lua_error(L);
}
