#include "api/api_sync.h"

#include "base/mem.h"
#include "lua/bind.h"
#include "lua/sched.h"
#include "worker/codes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define COUNT_MAX 1e9
#define SECONDS_MAX 1e9

/* Coroutines that wait for the same thing, in the order in which they came.  It may be collected while some wait, since a
 * parked C function's arguments are gone from its stack; then the last of them to leave frees it. */
struct meeting {
	struct list takers; /* channel: pop; wait group: wait; semaphore: acquire */
	struct list givers; /* channel: push, each with its value in task->wait_ref */
	uint64_t count;     /* channel: values held; wait group: not yet done; semaphore: free permits */
	uint64_t capacity;
	uint64_t first; /* channel: where the oldest value stands in the table */
	bool closed;
	bool collected;
};

static const struct bind_kind channel_kind, wait_group_kind, semaphore_kind;

/* ---- waiting ------------------------------------------------------------------------------------------------------- */

static void leave(struct task *t)
{
	struct meeting *m = t->wait;

	list_del(&t->link);
	luaL_unref(t->L, LUA_REGISTRYINDEX, t->wait_ref);
	t->wait_ref = LUA_NOREF;
	if (m->collected && list_empty(&m->takers) && list_empty(&m->givers))
		free(m);
}

bool api_sync_timeout(lua_State *L, int idx, const char *what, uint64_t otherwise, uint64_t *ms)
{
	double seconds = luaL_optnumber(L, idx, -1);

	*ms = otherwise;
	if (lua_isnoneornil(L, idx))
		return true;
	if (!(seconds <= SECONDS_MAX))
		state_error(L, "bad argument to '%s' (a time-out of at most %.0f seconds expected)", what, SECONDS_MAX);
	*ms = seconds > 0 ? (uint64_t)ceil(seconds * 1000) : 0;
	return seconds != 0;
}

/* `value_idx`: what it waits with, in its wait_ref; 0: nothing. */
static int wait_on(lua_State *L, struct meeting *m, struct list *side, const char *what, int timeout_idx, int value_idx)
{
	struct sched *s = sched_of(L);
	struct task *t = s ? sched_current(s) : NULL;
	uint64_t ms;

	if (!api_sync_timeout(L, timeout_idx, what, 0, &ms))
		return bind_fail(L, ETIMEDOUT, "timeout");
	if (t && sched_may_park(L)) {
		if (value_idx) {
			lua_pushvalue(L, value_idx);
			t->wait_ref = luaL_ref(L, LUA_REGISTRYINDEX);
		}
		list_append(side, &t->link);
	}
	return sched_park(L, what, leave, m, ms);
}

/* The one that waits longest, off the list. */
static struct task *next_of(struct list *side)
{
	struct list *node = list_shift(side);

	return node ? LS_CONTAINER_OF(node, struct task, link) : NULL;
}

static void wake_true(struct task *t)
{
	lua_pushboolean(t->L, 1);
	sched_wake(t, 1);
}

static void collect_meeting(void *object)
{
	struct meeting *m = object;

	m->collected = true;
	if (list_empty(&m->takers) && list_empty(&m->givers))
		free(m);
}

static struct meeting *push_meeting(lua_State *L, const struct bind_kind *kind)
{
	struct meeting *m = xzalloc(sizeof *m);

	list_init(&m->takers);
	list_init(&m->givers);
	m->first = 1;
	bind_push(L, kind, m);
	return m;
}

static uint64_t get_count(lua_State *L, const char *what, int idx, double least, double otherwise)
{
	double n = luaL_optnumber(L, idx, otherwise);

	if (!(n >= least && n <= COUNT_MAX))
		state_error(L, "bad argument #1 to '%s' (%.0f to %.0f expected, got %.14g)", what, least, COUNT_MAX, n);
	return (uint64_t)n;
}

/* ---- channels ------------------------------------------------------------------------------------------------------ */

/* Values stand in the userdata's environment table, a ring from 1 to capacity whose oldest is at `first`. */
static void put_value(lua_State *L, struct meeting *m)
{
	lua_getfenv(L, 1);
	lua_insert(L, -2);
	lua_rawseti(L, -2, (int)((m->first - 1 + m->count) % m->capacity + 1));
	lua_pop(L, 1);
	m->count++;
}

