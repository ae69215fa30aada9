#include "worker/runtime.h"

#include "base/log.h"
#include "lua/bind.h"
#include "lua/framer.h"
#include "sys/bell.h"
#include "worker/commands.h"
#include "worker/duties.h"
#include "worker/fetch.h"
#include "worker/inquiry.h"
#include "worker/intake.h"
#include "worker/messages.h"
#include "worker/mission.h"
#include "worker/orders.h"
#include "worker/protocol.h"

#include <errno.h>
#include <stdlib.h>

/* So many frames are taken off a ring before the handlers they began are run. */
enum { DRAIN_ROUNDS = 16, GRACE_MS = 3000, DRAIN_CHECK_MS = 50 };

static struct worker *the_worker;

struct worker *worker_current(void)
{
	return the_worker;
}

void worker_ready(struct worker *w, struct ready *ready)
{
	if (!list_linked(&ready->link))
		list_append(&w->ready, &ready->link);
}

void worker_out_of_memory(struct worker *w, const char *consequence)
{
	uint64_t swallowed;

	if (log_every_due(&w->complaints, 10000, &swallowed))
		log_error("out of memory: %s (%llu more)", consequence, (unsigned long long)swallowed);
}

struct link *worker_link(struct worker *w, conn_id id)
{
	return w->links[conn_id_owner(id)];
}

int worker_send_any(struct worker *w, const struct frame *f, const struct str *parts, int n)
{
	unsigned owner = conn_id_owner(f->conn);
	struct link *own = w->links[owner];
	/* In base mode an older process of this worker's slot may have what is not known here. */
	struct link *peer =
		w->peers[owner] && w->peers[owner]->ends > 0 && !session_find(w, f->conn) ? w->peers[owner] : NULL;
	int r = own || peer ? 0 : -ENOTCONN;

	if (own)
		r = link_send(own, f, parts, n);
	if (peer && r == 0)
		r = link_send(peer, f, parts, n);
	return r;
}

void worker_count_begin(struct worker *w)
{
	w->in_flight++;
	w->begun++;
	if (w->retire_at && w->begun >= w->retire_at && !w->retired && !w->draining) {
		w->retired = true;
		if (w->o.on_retire)
			w->o.on_retire(w->o.ctx);
	}
}

void worker_count_end(struct worker *w)
{
	w->in_flight--;
}

/* ---- the turn ----------------------------------------------------------------------------------------------------------------- */

static bool drain_links(struct worker *w)
{
	bool more = false;

	for (unsigned i = 0, seen = 0; seen < w->n_links && i < SLOTS_OWNERS; i++) {
		if (!w->links[i])
			continue;
		seen++;

		int left = link_drain(w->links[i]);

		if (left < 0) {
			/* What the master writes is right by construction; if it is not, or a part of it is lost, going
			 * on would answer the wrong clients. */
			log_error("the link from reactor %u cannot be read: %s; this worker ends", i,
			          left == -EBADMSG ? "it carries nonsense" : strerror(-left));
			abort();
		}
		more |= left > 0;
	}
	return more;
}

static void run_ready(struct worker *w)
{
	struct list now;

	/* Handlers that become ready meanwhile have their turn after the next drain. */
	list_init(&now);
	list_move_all(&now, &w->ready);
	for (struct list *it; (it = list_shift(&now));) {
		struct ready *ready = LS_CONTAINER_OF(it, struct ready, link);

		ready->run(ready);
	}
}

static void flush_links(struct worker *w)
{
	for (unsigned i = 0, seen = 0; seen < w->n_links && i < SLOTS_OWNERS; i++)
		if (w->links[i]) {
			seen++;
			link_flush(w->links[i]);
		}
}

static bool links_may_sleep(struct worker *w)
{
	for (unsigned i = 0, seen = 0; seen < w->n_links && i < SLOTS_OWNERS; i++)
		if (w->links[i]) {
			seen++;
			if (!link_may_sleep(w->links[i]))
				return false;
		}
	return true;
}

