#include "api/api_shared.h"

#include "conf/shared.h"
#include "ipc/shdict.h"
#include "lua/pack.h"
#include "worker/codes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 1024, PACKED_MAX = 1 << 30 };

#define SECONDS_MAX 1e10
#define BYTES_MAX (UINT64_C(1) << 40)

struct dict_object {
	struct shdict d;
	struct pack pack;
	char name[SHARED_NAME_MAX + 1];
};

static const struct bind_kind dict_kind;

static struct dict_object *self(lua_State *L)
{
	return bind_self(L);
}

static struct str key_of(lua_State *L)
{
	size_t len;
	const char *p = lua_tolstring(L, 2, &len);

	return str_make(p, len);
}

static int fail(lua_State *L, const struct dict_object *o, int r)
{
	switch (r) {
	case -ENOENT:
		return bind_fail(L, CODE_EMPTY, "not found");
	case -EEXIST:
		return bind_fail(L, CODE_WRONG_OPERATION, "exists");
	case -ENOSPC:
		return bind_fail(L, CODE_NO_MEMORY, "no memory: dict \"%s\" is full", o->name);
	case -E2BIG:
		return bind_fail(L, CODE_TOO_LARGE,
		                 "the value does not fit into dict \"%s\" (one has room for %.0f bytes)", o->name,
		                 (double)o->d.blocks * 60);
	case -EINVAL:
		return bind_fail(L, CODE_PARAMS, "a key has 1 to %d bytes", SHDICT_KEY_MAX);
	case -EPROTOTYPE:
		return bind_fail(L, CODE_WRONG_OPERATION, "the value is of another kind");
	case -ETIMEDOUT:
		return bind_fail(L, ETIMEDOUT, "another process holds dict \"%s\" and stands still", o->name);
	case -EBADMSG:
		return bind_fail(L, CODE_MALFORMED, "the value in dict \"%s\" is damaged", o->name);
	default:
		return bind_fail(L, CODE_NO_MEMORY, "no memory in this process");
	}
}

/* true, nil, how many others had to go. */
static int answer(lua_State *L, const struct dict_object *o, int r, unsigned evicted)
{
	if (r < 0)
		return fail(L, o, r);
	lua_pushboolean(L, 1);
	if (evicted == 0)
		return 1;
	lua_pushnil(L);
	lua_pushnumber(L, evicted);
	return 3;
}

/* ---- values ----------------------------------------------------------------------------------------------------------- */

static int push_value(lua_State *L, const struct dict_object *o, const struct shdict_value *v)
{
	struct packed packed = { .bytes = v->bytes, .form = PACK_VALUE };

	switch (v->kind) {
	case SHDICT_NUMBER:
		lua_pushnumber(L, v->number);
		return 1;
	case SHDICT_BOOLEAN:
		lua_pushboolean(L, v->number != 0);
		return 1;
	case SHDICT_STRING:
		lua_pushlstring(L, v->bytes.p, v->bytes.len);
		return 1;
	default:
		return pack_push(L, &packed) < 0 ? fail(L, o, -EBADMSG) : 1;
	}
}

/* The value at `idx`, lent.  Raises when it is none that can be shared. */
static void take_value(lua_State *L, struct dict_object *o, int idx, const char *what, struct shdict_value *v)
{
	struct packed packed;
	struct err err;
	size_t len;
	const char *p;

	memset(v, 0, sizeof *v);
	switch (lua_type(L, idx)) {
	case LUA_TNUMBER:
		v->kind = SHDICT_NUMBER;
		v->number = lua_tonumber(L, idx);
		return;
	case LUA_TBOOLEAN:
		v->kind = SHDICT_BOOLEAN;
		v->number = lua_toboolean(L, idx);
		return;
	case LUA_TSTRING:
		p = lua_tolstring(L, idx, &len);
		v->kind = SHDICT_STRING;
		v->bytes = str_make(p, len);
		return;
	default:
		if (pack_value(&o->pack, L, idx, "value", PACKED_MAX, &packed, &err) < 0)
			state_error(L, "%s: %s", what, err.text);
		v->kind = SHDICT_PACKED;
		v->bytes = packed.bytes;
	}
}

