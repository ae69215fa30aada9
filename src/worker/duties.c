#include "worker/duties.h"

#include "base/clock.h"
#include "lua/bind.h"
#include "lua/failure.h"
#include "worker/codes.h"
#include "worker/runtime.h"

#include <stdlib.h>

enum {
	TURN_NS = 200 * 1000, /* so long tasks are begun one after the other before their results leave */
	FLUSH_EACH = 16,      /* so many results leave together while others are made */
	RETRY_MS = 20,        /* when a link took nothing */
};

struct duty {
	struct list link; /* duties.waiting, running or unsent */
	struct duties *all;
	uint64_t key;        /* unique here */
	uint64_t id;         /* unique at its asker */
	uint64_t number;     /* among those of its asker */
	uint64_t generation; /* of its asker */
	unsigned slot;
	bool fetched;        /* it came through the System V queue */
	bool outside;        /* and nobody here has asked for it */
	bool announced;      /* its asker has been told that it is here */
	const char *failure; /* it is not to be run */
	struct frame end;    /* what is left to be said when the link took nothing; `data` then holds its payload */
	enum pack_form form;
	size_t len;
	char *data;
	char room[128]; /* for short data */
};

struct duties {
	struct worker *worker;
	struct ready ready;
	struct list waiting;
	struct list running;
	struct list unsent;
	struct map by_key;
	size_t n_waiting;
	uint64_t next_key;
	struct pool pool;
	struct pack pack;
	struct timer retry;
	void (*show)(lua_State *L, struct duty *t);
};

/* ---- one ------------------------------------------------------------------------------------------------------------------------------- */

uint64_t duty_key(const struct duty *t)
{
	return t->key;
}

int64_t duty_id(const struct duty *t)
{
	return t->outside ? -1 : (int64_t)t->id;
}

int duty_asker(const struct duty *t)
{
	return t->outside ? -1 : (int)t->slot;
}

int duty_push_data(lua_State *L, const struct duty *t)
{
	struct packed data = { .bytes = str_make(t->data, t->len), .form = t->form };

	return pack_push(L, &data);
}

static int keep_data(struct duty *t, struct str bytes)
{
	char *room = t->room;

	if (bytes.len > sizeof t->room) {
		room = try_alloc(bytes.len);
		if (!room)
			return -ENOMEM;
	}
	if (bytes.len)
		memcpy(room, bytes.p, bytes.len);
	if (t->data != t->room)
		free(t->data);
	t->data = room;
	t->len = bytes.len;
	return 0;
}

static void drop(struct duty *t)
{
	struct duties *d = t->all;

	list_del(&t->link);
	if (t->outside)
		board_add(&d->worker->o.board->ended_outside, 1);
	(void)map_del(&d->by_key, t->key);
	if (t->data != t->room)
		free(t->data);
	pool_put(&d->pool, t);
}

/* ---- what its asker is told ------------------------------------------------------------------------------------------------------------ */

/* -ESRCH: it has gone, or there is none. */
static int tell_asker(struct duty *t, const struct frame *f, struct str payload)
{
	struct colleague *c = t->outside ? NULL : colleague_find(t->all->worker, t->slot, t->generation);
	int r = c ? link_send(c->line, f, &payload, 1) : -ESRCH;

	/* It works on these while this process works on the next. */
	if (r == 0 && c->line->sent % FLUSH_EACH == 0)
		link_flush(c->line);
	return r;
}

int duty_answer(struct duty *t, const struct packed *result)
{
	struct frame f = { .type = FRAME_RESULT, .conn = t->id, .arg = (uint32_t)result->form };
	int r = tell_asker(t, &f, result->bytes);

	if (t->outside) {
		log_debug("a result of a task from outside is dropped");
		return 0;
	}
	return r == 0 ? 0 : r == -ESRCH ? CODE_ASKER_GONE : CODE_QUEUE_FULL;
}

/* What cannot be sent waits, and no further task is begun meanwhile. */
static void say_end(struct duty *t, const struct frame *f, struct str payload)
{
	int r = tell_asker(t, f, payload);

	if (t->outside && f->type == FRAME_RESULT && f->arg != PACK_FORMS)
		log_debug("the result of a task from outside is dropped");
	if (r == 0 || r == -ESRCH) {
		drop(t);
		return;
	}
	t->end = *f;
	if (keep_data(t, payload) < 0) {
		t->end.type = FRAME_TASK_FAILED;
		keep_data(t, LS_STR("there is no memory for the task's result"));
	}
	list_del(&t->link);
	list_append(&t->all->unsent, &t->link);
	timer_set(t->all->worker->o.loop, &t->all->retry, RETRY_MS);
}

