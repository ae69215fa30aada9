/* Calls to a reactor from other threads: each becomes a message to its loop. */
#include "reactor/core.h"

#include "ipc/link_ring.h"

#include <stdlib.h>

struct call {
	struct post post;
	struct reactor *reactor;
	void (*fn)(struct call *call);
	int fd;
	unsigned slot;
	uint64_t generation;
	bool flag;
	const struct port *port;
	const struct settings *settings;
	struct chan *chan;
	struct sock_peer peer;
	void (*done)(void *ctx);
	void *ctx;
};

static void run_call(struct post *post)
{
	struct call *call = LS_CONTAINER_OF(post, struct call, post);

	call->fn(call);
	if (call->done)
		call->done(call->ctx);
	free(call);
}

/* BASE has one thread: the call is made at once. */
static void post_call(struct reactor *r, const struct call *call)
{
	struct call *copy = xalloc(sizeof *copy);

	*copy = *call;
	copy->reactor = r;
	copy->post.fn = run_call;
	if (r->threaded)
		mailbox_post(&r->mailbox, &copy->post);
	else
		run_call(&copy->post);
}

static void do_give(struct call *call)
{
	reactor_accept(call->reactor, call->fd, call->port, &call->peer);
}

void reactor_give(struct reactor *r, int fd, const struct port *port, const struct sock_peer *peer)
{
	post_call(r, &(struct call){ .fn = do_give, .fd = fd, .port = port, .peer = *peer });
}

static void do_listen(struct call *call)
{
	struct err err = { 0 };

	if (reactor_listen(call->reactor, call->fd, call->port, &err) < 0)
		log_error("nobody accepts on a port: %s", err.text);
}

void reactor_listen_soon(struct reactor *r, int fd, const struct port *port)
{
	post_call(r, &(struct call){ .fn = do_listen, .fd = fd, .port = port });
}

static uint64_t longest_frame(const struct settings *s)
{
	uint64_t longest = 1 << 20;

	for (unsigned i = 0; i < s->n_ports; i++)
		longest = LS_MAX(longest, LS_MAX(s->ports[i].package_max_length, settings_port_held_max(&s->ports[i])));
	return longest + 4096;
}

static void do_attach(struct call *call)
{
	struct reactor *r = call->reactor;
	struct board_worker *board = chan_board(call->chan);
	struct link *line = link_ring_new(&(struct link_ring_opts){
		.tx = chan_tx(call->chan, r->o.id),
		.rx = chan_rx(call->chan, r->o.id),
		.peer_bell = call->chan->bell,
		.peer_asleep = &board->asleep,
		.receives = FRAME_UP,
		.backlog_max = r->settings->link_backlog_size,
		.whole_max = longest_frame(r->settings),
	});

	uplink_attach(r, call->slot, call->generation, line, board);
}

void reactor_attach(struct reactor *r, unsigned slot, uint64_t generation, struct chan *chan, void (*done)(void *ctx),
                    void *ctx)
{
	post_call(r, &(struct call){ .fn = do_attach,
	                             .slot = slot,
	                             .generation = generation,
	                             .chan = chan,
	                             .done = done,
	                             .ctx = ctx });
}

void reactor_attach_link(struct reactor *r, unsigned slot, uint64_t generation, struct link *link)
{
	uplink_attach(r, slot, generation, link, NULL);
}

static void do_gone(struct call *call)
{
	uplink_gone(call->reactor, call->slot, call->generation);
}

void reactor_gone(struct reactor *r, unsigned slot, uint64_t generation, void (*done)(void *ctx), void *ctx)
{
	post_call(r, &(struct call){ .fn = do_gone, .slot = slot, .generation = generation, .done = done, .ctx = ctx });
}

static void do_slot_failed(struct call *call)
{
	uplink_set_failed(call->reactor, call->slot, call->flag);
}

void reactor_slot_failed(struct reactor *r, unsigned slot, bool failed)
{
	post_call(r, &(struct call){ .fn = do_slot_failed, .slot = slot, .flag = failed });
}

static void do_drain(struct call *call)
{
	reactor_begin_drain(call->reactor, call->flag, call->done, call->ctx);
	call->done = NULL; /* called when the last connection has ended */
}

void reactor_drain(struct reactor *r, bool now, void (*done)(void *ctx), void *ctx)
{
	post_call(r, &(struct call){ .fn = do_drain, .flag = now, .done = done, .ctx = ctx });
}

static void do_reconfigure(struct call *call)
{
	reactor_use_settings(call->reactor, call->settings);
}

void reactor_reconfigure(struct reactor *r, const struct settings *settings, void (*done)(void *ctx), void *ctx)
{
	post_call(r, &(struct call){ .fn = do_reconfigure, .settings = settings, .done = done, .ctx = ctx });
}

static void do_access_log(struct call *call)
{
	reactor_use_access_log(call->reactor, call->fd);
}

void reactor_access_log(struct reactor *r, int fd, void (*done)(void *ctx), void *ctx)
{
	post_call(r, &(struct call){ .fn = do_access_log, .fd = fd, .done = done, .ctx = ctx });
}

static void do_stop(struct call *call)
{
	struct reactor *r = call->reactor;

	mailbox_close(&r->mailbox);
	loop_stop(r->loop);
}

void calls_stop(struct reactor *r)
{
	post_call(r, &(struct call){ .fn = do_stop });
}
