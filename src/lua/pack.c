#include "lua/pack.h"

#include "base/bits.h"
#include "base/mem.h"
#include "lua/pack_format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 512, KEEP_MAX = 256 * 1024, PATH_MAX_BYTES = 256, STACK_PER_TABLE = 3 };

/* One value being written. */
struct writer {
	struct pack *p;
	lua_State *L;
	const char *name;
	size_t max;
	struct err *err;
	unsigned depth;
	/* The tables that hold what is being written, outermost first, and where in them. */
	const void *tables[PACK_DEPTH_MAX];
	int keys[PACK_DEPTH_MAX];        /* stack position of the key; 0: it is in `places` */
	uint32_t places[PACK_DEPTH_MAX]; /* of the list */
};

/* ---- what is said of a value that cannot be sent ----------------------------------------------- */

static void add_key(const struct writer *w, unsigned level, char *out, size_t cap)
{
	int key = w->keys[level];

	if (key == 0)
		snprintf(out, cap, "[%u]", w->places[level]);
	else if (lua_type(w->L, key) == LUA_TSTRING)
		snprintf(out, cap, ".%.64s", lua_tostring(w->L, key));
	else if (lua_type(w->L, key) == LUA_TNUMBER)
		snprintf(out, cap, "[%.14g]", lua_tonumber(w->L, key));
	else
		snprintf(out, cap, "[%s]", lua_typename(w->L, lua_type(w->L, key)));
}

/* "data.user.fn" */
static int refuse(const struct writer *w, int code, const char *what)
{
	char path[PATH_MAX_BYTES];
	size_t len = (size_t)snprintf(path, sizeof path, "%s", w->name);

	for (unsigned i = 0; i < w->depth && len < sizeof path - 1; i++) {
		add_key(w, i, path + len, sizeof path - len);
		len = strlen(path);
	}
	return err_set(w->err, code, "%s %s", path, what);
}

static int refuse_type(const struct writer *w, int idx)
{
	char what[128];

	snprintf(
		what, sizeof what,
		"is a %s, which cannot be sent to another process; nil, booleans, numbers, strings and tables of them can",
		lua_typename(w->L, lua_type(w->L, idx)));
	return refuse(w, -EINVAL, what);
}

/* ---- bytes -------------------------------------------------------------------------------------- */

static int grow(struct writer *w, size_t need)
{
	struct pack *p = w->p;
	size_t cap = LS_MAX(p->cap * 2, LS_MAX(p->len + need, (size_t)FIRST_CAPACITY));
	char *data;

	if (p->len + need > w->max)
		return err_set(w->err, -E2BIG, "%s takes more than the %zu bytes that may be sent", w->name, w->max);
	data = try_realloc(p->data, cap);
	if (!data)
		return err_set(w->err, -ENOMEM, "there is no memory to send %s", w->name);
	p->data = data;
	p->cap = cap;
	return 0;
}

static int put(struct writer *w, const void *bytes, size_t len)
{
	struct pack *p = w->p;
	int r = p->len + len > LS_MIN(p->cap, w->max) ? grow(w, len) : 0;

	if (r < 0)
		return r;
	memcpy(p->data + p->len, bytes, len);
	p->len += len;
	return 0;
}

static int put_kind(struct writer *w, enum pack_kind kind, const void *bytes, size_t len)
{
	char head[1 + sizeof(double)] = { (char)kind };

	memcpy(head + 1, bytes, len);
	return put(w, head, 1 + len);
}

static int put_string(struct writer *w, int idx)
{
	size_t len;
	const char *s = lua_tolstring(w->L, idx, &len);
	uint8_t brief = (uint8_t)len;
	uint32_t full = (uint32_t)len;
	int r;

	if (len > UINT32_MAX)
		return refuse(w, -E2BIG, "is a string of 4 GiB or more");
	r = len <= UINT8_MAX ? put_kind(w, PACK_SHORT, &brief, sizeof brief)
	                     : put_kind(w, PACK_LONG, &full, sizeof full);
	return r < 0 ? r : put(w, s, len);
}

static int put_number(struct writer *w, int idx)
{
	double d = lua_tonumber(w->L, idx);
	int32_t i = d >= INT32_MIN && d <= INT32_MAX ? (int32_t)d : 0;
	double back = i;

	/* Bit by bit, so that -0 stays what it is. */
	if (memcmp(&back, &d, sizeof d) == 0)
		return put_kind(w, PACK_INT, &i, sizeof i);
	return put_kind(w, PACK_NUMBER, &d, sizeof d);
}

