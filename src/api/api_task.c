#include "api/api_task.h"

#include "api/api_value.h"
#include "lua/bind.h"
#include "worker/codes.h"
#include "worker/duties.h"
#include "worker/orders.h"
#include "worker/runtime.h"

#include <math.h>
#include <stdlib.h>

enum { DEFAULT_WAIT_MS = 500, LIST_MAX = 1024 };

/* ---- asking ------------------------------------------------------------------------------------------------------------------ */

static uint64_t timeout_of(lua_State *L, int idx, const char *method)
{
	lua_Number seconds = luaL_optnumber(L, idx, DEFAULT_WAIT_MS / 1000.0);

	if (!(seconds > 0 && seconds <= 86400.0 * 365))
		state_error(L, "server:%s: the time-out is a number of seconds above 0, not %.14g", method, seconds);
	return (uint64_t)ceil(seconds * 1000);
}

/* A task worker counted from 0, as its slot; -1: any. */
static int slot_of(lua_State *L, int idx, const char *method)
{
	const struct settings *s = worker_current()->o.settings;
	lua_Number n = luaL_optnumber(L, idx, -1);

	if (n != -1 && !(n >= 0 && n < (lua_Number)s->task_worker_num && n == floor(n)))
		state_error(L, "server:%s: there is no task worker %.14g; they are 0 to %d, and -1 is any", method, n,
		            (int)s->task_worker_num - 1);
	return n < 0 ? -1 : (int)(s->worker_num + (uint64_t)n);
}

static int push_refusal(lua_State *L, int code)
{
	if (code == CODE_QUEUE_FULL)
		return bind_fail(L, code, "task queue is full");
	if (code == CODE_WRONG_OPERATION)
		return bind_fail(L, code, "there are no task workers: task_worker_num is 0");
	return codes_push(L, code);
}

/* ---- a handler is told of the end -------------------------------------------------------------------------------------------- */

static void push_failure(lua_State *L, const struct order_failure *f)
{
	lua_createtable(L, 0, 4);
	lua_pushstring(L, f->text);
	lua_setfield(L, -2, "message");
	lua_pushinteger(L, f->code);
	lua_setfield(L, -2, "code");
	if (f->worker >= 0) {
		lua_pushinteger(L, f->worker);
		lua_setfield(L, -2, "worker_id");
	}
	if (f->pid > 0) {
		lua_pushinteger(L, f->pid);
		lua_setfield(L, -2, "pid");
	}
}

static void on_handler_done(struct task *t, int status)
{
	struct worker *w = t->ctx;

	if (status != 0)
		handler_log_error(w, t, handler_error_text(t), NULL);
	worker_count_end(w);
}

static void call_handler(struct worker *w, int handler, uint64_t id, const struct packed *result,
                         const struct order_failure *failure)
{
	struct handler_call call;
	int nargs = 3;

	if (!handler_begin(w, handler, "finish", 0, &call)) {
		log_error("the end of task %llu is told to nobody", (unsigned long long)id);
		return;
	}
	handler_push_server(w, call.L);
	lua_pushnumber(call.L, (lua_Number)id);
	if (!result || pack_push(call.L, result) < 0)
		lua_pushnil(call.L);
	if (failure) {
		push_failure(call.L, failure);
		nargs++;
	}
	w->in_flight++;
	handler_run(w, &call, nargs, on_handler_done, w);
}

/* The callback of the task, or the finish event. */
static void tell_handler(const struct order_client *c, struct worker *w, uint64_t id, const struct packed *result,
                         const struct order_failure *failure, bool last)
{
	int handler = c->ref != LUA_NOREF ? c->ref : app_handler(w->app, 0, EVENT_finish);

	if ((result || failure) && handler != LUA_NOREF)
		call_handler(w, handler, id, result, failure);
	else if (failure)
		log_warn("task %llu failed, and there is no finish handler to tell: %s", (unsigned long long)id,
		         failure->text);
	if (last)
		luaL_unref(w->L, LUA_REGISTRYINDEX, c->ref);
}

/* task(data, dst = -1, callback) -> id */
int api_task_give(lua_State *L)
{
	struct worker *w = worker_current();
	struct order_client client = { .tell = tell_handler, .ref = LUA_NOREF };
	int slot = slot_of(L, 3, "task");
	struct packed data;
	uint64_t id = 0;
	int r = api_value_pack(L, 2, "data", &data);

	if (r == 0 && !lua_isnoneornil(L, 4)) {
		client.ref = state_anchor(L, 4);
		r = client.ref < 0 ? CODE_NO_MEMORY : 0;
	}
	if (r == 0)
		r = orders_give(w->orders, &data, slot, w->o.settings->task_timeout, &client, &id);
	if (r) {
		luaL_unref(L, LUA_REGISTRYINDEX, client.ref);
		return push_refusal(L, r);
	}
	lua_pushnumber(L, (lua_Number)id);
	return 1;
}

