#include "lua/sched.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
	POOL_MAX = 1024,    /* coroutines kept for the next task */
	RUN_BUDGET = 256,   /* tasks per sched_run(), so that descriptors get their turn */
	DEPTH_MAX = 64,     /* nested sched_start(); deeper ones are queued */
	CLOSE_ROUNDS = 64,  /* turns that cancelled tasks get to end in */
	SLOT_NONE = 0xffffffff,
};

enum task_state { TASK_FREE, TASK_READY, TASK_RUNNING, TASK_PARKED, TASK_QUEUED };

/* id = generation << id_bits | index + 1: found without a map, and never the same twice in 2^36 tasks. */
struct slot {
	struct task *task;
	uint64_t generation;
	uint32_t next_free;
};

struct sched {
	struct sched_opts opts;
	struct state *state;
	lua_State *service; /* a coroutine of our own that never runs: where C builds values */
	int service_ref;
	int explain_ref;    /* explain_failure() */
	int no_memory_ref;  /* what is said when it fails */
	int sentinel_ref;   /* what a parked coroutine inside a task yields; luaserv.co knows it */
	int foreign_ref;    /* weak set of coroutines that coroutine.resume must refuse */
	struct task *current;
	unsigned depth;     /* of lua_resume */
	unsigned alive;
	bool closing;
	struct list queue;
	struct list pool;
	unsigned pooled;
	struct slot *slots;
	uint32_t n_slots;
	uint32_t free_slot;
	unsigned id_bits;
	lua_State *failed;  /* explain_failure()'s argument */
	lua_State *victim;  /* where raise_hook() raises `raise` */
	const char *raise;
};

static const char cancelled_text[] = "cancelled";
static const char stray_text[] = "coroutine.yield was called in a task, outside of any coroutine of its own: nobody would "
				 "resume it; luaserv.yield() lets other tasks run";

/* OpenResty's LuaJIT has it, stock LuaJIT does not. */
void lua_resetthread(lua_State *L, lua_State *co) __attribute__((weak));

static void on_timeout(struct timer *timer);

/* ---- coroutines and slots ------------------------------------------------------------------------------------------ */

