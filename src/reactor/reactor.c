#include "reactor/core.h"

#include "sys/bell.h"
#include "sys/fd.h"
#include "sys/sig.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { READ_CAP = 64 * 1024, CONNS_KEPT = 1024 };

static_assert((int)BOARD_PORTS >= (int)SETTINGS_PORTS_MAX, "each port has its count");

/* ---- connections ---------------------------------------------------------------------------------------------------------- */

struct conn *reactor_conn(struct reactor *r, conn_id id)
{
	return slots_get(&r->conns, id);
}

bool reactor_has_session(const struct conn *c)
{
	if (c->pc.proto->stateful || c->pc.port->protocol == PROTOCOL_WEBSOCKET)
		return c->pc.proto->stateful; /* before its handshake a WebSocket is no connection to the app */
	return c->pc.port->events & (1ULL << EVENT_connect | 1ULL << EVENT_close);
}

uint64_t reactor_connections(const struct reactor *r)
{
	return r->conns.count;
}

static void check_drained(struct reactor *r)
{
	if (!r->draining || r->conns.count > 0 || !r->drained)
		return;

	void (*done)(void *ctx) = r->drained;

	r->drained = NULL;
	uplink_say_goodbye(r);
	done(r->drained_ctx);
}

static void on_conn_end(struct conn *c, enum close_by by)
{
	struct reactor *r = reactor_of(c);

	uplink_end(c, by);
	groups_leave_all(c);
	dispatch_leave(r, c);
	if (c->counted)
		limits_leave(r, c->pc.port, &c->pc.peer);
	slots_del(&r->conns, c->pc.id);
	board_add(&r->o.board->connections[c->pc.port->index], UINT64_MAX); /* one less */
	board_add(&r->o.board->closed, 1);
	check_drained(r);
}

static void on_conn_free(struct conn *c)
{
	struct reactor *r = reactor_of(c);

	free(c->uid);
	pool_put(&r->conn_pool, c);
}

static void drain_conn(struct reactor *r, struct conn *c)
{
	c->pc.draining = true;
	/* An idle HTTP connection that is closed may have a request on its way: that is acceptable only when the server ends. */
	if (r->drain_now && (c->pc.proto->stateful || (c->pc.phase == PHASE_IDLE && list_empty(&c->pc.streams))))
		conn_finish(c, CLOSE_SHUTDOWN);
}

static bool begin_conn(struct reactor *r, struct conn *c, int fd, const struct port *port, const struct sock_peer *peer)
{
	if (conn_open(c, &r->owner, fd, r->settings, port, peer, &uplink_sink) < 0) {
		pool_put(&r->conn_pool, c);
		fd_close(&fd);
		return false;
	}
	c->pc.id = slots_add(&r->conns, c);
	if (c->pc.id == 0)
		conn_drop(c);
	return c->pc.id != 0;
}

void reactor_accept(struct reactor *r, int fd, const struct port *port, const struct sock_peer *peer)
{
	struct conn *c;
	bool counted;

	port = &r->settings->ports[port->index];
	if (!proxied_may_connect(r, port, peer) || !limits_admit(r, port, peer, &counted)) {
		board_add(&r->o.board->refused, 1);
		listener_refuse(port, fd);
		return;
	}
	c = pool_get(&r->conn_pool);
	memset(c, 0, sizeof *c);
	if (!begin_conn(r, c, fd, port, peer)) {
		board_add(&r->o.board->refused, 1);
		if (counted)
			limits_leave(r, port, peer);
		return;
	}
	c->counted = counted;
	board_add(&r->o.board->accepted, 1);
	board_add(&r->o.board->connections[port->index], 1);
	dispatch_settle(r, c);
	uplink_open(c);
	if (r->draining)
		drain_conn(r, c);
	conn_start(c);
}

void reactor_begin_drain(struct reactor *r, bool now, void (*drained)(void *ctx), void *ctx)
{
	uint32_t cursor = 0;

	r->draining = true;
	r->drain_now |= now;
	r->drained = drained;
	r->drained_ctx = ctx;
	reactor_unlisten(r);
	for (struct conn *c; (c = slots_next(&r->conns, &cursor));)
		drain_conn(r, c);
	check_drained(r);
}

