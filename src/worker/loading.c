/* From a new worker to one that serves: its state, the script, the handlers of worker_start and selftest. */
#include "worker/loading.h"

#include "base/log.h"
#include "lua/bind.h"
#include "lua/framer.h"
#include "worker/colleague.h"
#include "worker/runtime.h"

#include <errno.h>
#include <stdlib.h>

static void on_task_error(void *ctx, const struct task *t, const char *text)
{
	struct worker *w = ctx;

	if (w->capture)
		err_set(w->capture, -ECANCELED, "%s", text);
	else
		handler_log_error(w, t, text, NULL);
}

static void on_enter(void *ctx, lua_State *co LS_UNUSED)
{
	struct worker *w = ctx;

	if (w->unwatched)
		return;
	board_set(&w->o.board->busy_since_ms, loop_now(w->o.loop));
	watchdog_enter(&w->watchdog);
}

static void on_leave(void *ctx)
{
	struct worker *w = ctx;

	if (w->unwatched)
		return;
	board_set(&w->o.board->busy_since_ms, 0);
	watchdog_leave(&w->watchdog);
}

static void report_loaded(struct worker *w, const struct err *err)
{
	void (*done)(void *ctx, const struct err *err) = w->loaded;

	w->loaded = NULL;
	if (!done)
		return;
	if (!err || err->code == 0)
		board_set(&w->o.board->state, BOARD_READY);
	colleague_greet_all(w);
	done(w->loaded_ctx, err);
}

static void run_next_hook(struct worker *w, enum settings_event hook);

static void on_hook_done(struct task *t, int status)
{
	struct worker *w = t->ctx;
	struct err err = { 0 };

	worker_count_end(w);
	if (status != 0) {
		err_set(&err, -ECANCELED, "the %s handler failed: %s", t->event, handler_error_text(t));
		report_loaded(w, &err);
	} else if (strcmp(t->event, "worker_start") == 0 && w->selftest) {
		run_next_hook(w, EVENT_selftest);
	} else {
		report_loaded(w, &err);
	}
}

static void on_hook_ended(struct task *t, int status)
{
	struct worker *w = t->ctx;

	w->in_flight--;
	if (status != 0)
		handler_log_error(w, t, handler_error_text(t), NULL);
}

/* A lifecycle handler, (server, worker_id). False: there is none; user processes have only their function. */
static bool run_hook(struct worker *w, enum settings_event hook, void (*on_done)(struct task *t, int status))
{
	int handler = app_handler(w->app, 0, hook);
	struct handler_call call;

	if (w->mission || handler == LUA_NOREF || !handler_begin(w, handler, settings_event_name((int)hook), 0, &call))
		return false;
	handler_push_server(w, call.L);
	lua_pushinteger(call.L, (lua_Integer)w->o.slot);
	w->in_flight++;
	handler_run(w, &call, 2, on_done, w);
	return true;
}

void loading_tell(struct worker *w, enum settings_event hook)
{
	run_hook(w, hook, on_hook_ended);
}

static void run_next_hook(struct worker *w, enum settings_event hook)
{
	struct err none = { 0 };

	if (run_hook(w, hook, on_hook_done))
		return;
	if (hook == EVENT_worker_start && w->selftest)
		run_next_hook(w, EVENT_selftest);
	else
		report_loaded(w, &none);
}

/* block_warning: Lua holds the loop. */
static void on_block(void *ctx, lua_State *co, uint64_t ms)
{
	struct worker *w = ctx;
	const struct task *t = w->sched ? sched_current(w->sched) : NULL;
	const char *where = "it was in a C function all the time";
	uint64_t swallowed;

	if (!log_every_due(&w->blocks, 1000, &swallowed))
		return;
	if (co) {
		luaL_traceback(co, co, NULL, 0);
		where = lua_tostring(co, -1);
	}
	log_warn(
		"%s%s%.0llu holds the loop of this worker for %llu ms (block_warning), and all others wait; %s (%llu more)",
		t ? t->event : "Lua code", t && t->fd ? " of fd " : "", t ? (unsigned long long)t->fd : 0ULL,
		(unsigned long long)ms, where, (unsigned long long)swallowed);
	if (co)
		lua_pop(co, 1);
}

