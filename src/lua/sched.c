#include "lua/sched.h"

#include "base/fault.h"
#include "base/mem.h"
#include "lua/deferred.h"
#include "lua/failure.h"
#include "lua/roster.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	RUN_BUDGET = 256,  /* tasks per sched_run(), so that descriptors get their turn */
	DEPTH_MAX = 64,    /* nested sched_start(); deeper ones are queued */
	CLOSE_ROUNDS = 64, /* turns that cancelled tasks get to end in */
};

enum task_state { TASK_FREE, TASK_READY, TASK_RUNNING, TASK_PARKED, TASK_QUEUED };

struct sched {
	struct sched_opts opts;
	struct state *state;
	struct roster roster;
	lua_State *service; /* a coroutine of our own that never runs: where C builds values */
	int service_ref;
	struct failure failure;
	int sentinel_ref; /* what a parked coroutine inside a task yields; luaserv.co knows it */
	int foreign_ref;  /* weak set of coroutines that coroutine.resume must refuse */
	struct task *current;
	unsigned depth; /* of lua_resume */
	bool closing;
	struct list queue;
	lua_State *victim; /* where raise_hook() raises `raise` */
	const char *raise;
};

static const char cancelled_text[] = "cancelled";
static const char stray_text[] =
	"coroutine.yield was called in a task, outside of any coroutine of its own: nobody would "
	"resume it; luaserv.yield() lets other tasks run";

static void on_timeout(struct timer *timer);

/* ---- tasks --------------------------------------------------------------------------------------------------------- */

struct task *sched_find(struct sched *s, uint64_t id)
{
	return roster_find(&s->roster, id);
}

struct task *sched_task(struct sched *s)
{
	struct task *t = s->closing ? NULL : roster_take(&s->roster);

	if (!t)
		return NULL;
	if (!t->sched) {
		t->sched = s;
		timer_init(&t->timer, on_timeout);
	}
	t->cancel = NULL;
	t->wait = NULL;
	t->on_done = NULL;
	t->ctx = NULL;
	t->event = "task";
	t->fd = 0;
	t->defers = LUA_NOREF;
	t->wait_ref = LUA_NOREF;
	t->outcome_ref = LUA_NOREF;
	t->raise = NULL;
	t->cancelled = false;
	t->state = TASK_READY;
	return t;
}

static void recycle(struct task *t)
{
	struct sched *s = t->sched;

	t->state = TASK_FREE;
	roster_give(&s->roster, t, !s->closing);
	if (s->roster.alive == 0 && s->opts.on_idle)
		s->opts.on_idle(s->opts.ctx);
}

/* ---- raising an error where a coroutine waits ----------------------------------------------------------------------- */

/* Hooks are global in LuaJIT, so that this one sees every coroutine on the way to the one that waits. */
static void raise_hook(lua_State *L, LS_UNUSED lua_Debug *ar)
{
	struct sched *s = sched_of(L);

	if (!s || L != s->victim)
		return;
	s->victim = NULL;
	lua_sethook(L, NULL, 0, 0);
	/* "cancelled" stands alone, so that the app can compare it. */
	luaL_where(L, s->raise == cancelled_text ? INT_MAX : 0);
	lua_pushstring(L, s->raise);
	lua_concat(L, 2);
	lua_error(L);
}

/* A C function that has yielded cannot raise when it goes on, but a hook can at the next instruction of the Lua function
 * that called it.  Where none called it, or it was a tail call, the C function returns nil, message, code instead. */
static int arm_raise(struct task *t)
{
	struct sched *s = t->sched;
	lua_Debug ar;

	lua_settop(t->L, 0);
	s->raise = t->raise;
	t->raise = NULL;
	if (lua_getstack(t->waiting, 1, &ar) && lua_getinfo(t->waiting, "S", &ar) && ar.what[0] != 'C') {
		s->victim = t->waiting;
		lua_sethook(t->waiting, raise_hook, LUA_MASKCALL | LUA_MASKLINE | LUA_MASKCOUNT, 1);
		return 0;
	}
	lua_pushnil(t->L);
	lua_pushstring(t->L, s->raise);
	lua_pushinteger(t->L, ECANCELED);
	return 3;
}

