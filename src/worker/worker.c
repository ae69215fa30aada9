#include "worker/runtime.h"

#include "base/log.h"
#include "sys/bell.h"
#include "worker/commands.h"
#include "worker/duties.h"
#include "worker/fetch.h"
#include "worker/inquiry.h"
#include "worker/intake.h"
#include "worker/leaving.h"
#include "worker/loading.h"
#include "worker/messages.h"
#include "worker/mission.h"
#include "worker/orders.h"

#include <errno.h>
#include <stdlib.h>

/* So many frames are taken off a ring before the handlers they began are run. */
enum { DRAIN_ROUNDS = 16 };

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

void worker_flush_links(struct worker *w)
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
	worker_flush_links(w);
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
	leaving_init(w);
	w->hook = (struct loop_hook){ .before_sleep = before_sleep, .after_wake = after_wake, .ctx = w };
	list_init(&w->hook.link);
	/* In front of the reactor's in base mode: what handlers answer is written in the same turn. */
	loop_add_hook_first(opts->loop, &w->hook);
	the_worker = w;
	return w;
}

int worker_set_bell(struct worker *w, int bell)
{
	/* By edges, so that it need not be read. */
	int r = watch_open_for(&w->bell, w->o.loop, bell, WATCH_READ | WATCH_EDGES, on_bell);

	if (r < 0)
		return r;
	w->has_bell = true;
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
		loading_tell(w, EVENT_worker_stop);
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
	worker_flush_links(w);
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