static void new_coroutine(struct task *t)
{
	lua_State *L = t->sched->service;

	t->L = lua_newthread(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->sched->foreign_ref);
	lua_pushvalue(L, -2);
	lua_pushboolean(L, 1);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	t->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* After an error the coroutine is dead; makes it, or another, ready for the next function. */
static void renew_coroutine(struct task *t)
{
	if (lua_resetthread) {
		lua_resetthread(t->sched->service, t->L);
		return;
	}
	luaL_unref(t->sched->service, LUA_REGISTRYINDEX, t->anchor);
	new_coroutine(t);
}

static void free_task(struct task *t)
{
	luaL_unref(t->sched->service, LUA_REGISTRYINDEX, t->anchor);
	free(t);
}

static void grow_slots(struct sched *s)
{
	uint32_t n = LS_MIN(s->n_slots ? s->n_slots * 2 : 64, s->opts.max_tasks);

	s->slots = xrealloc(s->slots, n * sizeof *s->slots);
	for (uint32_t i = n; i-- > s->n_slots;) {
		s->slots[i] = (struct slot){ .next_free = s->free_slot };
		s->free_slot = i;
	}
	s->n_slots = n;
}

static uint32_t slot_of(const struct sched *s, uint64_t id)
{
	return (uint32_t)((id - 1) & ((1ULL << s->id_bits) - 1));
}

static void take_slot(struct sched *s, struct task *t)
{
	if (s->free_slot == SLOT_NONE)
		grow_slots(s);

	uint32_t index = s->free_slot;
	struct slot *slot = &s->slots[index];

	s->free_slot = slot->next_free;
	slot->task = t;
	t->id = (slot->generation << s->id_bits) + index + 1;
}

static void give_slot(struct sched *s, uint64_t id)
{
	uint32_t index = slot_of(s, id);
	struct slot *slot = &s->slots[index];

	slot->task = NULL;
	slot->generation = (slot->generation + 1) & ((1ULL << (52 - s->id_bits)) - 1);
	slot->next_free = s->free_slot;
	s->free_slot = index;
}

struct task *sched_find(struct sched *s, uint64_t id)
{
	if (id == 0 || slot_of(s, id) >= s->n_slots)
		return NULL;

	struct task *t = s->slots[slot_of(s, id)].task;

	return t && t->id == id ? t : NULL;
}

struct task *sched_task(struct sched *s)
{
	if (s->alive >= s->opts.max_tasks || s->closing)
		return NULL;

	struct list *node = list_shift(&s->pool);
	struct task *t;

	if (node) {
		t = LS_CONTAINER_OF(node, struct task, link);
		s->pooled--;
	} else {
		t = xzalloc(sizeof *t);
		t->sched = s;
		list_init(&t->link);
		timer_init(&t->timer, on_timeout);
		new_coroutine(t);
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
	take_slot(s, t);
	s->alive++;
	return t;
}

static void recycle(struct task *t)
{
	struct sched *s = t->sched;

	give_slot(s, t->id);
	t->state = TASK_FREE;
	s->alive--;
	lua_settop(t->L, 0);
	if (s->pooled < POOL_MAX && !s->closing) {
		s->pooled++;
		/* At the front: the one used last is in the caches. */
		list_append(s->pool.next, &t->link);
	} else {
		free_task(t);
	}
	if (s->alive == 0 && s->opts.on_idle)
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

/* (message) -> text with a traceback of s->failed. */
static int explain_failure(lua_State *L)
{
	state_explain(L, sched_of(L)->failed, 0);
	return 1;
}

/* Takes the error off the dead coroutine, makes it a text with traceback, and leaves that on the coroutine, made new. */
static void explain(struct task *t, int status)
{
	struct sched *s = t->sched;
	lua_State *L = s->service;
	/* An armed watchdog would raise in here, too. */
	lua_Hook hook = lua_gethook(L);
	int mask = lua_gethookmask(L);
	int count = lua_gethookcount(L);

	if (hook)
		lua_sethook(L, NULL, 0, 0);
	t->cancelled = lua_type(t->L, -1) == LUA_TSTRING && strcmp(lua_tostring(t->L, -1), cancelled_text) == 0;
	s->failed = t->L;
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->explain_ref);
	lua_xmove(t->L, L, 1);
	if (lua_pcall(L, 1, 1, 0) != 0) {
		lua_pop(L, 1);
		lua_rawgeti(L, LUA_REGISTRYINDEX, s->no_memory_ref);
	}
	renew_coroutine(t);
	/* What filled the memory hung on the dead coroutine. */
	if (status == LUA_ERRMEM)
		lua_gc(L, LUA_GCCOLLECT, 0);
	lua_xmove(L, t->L, 1);
	if (hook)
		lua_sethook(L, hook, mask, count);
}

static void report(struct task *t)
{
	struct sched *s = t->sched;

	if (!t->cancelled && s->opts.on_error)
		s->opts.on_error(s->opts.ctx, t, lua_tostring(t->L, -1));
}

/* ---- deferred functions -------------------------------------------------------------------------------------------- */

void sched_defer(lua_State *L, int idx)
{
	struct sched *s = sched_of(L);
	struct task *t = s ? s->current : NULL;

	if (!t) {
		state_error(L, "luaserv.defer cannot be called here: no coroutine of the server runs");
		return;
	}
	lua_pushvalue(L, idx);
	if (t->defers == LUA_NOREF) {
		lua_newtable(L);
		t->defers = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->defers);
	lua_insert(L, -2);
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
	lua_pop(L, 1);
}

/* Puts the results, or the message, away: the coroutine is needed for deferred functions. */
static void keep_outcome(struct task *t, int status)
{
	int n = lua_gettop(t->L);

	t->outcome = status;
	lua_createtable(t->L, n, 0);
	for (int i = 1; i <= n; i++) {
		lua_pushvalue(t->L, i);
		lua_rawseti(t->L, -2, i);
	}
	lua_pushinteger(t->L, n);
	lua_setfield(t->L, -2, "n");
	t->outcome_ref = luaL_ref(t->L, LUA_REGISTRYINDEX);
}

static void restore_outcome(struct task *t)
{
	lua_State *L = t->L;

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->outcome_ref);
	lua_getfield(L, 1, "n");

	int n = (int)lua_tointeger(L, -1);

	lua_pop(L, 1);
	luaL_checkstack(L, n + 1, NULL);
	for (int i = 1; i <= n; i++)
		lua_rawgeti(L, 1, i);
	lua_remove(L, 1);
	luaL_unref(L, LUA_REGISTRYINDEX, t->outcome_ref);
	luaL_unref(L, LUA_REGISTRYINDEX, t->defers);
	t->outcome_ref = LUA_NOREF;
	t->defers = LUA_NOREF;
}

/* Leaves the deferred function that comes next on the stack; false: that was the last. */
static bool next_deferred(struct task *t)
{
	lua_State *L = t->L;

	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->defers);

	int last = (int)lua_objlen(L, 1);

	if (last == 0)
		return false;
	lua_rawgeti(L, 1, last);
	lua_pushnil(L);
	lua_rawseti(L, 1, last);
	lua_remove(L, 1);
	return true;
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
		restore_outcome(t);
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
		keep_outcome(t, status);
	} else {
		if (status != 0)
			report(t);
		t->cancelled = by_cancel;
	}
	return next_deferred(t);
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
	return !list_empty(&s->queue);
}

