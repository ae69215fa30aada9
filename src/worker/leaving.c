/* How a worker comes to its end: worker_drain(), until nothing is left to do or the time for it is over. */
#include "worker/leaving.h"

#include "base/log.h"
#include "worker/duties.h"
#include "worker/fetch.h"
#include "worker/loading.h"
#include "worker/messages.h"
#include "worker/mission.h"
#include "worker/orders.h"
#include "worker/protocol.h"
#include "worker/runtime.h"

enum { GRACE_MS = 3000, DRAIN_CHECK_MS = 50 };

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
	worker_flush_links(w);
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

void worker_tell_exit(struct worker *w)
{
	bool has_work = sched_count(w->sched) > 0 || w->sessions.count > 0 || w->requests.count > 0;

	if (!w->exit_told && has_work)
		loading_tell(w, EVENT_worker_exit);
	w->exit_told = true;
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
	worker_tell_exit(w);
	timer_set(w->o.loop, &w->drain_timer, 0);
}

void leaving_init(struct worker *w)
{
	timer_init(&w->drain_timer, check_drained);
}