static void on_retry(struct timer *timer)
{
	struct duties *d = LS_CONTAINER_OF(timer, struct duties, retry);

	LS_LIST_EACH_SAFE (it, after, &d->unsent) {
		struct duty *t = LS_CONTAINER_OF(it, struct duty, link);
		int r = tell_asker(t, &t->end, str_make(t->data, t->len));

		if (r == 0 || r == -ESRCH)
			drop(t);
	}
	if (!list_empty(&d->unsent))
		timer_set(d->worker->o.loop, timer, RETRY_MS);
	else
		worker_ready(d->worker, &d->ready);
}

/* ---- running --------------------------------------------------------------------------------------------------------------------------- */

static void say_failed(struct duty *t, struct str text)
{
	struct frame f = { .type = FRAME_TASK_FAILED, .flags = FRAME_END, .conn = t->id };

	say_end(t, &f, text);
}

/* The value that the handler returned is on top of L: the result; nil: there is none beyond what it has sent. */
static void say_result(struct duty *t, lua_State *L)
{
	struct frame f = { .type = FRAME_RESULT, .flags = FRAME_END, .conn = t->id, .arg = PACK_FORMS };
	struct packed result = { 0 };
	struct err err = { 0 };

	if (!lua_isnil(L, -1)) {
		size_t max = t->all->worker->o.settings->message_max_size;

		if (pack_value(&t->all->pack, L, -1, "result", max, &result, &err) < 0) {
			log_error("a task's result cannot be sent: %s", err.text);
			say_failed(t, str_from(err.text));
			return;
		}
		f.arg = (uint32_t)result.form;
	}
	say_end(t, &f, result.bytes);
}

static void on_done(struct task *task, int status)
{
	struct duty *t = task->ctx;
	struct duties *d = t->all;
	struct worker *w = d->worker;

	if (status != 0) {
		handler_log_error(w, task, handler_error_text(task), NULL);
		say_failed(t, failure_message(str_from(handler_error_text(task))));
	} else {
		handler_take_result(w, task);
		say_result(t, task->L);
	}
	worker_count_end(w);
	if (d->n_waiting)
		worker_ready(w, &d->ready);
}

static int push_arguments(struct duties *d, struct handler_call *call, struct duty *t)
{
	handler_push_server(d->worker, call->L);
	if (d->worker->o.settings->task_enable_coroutine) {
		d->show(call->L, t);
		return 2;
	}
	lua_pushnumber(call->L, (lua_Number)duty_id(t));
	lua_pushinteger(call->L, duty_asker(t));
	return duty_push_data(call->L, t) < 0 ? -EBADMSG : 4;
}

/* Who asked knows who has it before it begins.  False: the link took nothing. */
static bool announce(struct duty *t)
{
	struct frame taken = { .type = FRAME_TASK_TAKEN, .conn = t->id };
	struct colleague *asker;

	if (!t->fetched || t->outside || t->announced)
		return true;
	asker = colleague_find(t->all->worker, t->slot, t->generation);
	if (asker && link_send(asker->line, &taken, NULL, 0) < 0)
		return false;
	if (asker)
		link_flush(asker->line);
	t->announced = true;
	return true;
}

static bool fail_at_once(struct duty *t)
{
	t->all->n_waiting--;
	say_failed(t, str_from(t->failure));
	return true;
}

/* False: the link to its asker took nothing, or max_coroutine is reached, which handler_begin() has said. */
static bool begin(struct duty *t)
{
	struct duties *d = t->all;
	struct worker *w = d->worker;
	struct colleague *asker = colleague_find(w, t->slot, t->generation);
	struct handler_call call;
	int nargs;

	if (!announce(t))
		return false;
	if (t->failure)
		return fail_at_once(t);
	if (!handler_begin(w, app_handler(w->app, 0, EVENT_task), "task", 0, &call))
		return false;
	list_del(&t->link);
	list_append(&d->running, &t->link);
	d->n_waiting--;
	if (asker && !t->fetched)
		colleague_begin(asker, BOARD_TASKS, t->number);
	nargs = push_arguments(d, &call, t);
	worker_count_begin(w);
	if (nargs < 0) {
		lua_pushnil(call.L); /* our own processes write no such thing; the handler sees no data */
		nargs = 4;
	}
	handler_run(w, &call, nargs, on_done, t);
	return true;
}

static bool may_begin(const struct duties *d)
{
	return d->n_waiting > 0 && list_empty((struct list *)&d->unsent) &&
	       (d->worker->o.settings->task_enable_coroutine || list_empty((struct list *)&d->running));
}