static enum lua_role role_of(const struct worker *w)
{
	static const enum lua_role roles[] = { LUA_ROLE_WORKER, LUA_ROLE_TASK, LUA_ROLE_PROCESS };

	return roles[w->kind];
}

/* Handlers and timers are called on the main state, and cannot wait. */
static bool is_plain(const struct worker *w)
{
	const struct userproc *p = crew_process(w->o.settings, w->o.slot);

	return p ? !p->coroutine : !w->o.settings->enable_coroutine;
}

static int make_state(struct worker *w, const struct lua_module *modules, struct err *err)
{
	struct lua_limits limits = { .memory = w->o.settings->lua_memory_limit };
	struct watchdog_opts dog = { .run = &w->o.board->lua_run, .on_notice = on_block, .ctx = w };

	w->L = state_new(&limits, modules, err);
	if (!w->L)
		return err->code;
	state_set_role(w->L, role_of(w));
	dog.limit_ms = w->o.settings->max_execution_time;
	dog.notice_ms = w->o.settings->block_warning;
	if (watchdog_start(&w->watchdog, w->L, &dog, err) < 0)
		return err->code;
	w->sched = sched_new(w->L, &(struct sched_opts){
					   .loop = w->o.loop,
					   .max_tasks = (unsigned)w->o.settings->max_coroutine,
					   .plain = is_plain(w),
					   .on_error = on_task_error,
					   .on_enter = on_enter,
					   .on_leave = on_leave,
					   .ctx = w,
				   });
	w->app = app_new(w->L);
	app_share(w->app, &w->o.settings->shared, w->o.shared);
	return 0;
}

/* max_request, and a random number of further ones so that workers do not leave together. */
static uint64_t choose_retirement(const struct worker *w)
{
	const struct settings *s = w->o.settings;
	uint64_t most = w->kind == CREW_TASK ? s->task_max_request : s->max_request;
	uint64_t grace = w->kind == CREW_TASK ? s->task_max_request_grace : s->max_request_grace;
	struct timespec now;

	if (most == 0 || w->kind == CREW_PROCESS)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &now);

	unsigned seed = (unsigned)now.tv_nsec ^ (unsigned)getpid();

	return most + (grace ? (uint64_t)rand_r(&seed) % (grace + 1) : 0);
}

/* The k-th call of add_process is the same one in every process, or none knows what it is for. */
static int check_processes(const struct worker *w, struct err *err)
{
	if (w->app->n_processes == w->o.settings->n_processes)
		return 0;
	return err_set(
		err, -EINVAL,
		"the script added %u user processes when it was evaluated, and %u in this process; it must add the same ones, in the "
		"same order, wherever it runs",
		w->o.settings->n_processes, w->app->n_processes);
}

void worker_load(struct worker *w, const struct lua_module *modules, bool selftest,
                 void (*done)(void *ctx, const struct err *err), void *ctx)
{
	const struct settings *s = w->o.settings;
	struct err err = { 0 };

	w->loaded = done;
	w->loaded_ctx = ctx;
	w->selftest = selftest;
	if (make_state(w, modules, &err) < 0) {
		report_loaded(w, &err);
		return;
	}

	char *directory = xstrdup(s->script);
	char *slash = strrchr(directory, '/');

	if (slash)
		*(slash == directory ? slash + 1 : slash) = '\0';
	image_install(w->L, w->o.image, NULL, directory);
	free(directory);
	if (app_run(w->app, w->L, w->o.image, s->script, &err) < 0 || framer_load_all(w->app, w->L, s, &err) < 0) {
		report_loaded(w, &err);
		return;
	}
	if (check_processes(w, &err) < 0) {
		report_loaded(w, &err);
		return;
	}
	w->retire_at = choose_retirement(w);
	run_next_hook(w, EVENT_worker_start);
}
