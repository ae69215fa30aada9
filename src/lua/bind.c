#include "lua/bind.h"

#include "base/fault.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ARGS_MAX = 12, KINDS_MAX = 32 };

/* Sets of Lua types, LUA_TNONE (-1) included. */
#define TYPE_BIT(type) (uint16_t)(1u << ((type) + 1))
#define TYPES_ABSENT (TYPE_BIT(LUA_TNONE) | TYPE_BIT(LUA_TNIL))
#define TYPES_ANY (uint16_t)0xffff

/* One wrapped function: its row with the spec made into type sets.  A userdata that is the wrapper's upvalue. */
struct bound {
	const struct bind_row *row;
	const struct bind_kind *kind; /* methods; NULL: a plain function */
	const char *module;
	unsigned count;
	uint16_t accept[ARGS_MAX];
	char letter[ARGS_MAX];
};

/* Where the metatable of each kind is kept; a userdata of the state. */
struct kinds {
	unsigned count;
	struct {
		const struct bind_kind *kind;
		int metatable; /* registry reference */
	} at[KINDS_MAX];
};

/* ---- the check of arguments ---------------------------------------------------------------------------------------- */

static const char *wanted(char letter)
{
	switch (letter) {
	case 's':
		return "string";
	case 'n':
		return "number";
	case 'i':
		return "integer";
	case 'b':
		return "boolean";
	case 'f':
		return "function";
	case 't':
		return "table";
	case 'S':
		return "string or number";
	default:
		return "value";
	}
}

static uint16_t types_of(char letter)
{
	switch (letter) {
	case 's':
		return TYPE_BIT(LUA_TSTRING);
	case 'n':
	case 'i':
		return TYPE_BIT(LUA_TNUMBER);
	case 'b':
		return TYPE_BIT(LUA_TBOOLEAN);
	case 'f':
		return TYPE_BIT(LUA_TFUNCTION) | TYPE_BIT(LUA_TTABLE) | TYPE_BIT(LUA_TUSERDATA);
	case 't':
		return TYPE_BIT(LUA_TTABLE);
	case 'S':
		return TYPE_BIT(LUA_TSTRING) | TYPE_BIT(LUA_TNUMBER);
	default:
		assert(letter == 'a');
		return TYPES_ANY & (uint16_t)~TYPE_BIT(LUA_TNONE);
	}
}

static void compile_spec(struct bound *b)
{
	for (const char *p = b->row->args; *p && *p != '*'; p++) {
		assert(b->count < ARGS_MAX);
		b->letter[b->count] = *p;
		b->accept[b->count] = types_of(*p);
		if (p[1] == '?') {
			b->accept[b->count] |= TYPES_ABSENT;
			p++;
		}
		b->count++;
	}
}

/* "server:send", "luaserv.sleep". */
static const char *push_name(lua_State *L, const struct bound *b)
{
	return lua_pushfstring(L, "%s%s%s", b->kind ? b->kind->name : b->module, b->kind ? ":" : ".", b->row->name);
}

static int refuse_argument(lua_State *L, const struct bound *b, unsigned at)
{
	int index = (int)at + (b->kind ? 2 : 1);
	const char *got = luaL_typename(L, index);
	char number[64];

	if (b->letter[at] == 'i' && lua_type(L, index) == LUA_TNUMBER) {
		snprintf(number, sizeof number, "%.14g", lua_tonumber(L, index));
		got = number;
	}
	return state_error(L, "bad argument #%u to '%s' (%s expected, got %s)", at + 1, push_name(L, b),
	                   wanted(b->letter[at]), got);
}

static int refuse_role(lua_State *L, const struct bound *b)
{
	enum lua_role role = state_role(L);

	if (role == LUA_ROLE_EVAL)
		return state_error(L,
		                   "%s cannot be called while the script is evaluated; call it in an event's handler",
		                   push_name(L, b));
	return state_error(L, "%s cannot be called in a %s%s", push_name(L, b), state_role_name(role),
	                   role == LUA_ROLE_TASK      ? " worker"
	                   : role == LUA_ROLE_PROCESS ? " of its own"
	                                              : "");
}

bool bind_is_callable(lua_State *L, int index)
{
	if (lua_type(L, index) == LUA_TFUNCTION)
		return true;
	if (!luaL_getmetafield(L, index, "__call"))
		return false;
	lua_pop(L, 1);
	return true;
}

static bool is_integer(lua_State *L, int index)
{
	lua_Number n = lua_tonumber(L, index);

	return n >= -0x1p53 && n <= 0x1p53 && n == (lua_Number)(int64_t)n;
}

