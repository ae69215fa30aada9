#include "role/engine.h"

#include "api/modules.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/crew.h"
#include "ipc/link_local.h"
#include "ipc/link_ring.h"
#include "lua/image.h"
#include "reactor/reactor.h"
#include "sys/fd.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	QUEUE_MAX = 1 << 20,    /* bytes of a local link after which it counts as full */
	QUIET_TURN_MS = 10,     /* how often a stopping engine looks whether anything is under way */
	QUIET_TURNS = 2,        /* nothing was under way so often in a row: what was on its way has arrived */
	WHOLE_EXTRA = 65536,    /* of a joined frame beyond its message: heads, addresses */
	GENERATION_STEP = 40503 /* odd: successive processes of a slot begin their connection ids far apart */
};

struct engine {
	struct engine_opts o;
	struct chan chan;
	struct shm shared;
	struct board_worker *board;
	struct image image;
	struct worker *worker;
	struct reactor *reactor;
	int *listeners;
	int access_log;
	struct timer quiet;
	struct timer deadline;
	unsigned quiet_turns;
	uint64_t stop_at; /* loop time by which everything must have ended */
	bool stopping;
	bool last;    /* the whole server stops */
	bool closing; /* the reactor was told to close what is idle */
	bool drained; /* the reactor has no connection any more */
	bool worker_drains;
	bool stopped;
};

static const struct settings *settings_of(const struct engine *e)
{
	return &e->o.release->settings;
}

/* Base mode: whether it has a reactor of its own. */
static bool accepts(const struct engine *e)
{
	return crew_kind(settings_of(e), e->o.slot) == CREW_WORKER;
}

/* ---- loading --------------------------------------------------------------------------------- */

static uint64_t longest_message(const struct settings *s)
{
	uint64_t longest = LS_MAX(s->message_max_size, (uint64_t)WHOLE_EXTRA);

	for (unsigned i = 0; i < s->n_ports; i++) {
		longest = LS_MAX(longest, s->ports[i].package_max_length);
		longest = LS_MAX(longest, s->ports[i].http_max_header_size);
	}
	return longest + WHOLE_EXTRA;
}

static int link_rings(struct engine *e, struct err *err)
{
	int r;

	for (unsigned i = 0; i < e->o.reactors; i++) {
		struct link_ring_opts opts = {
			.tx = chan_tx(&e->chan, i),
			.rx = chan_rx(&e->chan, i),
			.peer_bell = e->o.bells[i],
			.peer_asleep = &chan_shared_board(&e->shared, i)->asleep,
			.receives = FRAME_DOWN,
			.backlog_max = settings_of(e)->link_backlog_size,
			.whole_max = longest_message(settings_of(e)),
		};

		worker_attach(e->worker, i, link_ring_new(&opts));
	}
	r = worker_set_bell(e->worker, e->o.chan.bell);
	return r < 0 ? err_set(err, r, "the worker's bell cannot be watched: %s", strerror(-r)) : 0;
}

static int link_local(struct engine *e, struct err *err)
{
	struct link_local_opts local = { .queue_max = QUEUE_MAX, .hard_max = settings_of(e)->link_backlog_size };
	struct reactor_opts opts = {
		.settings = settings_of(e),
		.id = e->o.slot % SLOTS_OWNERS,
		.first_generation = (uint32_t)(e->o.generation * GENERATION_STEP),
		.board = &e->board->reactor,
		.bell = -1,
		.access_log = e->access_log,
		.workers = 1,
		.slots = 1,
		/* None of the workers sees the others' connections. */
		.share = (unsigned)settings_of(e)->worker_num,
	};
	struct link *reactor_end, *worker_end;

	e->reactor = reactor_new(e->o.loop, &opts, err);
	if (!e->reactor)
		return err->code;
	link_local_new(&local, &reactor_end, &worker_end);
	worker_attach(e->worker, opts.id, worker_end);
	reactor_attach_link(e->reactor, 0, e->o.generation, reactor_end);
	return 0;
}