static uint64_t ttl_of(lua_State *L, int idx, const char *what)
{
	double seconds = luaL_optnumber(L, idx, 0);

	if (!(seconds >= 0 && seconds <= SECONDS_MAX))
		state_error(L, "bad argument #%d to '%s' (seconds from 0 on expected, got %.14g)", idx - 1, what,
		            seconds);
	return (uint64_t)ceil(seconds * 1000);
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static int read_value(lua_State *L, bool stale)
{
	struct dict_object *o = self(L);
	struct shdict_value v;
	int n, r = shdict_get(&o->d, key_of(L), stale, &v);

	if (r == -ENOENT) {
		lua_pushnil(L);
		return 1;
	}
	if (r < 0)
		return fail(L, o, r);
	n = push_value(L, o, &v);
	if (n != 1 || (v.flags == 0 && !stale))
		return n;
	if (v.flags)
		lua_pushnumber(L, v.flags);
	else
		lua_pushnil(L);
	if (!stale)
		return 2;
	lua_pushboolean(L, v.stale);
	return 3;
}

static int dict_get(lua_State *L)
{
	return read_value(L, false);
}

static int dict_get_stale(lua_State *L)
{
	return read_value(L, true);
}

static int dict_ttl(lua_State *L)
{
	struct dict_object *o = self(L);
	uint64_t ms;
	int r = shdict_ttl(&o->d, key_of(L), &ms);

	if (r < 0)
		return fail(L, o, r);
	lua_pushnumber(L, (lua_Number)ms / 1000);
	return 1;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static int put(lua_State *L, enum shdict_how how, bool safe, const char *what)
{
	struct dict_object *o = self(L);
	uint64_t ttl = ttl_of(L, 4, what);
	double flags = luaL_optnumber(L, 5, 0);
	struct shdict_value v;
	unsigned evicted;
	int r;

	if (lua_isnil(L, 3)) {
		r = how == SHDICT_SET ? shdict_delete(&o->d, key_of(L)) : -EINVAL;
		if (how != SHDICT_SET)
			return state_error(L, "bad argument #2 to '%s' (a value expected, got nil)", what);
		return answer(L, o, r == -ENOENT ? 0 : r, 0);
	}
	if (!(flags >= 0 && flags <= UINT32_MAX))
		return state_error(L, "bad argument #4 to '%s' (0 to %.0f expected, got %.14g)", what,
		                   (double)UINT32_MAX, flags);
	take_value(L, o, 3, what, &v);
	v.flags = (uint32_t)flags;
	r = shdict_put(&o->d, key_of(L), &v, how, safe, ttl, &evicted);
	return answer(L, o, r, evicted);
}

static int dict_set(lua_State *L)
{
	return put(L, SHDICT_SET, false, "dict:set");
}

static int dict_safe_set(lua_State *L)
{
	return put(L, SHDICT_SET, true, "dict:safe_set");
}

static int dict_add(lua_State *L)
{
	return put(L, SHDICT_ADD, false, "dict:add");
}

static int dict_safe_add(lua_State *L)
{
	return put(L, SHDICT_ADD, true, "dict:safe_add");
}

static int dict_replace(lua_State *L)
{
	return put(L, SHDICT_REPLACE, false, "dict:replace");
}

static int dict_delete(lua_State *L)
{
	struct dict_object *o = self(L);
	int r = shdict_delete(&o->d, key_of(L));

	if (r < 0 && r != -ENOENT)
		return fail(L, o, r);
	lua_pushboolean(L, r == 0);
	return 1;
}

static int dict_incr(lua_State *L)
{
	struct dict_object *o = self(L);
	double init = luaL_optnumber(L, 4, 0), result;
	uint64_t ttl = ttl_of(L, 5, "dict:incr");
	unsigned evicted;
	int r = shdict_incr(&o->d, key_of(L), luaL_optnumber(L, 3, 1), lua_isnoneornil(L, 4) ? NULL : &init, ttl,
	                    &result, &evicted);

	if (r < 0)
		return fail(L, o, r);
	lua_pushnumber(L, result);
	if (evicted == 0)
		return 1;
	lua_pushnil(L);
	lua_pushnumber(L, evicted);
	return 3;
}

static int dict_expire(lua_State *L)
{
	struct dict_object *o = self(L);

	return answer(L, o, shdict_expire(&o->d, key_of(L), ttl_of(L, 3, "dict:expire")), 0);
}

/* ---- lists ------------------------------------------------------------------------------------------------------------ */

static int push_item(lua_State *L, bool left, const char *what)
{
	struct dict_object *o = self(L);
	struct shdict_value v;
	uint32_t len;
	int r;

	if (lua_isnil(L, 3))
		return state_error(L, "bad argument #2 to '%s' (a value expected, got nil)", what);
	take_value(L, o, 3, what, &v);
	r = shdict_push(&o->d, key_of(L), &v, left, &len);
	if (r < 0)
		return fail(L, o, r);
	lua_pushnumber(L, len);
	return 1;
}

static int pop_item(lua_State *L, bool left)
{
	struct dict_object *o = self(L);
	struct shdict_value v;
	int r = shdict_pop(&o->d, key_of(L), left, &v);

	if (r == -ENOENT) {
		lua_pushnil(L);
		return 1;
	}
	return r < 0 ? fail(L, o, r) : push_value(L, o, &v);
}

static int dict_lpush(lua_State *L)
{
	return push_item(L, true, "dict:lpush");
}

static int dict_rpush(lua_State *L)
{
	return push_item(L, false, "dict:rpush");
}

static int dict_lpop(lua_State *L)
{
	return pop_item(L, true);
}

static int dict_rpop(lua_State *L)
{
	return pop_item(L, false);
}

static int dict_llen(lua_State *L)
{
	struct dict_object *o = self(L);
	uint32_t len;
	int r = shdict_length(&o->d, key_of(L), &len);

	if (r < 0)
		return fail(L, o, r);
	lua_pushnumber(L, len);
	return 1;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------------- */

static int dict_flush_all(lua_State *L)
{
	return answer(L, self(L), shdict_flush_all(&self(L)->d), 0);
}

static uint32_t count_of(lua_State *L, int idx, double otherwise, const char *what)
{
	double n = luaL_optnumber(L, idx, otherwise);

	if (!(n >= 0 && n <= UINT32_MAX))
		state_error(L, "bad argument #1 to '%s' (0 to %.0f expected, got %.14g)", what, (double)UINT32_MAX, n);
	return (uint32_t)n;
}

static int dict_flush_expired(lua_State *L)
{
	long n = shdict_flush_expired(&self(L)->d, count_of(L, 2, 0, "dict:flush_expired"));

	if (n < 0)
		return fail(L, self(L), (int)n);
	lua_pushnumber(L, (lua_Number)n);
	return 1;
}

struct key_list {
	lua_State *L;
	int n;
};

static void append_key(void *ctx, struct str key)
{
	struct key_list *list = ctx;

	lua_pushlstring(list->L, key.p, key.len);
	lua_rawseti(list->L, -2, ++list->n);
}

static int dict_get_keys(lua_State *L)
{
	struct key_list list = { .L = L };
	uint32_t max = count_of(L, 2, KEYS_MAX, "dict:get_keys");
	int r;

	lua_newtable(L);
	r = shdict_keys(&self(L)->d, max, append_key, &list);
	return r < 0 ? fail(L, self(L), r) : 1;
}

static int dict_capacity(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)self(L)->d.segment.map.size);
	return 1;
}

static struct shdict_stats stats_of(lua_State *L)
{
	struct shdict_stats s;

	shdict_stats(&self(L)->d, &s);
	return s;
}

static int dict_free_space(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)stats_of(L).free);
	return 1;
}