/* What the type alone does not tell. */
static bool fits(lua_State *L, char letter, int index)
{
	if (letter == 'i')
		return lua_isnoneornil(L, index) || is_integer(L, index);
	if (letter == 'f')
		return lua_isnoneornil(L, index) || bind_is_callable(L, index);
	return true;
}

static int refuse_self(lua_State *L, const struct bound *b)
{
	if (bind_test(L, 1, b->kind))
		return state_error(L, "%s is finished", b->kind->name);
	return state_error(L, "bad self to '%s' (%s expected, got %s); call it with a colon", push_name(L, b),
	                   b->kind->name, luaL_typename(L, 1));
}

static int call_checked(lua_State *L)
{
	const struct bound *b = lua_touserdata(L, lua_upvalueindex(1));
	int first = 1;

	if (!(b->row->roles & state_of(L)->role))
		return refuse_role(L, b);
	if (b->kind) {
		struct bind_handle *h = bind_test(L, 1, b->kind);

		if (!h || !bind_object(h))
			return refuse_self(L, b);
		first = 2;
	}
	for (unsigned i = 0; i < b->count; i++) {
		int index = first + (int)i;

		if (!(b->accept[i] & TYPE_BIT(lua_type(L, index))) || !fits(L, b->letter[i], index))
			return refuse_argument(L, b, i);
	}
	if (FAULT(collect))
		lua_gc(L, LUA_GCCOLLECT, 0);
	return b->row->fn(L);
}

/* ---- functions ----------------------------------------------------------------------------------------------------- */

void bind_run_chunk(lua_State *L, const char *chunk, int nargs)
{
	if (luaL_loadbuffer(L, chunk, strlen(chunk), "=luaserv") != 0)
		lua_error(L);
	lua_insert(L, -nargs - 1);
	lua_call(L, nargs, 1);
}

/* `pass` keeps the call from being a tail call, which would have no frame to raise in. */
static const char waiting_chunk[] = "local f = ...\n"
				    "local function pass(...) return ... end\n"
				    "return function(...) return pass(f(...)) end";

static void push_bound(lua_State *L, const struct bind_row *row, const char *module, const struct bind_kind *kind)
{
	if (!row->args) {
		lua_pushcfunction(L, row->fn);
	} else {
		struct bound *b = lua_newuserdata(L, sizeof *b);

		*b = (struct bound){ .row = row, .kind = kind, .module = module };
		compile_spec(b);
		lua_pushcclosure(L, call_checked, 1);
	}
	if (row->roles & BIND_WAITS)
		bind_run_chunk(L, waiting_chunk, 1);
}

static void push_table(lua_State *L, const struct bind_row *rows, const char *module, const struct bind_kind *kind)
{
	lua_newtable(L);
	for (const struct bind_row *row = rows; row && row->name; row++) {
		push_bound(L, row, module, kind);
		lua_setfield(L, -2, row->name);
	}
}

void bind_functions(lua_State *L, const char *module, const struct bind_row *rows)
{
	push_table(L, rows, module, NULL);
}

/* ---- objects ------------------------------------------------------------------------------------------------------- */

/* (handle, key) -> method or field.  Upvalue: name -> method, or the number of the field. */
static int index_member(lua_State *L)
{
	const struct bind_handle *h = lua_touserdata(L, 1);
	void *object = bind_object(h);

	if (!object)
		return state_error(L, "%s is finished", h->kind->name);
	lua_pushvalue(L, 2);
	lua_rawget(L, lua_upvalueindex(1));
	if (lua_type(L, -1) != LUA_TNUMBER)
		return 1;
	return h->kind->fields[lua_tointeger(L, -1)].push(L, object);
}

static int assign_handle(lua_State *L)
{
	struct bind_handle *h = lua_touserdata(L, 1);

	if (!bind_object(h))
		return state_error(L, "%s is finished", h->kind->name);
	if (!h->kind->newindex)
		return state_error(L, "%s has no field '%s' to assign to", h->kind->name,
		                   lua_isstring(L, 2) ? lua_tostring(L, 2) : luaL_typename(L, 2));
	return h->kind->newindex(L, h->object);
}

static int collect_handle(lua_State *L)
{
	struct bind_handle *h = lua_touserdata(L, 1);

	if (h && h->object) {
		h->kind->collect(h->object);
		h->object = NULL;
	}
	return 0;
}