/* ---- tables ------------------------------------------------------------------------------------- */

static int put_any(struct writer *w, int idx);

static int put_list(struct writer *w, int idx, uint32_t n)
{
	w->keys[w->depth - 1] = 0;
	for (uint32_t i = 1; i <= n; i++) {
		int r;

		w->places[w->depth - 1] = i;
		lua_rawgeti(w->L, idx, (int)i);
		r = put_any(w, lua_gettop(w->L));
		lua_pop(w->L, 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_in_list(lua_State *L, int key, uint32_t n)
{
	lua_Number d;

	if (lua_type(L, key) != LUA_TNUMBER)
		return false;
	d = lua_tonumber(L, key);
	return d >= 1 && d <= n && d == (lua_Number)(uint32_t)d;
}

static int put_pairs(struct writer *w, int idx, uint32_t list, uint32_t *pairs)
{
	lua_State *L = w->L;

	for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
		int key = lua_gettop(L) - 1;
		int r;

		if (is_in_list(L, key, list))
			continue;
		w->keys[w->depth - 1] = key;
		r = put_any(w, key);
		if (r == 0)
			r = put_any(w, key + 1);
		if (r < 0) {
			lua_pop(L, 2);
			return r;
		}
		++*pairs;
	}
	return 0;
}

static int put_table(struct writer *w, int idx)
{
	const void *self = lua_topointer(w->L, idx);
	struct pack_table head = { 0 };
	size_t at;
	int r;

	for (unsigned i = 0; i < w->depth; i++)
		if (w->tables[i] == self)
			return refuse(w, -EINVAL, "is a table that holds itself, which cannot be sent");
	if (w->depth == PACK_DEPTH_MAX || !lua_checkstack(w->L, STACK_PER_TABLE))
		return refuse(w, -EINVAL, "lies too deep: 100 tables within each other can be sent");
	if (lua_objlen(w->L, idx) > INT32_MAX)
		return refuse(w, -E2BIG, "is too long a list");
	head.list = (uint32_t)lua_objlen(w->L, idx);
	r = put_kind(w, PACK_TABLE, &head, sizeof head);
	if (r < 0)
		return r;
	at = w->p->len - sizeof head;
	w->tables[w->depth++] = self;
	r = put_list(w, idx, head.list);
	if (r == 0)
		r = put_pairs(w, idx, head.list, &head.pairs);
	w->depth--;
	if (r == 0)
		memcpy(w->p->data + at, &head, sizeof head);
	return r;
}

static int put_any(struct writer *w, int idx)
{
	switch (lua_type(w->L, idx)) {
	case LUA_TNIL:
		return put_kind(w, PACK_NIL, "", 0);
	case LUA_TBOOLEAN:
		return put_kind(w, lua_toboolean(w->L, idx) ? PACK_TRUE : PACK_FALSE, "", 0);
	case LUA_TNUMBER:
		return put_number(w, idx);
	case LUA_TSTRING:
		return put_string(w, idx);
	case LUA_TTABLE:
		return put_table(w, idx);
	case LUA_TLIGHTUSERDATA:
		return lua_touserdata(w->L, idx) ? refuse_type(w, idx) : put_kind(w, PACK_NULL, "", 0);
	default:
		return refuse_type(w, idx);
	}
}

int pack_value(struct pack *p, lua_State *L, int idx, const char *name, size_t max, struct packed *out, struct err *err)
{
	struct writer w = { .p = p, .L = L, .name = name, .max = max, .err = err };
	int top = lua_gettop(L);
	int r;

	if (lua_type(L, idx) == LUA_TSTRING) {
		out->form = PACK_STRING;
		out->bytes.p = lua_tolstring(L, idx, &out->bytes.len);
		return out->bytes.len <= max
		               ? 0
		               : err_set(err, -E2BIG, "%s takes more than the %zu bytes that may be sent", name, max);
	}
	if (p->cap > KEEP_MAX)
		pack_fini(p);
	p->len = 0;
	r = put_any(&w, idx < 0 && idx > LUA_REGISTRYINDEX ? top + idx + 1 : idx);
	lua_settop(L, top);
	if (r < 0)
		return r;
	out->form = PACK_VALUE;
	out->bytes = str_make(p->data, p->len);
	return 0;
}

void pack_fini(struct pack *p)
{
	free(p->data);
	*p = (struct pack){ 0 };
}