static int dict_stats(lua_State *L)
{
	struct shdict_stats s = stats_of(L);
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{ "capacity", s.capacity }, { "free", s.free },       { "count", s.count },
		{ "evicted", s.evicted },   { "expired", s.expired }, { "repairs", s.repairs },
	};

	lua_createtable(L, 0, LS_COUNT(fields));
	for (size_t i = 0; i < LS_COUNT(fields); i++) {
		lua_pushnumber(L, (lua_Number)fields[i].value);
		lua_setfield(L, -2, fields[i].name);
	}
	return 1;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void collect(void *object)
{
	struct dict_object *o = object;

	shdict_fini(&o->d);
	pack_fini(&o->pack);
	api_shared_collect(object);
}

static uint64_t check_bytes(lua_State *L)
{
	uint64_t bytes = 0;
	bool known = true;

	if (lua_type(L, 2) == LUA_TNUMBER)
		bytes = lua_tonumber(L, 2) >= 0 ? (uint64_t)LS_MIN(lua_tonumber(L, 2), 0x1p62) : 0;
	else
		known = str_to_size(str_from(lua_tostring(L, 2)), &bytes) == 0;
	if (!known || bytes < SHDICT_BYTES_MIN || bytes > BYTES_MAX)
		state_error(L, "bad argument #2 to 'luaserv.dict' (64k to 1024g bytes expected, got %s)",
		            lua_tostring(L, 2));
	return bytes;
}

