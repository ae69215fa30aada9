#include "api/api_event.h"

#include "base/map.h"
#include "base/mem.h"
#include "loop/watch.h"
#include "lua/bind.h"
#include "lua/sched.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

enum { FOR_READ, FOR_WRITE, SIDES };

struct lua_watch;

/* What is called for one kind of readiness; never twice at a time. */
struct side {
	struct lua_watch *owner;
	int ref; /* registry reference of the function, or LUA_NOREF */
	bool busy;
};

/* One descriptor the app watches.  It is the app's: nothing here closes it. */
struct lua_watch {
	struct watch watch;
	struct lua_watch_set *set;
	struct side sides[SIDES];
	int fd;
	bool deleted;  /* the app wants no more of it */
	bool released; /* and neither does the loop */
};

/* The watches of one state; its userdata. */
struct lua_watch_set {
	lua_State *L; /* where plain calls run; a coroutine of its own */
	struct map by_fd;
	struct log_every crowded;
};

static const int masks[SIDES] = { WATCH_READ, WATCH_WRITE };

static struct lua_watch_set *set_of(lua_State *L)
{
	return state_of(L)->slots[STATE_EVENTS];
}

/* ---- life of a watch ------------------------------------------------------------------------------------------------- */

static void free_if_over(struct lua_watch *w)
{
	if (w->deleted && w->released && !w->sides[FOR_READ].busy && !w->sides[FOR_WRITE].busy)
		free(w);
}

static void on_released(struct watch *watch)
{
	struct lua_watch *w = LS_CONTAINER_OF(watch, struct lua_watch, watch);

	w->released = true;
	free_if_over(w);
}

static void forget(struct side *side, lua_State *L)
{
	luaL_unref(L, LUA_REGISTRYINDEX, side->ref);
	side->ref = LUA_NOREF;
}

static void delete (struct lua_watch *w, lua_State *L)
{
	(void)map_del(&w->set->by_fd, (uint64_t)w->fd);
	state_of(L)->pending--;
	w->deleted = true;
	for (int i = 0; i < SIDES; i++)
		forget(&w->sides[i], L);
	watch_release(&w->watch, on_released);
}

/* What is wanted and not being handled: a callback that waits is not called again meanwhile. */
static void follow(struct lua_watch *w)
{
	int events = 0;

	for (int i = 0; i < SIDES; i++)
		if (w->sides[i].ref != LUA_NOREF && !w->sides[i].busy)
			events |= masks[i];
	if (!w->deleted)
		watch_set(&w->watch, events);
}

/* ---- calling ----------------------------------------------------------------------------------------------------------- */

static void on_done(struct task *t, int status)
{
	struct side *side = t->ctx;
	struct lua_watch *w = side->owner;

	if (status != 0)
		handler_log_error(worker_current(), t, handler_error_text(t), NULL);
	side->busy = false;
	follow(w);
	free_if_over(w);
}

static void call_plain(struct side *side, struct sched *s)
{
	lua_State *L = side->owner->set->L;

	side->busy = true;
	lua_rawgeti(L, LUA_REGISTRYINDEX, side->ref);
	lua_pushinteger(L, side->owner->fd);
	sched_call_plain(s, L, 1, 0, "event", 0);
	side->busy = false;
}

static void call(struct side *side)
{
	struct lua_watch *w = side->owner;
	struct sched *s = sched_of(w->set->L);
	struct task *t;
	uint64_t swallowed;

	if (sched_is_plain(s)) {
		call_plain(side, s);
		return;
	}
	t = sched_task(s);
	if (!t) {
		/* It is still ready when the loop comes round. */
		if (log_every_due(&w->set->crowded, 10000, &swallowed))
			log_warn("max_coroutine is reached; watched descriptors wait until coroutines end");
		return;
	}
	t->event = "event";
	t->on_done = on_done;
	t->ctx = side;
	side->busy = true;
	lua_rawgeti(t->L, LUA_REGISTRYINDEX, side->ref);
	lua_pushinteger(t->L, w->fd);
	sched_start(t, 1);
}

static void on_event(struct watch *watch, int events)
{
	struct lua_watch *w = LS_CONTAINER_OF(watch, struct lua_watch, watch);

	for (int i = 0; i < SIDES && !w->deleted; i++)
		if (events & masks[i] && w->sides[i].ref != LUA_NOREF && !w->sides[i].busy)
			call(&w->sides[i]);
	follow(w);
}

/* ---- the functions ------------------------------------------------------------------------------------------------------ */

/* The descriptor at stack index 1. */
static int fd_of(lua_State *L, const char *what)
{
	lua_Number n = lua_tonumber(L, 1);

	if (!(n >= 0 && n <= INT32_MAX && n == (lua_Number)(int)n))
		state_error(L,
		            "bad argument #1 to 'luaserv.event.%s' (number of an open descriptor expected, got %.14g)",
		            what, n);
	return (int)n;
}

static void check_callback(lua_State *L, int idx, const char *what)
{
	if (!lua_isnil(L, idx) && !lua_isfunction(L, idx) && !(lua_isboolean(L, idx) && !lua_toboolean(L, idx)))
		state_error(L, "bad argument #%d to 'luaserv.event.%s' (function, nil or false expected, got %s)", idx,
		            what, luaL_typename(L, idx));
}

