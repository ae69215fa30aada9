/* Packed values back to Lua (lua/pack.h). */
#include "lua/pack.h"

#include "base/bits.h"
#include "lua/pack_format.h"

#include <errno.h>

struct reader {
	lua_State *L;
	struct str rest;
	unsigned depth;
};

static int take(struct reader *r, void *out, size_t len)
{
	if (r->rest.len < len)
		return -EBADMSG;
	memcpy(out, r->rest.p, len);
	r->rest = str_skip(r->rest, len);
	return 0;
}

static int push_string(struct reader *r, size_t len)
{
	if (r->rest.len < len)
		return -EBADMSG;
	lua_pushlstring(r->L, r->rest.p, len);
	r->rest = str_skip(r->rest, len);
	return 0;
}

static int push_any(struct reader *r);

static int fill_list(struct reader *r, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++) {
		if (push_any(r) < 0)
			return -EBADMSG;
		lua_rawseti(r->L, -2, (int)i);
	}
	return 0;
}

static bool may_be_key(lua_State *L)
{
	return !lua_isnil(L, -1) && (lua_type(L, -1) != LUA_TNUMBER || lua_tonumber(L, -1) == lua_tonumber(L, -1));
}

static int fill_pairs(struct reader *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (push_any(r) < 0 || !may_be_key(r->L) || push_any(r) < 0)
			return -EBADMSG;
		lua_rawset(r->L, -3);
	}
	return 0;
}

static int push_table(struct reader *r)
{
	struct pack_table head;

	if (take(r, &head, sizeof head) < 0)
		return -EBADMSG;
	/* Every value takes a byte at least, so what is allocated is bounded by what was sent. */
	if (head.list > r->rest.len || head.pairs > r->rest.len / 2 || r->depth == PACK_DEPTH_MAX)
		return -EBADMSG;
	luaL_checkstack(r->L, 4, "too many tables within each other");
	lua_createtable(r->L, (int)head.list, (int)head.pairs);
	r->depth++;
	if (fill_list(r, head.list) < 0 || fill_pairs(r, head.pairs) < 0)
		return -EBADMSG;
	r->depth--;
	return 0;
}

static int push_number(struct reader *r)
{
	double d;

	if (take(r, &d, sizeof d) < 0)
		return -EBADMSG;
	lua_pushnumber(r->L, d);
	return 0;
}

static int push_int(struct reader *r)
{
	int32_t i;

	if (take(r, &i, sizeof i) < 0)
		return -EBADMSG;
	lua_pushinteger(r->L, i);
	return 0;
}

static int push_any(struct reader *r)
{
	uint8_t kind, brief;
	uint32_t full;

	if (take(r, &kind, sizeof kind) < 0)
		return -EBADMSG;
	switch ((enum pack_kind)kind) {
	case PACK_NIL:
		lua_pushnil(r->L);
		return 0;
	case PACK_FALSE:
	case PACK_TRUE:
		lua_pushboolean(r->L, kind == PACK_TRUE);
		return 0;
	case PACK_NULL:
		lua_pushlightuserdata(r->L, NULL); /* lint: what cjson.null is */
		return 0;
	case PACK_INT:
		return push_int(r);
	case PACK_NUMBER:
		return push_number(r);
	case PACK_SHORT:
		return take(r, &brief, sizeof brief) < 0 ? -EBADMSG : push_string(r, brief);
	case PACK_LONG:
		return take(r, &full, sizeof full) < 0 ? -EBADMSG : push_string(r, full);
	case PACK_TABLE:
		return push_table(r);
	}
	return -EBADMSG;
}

/* ---- without Lua ------------------------------------------------------------------------------------ */

static int skip(struct reader *r, size_t len)
{
	if (r->rest.len < len)
		return -EBADMSG;
	r->rest = str_skip(r->rest, len);
	return 0;
}

static int check_any(struct reader *r);

/* A key that is nil or no number would not do. */
static int check_key(struct reader *r)
{
	struct reader at = *r;
	uint8_t kind = PACK_NIL;
	double d = 0;

	if (take(&at, &kind, sizeof kind) < 0 || kind == PACK_NIL)
		return -EBADMSG;
	if (kind == PACK_NUMBER && (take(&at, &d, sizeof d) < 0 || d != d))
		return -EBADMSG;
	return check_any(r);
}

static int check_table(struct reader *r)
{
	struct pack_table head;

	if (take(r, &head, sizeof head) < 0 || head.list > r->rest.len || head.pairs > r->rest.len / 2 ||
	    r->depth == PACK_DEPTH_MAX)
		return -EBADMSG;
	r->depth++;
	for (uint32_t i = 0; i < head.list; i++)
		if (check_any(r) < 0)
			return -EBADMSG;
	for (uint32_t i = 0; i < head.pairs; i++)
		if (check_key(r) < 0 || check_any(r) < 0)
			return -EBADMSG;
	r->depth--;
	return 0;
}

static int check_any(struct reader *r)
{
	uint8_t kind, brief;
	uint32_t full;

	if (take(r, &kind, sizeof kind) < 0)
		return -EBADMSG;
	switch ((enum pack_kind)kind) {
	case PACK_NIL:
	case PACK_FALSE:
	case PACK_TRUE:
	case PACK_NULL:
		return 0;
	case PACK_INT:
		return skip(r, sizeof(int32_t));
	case PACK_NUMBER:
		return skip(r, sizeof(double));
	case PACK_SHORT:
		return take(r, &brief, sizeof brief) < 0 ? -EBADMSG : skip(r, brief);
	case PACK_LONG:
		return take(r, &full, sizeof full) < 0 ? -EBADMSG : skip(r, full);
	case PACK_TABLE:
		return check_table(r);
	}
	return -EBADMSG;
}

int pack_check(struct str value)
{
	struct reader r = { .rest = value };

	return check_any(&r) == 0 && r.rest.len == 0 ? 0 : -EBADMSG;
}

/* ---- a whole value ---------------------------------------------------------------------------------- */

int pack_push(lua_State *L, const struct packed *in)
{
	struct reader r = { .L = L, .rest = in->bytes };
	int top = lua_gettop(L);

	if (in->form == PACK_STRING) {
		lua_pushlstring(L, in->bytes.p, in->bytes.len);
		return 0;
	}
	if (in->form == PACK_VALUE && push_any(&r) == 0 && r.rest.len == 0)
		return 0;
	lua_settop(L, top);
	return -EBADMSG;
}