int api_dict_new(lua_State *L)
{
	char shape[64];
	struct api_shared s = { "luaserv.dict", lua_tostring(L, 1), shape, check_bytes(L) };
	struct dict_object *o;

	snprintf(shape, sizeof shape, "a dict of %llu bytes", (unsigned long long)s.bytes);
	o = api_shared_push(L, &s, &dict_kind, sizeof *o);
	if (o && shdict_init(&o->d, s.bytes) < 0)
		return state_error(L, "luaserv.dict: no memory in this process");
	if (o)
		str_copy(str_from(s.name), o->name, sizeof o->name);
	return 1;
}

static const struct bind_row methods[] = {
	{ "get", dict_get, "S", LUA_ROLE_ALL, "get(key) -> value, flags; nil: not there, or expired." },
	{ "get_stale", dict_get_stale, "S", LUA_ROLE_ALL, "get_stale(key) -> value, flags, stale: expired ones too." },
	{ "set", dict_set, "San?n?", LUA_ROLE_ALL,
	  "set(key, value, seconds = 0, flags = 0) -> true, nil, evicted | nil, message, code: nil deletes." },
	{ "safe_set", dict_safe_set, "San?n?", LUA_ROLE_ALL, "safe_set(key, value, seconds, flags): evicts nobody." },
	{ "add", dict_add, "San?n?", LUA_ROLE_ALL, "add(key, value, seconds, flags): only if the key is not there." },
	{ "safe_add", dict_safe_add, "San?n?", LUA_ROLE_ALL,
	  "safe_add(key, value, seconds, flags): and evicts nobody." },
	{ "replace", dict_replace, "San?n?", LUA_ROLE_ALL,
	  "replace(key, value, seconds, flags): only if the key is there." },
	{ "delete", dict_delete, "S", LUA_ROLE_ALL, "delete(key) -> whether it was there." },
	{ "incr", dict_incr, "Sn?n?n?", LUA_ROLE_ALL,
	  "incr(key, n = 1, init, init_seconds = 0) -> the new number | nil, message, code: with init also if it is not there." },
	{ "ttl", dict_ttl, "S", LUA_ROLE_ALL, "ttl(key) -> seconds left, 0: for ever | nil, message, code." },
	{ "expire", dict_expire, "Sn", LUA_ROLE_ALL, "expire(key, seconds) -> true | nil, message, code: 0: never." },
	{ "lpush", dict_lpush, "Sa", LUA_ROLE_ALL, "lpush(key, value) -> length | nil, message, code." },
	{ "rpush", dict_rpush, "Sa", LUA_ROLE_ALL, "rpush(key, value) -> length | nil, message, code." },
	{ "lpop", dict_lpop, "S", LUA_ROLE_ALL, "lpop(key) -> value, or nil." },
	{ "rpop", dict_rpop, "S", LUA_ROLE_ALL, "rpop(key) -> value, or nil." },
	{ "llen", dict_llen, "S", LUA_ROLE_ALL, "llen(key) -> length, 0 if there is none." },
	{ "flush_all", dict_flush_all, "", LUA_ROLE_ALL, "flush_all(): everything has expired." },
	{ "flush_expired", dict_flush_expired, "n?", LUA_ROLE_ALL, "flush_expired(max = all) -> how many were freed." },
	{ "get_keys", dict_get_keys, "n?", LUA_ROLE_ALL, "get_keys(max = 1024) -> list; 0: all." },
	{ "capacity", dict_capacity, "", LUA_ROLE_ALL, "capacity() -> bytes." },
	{ "free_space", dict_free_space, "", LUA_ROLE_ALL, "free_space() -> bytes in free blocks." },
	{ "stats", dict_stats, "", LUA_ROLE_ALL, "stats() -> { capacity, free, count, evicted, expired, repairs }." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind dict_kind = { .name = "dict", .methods = methods, .collect = collect };

void api_dict_register(lua_State *L)
{
	bind_register(L, &dict_kind);
}