/* nil: as it is; false: nothing; a function: that one. */
static void set_side(lua_State *L, struct side *side, int idx)
{
	if (lua_isnil(L, idx))
		return;
	forget(side, L);
	if (!lua_isfunction(L, idx))
		return;
	lua_pushvalue(L, idx);
	side->ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int succeed(lua_State *L)
{
	lua_pushboolean(L, 1);
	return 1;
}

static int event_add(lua_State *L)
{
	struct lua_watch_set *set = set_of(L);
	int fd = fd_of(L, "add");
	struct lua_watch *w;
	int r;

	lua_settop(L, 3);
	check_callback(L, 2, "add");
	check_callback(L, 3, "add");
	if (!lua_isfunction(L, 2) && !lua_isfunction(L, 3))
		return state_error(L, "luaserv.event.add: a function for reading or one for writing is needed");
	if (map_get(&set->by_fd, (uint64_t)fd))
		return bind_fail(L, EEXIST, "descriptor %d is watched already; luaserv.event.set changes that", fd);
	w = xzalloc(sizeof *w);
	r = watch_open(&w->watch, sched_loop(sched_of(L)), fd, on_event);
	if (r < 0) {
		free(w);
		return bind_fail(L, -r, "descriptor %d cannot be watched: %s", fd,
		                 r == -EPERM    ? "files are always ready"
		                 : r == -EEXIST ? "it is luaserv's own"
		                                : strerror(-r));
	}
	w->set = set;
	w->fd = fd;
	for (int i = 0; i < SIDES; i++)
		w->sides[i] = (struct side){ .owner = w, .ref = LUA_NOREF };
	map_put(&set->by_fd, (uint64_t)fd, w);
	state_of(L)->pending++;
	set_side(L, &w->sides[FOR_READ], 2);
	set_side(L, &w->sides[FOR_WRITE], 3);
	follow(w);
	return succeed(L);
}

static int fail_unknown(lua_State *L, int fd)
{
	return bind_fail(L, ENOENT, "descriptor %d is not watched", fd);
}

static int event_set(lua_State *L)
{
	int fd = fd_of(L, "set");
	struct lua_watch *w = map_get(&set_of(L)->by_fd, (uint64_t)fd);

	lua_settop(L, 3);
	check_callback(L, 2, "set");
	check_callback(L, 3, "set");
	if (!w)
		return fail_unknown(L, fd);
	set_side(L, &w->sides[FOR_READ], 2);
	set_side(L, &w->sides[FOR_WRITE], 3);
	follow(w);
	return succeed(L);
}

static int event_del(lua_State *L)
{
	int fd = fd_of(L, "del");
	struct lua_watch *w = map_get(&set_of(L)->by_fd, (uint64_t)fd);

	if (!w)
		return fail_unknown(L, fd);
	delete (w, L);
	return succeed(L);
}

static int event_is_set(lua_State *L)
{
	const struct lua_watch *w = map_get(&set_of(L)->by_fd, (uint64_t)fd_of(L, "is_set"));
	const char *kind = luaL_optstring(L, 2, "either");
	bool reads = w && w->sides[FOR_READ].ref != LUA_NOREF, writes = w && w->sides[FOR_WRITE].ref != LUA_NOREF;

	if (strcmp(kind, "read") == 0)
		lua_pushboolean(L, reads);
	else if (strcmp(kind, "write") == 0)
		lua_pushboolean(L, writes);
	else if (strcmp(kind, "either") == 0)
		lua_pushboolean(L, reads || writes);
	else
		return state_error(
			L,
			"bad argument #2 to 'luaserv.event.is_set' (\"read\", \"write\" or nil expected, got \"%s\")",
			kind);
	return 1;
}

/* ---- the module --------------------------------------------------------------------------------------------------------- */

enum { ROLES = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS };

static const struct bind_row functions[] = {
	{ "add", event_add, "na?a?", ROLES,
	  "add(fd, on_read, on_write) -> true | nil, message, code: calls on_read(fd) while the descriptor can be read, on_write(fd) while it "
	  "can be written; each in a coroutine, and not again before it has ended." },
	{ "set", event_set, "na?a?", ROLES,
	  "set(fd, on_read, on_write) -> true | nil, message, code: other functions; nil leaves one as it is, false takes it out." },
	{ "del", event_del, "n", ROLES,
	  "del(fd) -> true | nil, message, code: watches it no more; before it is closed, which is the app's business." },
	{ "is_set", event_is_set, "ns?", ROLES, "is_set(fd, \"read\" | \"write\" | nil) -> boolean" },
	{ NULL, NULL, NULL, 0, NULL },
};

static int collect(lua_State *L)
{
	struct lua_watch_set *set = lua_touserdata(L, 1);
	size_t cursor = 0;

	for (const struct map_entry *e; (e = map_next(&set->by_fd, &cursor)); cursor = 0)
		delete (e->value, L);
	map_fini(&set->by_fd);
	state_of(L)->slots[STATE_EVENTS] = NULL;
	return 0;
}

int api_event_open(lua_State *L)
{
	struct lua_watch_set *set = state_keep(L, STATE_EVENTS, sizeof *set, collect);

	map_init(&set->by_fd);
	set->L = state_thread(L);
	bind_functions(L, "luaserv.event", functions);
	return 1;
}