void reactor_use_settings(struct reactor *r, const struct settings *settings)
{
	uint32_t cursor = 0;

	/* Present connections keep their limits until they look at them next; the old settings may then be freed. */
	for (struct conn *c; (c = slots_next(&r->conns, &cursor));) {
		c->pc.port = &settings->ports[c->pc.port->index];
		c->pc.settings = settings;
	}
	r->settings = settings;
	static_forget(r);
}

void reactor_use_access_log(struct reactor *r, int fd)
{
	if (r->access)
		access_log_reopen(r->access, fd);
	else if (fd >= 0)
		r->access = access_log_new(r->loop, fd, r->settings);
}

/* ---- the turn ------------------------------------------------------------------------------------------------------------- */

static void flush_dirty(struct reactor *r)
{
	struct list now;

	/* What writing makes dirty again (the next pipelined request was refused, say) waits for the next turn. */
	list_init(&now);
	list_move_all(&now, &r->owner.dirty);
	for (struct list *it; (it = list_first(&now));)
		conn_flush(LS_CONTAINER_OF(it, struct conn, dirty));
}

/* The sleep protocol (docs/internals/ipc.md): say that we sleep, then look once more. */
static bool fall_asleep(struct reactor *r)
{
	_Atomic uint32_t *asleep = &r->o.board->asleep;

	atomic_store_explicit(asleep, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst); /* pairs with ring_publish() in the workers */
	if (uplink_may_sleep(r))
		return true;
	atomic_store_explicit(asleep, 0, memory_order_relaxed);
	return false;
}

static bool before_sleep(void *ctx)
{
	struct reactor *r = ctx;
	bool more = uplink_turn(r);

	uplink_fail_doomed(r);
	static_answer_all(r);
	flush_dirty(r);
	packets_flush(r);
	uplink_flush(r);
	board_add(&r->o.board->turns, 1);
	return !fall_asleep(r) || more || !list_empty(&r->owner.dirty) || !list_empty(&r->doomed) ||
	       !list_empty(&r->planned);
}

static void after_wake(void *ctx)
{
	struct reactor *r = ctx;

	if (atomic_load_explicit(&r->o.board->asleep, memory_order_relaxed))
		atomic_store_explicit(&r->o.board->asleep, 0, memory_order_relaxed);
}

static void on_bell(struct watch *w, int events LS_UNUSED)
{
	after_wake(LS_CONTAINER_OF(w, struct reactor, bell));
}

/* ---- listeners ---------------------------------------------------------------------------------------------------------- */

static void on_accept(void *ctx, int fd, const struct port *port, const struct sock_peer *peer)
{
	reactor_accept(ctx, fd, port, peer);
}

static bool may_accept(void *ctx)
{
	const struct reactor *r = ctx;
	uint64_t share = LS_MAX(r->o.share, 1U);

	return r->conns.count < (r->settings->max_connection + share - 1) / share;
}

static void on_refused(void *ctx)
{
	struct reactor *r = ctx;

	board_add(&r->o.board->refused, 1);
}

int reactor_listen(struct reactor *r, int fd, const struct port *port, struct err *err)
{
	struct listener_opts o = {
		.loop = r->loop,
		.fd = fd,
		.port = port,
		.on_accept = on_accept,
		.may_accept = may_accept,
		.on_refused = on_refused,
		.ctx = r,
	};

	if (settings_port_is_dgram(port))
		return packets_listen(r, fd, port, err);
	if (r->n_listeners == LS_COUNT(r->listeners)) {
		fd_close(&fd);
		return err_set(err, -EMFILE, "more than %zu listeners", LS_COUNT(r->listeners));
	}

	struct listener *l = listener_open(&o, err);

	if (!l)
		return err ? err->code : -ENOMEM;
	r->listeners[r->n_listeners++] = l;
	return 0;
}