static void disarm_raise(struct sched *s)
{
	if (!s->victim)
		return;
	s->victim = NULL;
	lua_sethook(s->service, NULL, 0, 0);
}

/* ---- failures ------------------------------------------------------------------------------------------------------ */

/* Takes the error off the dead coroutine, makes it a text with traceback, and leaves that on the coroutine, made new. */
static void explain(struct task *t, int status)
{
	struct sched *s = t->sched;

	t->cancelled = lua_type(t->L, -1) == LUA_TSTRING && strcmp(lua_tostring(t->L, -1), cancelled_text) == 0;
	failure_explain(&s->failure, t->L);
	roster_renew(&s->roster, t);
	/* What filled the memory hung on the dead coroutine. */
	if (status == LUA_ERRMEM)
		lua_gc(s->service, LUA_GCCOLLECT, 0);
	lua_xmove(s->service, t->L, 1);
}

static void report(struct task *t)
{
	struct sched *s = t->sched;

	if (!t->cancelled && s->opts.on_error)
		s->opts.on_error(s->opts.ctx, t, lua_tostring(t->L, -1));
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

static int resume(struct task *t, int nargs)
{
	struct sched *s = t->sched;
	uint64_t before = state_enter(s->state);
	int status;

	if (s->depth++ == 0 && s->opts.on_enter)
		s->opts.on_enter(s->opts.ctx, t->L);
	for (;;) {
		if (t->raise)
			nargs = arm_raise(t);
		if (FAULT(collect))
			lua_gc(t->L, LUA_GCCOLLECT, 0);
		status = lua_resume(t->L, nargs);
		disarm_raise(s);
		if (status != LUA_YIELD)
			break;
		lua_settop(t->L, 0);
		if (t->state != TASK_RUNNING)
			break;
		t->waiting = t->L;
		t->raise = stray_text;
		nargs = 0;
	}
	if (--s->depth == 0 && s->opts.on_leave)
		s->opts.on_leave(s->opts.ctx);
	state_leave(s->state, before);
	return status;
}

/* Takes a parked or queued task off whatever list it is on. */
static void unpark(struct task *t)
{
	void (*cancel)(struct task *) = t->cancel;

	t->cancel = NULL;
	timer_del(t->sched->opts.loop, &t->timer);
	if (t->state == TASK_PARKED && cancel)
		cancel(t);
	else if (t->state == TASK_QUEUED)
		list_del(&t->link);
}

static void finish(struct task *t, int status)
{
	if (t->outcome_ref != LUA_NOREF) {
		status = t->outcome;
		deferred_restore(t);
	}
	if (t->on_done)
		t->on_done(t, status);
	else if (status != 0)
		report(t);
	recycle(t);
}

/* True: a deferred function is to be run. */
static bool has_more(struct task *t, int status)
{
	/* A C library that swallowed the yield of a wait lets the task end while it counts as waiting. */
	if (t->state != TASK_RUNNING)
		unpark(t);
	bool first = t->outcome_ref == LUA_NOREF;
	bool by_cancel = !first && t->cancelled;

	t->cancelled = false;
	if (status != 0)
		explain(t, status);
	if (t->defers == LUA_NOREF)
		return false;
	if (first) {
		deferred_keep(t, status);
	} else {
		if (status != 0)
			report(t);
		t->cancelled = by_cancel;
	}
	return deferred_next(t);
}

static void run(struct task *t, int nargs)
{
	struct sched *s = t->sched;
	struct task *outer = s->current;
	int status;

	do {
		s->current = t;
		t->state = TASK_RUNNING;
		status = resume(t, nargs);
		s->current = outer;
		if (status == LUA_YIELD)
			return;
		nargs = 0;
	} while (has_more(t, status));
	finish(t, status);
}

void sched_start(struct task *t, int nargs)
{
	if (t->sched->depth >= DEPTH_MAX)
		sched_queue(t, nargs);
	else
		run(t, nargs);
}

void sched_queue(struct task *t, int nargs)
{
	t->n_results = nargs;
	t->state = TASK_QUEUED;
	list_append(&t->sched->queue, &t->link);
}

bool sched_run(struct sched *s)
{
	for (int i = 0; i < RUN_BUDGET; i++) {
		struct list *node = list_shift(&s->queue);

		if (!node)
			return false;

		struct task *t = LS_CONTAINER_OF(node, struct task, link);

		run(t, t->n_results);
	}
	return sched_is_due(s);
}

bool sched_is_due(const struct sched *s)
{
	return !list_empty(&s->queue);
}

int sched_call(struct sched *s, lua_State *L, int nargs, int nresults, struct err *err)
{
	struct task *outer = s->current;

	s->current = NULL;
	if (s->depth++ == 0 && s->opts.on_enter)
		s->opts.on_enter(s->opts.ctx, L);

	int r = state_call(L, nargs, nresults, err);

	if (--s->depth == 0 && s->opts.on_leave)
		s->opts.on_leave(s->opts.ctx);
	s->current = outer;
	return r;
}

int sched_call_plain(struct sched *s, lua_State *L, int nargs, int nresults, const char *event, uint64_t fd)
{
	struct task shown = { .L = L, .sched = s, .event = event, .fd = fd };
	struct err err;
	int r = sched_call(s, L, nargs, nresults, &err);

	if (r < 0 && s->opts.on_error)
		s->opts.on_error(s->opts.ctx, &shown, err.text);
	return r;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------- */

static const char *park_refusal(lua_State *L, const struct sched *s)
{
	if (!s)
		return "this process runs no event loop yet";
	if (!s->current)
		return s->opts.plain ? "enable_coroutine is off"
		                     : "no coroutine of the server runs; call it in a handler or in luaserv.go";
	if (!lua_isyieldable(L))
		return "a function called from C (table.sort, string.gsub, require) cannot wait";
	return NULL;
}

/* Suspends L, which is the task's coroutine or one that runs inside it. */
static int yield_out(lua_State *L, struct sched *s)
{
	if (L == s->current->L)
		return lua_yield(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->sentinel_ref);
	return lua_yield(L, 1);
}

int sched_park(lua_State *L, const char *what, void (*cancel)(struct task *t), void *wait, uint64_t timeout_ms)
{
	struct sched *s = sched_of(L);
	struct task *t = s ? s->current : NULL;
	const char *refusal = park_refusal(L, s);

	if (t)
		t->wait = wait;
	if (refusal || t->cancelled) {
		if (t && cancel)
			cancel(t);
		if (refusal)
			return state_error(L, "%s cannot wait here: %s", what, refusal);
		t->cancelled = false;
		lua_pushstring(L, cancelled_text);
		return lua_error(L);
	}
	t->cancel = cancel;
	t->waiting = L;
	t->timeout_is_success = false;
	t->state = TASK_PARKED;
	if (timeout_ms)
		timer_set(s->opts.loop, &t->timer, timeout_ms);
	return yield_out(L, s);
}

int sched_sleep(lua_State *L, const char *what, uint64_t ms)
{
	struct sched *s = sched_of(L);
	int r = sched_park(L, what, NULL, NULL, ms ? ms : 1);

	s->current->timeout_is_success = true;
	return r;
}

int sched_pause(lua_State *L, const char *what)
{
	struct sched *s = sched_of(L);
	int r = sched_park(L, what, NULL, NULL, 0);

	sched_wake(s->current, 0);
	return r;
}

/* What luaserv.co calls to pass a wait outward, from a coroutine that has resumed the one that waits. */
static int pass_outward(lua_State *L)
{
	struct sched *s = sched_of(L);
	struct task *t = s->current;

	if (!t || t->state == TASK_RUNNING)
		return state_error(L, "a value of the runtime was yielded by the app");
	if (lua_isyieldable(L))
		return yield_out(L, s);
	unpark(t);
	t->state = TASK_RUNNING;
	return state_error(L,
	                   "cannot wait here: a function called from C (table.sort, string.gsub, require) cannot wait");
}

void sched_defer(lua_State *L, int idx)
{
	struct sched *s = sched_of(L);

	if (s && s->current)
		deferred_add(L, s->current, idx);
	else
		state_error(L, "luaserv.defer cannot be called here: no coroutine of the server runs");
}

bool sched_may_park(lua_State *L)
{
	return !park_refusal(L, sched_of(L));
}

void sched_wake(struct task *t, int n_results)
{
	assert(t->state == TASK_PARKED);
	timer_del(t->sched->opts.loop, &t->timer);
	t->cancel = NULL;
	sched_queue(t, n_results);
}

static void on_timeout(struct timer *timer)
{
	struct task *t = LS_CONTAINER_OF(timer, struct task, timer);

	if (t->cancel)
		t->cancel(t);
	if (t->timeout_is_success) {
		lua_pushboolean(t->L, 1);
		sched_wake(t, 1);
		return;
	}
	lua_pushnil(t->L);
	lua_pushliteral(t->L, "timeout");
	lua_pushinteger(t->L, ETIMEDOUT);
	sched_wake(t, 3);
}

void sched_cancel(struct task *t)
{
	if (t->state != TASK_PARKED) {
		t->cancelled = true;
		return;
	}
	unpark(t);
	t->raise = cancelled_text;
	sched_queue(t, 0);
}

void sched_cancel_all(struct sched *s)
{
	struct task *t;

	for (uint32_t cursor = 0; (t = roster_next(&s->roster, &cursor));)
		if (t != s->current)
			sched_cancel(t);
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

/* Connects luaserv.co, which state_new() has loaded: (sched's service thread) learns the sentinel and the weak set. */
static void connect_library(lua_State *L, struct sched *s)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, "luaserv.co");
	lua_pushcfunction(L, pass_outward);
	lua_setfield(L, -2, "pass");
	lua_getfield(L, -1, "sentinel");
	s->sentinel_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_getfield(L, -1, "foreign");
	s->foreign_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pop(L, 2);
}

struct sched *sched_new(lua_State *L, const struct sched_opts *opts)
{
	struct sched *s = xzalloc(sizeof *s);

	s->opts = *opts;
	s->state = state_of(L);
	list_init(&s->queue);
	s->service = lua_newthread(L);
	s->service_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	failure_init(&s->failure, s->service);
	connect_library(L, s);
	roster_init(&s->roster, s->service, s->foreign_ref, opts->max_tasks);
	s->state->slots[STATE_SCHED] = s;
	return s;
}

/* A task that went on waiting although it was cancelled. */
static void drop(struct task *t)
{
	struct sched *s = t->sched;

	unpark(t);
	roster_renew(&s->roster, t);
	lua_settop(t->L, 0);
	t->cancelled = true;
	lua_pushstring(t->L, cancelled_text);
	finish(t, LUA_ERRRUN);
}

void sched_free(struct sched *s)
{
	struct task *t;

	if (!s)
		return;
	s->closing = true;
	for (int i = 0; i < CLOSE_ROUNDS && s->roster.alive; i++) {
		sched_cancel_all(s);
		sched_run(s);
	}
	for (uint32_t cursor = 0; (t = roster_next(&s->roster, &cursor));)
		drop(t);
	roster_fini(&s->roster);
	failure_fini(&s->failure);
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->sentinel_ref);
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->foreign_ref);
	s->state->slots[STATE_SCHED] = NULL;
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->service_ref);
	free(s);
}

struct sched *sched_of(lua_State *L)
{
	return state_of(L)->slots[STATE_SCHED];
}

struct task *sched_current(struct sched *s)
{
	return s->current;
}

unsigned sched_count(const struct sched *s)
{
	return s->roster.alive;
}

bool sched_is_plain(const struct sched *s)
{
	return s->opts.plain;
}

struct loop *sched_loop(const struct sched *s)
{
	return s->opts.loop;
}