/* The sleep protocol (docs/internals/ipc.md): say that we sleep, then look once more. */
static bool fall_asleep(struct worker *w)
{
	_Atomic uint32_t *asleep = &w->o.board->asleep;

	if (!w->has_bell)
		return links_may_sleep(w);
	atomic_store_explicit(asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with ring_publish() in the reactors */
	if (links_may_sleep(w))
		return true;
	atomic_store_explicit(asleep, 0, memory_order_relaxed);
	return false;
}

static void update_board(struct worker *w)
{
	struct board_worker *b = w->o.board;

	board_set(&b->tick_ms, loop_now(w->o.loop));
	board_set(&b->requests, w->begun);
	board_set(&b->in_flight, w->in_flight);
	board_set(&b->queued, w->duties ? duties_waiting(w->duties) : 0);
	board_set(&b->coroutines, sched_count(w->sched));
	board_set(&b->lua_bytes, state_bytes(w->L));
}

static bool before_sleep(void *ctx)
{
	struct worker *w = ctx;
	bool more = false;

	if (!w->sched)
		return false;
	for (unsigned i = 0; i < DRAIN_ROUNDS; i++) {
		more = drain_links(w);
		run_ready(w);
		more |= sched_run(w->sched) || !list_empty(&w->ready);
		if (!more)
			break;
	}
	flush_links(w);
	if (w->fetch)
		fetch_look(w->fetch);
	if (w->mission)
		mission_look(w->mission);
	update_board(w);
	/* Links that got room while they were flushed have woken those who waited for it. */
	return !fall_asleep(w) || more || !list_empty(&w->ready) || sched_is_due(w->sched);
}

static void after_wake(void *ctx)
{
	struct worker *w = ctx;

	if (w->has_bell && atomic_load_explicit(&w->o.board->asleep, memory_order_relaxed))
		atomic_store_explicit(&w->o.board->asleep, 0, memory_order_relaxed);
}

static void on_bell(struct watch *watch, int events LS_UNUSED)
{
	after_wake(LS_CONTAINER_OF(watch, struct worker, bell));
}

static void on_room(void *ctx)
{
	struct worker *w = ctx;
	struct list now;

	list_init(&now);
	list_move_all(&now, &w->room_waiters);
	for (struct list *it; (it = list_shift(&now));)
		outflow_pump(LS_CONTAINER_OF(it, struct outflow, waiting));
}

/* ---- loading ---------------------------------------------------------------------------------------------------------------------- */

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
	struct watchdog_opts dog = { .on_notice = on_block, .ctx = w };

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

/* ---- leaving ----------------------------------------------------------------------------------------------------------------------- */

static bool is_quiet(struct worker *w)
{
	size_t cursor = 0;

	if (w->in_flight > 0 || w->requests.count > 0 || !list_empty(&w->ready))
		return false;
	if (w->fetch && !fetch_is_quiet(w->fetch))
		return false;
	if (orders_count(w->orders) > (w->last ? orders_lasting(w->orders) : 0) || messages_pending(w->messages) > 0 ||
	    (w->duties && duties_count(w->duties) > 0))
		return false;
	for (const struct map_entry *e; (e = map_next(&w->sessions, &cursor));)
		if (session_is_active(e->value))
			return false;
	for (unsigned i = 0; i < SLOTS_OWNERS; i++)
		if (w->links[i] && w->links[i]->full)
			return false;
	/* Reactors have nothing for a user process that it did not ask for, and say no BYE to who leaves by itself. */
	return w->mission || (w->fetch && fetch_has_lost_queue(w->fetch)) || w->n_byes >= w->n_links;
}

static void say_done(struct worker *w)
{
	struct frame f = { .type = FRAME_DONE };

	for (unsigned i = 0; i < SLOTS_OWNERS; i++)
		if (w->links[i])
			(void)link_send(w->links[i], &f, NULL, 0);
	flush_links(w);
}

static void check_drained(struct timer *t)
{
	struct worker *w = LS_CONTAINER_OF(t, struct worker, drain_timer);
	uint64_t now = loop_now(w->o.loop);
	bool quiet;

	if (w->last)
		messages_give_up(w->messages);
	quiet = is_quiet(w);

	/* Background coroutines get a while to end by themselves, then their next wait raises "cancelled". */
	if (quiet && sched_count(w->sched) > 0 && now >= w->cancel_at && !w->cancelled) {
		w->cancelled = true;
		sched_cancel_all(w->sched);
	}
	if ((quiet && sched_count(w->sched) == 0) || now >= w->drain_deadline) {
		if (!quiet)
			log_warn(
				"max_wait_time is over; %u requests, %zu connections, %zu tasks asked for, %zu tasks to be done and "
				"%zu messages on their way are given up",
				w->in_flight, w->sessions.count, orders_count(w->orders),
				w->duties ? duties_count(w->duties) : 0, messages_pending(w->messages));
		w->drained = true;
		protocol_return_all(w);
		say_done(w);
		w->o.on_drained(w->o.ctx);
		return;
	}
	timer_set(w->o.loop, t, quiet ? DRAIN_CHECK_MS : DRAIN_CHECK_MS / 5);
}

void worker_drain(struct worker *w, uint64_t wait_ms, bool last)
{
	uint64_t now = loop_now(w->o.loop);

	w->last |= last;
	w->drain_deadline = now + wait_ms;
	if (w->draining)
		return;
	w->draining = true;
	session_let_go(w);
	if (w->fetch)
		fetch_stop(w->fetch);
	w->cancel_at = w->mission ? now : now + LS_MIN(wait_ms / 2, (uint64_t)GRACE_MS);
	if (w->mission)
		mission_cancel(w->mission);
	board_set(&w->o.board->state, BOARD_DRAINING);
	if (sched_count(w->sched) > 0 || w->sessions.count > 0)
		run_hook(w, EVENT_worker_exit, on_hook_ended);
	timer_set(w->o.loop, &w->drain_timer, 0);
}

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

struct worker *worker_new(const struct worker_opts *opts)
{
	struct worker *w = xzalloc(sizeof *w);

	w->o = *opts;
	w->kind = crew_kind(opts->settings, opts->slot);
	list_init(&w->ready);
	list_init(&w->room_waiters);
	list_init(&w->questions);
	list_init(&w->colleagues);
	w->strangers = strangers_new(w);
	w->orders = orders_new(w);
	w->messages = messages_new(w);
	w->commands = commands_new(w);
	w->duties = w->kind == CREW_TASK ? duties_new(w) : NULL;
	w->fetch = fetch_new(w);
	w->intake = w->kind == CREW_PROCESS ? intake_new(w) : NULL;
	w->mission = w->kind == CREW_PROCESS ? mission_new(w) : NULL;
	board_set(&w->o.board->pid, (uint64_t)getpid());
	map_init(&w->sessions);
	map_init(&w->requests);
	timer_init(&w->drain_timer, check_drained);
	w->hook = (struct loop_hook){ .before_sleep = before_sleep, .after_wake = after_wake, .ctx = w };
	list_init(&w->hook.link);
	/* In front of the reactor's in base mode: what handlers answer is written in the same turn. */
	loop_add_hook_first(opts->loop, &w->hook);
	the_worker = w;
	return w;
}

int worker_set_bell(struct worker *w, int bell)
{
	int r = watch_open(&w->bell, w->o.loop, bell, on_bell);

	if (r < 0)
		return r;
	w->has_bell = true;
	watch_edges(&w->bell);
	return 0;
}

void worker_begin(struct worker *w)
{
	if (w->mission)
		mission_begin(w->mission);
}

void worker_attach(struct worker *w, unsigned reactor, struct link *link)
{
	link->on_frame = handler_on_frame;
	link->on_room = on_room;
	link->on_returned = outflow_returned;
	link->ctx = w;
	w->links[reactor] = link;
	link->ends = 1;
	w->n_links++;
}

void worker_attach_peer(struct worker *w, unsigned owner, struct link *link)
{
	link->on_room = on_room;
	link->ctx = w;
	w->peers[owner] = link;
}

int worker_foreign(struct worker *w, const struct frame *f, struct str payload)
{
	if (f->type != FRAME_ANSWER)
		return -EBADMSG;
	inquiry_on_answer(w, f, payload);
	return 0;
}

static void close_links(struct worker *w)
{
	for (unsigned i = 0; i < SLOTS_OWNERS; i++) {
		link_close(w->links[i]);
		w->links[i] = NULL;
	}
	w->n_links = 0;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->sched && w->app->started)
		run_hook(w, EVENT_worker_stop, on_hook_ended);
	board_set(&w->o.board->state, BOARD_STOPPED);
	timer_del(w->o.loop, &w->drain_timer);
	loop_del_hook(w->o.loop, &w->hook);
	/* What the cancelled handlers still answer leaves; only then nobody looks at their requests any more. */
	if (w->sched) {
		sched_free(w->sched);
		session_free_all(w);
		request_free_all(w);
		app_free(w->app);
	}
	orders_free(w->orders);
	strangers_free(w->strangers);
	messages_free(w->messages);
	commands_free(w->commands);
	duties_free(w->duties);
	mission_free(w->mission);
	intake_free(w->intake);
	for (struct list *it; (it = list_first(&w->colleagues));)
		colleague_free(LS_CONTAINER_OF(it, struct colleague, link));
	fetch_free(w->fetch); /* the loop turns, and nothing is left that would run */
	flush_links(w);
	close_links(w); /* before the strings go that they have borrowed */
	watchdog_stop(&w->watchdog);
	if (w->L)
		state_close(w->L);
	request_trim();
	if (w->has_bell) {
		watch_close(&w->bell, NULL);
		loop_turn(w->o.loop, false); /* the handle stands in our memory until its close callback */
	}
	map_fini(&w->sessions);
	map_fini(&w->requests);
	the_worker = NULL;
	free(w);
}