/* ---- a coroutine waits for one ------------------------------------------------------------------------------------------------- */

struct single {
	struct worker *worker;
	struct task *task;
	uint64_t id;
};

static void give_up_single(struct task *t)
{
	struct single *s = t->wait;

	orders_forget(s->worker->orders, s->id);
	free(s);
}

static int push_end(lua_State *L, const struct packed *result, const struct order_failure *failure)
{
	if (failure)
		return bind_fail(L, failure->code, "%s", failure->text);
	if (!result || pack_push(L, result) < 0)
		lua_pushnil(L);
	return 1;
}

/* The first result counts. */
static void tell_single(const struct order_client *c, struct worker *w, uint64_t id, const struct packed *result,
                        const struct order_failure *failure, bool last)
{
	struct single *s = c->ctx;
	struct task *t = s->task;

	if (!last)
		orders_forget(w->orders, id);
	free(s);
	sched_wake(t, push_end(t->L, result, failure));
}

/* task_wait(data, timeout = 0.5, dst = -1) -> value */
int api_task_wait(lua_State *L)
{
	struct worker *w = worker_current();
	uint64_t timeout = timeout_of(L, 3, "task_wait");
	int slot = slot_of(L, 4, "task_wait");
	struct packed data;
	struct order_client client = { .tell = tell_single, .ref = LUA_NOREF };
	struct single *s;
	int r = api_value_pack(L, 2, "data", &data);

	if (!sched_may_park(L))
		return sched_park(L, "server:task_wait", NULL, NULL, 0); /* which says why not */
	if (r)
		return push_refusal(L, r);
	s = xalloc(sizeof *s);
	*s = (struct single){ .worker = w, .task = sched_current(w->sched) };
	client.ctx = s;
	r = orders_give(w->orders, &data, slot, timeout, &client, &s->id);
	if (r) {
		free(s);
		return push_refusal(L, r);
	}
	return sched_park(L, "server:task_wait", give_up_single, s, 0);
}

/* ---- a coroutine waits for several ---------------------------------------------------------------------------------------------- */

struct several {
	struct worker *worker;
	struct task *task; /* NULL: it has not parked yet */
	int results;       /* registry reference of the table */
	int failures;      /* the same: messages by place */
	bool co;           /* task_co: instead of a message there is false among the results */
	unsigned left;
	unsigned n;
	uint64_t ids[];
};

static void drop_several(struct several *s)
{
	luaL_unref(s->worker->L, LUA_REGISTRYINDEX, s->results);
	luaL_unref(s->worker->L, LUA_REGISTRYINDEX, s->failures);
	free(s);
}

static void give_up_several(struct task *t)
{
	struct several *s = t->wait;

	for (unsigned i = 0; i < s->n; i++)
		orders_forget(s->worker->orders, s->ids[i]);
	drop_several(s);
}

static int push_tables(struct several *s, lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->results);
	lua_rawgeti(L, LUA_REGISTRYINDEX, s->failures);
	if (s->co)
		lua_pop(L, 1);
	return s->co ? 1 : 2;
}

static void put_failure(struct several *s, unsigned place, const char *text)
{
	lua_State *L = s->worker->L;

	lua_rawgeti(L, LUA_REGISTRYINDEX, s->co ? s->results : s->failures);
	if (s->co)
		lua_pushboolean(L, 0);
	else
		lua_pushstring(L, text);
	lua_rawseti(L, -2, (int)place);
	lua_pop(L, 1);
}

static void put_result(struct several *s, unsigned place, const struct packed *result)
{
	lua_State *L = s->worker->L;

	lua_rawgeti(L, LUA_REGISTRYINDEX, s->results);
	if (!result || pack_push(L, result) < 0)
		lua_pushnil(L);
	lua_rawseti(L, -2, (int)place);
	lua_pop(L, 1);
}

static void tell_several(const struct order_client *c, struct worker *w, uint64_t id, const struct packed *result,
                         const struct order_failure *failure, bool last)
{
	struct several *s = c->ctx;
	struct task *t = s->task;

	if (failure)
		put_failure(s, c->place, failure->text);
	else
		put_result(s, c->place, result);
	if (!last)
		orders_forget(w->orders, id);
	if (--s->left > 0 || !t)
		return;

	int n = push_tables(s, t->L);

	drop_several(s);
	sched_wake(t, n);
}

static struct several *new_several(lua_State *L, unsigned n, bool co)
{
	struct several *s = xzalloc(sizeof *s + n * sizeof *s->ids);

	s->worker = worker_current();
	s->n = n;
	s->left = n;
	s->co = co;
	lua_createtable(L, (int)n, 0);
	s->results = luaL_ref(L, LUA_REGISTRYINDEX);
	lua_newtable(L);
	s->failures = luaL_ref(L, LUA_REGISTRYINDEX);
	return s;
}