static void take_value(lua_State *L, struct meeting *m)
{
	uint64_t at = m->first;

	m->count--;
	m->first = at == m->capacity ? 1 : at + 1;
	lua_getfenv(L, 1);
	lua_rawgeti(L, -1, (int)at);
	lua_pushnil(L);
	lua_rawseti(L, -3, (int)at);
	lua_remove(L, -2);
}

/* The value a giver waits with, onto the stack; the giver goes on. */
static void take_from_giver(lua_State *L, struct task *giver)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, giver->wait_ref);
	luaL_unref(L, LUA_REGISTRYINDEX, giver->wait_ref);
	giver->wait_ref = LUA_NOREF;
	wake_true(giver);
}

static int channel_push(lua_State *L)
{
	struct meeting *m = bind_check(L, 1, &channel_kind);
	struct task *taker;

	if (lua_isnil(L, 2))
		return state_error(
			L, "bad argument #1 to 'channel:push' (a value expected, got nil, which pop returns when "
			   "it fails)");
	if (m->closed)
		return bind_fail(L, EPIPE, "the channel is closed");
	taker = next_of(&m->takers);
	if (taker) {
		lua_pushvalue(L, 2);
		lua_xmove(L, taker->L, 1);
		sched_wake(taker, 1);
	} else if (m->count < m->capacity) {
		lua_pushvalue(L, 2);
		put_value(L, m);
	} else {
		return wait_on(L, m, &m->givers, "channel:push", 3, 2);
	}
	lua_pushboolean(L, 1);
	return 1;
}

static int channel_pop(lua_State *L)
{
	struct meeting *m = bind_check(L, 1, &channel_kind);
	struct task *giver = next_of(&m->givers);

	if (m->count) {
		take_value(L, m);
		if (giver) {
			take_from_giver(L, giver);
			put_value(L, m);
		}
		return 1;
	}
	if (giver) {
		take_from_giver(L, giver);
		return 1;
	}
	if (m->closed)
		return bind_fail(L, EPIPE, "the channel is closed");
	return wait_on(L, m, &m->takers, "channel:pop", 2, 0);
}

static void fail_all(struct list *side)
{
	for (struct task *t; (t = next_of(side));) {
		luaL_unref(t->L, LUA_REGISTRYINDEX, t->wait_ref);
		t->wait_ref = LUA_NOREF;
		sched_wake(t, bind_fail(t->L, EPIPE, "the channel is closed"));
	}
}

static int channel_close(lua_State *L)
{
	struct meeting *m = bind_check(L, 1, &channel_kind);

	lua_pushboolean(L, !m->closed);
	m->closed = true;
	fail_all(&m->takers);
	fail_all(&m->givers);
	return 1;
}

static int channel_length(lua_State *L)
{
	const struct meeting *m = bind_check(L, 1, &channel_kind);

	lua_pushnumber(L, (lua_Number)m->count);
	return 1;
}

static int channel_capacity(lua_State *L)
{
	const struct meeting *m = bind_check(L, 1, &channel_kind);

	lua_pushnumber(L, (lua_Number)m->capacity);
	return 1;
}

int api_sync_channel(lua_State *L)
{
	uint64_t capacity = get_count(L, "luaserv.channel", 1, 0, 1);
	struct meeting *m = push_meeting(L, &channel_kind);

	m->capacity = capacity;
	lua_newtable(L);
	lua_setfenv(L, -2);
	return 1;
}

/* ---- wait groups --------------------------------------------------------------------------------------------------- */

static void change_group(lua_State *L, struct meeting *m, double by, const char *what)
{
	double left = (double)m->count + by;

	if (!(left >= 0 && left <= COUNT_MAX))
		state_error(L, "%s: the wait group would count %.14g (0 to %.0f expected)", what, left, COUNT_MAX);
	m->count = (uint64_t)left;
	if (m->count == 0)
		for (struct task *t; (t = next_of(&m->takers));)
			wake_true(t);
}

static int group_add(lua_State *L)
{
	change_group(L, bind_check(L, 1, &wait_group_kind), luaL_optnumber(L, 2, 1), "wait_group:add");
	return 0;
}

static int group_done(lua_State *L)
{
	change_group(L, bind_check(L, 1, &wait_group_kind), -1, "wait_group:done");
	return 0;
}