static int handle_text(lua_State *L)
{
	struct bind_handle *h = lua_touserdata(L, 1);

	if (!bind_object(h))
		lua_pushfstring(L, "%s (finished)", h->kind->name);
	else
		lua_pushfstring(L, "%s: %p", h->kind->name, h->object);
	return 1;
}

static void push_metatable(lua_State *L, const struct bind_kind *kind)
{
	lua_createtable(L, 0, 6);
	push_table(L, kind->methods, kind->name, kind);
	if (kind->fields) {
		for (int i = 0; kind->fields[i].name; i++) {
			lua_pushinteger(L, i);
			lua_setfield(L, -2, kind->fields[i].name);
		}
		lua_pushcclosure(L, index_member, 1);
	}
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, assign_handle);
	lua_setfield(L, -2, "__newindex");
	lua_pushcfunction(L, handle_text);
	lua_setfield(L, -2, "__tostring");
	/* Hides __gc and __index from the app: called on something else they would read what is no handle. */
	lua_pushstring(L, kind->name);
	lua_setfield(L, -2, "__metatable");
	if (kind->collect) {
		lua_pushcfunction(L, collect_handle);
		lua_setfield(L, -2, "__gc");
	}
}

static struct kinds *kinds_of(lua_State *L)
{
	struct state *st = state_of(L);

	if (!st->slots[STATE_KINDS]) {
		struct kinds *k = lua_newuserdata(L, sizeof *k);

		*k = (struct kinds){ 0 };
		luaL_ref(L, LUA_REGISTRYINDEX);
		st->slots[STATE_KINDS] = k;
	}
	return st->slots[STATE_KINDS];
}

static int metatable_of(const struct kinds *k, const struct bind_kind *kind)
{
	for (unsigned i = 0; i < k->count; i++)
		if (k->at[i].kind == kind)
			return k->at[i].metatable;
	return LUA_NOREF;
}

void bind_register(lua_State *L, const struct bind_kind *kind)
{
	struct kinds *k = kinds_of(L);

	if (metatable_of(k, kind) != LUA_NOREF)
		return;
	assert(k->count < KINDS_MAX);
	push_metatable(L, kind);
	k->at[k->count].metatable = luaL_ref(L, LUA_REGISTRYINDEX);
	k->at[k->count++].kind = kind;
}

void bind_set_constant(lua_State *L, const struct bind_kind *kind, const char *name)
{
	assert(!kind->fields);
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_of(state_of(L)->slots[STATE_KINDS], kind));
	lua_getfield(L, -1, "__index");
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, name);
	lua_pop(L, 3);
}

void bind_push_method(lua_State *L, const struct bind_kind *kind, const char *name)
{
	assert(!kind->fields);
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable_of(state_of(L)->slots[STATE_KINDS], kind));
	lua_getfield(L, -1, "__index");
	lua_getfield(L, -1, name);
	lua_replace(L, -3);
	lua_pop(L, 1);
}

struct bind_handle *bind_push(lua_State *L, const struct bind_kind *kind, void *object)
{
	int metatable = metatable_of(state_of(L)->slots[STATE_KINDS], kind);

	assert(metatable != LUA_NOREF); /* bind_register() comes first */

	struct bind_handle *h = lua_newuserdata(L, sizeof *h);

	*h = (struct bind_handle){ .object = object, .kind = kind };
	if (kind->versioned)
		h->serial = *(const uint64_t *)object;
	lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
	lua_setmetatable(L, -2);
	return h;
}

/* Told by size and kind: comparing metatables costs three times as much, and no other userdata holds a kind's address. */
struct bind_handle *bind_test(lua_State *L, int idx, const struct bind_kind *kind)
{
	struct bind_handle *h;

	if (lua_type(L, idx) != LUA_TUSERDATA)
		return NULL;
	h = lua_touserdata(L, idx);
	if (lua_objlen(L, idx) != sizeof *h || h->kind != kind)
		return NULL;
	return h;
}

void *bind_check(lua_State *L, int idx, const struct bind_kind *kind)
{
	struct bind_handle *h = bind_test(L, idx, kind);

	if (!h)
		state_error(L, "%s expected, got %s", kind->name, luaL_typename(L, idx));
	else if (!bind_object(h))
		state_error(L, "%s is finished", kind->name);
	else
		return h->object;
	__builtin_unreachable();
}

int bind_fail(lua_State *L, int code, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);

	lua_pushnil(L);
	lua_pushstring(L, text);
	lua_pushinteger(L, code);
	return 3;
}

void bind_require(lua_State *L, const char *module)
{
	lua_getglobal(L, "require");
	lua_pushstring(L, module);
	lua_call(L, 1, 1);
}
