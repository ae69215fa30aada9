#include "api/api_time.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "lua/bind.h"
#include "lua/sched.h"
#include "worker/codes.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum {
	TIMERS_MAX = 1000000,
	ARGS_MAX = 200,
	RETRY_MS = 50, /* max_coroutine is reached: the timer waits instead of being lost */
};

#define MS_MAX 1e12 /* 31 years */

struct lua_timer {
	struct timer timer;
	struct lua_timer_set *set;
	uint64_t id;
	uint64_t period_ms; /* 0: fires once */
	uint64_t due_ms;    /* of a tick: when it should have fired, which carries no delay on */
	int call_ref;       /* { fn, arguments… } */
	int nargs;
};

/* The timers of one state; its userdata. */
struct lua_timer_set {
	struct loop *loop;
	lua_State *L; /* where plain calls run and references are released; a coroutine of its own */
	struct map by_id;
	uint64_t last_id;
	struct log_every crowded;
};

static struct lua_timer_set *set_of(lua_State *L)
{
	return state_of(L)->slots[STATE_TIMERS];
}

static void release(struct lua_timer *t, lua_State *L)
{
	timer_del(t->set->loop, &t->timer);
	state_of(L)->pending--;
	luaL_unref(L, LUA_REGISTRYINDEX, t->call_ref);
	free(t);
}

static void end(struct lua_timer *t, lua_State *L)
{
	map_del(&t->set->by_id, t->id);
	release(t, L);
}

/* ---- firing -------------------------------------------------------------------------------------------------------- */

/* Function, the timer's id for a tick, and the arguments.  Returns how many arguments. */
static int push_call(const struct lua_timer *t, lua_State *L)
{
	int n = 0;

	luaL_checkstack(L, t->nargs + 4, NULL);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->call_ref);

	int table = lua_gettop(L);

	lua_rawgeti(L, table, 1);
	if (t->period_ms) {
		lua_pushnumber(L, (lua_Number)t->id);
		n++;
	}
	for (int i = 0; i < t->nargs; i++)
		lua_rawgeti(L, table, i + 2);
	lua_remove(L, table);
	return n + t->nargs;
}

static void retry_later(struct lua_timer *t)
{
	uint64_t swallowed;

	if (log_every_due(&t->set->crowded, 10000, &swallowed))
		log_warn("max_coroutine is reached; timers wait until coroutines end");
	timer_set(t->set->loop, &t->timer, RETRY_MS);
}

/* Beats that were missed are skipped, and the next one is where it would have been. */
static void set_next_beat(struct lua_timer *t)
{
	uint64_t now = loop_now(t->set->loop);

	t->due_ms += t->period_ms;
	if (t->due_ms <= now)
		t->due_ms += (now - t->due_ms) / t->period_ms * t->period_ms + t->period_ms;
	timer_set(t->set->loop, &t->timer, t->due_ms - now);
}

static void fire(struct timer *timer)
{
	struct lua_timer *t = LS_CONTAINER_OF(timer, struct lua_timer, timer);
	struct sched *s = sched_of(t->set->L);
	bool plain = sched_is_plain(s);
	struct task *task = plain ? NULL : sched_task(s);
	lua_State *L = plain ? t->set->L : NULL;

	if (!plain && !task) {
		retry_later(t);
		return;
	}
	if (task)
		L = task->L;

	int nargs = push_call(t, L);

	if (t->period_ms)
		set_next_beat(t);
	else
		end(t, L);
	/* The call may clear the timer: it is not touched any more. */
	if (task) {
		task->event = "timer";
		sched_start(task, nargs);
	} else {
		sched_call_plain(s, L, nargs, 0, "timer", 0);
	}
}

/* ---- setting ------------------------------------------------------------------------------------------------------- */

static struct lua_timer_set *usable_set(lua_State *L, const char *what)
{
	struct lua_timer_set *set = set_of(L);

	if (!sched_of(L))
		state_error(L, "luaserv.%s needs an event loop, and this process has none", what);
	set->loop = sched_loop(sched_of(L));
	return set;
}