static int group_wait(lua_State *L)
{
	struct meeting *m = bind_check(L, 1, &wait_group_kind);

	if (m->count)
		return wait_on(L, m, &m->takers, "wait_group:wait", 2, 0);
	lua_pushboolean(L, 1);
	return 1;
}

static int group_count(lua_State *L)
{
	const struct meeting *m = bind_check(L, 1, &wait_group_kind);

	lua_pushnumber(L, (lua_Number)m->count);
	return 1;
}

int api_sync_wait_group(lua_State *L)
{
	uint64_t count = get_count(L, "luaserv.wait_group", 1, 0, 0);

	push_meeting(L, &wait_group_kind)->count = count;
	return 1;
}

/* ---- semaphores ---------------------------------------------------------------------------------------------------- */

static int semaphore_acquire(lua_State *L)
{
	struct meeting *m = bind_check(L, 1, &semaphore_kind);

	if (m->count == 0)
		return wait_on(L, m, &m->takers, "semaphore:acquire", 2, 0);
	m->count--;
	lua_pushboolean(L, 1);
	return 1;
}

static int semaphore_release(lua_State *L)
{
	struct meeting *m = bind_check(L, 1, &semaphore_kind);
	struct task *taker = next_of(&m->takers);

	if (taker)
		wake_true(taker);
	else if (m->count >= m->capacity)
		return state_error(L, "semaphore:release: all %.0f permits are free already", (double)m->capacity);
	else
		m->count++;
	return 0;
}

static int semaphore_available(lua_State *L)
{
	const struct meeting *m = bind_check(L, 1, &semaphore_kind);

	lua_pushnumber(L, (lua_Number)m->count);
	return 1;
}

int api_sync_semaphore(lua_State *L)
{
	uint64_t permits = get_count(L, "luaserv.semaphore", 1, 1, 1);
	struct meeting *m = push_meeting(L, &semaphore_kind);

	m->count = permits;
	m->capacity = permits;
	return 1;
}

/* ---- the kinds ------------------------------------------------------------------------------------------------------ */

enum { ROLES = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS };

static const struct bind_row channel_methods[] = {
	{ "push", channel_push, "an?", ROLES | BIND_WAITS,
	  "push(value, timeout) -> true | nil, message, code: waits while the channel is full." },
	{ "pop", channel_pop, "n?", ROLES | BIND_WAITS,
	  "pop(timeout) -> value | nil, message, code: waits while it is empty; what a closed one holds can be popped." },
	{ "close", channel_close, "", ROLES, "close() -> boolean: wakes all who wait; false: it was closed." },
	{ "length", channel_length, "", LUA_ROLE_ALL, "length() -> values in it." },
	{ "capacity", channel_capacity, "", LUA_ROLE_ALL, "capacity() -> values it can hold." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_row group_methods[] = {
	{ "add", group_add, "n?", ROLES, "add(n = 1): so many more are to be done." },
	{ "done", group_done, "", ROLES, "done(): one of them is." },
	{ "wait", group_wait, "n?", ROLES | BIND_WAITS,
	  "wait(timeout) -> true | nil, message, code: until all are done." },
	{ "count", group_count, "", LUA_ROLE_ALL, "count() -> how many are not done." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_row semaphore_methods[] = {
	{ "acquire", semaphore_acquire, "n?", ROLES | BIND_WAITS,
	  "acquire(timeout) -> true | nil, message, code: takes a permit." },
	{ "release", semaphore_release, "", ROLES, "release(): gives it back." },
	{ "available", semaphore_available, "", LUA_ROLE_ALL, "available() -> free permits." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_kind channel_kind = {
	.name = "channel",
	.methods = channel_methods,
	.collect = collect_meeting,
};

static const struct bind_kind wait_group_kind = {
	.name = "wait_group",
	.methods = group_methods,
	.collect = collect_meeting,
};

static const struct bind_kind semaphore_kind = {
	.name = "semaphore",
	.methods = semaphore_methods,
	.collect = collect_meeting,
};

void api_sync_register(lua_State *L)
{
	bind_register(L, &channel_kind);
	bind_register(L, &wait_group_kind);
	bind_register(L, &semaphore_kind);
}