static void on_loaded(void *ctx, const struct err *err)
{
	struct engine *e = ctx;
	struct err why = *err;

	if (why.code == 0 && e->o.reactors)
		link_rings(e, &why);
	else if (why.code == 0 && accepts(e))
		link_local(e, &why);
	e->o.on_loaded(e->o.ctx, &why);
}

void engine_load(struct engine *e)
{
	worker_load(e->worker, modules, e->o.selftest, on_loaded, e);
}

int engine_start(struct engine *e, struct err *err)
{
	int r = 0;

	for (unsigned i = 0; e->reactor && i < e->o.n_listeners && r == 0; i++) {
		int fd = e->listeners[i];

		e->listeners[i] = -1;
		r = reactor_listen(e->reactor, fd, &settings_of(e)->ports[i], err);
	}
	if (r == 0)
		worker_begin(e->worker);
	return r;
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void on_drained(void *ctx)
{
	struct engine *e = ctx;

	if (e->stopped)
		return;
	e->stopped = true;
	timer_del(e->o.loop, &e->quiet);
	timer_del(e->o.loop, &e->deadline);
	e->o.on_stopped(e->o.ctx);
}

static uint64_t time_left(const struct engine *e)
{
	uint64_t now = loop_now(e->o.loop);

	return e->stop_at > now ? e->stop_at - now : 0;
}

static void drain_worker(struct engine *e)
{
	if (e->worker_drains)
		return;
	e->worker_drains = true;
	worker_drain(e->worker, time_left(e), e->last);
}

static void on_reactor_drained(void *ctx)
{
	struct engine *e = ctx;

	e->drained = true;
	if (e->stopping)
		drain_worker(e);
}

/* The worker finishes what it has before idle connections are closed: a handler of a raw connection may
 * still answer. */
static void on_quiet(struct timer *t)
{
	struct engine *e = LS_CONTAINER_OF(t, struct engine, quiet);
	bool busy = board_get(&e->board->in_flight) > 0;

	e->quiet_turns = busy ? 0 : e->quiet_turns + 1;
	if (e->quiet_turns < QUIET_TURNS) {
		timer_set(e->o.loop, &e->quiet, QUIET_TURN_MS);
		return;
	}
	e->closing = true;
	reactor_drain(e->reactor, true, on_reactor_drained, e);
}

static void on_deadline(struct timer *t)
{
	drain_worker(LS_CONTAINER_OF(t, struct engine, deadline));
}

static void begin_stop(struct engine *e)
{
	e->stopping = true;
	/* Its connections end before it is drained, and some end only if the app has heard of it. */
	if (e->reactor)
		worker_tell_exit(e->worker);
	if (e->reactor)
		reactor_drain(e->reactor, false, on_reactor_drained, e);
	else
		drain_worker(e);
}

void engine_stop(struct engine *e, uint64_t wait_ms, bool now)
{
	uint64_t at = loop_now(e->o.loop) + wait_ms;
	bool sooner = !e->stopping || at < e->stop_at;

	if (sooner)
		e->stop_at = at;
	e->last |= now;
	if (!e->stopping)
		begin_stop(e);
	if (e->stopped)
		return;
	if (e->worker_drains && (sooner || now))
		worker_drain(e->worker, time_left(e), e->last);
	if (e->stopped || !e->reactor || e->drained)
		return;
	timer_set(e->o.loop, &e->deadline, time_left(e));
	if (now && !e->closing && !timer_is_set(&e->quiet))
		timer_set(e->o.loop, &e->quiet, 0);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_retire(void *ctx)
{
	struct engine *e = ctx;

	e->o.on_retire(e->o.ctx);
}

static void on_finished(void *ctx, int code)
{
	struct engine *e = ctx;

	e->o.on_finished(e->o.ctx, code);
}

static int open_memory(struct engine *e, struct err *err)
{
	uint32_t ring_size = (uint32_t)settings_of(e)->ring_size;
	int r;

	r = chan_open_worker(&e->chan, &e->o.chan, e->o.reactors, ring_size, err);
	if (r < 0)
		return r;
	e->board = chan_board(&e->chan);
	if (e->o.reactors == 0)
		return 0;
	r = chan_shared_map(e->o.shared_fd, false, &e->shared);
	return r < 0 ? err_set(err, r, "the reactors' boards cannot be mapped: %s", strerror(-r)) : 0;
}

struct engine *engine_new(const struct engine_opts *o, struct err *err)
{
	struct engine *e = xzalloc(sizeof *e);
	struct worker_opts opts = {
		.loop = o->loop,
		.settings = &o->release->settings,
		.image = &e->image,
		.slot = o->slot,
		.generation = o->generation,
		.shared = o->shared,
		.queue = o->queue,
		.server = o->server,
		.master_pid = o->master_pid,
		.manager_pid = o->manager_pid,
		.on_retire = on_retire,
		.on_finished = on_finished,
		.on_drained = on_drained,
		.ctx = e,
	};

	e->o = *o;
	e->access_log = o->access_log;
	e->listeners = xalloc((o->n_listeners + 1) * sizeof *e->listeners);
	memcpy(e->listeners, o->listeners, o->n_listeners * sizeof *e->listeners);
	timer_init(&e->quiet, on_quiet);
	timer_init(&e->deadline, on_deadline);
	if (open_memory(e, err) < 0 || image_open(&e->image, o->release->image_fd, err) < 0) {
		engine_free(e);
		return NULL;
	}
	opts.board = e->board;
	opts.reactors = &e->shared;
	opts.n_reactors = e->o.reactors;
	e->worker = worker_new(&opts);
	return e;
}

static void on_access_log_changed(void *ctx)
{
	int *old = ctx;

	fd_close(old);
	free(old);
}

void engine_access_log(struct engine *e, int fd)
{
	int *old;

	if (!e->reactor) {
		fd_close(&fd);
		return;
	}
	old = xalloc(sizeof *old);
	*old = e->access_log;
	e->access_log = fd;
	reactor_access_log(e->reactor, fd, on_access_log_changed, old);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	timer_del(e->o.loop, &e->quiet);
	timer_del(e->o.loop, &e->deadline);
	if (e->worker)
		worker_free(e->worker);
	if (e->reactor)
		reactor_stop(e->reactor);
	image_close(&e->image);
	if (e->chan.up.p)
		chan_close(&e->chan);
	if (e->shared.p)
		shm_unmap(&e->shared);
	for (unsigned i = 0; i < e->o.n_listeners; i++)
		fd_close(&e->listeners[i]);
	fd_close(&e->access_log);
	free(e->listeners);
	free(e);
}

void engine_attach_peer(struct engine *e, unsigned slot, struct link *lane)
{
	worker_attach_peer(e->worker, slot, lane);
}

int engine_on_up(struct engine *e, struct link *back, const struct frame *f, struct str payload)
{
	return e->reactor ? reactor_foreign(e->reactor, back, f, payload) : 0;
}

int engine_on_down(struct engine *e, const struct frame *f, struct str payload)
{
	return worker_foreign(e->worker, f, payload);
}

size_t engine_whole_max(const struct settings *s)
{
	return (size_t)longest_message(s);
}

uint64_t engine_connections(const struct engine *e)
{
	return e->reactor ? reactor_connections(e->reactor) : 0;
}

const struct board_worker *engine_board(const struct engine *e)
{
	return e->board;
}

void engine_meet(struct engine *e, unsigned slot, uint64_t generation, struct link *line, int board_fd)
{
	worker_meet(e->worker, slot, generation, line, board_fd);
}

void engine_part(struct engine *e, unsigned slot, uint64_t generation, pid_t pid, int status)
{
	worker_part(e->worker, slot, generation, pid, status);
}

int engine_on_side(struct engine *e, unsigned slot, uint64_t generation, const struct frame *f, struct str payload)
{
	return worker_on_side(e->worker, slot, generation, f, payload);
}

void engine_slot_failed(struct engine *e, unsigned slot, bool failed)
{
	worker_slot_failed(e->worker, slot, failed);
}