int sched_call_plain(struct sched *s, lua_State *L, int nargs, const char *event, uint64_t fd)
{
	struct task *outer = s->current;
	struct task shown = { .L = L, .sched = s, .event = event, .fd = fd };
	struct err err;

	s->current = NULL;
	if (s->depth++ == 0 && s->opts.on_enter)
		s->opts.on_enter(s->opts.ctx, L);

	int r = state_call(L, nargs, 0, &err);

	if (--s->depth == 0 && s->opts.on_leave)
		s->opts.on_leave(s->opts.ctx);
	s->current = outer;
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
	return state_error(L, "cannot wait here: a function called from C (table.sort, string.gsub, require) cannot wait");
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
	for (uint32_t i = 0; i < s->n_slots; i++)
		if (s->slots[i].task && s->slots[i].task != s->current)
			sched_cancel(s->slots[i].task);
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
	s->free_slot = SLOT_NONE;
	s->id_bits = (unsigned)__builtin_ctzll(pow2_up(LS_MAX(opts->max_tasks, 64u)));
	list_init(&s->queue);
	list_init(&s->pool);
	s->service = lua_newthread(L);
	s->service_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushcfunction(L, explain_failure);
	s->explain_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_pushliteral(L, "not enough memory (nor for a traceback)");
	s->no_memory_ref = luaL_ref(L, LUA_REGISTRYINDEX);
	connect_library(L, s);
	s->state->slots[STATE_SCHED] = s;
	return s;
}

/* A task that went on waiting although it was cancelled. */
static void drop(struct task *t)
{
	unpark(t);
	renew_coroutine(t);
	lua_settop(t->L, 0);
	t->cancelled = true;
	lua_pushstring(t->L, cancelled_text);
	finish(t, LUA_ERRRUN);
}

void sched_free(struct sched *s)
{
	if (!s)
		return;
	s->closing = true;
	for (int i = 0; i < CLOSE_ROUNDS && s->alive; i++) {
		sched_cancel_all(s);
		sched_run(s);
	}
	for (uint32_t i = 0; i < s->n_slots; i++)
		if (s->slots[i].task)
			drop(s->slots[i].task);
	for (struct list *node; (node = list_shift(&s->pool));)
		free_task(LS_CONTAINER_OF(node, struct task, link));
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->explain_ref);
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->no_memory_ref);
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->sentinel_ref);
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->foreign_ref);
	s->state->slots[STATE_SCHED] = NULL;
	luaL_unref(s->service, LUA_REGISTRYINDEX, s->service_ref);
	free(s->slots);
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
	return s->alive;
}

bool sched_is_plain(const struct sched *s)
{
	return s->opts.plain;
}

struct loop *sched_loop(const struct sched *s)
{
	return s->opts.loop;
}