/* (ms, fn, …) -> id */
static int start(lua_State *L, const char *what, double least_ms, bool repeats)
{
	struct lua_timer_set *set = usable_set(L, what);
	double ms = ceil(lua_tonumber(L, 1));
	int nargs = lua_gettop(L) - 2;

	if (!(ms >= least_ms && ms <= MS_MAX))
		return state_error(L, "bad argument #1 to 'luaserv.%s' (%.0f to %.0f milliseconds expected, got %.14g)",
		                   what, least_ms, MS_MAX, lua_tonumber(L, 1));
	if (nargs > ARGS_MAX)
		return state_error(L, "luaserv.%s passes on at most %d arguments", what, ARGS_MAX);
	if (set->by_id.count >= TIMERS_MAX)
		return bind_fail(L, CODE_WRONG_OPERATION, "there are %d timers already", TIMERS_MAX);

	lua_createtable(L, nargs + 1, 0);
	lua_insert(L, 2);
	for (int i = nargs + 1; i >= 1; i--)
		lua_rawseti(L, 2, i);

	int call_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	struct lua_timer *t = xzalloc(sizeof *t);

	t->set = set;
	t->id = ++set->last_id;
	t->period_ms = repeats ? (uint64_t)ms : 0;
	t->due_ms = loop_now(set->loop) + (uint64_t)ms;
	t->nargs = nargs;
	t->call_ref = call_ref;
	timer_init(&t->timer, fire);
	map_put(&set->by_id, t->id, t);
	state_of(L)->pending++;
	timer_set(set->loop, &t->timer, (uint64_t)ms);
	lua_pushnumber(L, (lua_Number)t->id);
	return 1;
}

static int time_after(lua_State *L)
{
	return start(L, "after", 0, false);
}

static int time_tick(lua_State *L)
{
	return start(L, "tick", 1, true);
}

static int time_clear(lua_State *L)
{
	lua_Number id = lua_tonumber(L, 1);
	struct lua_timer *t = id >= 1 && id < 0x1p53 ? map_get(&set_of(L)->by_id, (uint64_t)id) : NULL;

	if (t)
		end(t, L);
	lua_pushboolean(L, t != NULL);
	return 1;
}

static int time_sleep(lua_State *L)
{
	double ms = ceil(lua_tonumber(L, 1) * 1000);

	if (!(ms >= 0 && ms <= MS_MAX))
		return state_error(L, "bad argument #1 to 'luaserv.sleep' (0 to %.0f seconds expected, got %.14g)",
		                   MS_MAX / 1000, lua_tonumber(L, 1));
	return sched_sleep(L, "luaserv.sleep", (uint64_t)ms);
}

static int time_now(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)clock_ns() / 1e9);
	return 1;
}

static int time_time(lua_State *L)
{
	lua_pushnumber(L, (lua_Number)clock_wall_us() / 1e6);
	return 1;
}

/* ---- the module ---------------------------------------------------------------------------------------------------- */

enum { ROLES = LUA_ROLE_WORKER | LUA_ROLE_TASK | LUA_ROLE_PROCESS };

static const struct bind_row functions[] = {
	{ "sleep", time_sleep, "n", ROLES | BIND_WAITS,
	  "sleep(seconds) -> true: the coroutine waits, the worker goes on." },
	{ "after", time_after, "nf*", ROLES, "after(ms, fn, …) -> id: calls fn(…) once." },
	{ "tick", time_tick, "nf*", ROLES,
	  "tick(ms, fn, …) -> id: calls fn(id, …) each ms milliseconds; beats that were missed are skipped." },
	{ "clear", time_clear, "n", LUA_ROLE_ALL, "clear(id) -> boolean: stops a timer; false: there is none." },
	{ "now", time_now, "", LUA_ROLE_ALL, "now() -> seconds of a clock that never jumps, for measuring." },
	{ "time", time_time, "", LUA_ROLE_ALL, "time() -> seconds since 1970, with a fraction." },
	{ NULL, NULL, NULL, 0, NULL },
};

void api_time_clear_all(lua_State *L)
{
	struct lua_timer_set *set = set_of(L);
	const struct map_entry *e;
	size_t cursor = 0;

	if (!set)
		return;
	while ((e = map_next(&set->by_id, &cursor)))
		release(e->value, L);
	map_fini(&set->by_id);
	map_init(&set->by_id);
}

unsigned api_time_count(lua_State *L)
{
	return set_of(L) ? (unsigned)set_of(L)->by_id.count : 0;
}

static int collect(lua_State *L)
{
	struct lua_timer_set *set = lua_touserdata(L, 1);

	api_time_clear_all(L);
	map_fini(&set->by_id);
	state_of(L)->slots[STATE_TIMERS] = NULL;
	return 0;
}

int api_time_open(lua_State *L)
{
	struct lua_timer_set *set = state_keep(L, STATE_TIMERS, sizeof *set, collect);

	map_init(&set->by_id);
	set->L = state_thread(L);
	bind_functions(L, "luaserv", functions);
	return 1;
}
