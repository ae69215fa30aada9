/* How the master ends: nothing that is under way is lost while max_wait_time lasts. */
#include "role/master.h"

#include "base/log.h"
#include "role/fanout.h"
#include "sys/notify.h"

enum {
	QUIET_TURN_MS = 10,
	QUIET_TURNS = 2,    /* nothing was under way so often in a row: what was between the processes has arrived */
	LAST_WORD_MS = 500, /* workers have at least so long when everything before took too long */
};

static uint64_t time_left(const struct master *m)
{
	uint64_t now = loop_now(&m->loop);

	return m->stop_at > now ? m->stop_at - now : 0;
}

static void stop_fleet(struct master *m, uint64_t wait_ms)
{
	timer_del(&m->loop, &m->quiet);
	timer_del(&m->loop, &m->deadline);
	m->state = MASTER_STOPS;
	m->fleet->ops->stop(m->fleet, wait_ms);
}

static void on_drained(void *ctx)
{
	struct master *m = ctx;

	if (m->state == MASTER_DRAINS)
		stop_fleet(m, LS_MAX(time_left(m), (uint64_t)LAST_WORD_MS));
}

static void on_deadline(struct timer *t)
{
	struct master *m = LS_CONTAINER_OF(t, struct master, deadline);

	log_warn("some connections were not done in time (max_wait_time); they are cut");
	stop_fleet(m, LAST_WORD_MS);
}

/* Reactors answer what they have with Connection: close; `now`: they also close what is idle. */
static void drain_reactors(struct master *m, bool now)
{
	struct keeper *k = &m->keeper;
	struct fanout *f = now ? fanout_new(&m->mailbox, k->o.reactors, on_drained, m) : NULL;

	for (unsigned i = 0; i < k->o.reactors; i++)
		reactor_drain(k->reactors[i], now, now ? fanout_answered : NULL, now ? fanout_part(f, i) : NULL);
}

static uint64_t requests_under_way(const struct master *m)
{
	uint64_t n = 0;

	LS_LIST_EACH (it, &m->keeper.gens) {
		const struct keeper_gen *g = LS_CONTAINER_OF(it, struct keeper_gen, link);

		if (g->attached)
			n += board_get(&chan_board(&g->board)->in_flight);
	}
	return n;
}

static void on_quiet(struct timer *t)
{
	struct master *m = LS_CONTAINER_OF(t, struct master, quiet);

	m->quiet_turns = requests_under_way(m) ? 0 : m->quiet_turns + 1;
	if (m->quiet_turns < QUIET_TURNS)
		timer_set(&m->loop, t, QUIET_TURN_MS);
	else
		drain_reactors(m, true);
}

void shutdown_init(struct master *m)
{
	timer_init(&m->quiet, on_quiet);
	timer_init(&m->deadline, on_deadline);
}

static void close_listeners(struct master *m)
{
	for (unsigned i = 0; i < SETTINGS_PORTS_MAX; i++) {
		listener_close(m->listeners[i]);
		m->listeners[i] = NULL;
	}
}

void shutdown_finish(struct master *m)
{
	timer_del(&m->loop, &m->quiet);
	timer_del(&m->loop, &m->deadline);
	close_listeners(m);
	m->state = MASTER_ENDS;
	loop_stop(&m->loop);
}

void shutdown_begin(struct master *m)
{
	switch (m->state) {
	case MASTER_EVALUATES:
		evaluate_cancel(m->evaluate);
		shutdown_finish(m);
		break;
	case MASTER_STARTS:
		stop_fleet(m, 0);
		break;
	case MASTER_SERVES:
		m->state = MASTER_DRAINS;
		m->stop_at = loop_now(&m->loop) + m->keeper.accepted->settings.max_wait_time;
		close_listeners(m);
		log_notice("the server stops");
		notify_say("STOPPING=1");
		if (m->keeper.o.reactors == 0) {
			stop_fleet(m, time_left(m));
			break;
		}
		drain_reactors(m, false);
		timer_set(&m->loop, &m->quiet, QUIET_TURN_MS);
		timer_set(&m->loop, &m->deadline, time_left(m));
		break;
	case MASTER_DRAINS:
	case MASTER_STOPS:
		log_notice("the server stops at once");
		stop_fleet(m, 0);
		break;
	case MASTER_ENDS:
		break;
	}
}
