#include "worker/commands.h"

#include "lua/bind.h"
#include "lua/failure.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

static const char functions_key[] = "luaserv.commands"; /* registry: name -> function */

/* A question that has no answer yet. */
struct asked {
	struct list link;
	struct task *task;
	uint64_t number;
	uint64_t generation; /* of who is asked */
};

/* One that is being answered here. */
struct answering {
	struct list link;
	struct commands *all;
	uint64_t number;
	uint64_t generation; /* of who asks */
	unsigned slot;
};

struct commands {
	struct worker *worker;
	struct list asked;
	struct list answering;
	uint64_t last_number;
	struct pack pack;
};

/* ---- functions ------------------------------------------------------------------------------------------------------------------------ */

static void push_functions(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, functions_key);
	if (!lua_isnil(L, -1))
		return;
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setfield(L, LUA_REGISTRYINDEX, functions_key);
}

void commands_define(lua_State *L, const char *name, int idx)
{
	push_functions(L);
	lua_pushvalue(L, idx);
	lua_setfield(L, -2, name);
	lua_pop(L, 1);
}

/* False: there is none, and nothing was pushed. */
static bool push_function(lua_State *L, struct str name)
{
	push_functions(L);
	lua_pushlstring(L, name.p, name.len);
	lua_rawget(L, -2);
	lua_remove(L, -2);
	if (lua_isfunction(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

/* ---- asking --------------------------------------------------------------------------------------------------------------------------- */

static void forget(struct asked *a)
{
	list_del(&a->link);
	free(a);
}

static void give_up(struct task *t)
{
	forget(t->wait);
}

static int fail(lua_State *L, struct str text, int code)
{
	lua_pushnil(L);
	lua_pushlstring(L, text.p, text.len);
	lua_pushinteger(L, code);
	return 3;
}

int commands_ask(struct commands *c, lua_State *L, unsigned slot, struct str name, const struct packed *data,
                 uint64_t timeout_ms)
{
	static const char what[] = "server:command";
	struct colleague *to = colleague_of_slot(c->worker, slot);
	struct frame f = {
		.type = FRAME_COMMAND,
		.conn = ++c->last_number,
		.arg = (uint32_t)data->form,
		.value = name.len,
	};
	struct str parts[2] = { name, data->bytes };
	struct asked *a;

	if (!sched_may_park(L))
		return sched_park(L, what, NULL, NULL, 0); /* which says why not */
	if (!to)
		return bind_fail(L, CODE_WRONG_OPERATION, "no process of slot %d is ready now", (int)slot);
	if (link_send(to->line, &f, parts, 2) < 0)
		return codes_push(L, CODE_QUEUE_FULL);
	a = xzalloc(sizeof *a);
	a->task = sched_current(c->worker->sched);
	a->number = f.conn;
	a->generation = to->generation;
	list_append(&c->asked, &a->link);
	return sched_park(L, what, give_up, a, timeout_ms);
}

int commands_ask_self(lua_State *L, struct str name, int data_idx)
{
	if (!push_function(L, name))
		return bind_fail(L, CODE_WRONG_OPERATION, "there is no command \"%.*s\"", LS_STR_ARG(name));
	handler_push_server(worker_current(), L);
	lua_pushvalue(L, data_idx);
	lua_call(L, 2, 1);
	return 1;
}

static struct asked *find(struct commands *c, uint64_t number, uint64_t generation)
{
	LS_LIST_EACH (it, &c->asked) {
		struct asked *a = LS_CONTAINER_OF(it, struct asked, link);

		if (a->number == number && a->generation == generation)
			return a;
	}
	return NULL;
}

int commands_on_answer(struct commands *c, const struct colleague *from, const struct frame *f, struct str payload)
{
	struct packed value = { .bytes = payload, .form = (enum pack_form)f->arg };
	struct asked *a = find(c, f->conn, from->generation);
	struct task *t;

	if (f->arg > PACK_FORMS)
		return -EBADMSG;
	if (!a)
		return 0; /* too late */
	t = a->task;
	forget(a);
	if (f->arg == PACK_FORMS)
		sched_wake(t, fail(t->L, payload, (int)f->value));
	else if (pack_push(t->L, &value) == 0)
		sched_wake(t, 1);
	else
		sched_wake(t, codes_push(t->L, CODE_MALFORMED));
	return 0;
}

void commands_on_gone(struct commands *c, const struct colleague *gone, const char *how)
{
	LS_LIST_EACH_SAFE (it, after, &c->asked) {
		struct asked *a = LS_CONTAINER_OF(it, struct asked, link);
		struct task *t = a->task;

		if (a->generation != gone->generation)
			continue;
		forget(a);
		sched_wake(t, fail(t->L, str_from(how), CODE_TASK_WORKER_DIED));
	}
}

/* ---- answering ------------------------------------------------------------------------------------------------------------------------ */

/* code 0: `value` is the answer; else it is the message.  What cannot be sent runs into its asker's time-out. */
static void answer(struct colleague *to, uint64_t number, const struct packed *value, int code)
{
	struct frame f = {
		.type = FRAME_COMMAND_ANSWER,
		.conn = number,
		.arg = code ? (uint32_t)PACK_FORMS : (uint32_t)value->form,
		.value = (uint64_t)code,
	};

	if (link_send(to->line, &f, &value->bytes, 1) < 0)
		log_warn("the answer to a command of process %u cannot be sent: it reads nothing", to->slot);
}

static void refuse(struct colleague *to, uint64_t number, struct str text, int code)
{
	answer(to, number, &(struct packed){ .bytes = text }, code);
}

static void on_done(struct task *t, int status)
{
	struct answering *a = t->ctx;
	struct commands *c = a->all;
	struct worker *w = c->worker;
	struct colleague *to = colleague_find(w, a->slot, a->generation);
	struct packed value;
	struct err err = { 0 };

	if (status != 0)
		handler_log_error(w, t, handler_error_text(t), NULL);
	else
		handler_take_result(w, t);
	if (to && status != 0)
		refuse(to, a->number, failure_message(str_from(handler_error_text(t))), CODE_TASK_FAILED);
	else if (to && pack_value(&c->pack, t->L, -1, "result", w->o.settings->message_max_size, &value, &err) < 0)
		refuse(to, a->number, str_from(err.text), CODE_TASK_FAILED);
	else if (to)
		answer(to, a->number, &value, 0);
	list_del(&a->link);
	free(a);
	worker_count_end(w);
}

static void run(struct commands *c, struct colleague *from, const struct frame *f, struct handler_call *call,
                struct str payload)
{
	struct packed data = { .bytes = str_skip(payload, f->value), .form = (enum pack_form)f->arg };
	struct answering *a = xzalloc(sizeof *a);

	*a = (struct answering){ .all = c, .number = f->conn, .generation = from->generation, .slot = from->slot };
	list_append(&c->answering, &a->link);
	handler_push_server(c->worker, call->L);
	if (pack_push(call->L, &data) < 0)
		lua_pushnil(call->L);
	worker_count_begin(c->worker);
	handler_run(c->worker, call, 2, on_done, a);
}

int commands_on_command(struct commands *c, struct colleague *from, const struct frame *f, struct str payload)
{
	struct worker *w = c->worker;
	struct str name = str_take(payload, f->value);
	struct handler_call call;
	int handler;

	if (f->arg >= PACK_FORMS || f->value == 0 || f->value > COMMAND_NAME_MAX || f->value > payload.len)
		return -EBADMSG;
	if (!push_function(w->L, name)) {
		refuse(from, f->conn, LS_STR("there is no such command in the process that was asked"),
		       CODE_WRONG_OPERATION);
		return 0;
	}
	handler = luaL_ref(w->L, LUA_REGISTRYINDEX);
	if (handler_begin(w, handler, "command", 0, &call))
		run(c, from, f, &call, payload);
	else
		refuse(from, f->conn, LS_STR("the process that was asked has max_coroutine coroutines already"),
		       CODE_QUEUE_FULL);
	luaL_unref(w->L, LUA_REGISTRYINDEX, handler);
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

struct commands *commands_new(struct worker *w)
{
	struct commands *c = xzalloc(sizeof *c);

	c->worker = w;
	list_init(&c->asked);
	list_init(&c->answering);
	return c;
}

void commands_free(struct commands *c)
{
	/* Who asked was cancelled with the scheduler; what is being answered has ended with it. */
	for (struct list *it; (it = list_first(&c->asked));)
		forget(LS_CONTAINER_OF(it, struct asked, link));
	for (struct list *it; (it = list_shift(&c->answering));)
		free(LS_CONTAINER_OF(it, struct answering, link));
	pack_fini(&c->pack);
	free(c);
}
