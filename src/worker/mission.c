#include "worker/mission.h"

#include "lua/app.h"
#include "sys/sig.h"
#include "worker/orders.h"
#include "worker/runtime.h"

#include <stdlib.h>

struct mission {
	struct worker *worker;
	struct task *task; /* the function's, while it runs in a coroutine */
	bool ended;        /* the function has */
	bool told;
	int code; /* the process's exit code */
};

static void tell(struct mission *m)
{
	m->told = true;
	m->worker->o.on_finished(m->worker->o.ctx, m->code);
}

static void on_done(struct task *t, int status)
{
	struct mission *m = t->ctx;
	struct worker *w = m->worker;

	m->task = NULL;
	m->ended = true;
	if (status == 0 || (t->cancelled && w->draining))
		return;
	board_add(&w->o.board->errors, 1);
	log_error("the function of this user process failed: %s", handler_error_text(t));
	m->code = 1;
	if (!w->draining)
		tell(m);
}

static void call(struct mission *m)
{
	struct worker *w = m->worker;
	const struct app_process *p = &w->app->processes[w->o.slot - crew_first_process(w->o.settings)];
	struct handler_call call;

	if (!handler_begin(w, p->fn, "process", 0, &call))
		return;
	lua_rawgeti(call.L, LUA_REGISTRYINDEX, p->object);
	handler_push_server(w, call.L);
	m->task = call.task;
	handler_run(w, &call, 2, on_done, m);
}

/* It may block for as long as it likes: no watchdog minds, and SIGTERM ends it where it stands. */
static void call_plainly(struct mission *m)
{
	m->worker->unwatched = true;
	sig_let_end(SIGTERM, true);
	call(m);
	sig_let_end(SIGTERM, false);
	m->worker->unwatched = false;
}

void mission_begin(struct mission *m)
{
	if (sched_is_plain(m->worker->sched))
		call_plainly(m);
	else
		call(m);
}

void mission_look(struct mission *m)
{
	struct worker *w = m->worker;

	if (!m->ended || m->told || w->draining)
		return;
	if (sched_count(w->sched) == 0 && state_of(w->L)->pending == 0 && orders_count(w->orders) == 0)
		tell(m);
}

void mission_cancel(struct mission *m)
{
	if (m->task)
		sched_cancel(m->task);
}

struct mission *mission_new(struct worker *w)
{
	struct mission *m = xzalloc(sizeof *m);

	m->worker = w;
	return m;
}

void mission_free(struct mission *m)
{
	free(m);
}