void reactor_unlisten(struct reactor *r)
{
	while (r->n_listeners > 0)
		listener_close(r->listeners[--r->n_listeners]);
	packets_stop(r);
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------- */

static int init(struct reactor *r, struct loop *loop, const struct reactor_opts *opts)
{
	r->o = *opts;
	r->settings = opts->settings;
	r->loop = loop;
	r->conn_pool = (struct pool){ .size = sizeof(struct conn), .keep = CONNS_KEPT };
	slots_init(&r->conns, (uint8_t)opts->id, opts->first_generation);
	uplink_init(r);
	groups_init(r);
	r->owner = (struct conn_owner){
		.loop = loop,
		.read_buf = xalloc(READ_CAP),
		.read_cap = READ_CAP,
		.board = opts->board,
		.may_read = uplink_may_read,
		.on_proxied = proxied_on_header,
		.on_sent = uplink_ack,
		.on_end = on_conn_end,
		.on_free = on_conn_free,
	};
	list_init(&r->owner.dirty);
	list_init(&r->owner.lingering);
	list_init(&r->cooling);
	r->hook = (struct loop_hook){ .before_sleep = before_sleep, .after_wake = after_wake, .ctx = r };
	list_init(&r->hook.link);
	loop_add_hook(loop, &r->hook);
	if (opts->access_log >= 0)
		r->access = access_log_new(loop, opts->access_log, opts->settings);
	if (opts->bell < 0)
		return 0;
	/* By edges, so that it need not be read. */
	return watch_open_for(&r->bell, loop, opts->bell, WATCH_READ | WATCH_EDGES, on_bell);
}

static void fini(struct reactor *r)
{
	uint32_t cursor = 0;

	reactor_unlisten(r);
	for (struct conn *c; (c = slots_next(&r->conns, &cursor));)
		conn_kill(c, CLOSE_BY_SERVER, CLOSE_SHUTDOWN);
	for (struct list *it; (it = list_first(&r->owner.lingering));)
		conn_drop(LS_CONTAINER_OF(it, struct conn, stalled));
	packets_close(r);
	static_forget(r);
	limits_fini(r);
	groups_fini(r);
	uplink_flush(r);
	loop_del_hook(r->loop, &r->hook);
	access_log_free(r->access);
	if (r->o.bell >= 0)
		watch_release(&r->bell, NULL);
	uplink_fini(r);
}

static void free_all(struct reactor *r)
{
	slots_fini(&r->conns);
	pool_trim(&r->conn_pool);
	free(r->owner.read_buf);
	free(r);
}

struct reactor *reactor_new(struct loop *loop, const struct reactor_opts *opts, struct err *err)
{
	struct reactor *r = xzalloc(sizeof *r);
	int got = init(r, loop, opts);

	if (got < 0) {
		err_set(err, got, "reactor %u cannot start: %s", opts->id, strerror(-got));
		fini(r);
		free_all(r);
		return NULL;
	}
	return r;
}

static void *run_thread(void *arg)
{
	struct reactor *r = arg;

	sig_block_all();
	log_identity("reactor", (int)r->o.id);
	loop_run(r->loop);
	fini(r);
	loop_fini(&r->own_loop);
	chain_trim();
	buf_trim();
	stream_trim();
	proto_trim();
	static_trim();
	return NULL;
}

struct reactor *reactor_start(const struct reactor_opts *opts, struct err *err)
{
	struct reactor *r = xzalloc(sizeof *r);
	int got = loop_init(&r->own_loop);

	if (got == 0)
		got = mailbox_open(&r->mailbox, &r->own_loop);
	if (got == 0)
		got = init(r, &r->own_loop, opts);
	r->threaded = true;
	if (got == 0)
		got = -pthread_create(&r->thread, NULL, run_thread, r);
	if (got < 0) {
		err_set(err, got, "reactor thread %u cannot start: %s", opts->id, strerror(-got));
		return NULL; /* the master gives up: what was made ends with it */
	}
	return r;
}

void reactor_stop(struct reactor *r)
{
	if (!r)
		return;
	if (r->threaded) {
		calls_stop(r);
		pthread_join(r->thread, NULL);
	} else {
		fini(r);
		loop_turn(r->loop, false); /* connections are freed by their close callbacks, which still need us */
	}
	free_all(r);
}