/* Those that are refused have ended already. */
static void give_item(struct several *s, lua_State *L, unsigned place, uint64_t timeout)
{
	struct order_client client = { .tell = tell_several, .ctx = s, .place = place, .ref = LUA_NOREF };
	struct pack pack = { 0 };
	struct packed data;
	struct err err = { 0 };
	int r;

	lua_rawgeti(L, 2, (int)place);
	r = pack_value(&pack, L, -1, "data", s->worker->o.settings->message_max_size, &data, &err);
	if (r == 0)
		r = orders_give(s->worker->orders, &data, -1, timeout, &client, &s->ids[place - 1]);
	else
		r = CODE_PARAMS;
	lua_pop(L, 1);
	pack_fini(&pack);
	if (r == 0)
		return;
	s->ids[place - 1] = UINT64_MAX;
	s->left--;
	put_failure(s, place, err.text[0] ? err.text : r == CODE_QUEUE_FULL ? "task queue is full" : codes_text(r));
}

static int wait_for_several(lua_State *L, const char *method, bool co)
{
	uint64_t timeout = timeout_of(L, 3, method);
	size_t n = lua_objlen(L, 2);
	struct several *s;

	if (n > LIST_MAX)
		return state_error(L, "server:%s: %d tasks at a time at most, not %d", method, LIST_MAX, (int)n);
	if (!sched_may_park(L))
		return sched_park(L, method, NULL, NULL, 0); /* which says why not */
	s = new_several(L, (unsigned)n, co);
	for (unsigned i = 1; i <= n; i++)
		give_item(s, L, i, timeout);
	if (s->left == 0) {
		int pushed = push_tables(s, L);

		drop_several(s);
		return pushed;
	}
	s->task = sched_current(s->worker->sched);
	return sched_park(L, method, give_up_several, s, 0);
}

/* task_wait_multi(list, timeout = 0.5) -> results by place, messages by place of those that failed */
int api_task_wait_multi(lua_State *L)
{
	return wait_for_several(L, "task_wait_multi", false);
}

/* task_co(list, timeout = 0.5) -> results by place, false for those that failed */
int api_task_co(lua_State *L)
{
	return wait_for_several(L, "task_co", true);
}

/* ---- answering --------------------------------------------------------------------------------------------------------------------- */

static int answer(lua_State *L, struct duty *t, int idx)
{
	struct packed result;
	int r = api_value_pack(L, idx, "data", &result);

	if (r == 0)
		r = duty_answer(t, &result);
	if (r == CODE_ASKER_GONE)
		return bind_fail(L, r, "worker %d, which gave the task, has gone", duty_asker(t));
	return codes_push(L, r);
}

int api_task_finish(lua_State *L)
{
	struct worker *w = worker_current();
	struct duty *t = w->duties ? duties_current(w->duties) : NULL;

	if (w->o.settings->task_enable_coroutine)
		return state_error(L, "server:finish is not for task_enable_coroutine; say task:finish(data)");
	if (!t)
		return state_error(L, "server:finish can only be called while a task runs");
	return answer(L, t, 2);
}

/* What a handler of task_enable_coroutine gets; it may outlive the task. */
struct task_object {
	uint64_t key;
};

static struct duty *duty_of(lua_State *L, const struct task_object *o)
{
	struct duty *t = duties_find(worker_current()->duties, o->key);

	if (!t)
		state_error(L, "task is finished");
	return t;
}

static int object_finish(lua_State *L)
{
	return answer(L, duty_of(L, bind_self(L)), 2);
}

static int push_object_id(lua_State *L, void *object)
{
	lua_pushnumber(L, (lua_Number)duty_id(duty_of(L, object)));
	return 1;
}

static int push_object_worker(lua_State *L, void *object)
{
	lua_pushinteger(L, duty_asker(duty_of(L, object)));
	return 1;
}

static int push_object_data(lua_State *L, void *object)
{
	return duty_push_data(L, duty_of(L, object)) == 0;
}

static const struct bind_row object_methods[] = {
	{ "finish", object_finish, "a", LUA_ROLE_TASK,
	  "finish(data) -> true | nil, message, code: a result of the task; what the handler returns is one more." },
	{ NULL, NULL, NULL, 0, NULL },
};

static const struct bind_field object_fields[] = {
	{ "id", push_object_id },
	{ "worker_id", push_object_worker },
	{ "data", push_object_data },
	{ NULL, NULL },
};

static const struct bind_kind object_kind = {
	.name = "task",
	.methods = object_methods,
	.fields = object_fields,
	.collect = free,
};

static void push_object(lua_State *L, struct duty *t)
{
	struct task_object *o = xalloc(sizeof *o);

	o->key = duty_key(t);
	bind_push(L, &object_kind, o);
}

void api_task_open(lua_State *L)
{
	struct worker *w = worker_current();

	bind_register(L, &object_kind);
	if (w && w->duties)
		duties_show_by(w->duties, push_object);
}