static void run(struct ready *ready)
{
	struct duties *d = LS_CONTAINER_OF(ready, struct duties, ready);
	uint64_t until = clock_ns() + TURN_NS;

	while (may_begin(d)) {
		if (!begin(LS_CONTAINER_OF(list_first(&d->waiting), struct duty, link))) {
			timer_set(d->worker->o.loop, &d->retry, RETRY_MS);
			return;
		}
		if (clock_ns() >= until && may_begin(d)) {
			worker_ready(d->worker, ready);
			return;
		}
	}
}

int duties_on_task(struct duties *d, struct colleague *c, const struct frame *f, struct str payload)
{
	struct frame refusal = { .type = FRAME_TASK_FAILED, .flags = FRAME_END, .conn = f->conn };
	struct str text = LS_STR("the task worker has no memory for it");
	struct duty *t;

	if (f->arg >= PACK_FORMS)
		return -EBADMSG;
	t = pool_get(&d->pool);
	*t = (struct duty){
		.all = d,
		.key = ++d->next_key,
		.id = f->conn,
		.number = f->value,
		.slot = c->slot,
		.generation = c->generation,
		.form = (enum pack_form)f->arg,
	};
	t->data = t->room;
	list_init(&t->link);
	if (keep_data(t, payload) < 0) {
		pool_put(&d->pool, t);
		worker_out_of_memory(d->worker, "a task is refused");
		return link_send(c->line, &refusal, &text, 1) < 0 ? -ENOMEM : 0;
	}
	map_put(&d->by_key, t->key, t);
	list_append(&d->waiting, &t->link);
	d->n_waiting++;
	worker_ready(d->worker, &d->ready);
	return 0;
}

bool duties_may_take(const struct duties *d)
{
	if (!list_empty((struct list *)&d->unsent) || d->n_waiting)
		return false;
	return d->worker->o.settings->task_enable_coroutine ? d->by_key.count < d->worker->o.settings->max_coroutine
	                                                    : list_empty((struct list *)&d->running);
}

void duties_take(struct duties *d, const struct taskmsg_asker *asker, enum pack_form form, char *data, size_t len,
                 const char *failure)
{
	struct duty *t = pool_get(&d->pool);

	*t = (struct duty){
		.all = d,
		.key = ++d->next_key,
		.fetched = true,
		.outside = !asker,
		.failure = failure,
		.form = form,
		.len = len,
	};
	if (asker) {
		t->id = asker->id;
		t->slot = asker->slot;
		t->generation = asker->generation;
	}
	t->data = data ? data : t->room;
	list_init(&t->link);
	map_put(&d->by_key, t->key, t);
	list_append(&d->waiting, &t->link);
	d->n_waiting++;
	worker_ready(d->worker, &d->ready);
}

/* ---- what is there ---------------------------------------------------------------------------------------------------------------------- */

struct duty *duties_current(const struct duties *d)
{
	struct list *first = list_first((struct list *)&d->running);

	return first ? LS_CONTAINER_OF(first, struct duty, link) : NULL;
}

struct duty *duties_find(const struct duties *d, uint64_t key)
{
	return map_get(&d->by_key, key);
}

size_t duties_count(const struct duties *d)
{
	return d->by_key.count;
}

size_t duties_waiting(const struct duties *d)
{
	return d->n_waiting;
}

void duties_show_by(struct duties *d, void (*push)(lua_State *L, struct duty *t))
{
	d->show = push;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------------- */

struct duties *duties_new(struct worker *w)
{
	struct duties *d = xzalloc(sizeof *d);

	d->worker = w;
	d->ready.run = run;
	d->pool = (struct pool){ .size = sizeof(struct duty), .keep = 256 };
	list_init(&d->ready.link);
	list_init(&d->waiting);
	list_init(&d->running);
	list_init(&d->unsent);
	map_init(&d->by_key);
	timer_init(&d->retry, on_retry);
	return d;
}

static void drop_all(struct list *duties)
{
	for (struct list *it; (it = list_first(duties));)
		drop(LS_CONTAINER_OF(it, struct duty, link));
}

void duties_free(struct duties *d)
{
	if (!d)
		return;
	drop_all(&d->waiting);
	drop_all(&d->running);
	drop_all(&d->unsent);
	list_del(&d->ready.link);
	timer_del(d->worker->o.loop, &d->retry);
	map_fini(&d->by_key);
	pool_trim(&d->pool);
	pack_fini(&d->pack);
	free(d);
}
