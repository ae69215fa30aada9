/* A reactor with real connections, and workers that are only the other end of its rings: for tests of the reactor. */
#pragma once

#include "base/clock.h"
#include "ipc/link_ring.h"
#include "proto/http_head.h"
#include "reactor/core.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STUB_RING = 65536, STUB_SLOTS = 2, STUB_SEEN = 8192, STUB_TEXT = 1 << 21 };
enum { STUB_HTTP, STUB_RAW, STUB_EOF, STUB_LUA, STUB_PORTS }; /* ports */

struct stub_seen {
	struct frame f;
	size_t text; /* where its payload stands in the worker's text */
};

/* A worker process. */
struct stub_worker {
	struct chan_fds fds;
	struct chan master, worker;
	struct link *line;
	unsigned slot;
	uint64_t generation;
	struct stub_seen seen[STUB_SEEN]; /* frames it took */
	unsigned n;
	char text[STUB_TEXT];
	size_t len;
	int (*on_frame)(struct stub_worker *w, const struct frame *f, struct str payload); /* NULL: noted only */
};

static struct loop stub_loop;
static struct settings stub_settings;
static struct board_reactor stub_board;
static struct reactor *stub_reactor;
static unsigned stub_bad; /* workers the reactor complained of */
static uint64_t stub_generation;

static inline int stub_note(void *ctx, const struct frame *f, struct str payload)
{
	struct stub_worker *w = ctx;

	assert(w->n < STUB_SEEN && w->len + payload.len < STUB_TEXT);
	w->seen[w->n++] = (struct stub_seen){ .f = *f, .text = w->len };
	if (payload.len)
		memcpy(w->text + w->len, payload.p, payload.len);
	w->len += payload.len;
	w->text[w->len] = '\0';
	return w->on_frame ? w->on_frame(w, f, payload) : 0;
}

static inline void stub_on_bad(void *ctx, unsigned slot, uint64_t generation, const char *why)
{
	(void)ctx;
	(void)slot;
	(void)generation;
	assert(why);
	stub_bad++;
}

static inline void stub_port(const char *protocol)
{
	struct err err = { 0 };
	struct port *p = settings_add_port(&stub_settings, "127.0.0.1", 0, PORT_TCP, &err);

	/* So that workers hear of raw connections at once. */
	if (strcmp(protocol, "http") != 0)
		p->events = 1ULL << EVENT_connect | 1ULL << EVENT_receive | 1ULL << EVENT_close;
	settings_set(&stub_settings, p, "protocol", str_from(protocol), LAYER_SCRIPT, &err);
	settings_set(&stub_settings, p, "package_eof", LS_STR("\n"), LAYER_SCRIPT, &err);
	assert(err.code == 0);
}

static inline void stub_begin(enum settings_dispatch mode)
{
	struct reactor_opts o = {
		.settings = &stub_settings,
		.board = &stub_board,
		.bell = -1,
		.access_log = -1,
		.workers = STUB_SLOTS,
		.slots = STUB_SLOTS,
		.on_bad_worker = stub_on_bad,
	};

	loop_init(&stub_loop);
	settings_init(&stub_settings);
	stub_port("http");
	stub_port("tcp");
	stub_port("eof");
	stub_port("my.protocol");
	stub_settings.dispatch_mode = (int)mode;
	stub_bad = 0;
	memset(&stub_board, 0, sizeof stub_board);
	stub_reactor = reactor_new(&stub_loop, &o, NULL);
	assert(stub_reactor);
}

static inline void stub_end(void)
{
	reactor_stop(stub_reactor);
	loop_fini(&stub_loop);
	settings_fini(&stub_settings);
	proto_trim();
	chain_trim();
	buf_trim();
}

static inline struct stub_worker *stub_start(unsigned slot)
{
	struct stub_worker *w = xzalloc(sizeof *w);
	struct err err;

	w->slot = slot;
	w->generation = ++stub_generation;
	chan_create(1, STUB_RING, &w->fds, &err);
	chan_open_master(&w->master, &w->fds, 1, STUB_RING, &err);
	chan_open_worker(&w->worker, &w->fds, 1, STUB_RING, &err);
	if (chan_map_up(&w->master, &w->fds, &err) < 0)
		abort();
	w->line = link_ring_new(&(struct link_ring_opts){
		.tx = chan_tx(&w->worker, 0),
		.rx = chan_rx(&w->worker, 0),
		.peer_bell = -1,
		.peer_asleep = &stub_board.asleep,
		.receives = FRAME_DOWN,
		.backlog_max = 64 << 20,
		.whole_max = 64 << 20,
		.drain_frames = 100000,
	});
	w->line->on_frame = stub_note;
	w->line->ctx = w;
	reactor_attach(stub_reactor, slot, w->generation, &w->master, NULL, NULL);
	return w;
}

/* It has ended: killed, or left by itself. */
static inline void stub_gone(struct stub_worker *w)
{
	reactor_gone(stub_reactor, w->slot, w->generation, NULL, NULL);
	link_close(w->line);
	chan_close(&w->master);
	chan_close(&w->worker);
	chan_fds_close(&w->fds);
	free(w);
}

static inline void stub_turns(unsigned n)
{
	while (n--)
		loop_turn(&stub_loop, false);
}

/* The worker takes what is there, and what it said becomes visible. */
static inline int stub_take(struct stub_worker *w)
{
	int r;

	while ((r = link_drain(w->line)) == 1)
		;
	link_flush(w->line);
	return r;
}

/* Reactor and worker go on until nothing moves. */
static inline void stub_settle(struct stub_worker *a, struct stub_worker *b)
{
	for (int i = 0; i < 20; i++) {
		stub_turns(2);
		if (a)
			stub_take(a);
		if (b)
			stub_take(b);
	}
}

static inline int stub_connect(unsigned port)
{
	static const struct sock_peer nobody;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	reactor_give(stub_reactor, fds[0], &stub_settings.ports[port], &nobody);
	return fds[1];
}

static inline void stub_say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* What the client can read now, "EOF" behind it if that was the end. */
static inline const char *stub_heard(int fd)
{
	static char text[1 << 22];
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, text + len, sizeof text - 8 - len, 0);

		if (n <= 0) {
			strcpy(text + len, n == 0 || errno == ECONNRESET ? "EOF" : "");
			return text;
		}
		len += (size_t)n;
	}
}

static inline unsigned stub_count(const struct stub_worker *w, enum frame_type type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n; i++)
		n += w->seen[i].f.type == type;
	return n;
}

/* The last frame of that type; NULL: none. */
static inline const struct frame *stub_last(const struct stub_worker *w, enum frame_type type)
{
	for (unsigned i = w->n; i-- > 0;)
		if (w->seen[i].f.type == type)
			return &w->seen[i].f;
	return NULL;
}

/* "OPEN DATA CLOSED" */
static inline const char *stub_types(const struct stub_worker *w)
{
	static char text[STUB_SEEN * 16];
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < w->n; i++)
		len += (size_t)sprintf(text + len, "%s%s", i ? " " : "", frame_name(w->seen[i].f.type));
	return text;
}

static inline int stub_up(struct stub_worker *w, enum frame_type type, const struct frame *about, struct str payload)
{
	struct frame f = { .type = (uint16_t)type, .conn = about->conn, .stream = about->stream };

	return link_send(w->line, &f, &payload, 1);
}

/* An answer to a REQUEST; without `end` the body goes on. */
static inline int stub_respond(struct stub_worker *w, const struct frame *request, struct str body, bool end)
{
	struct http_head head = { .size = sizeof head, .status = 200 };
	struct str parts[2] = { str_make(&head, sizeof head), body };
	struct frame f = {
		.type = FRAME_RESPONSE,
		.flags = end ? FRAME_END : 0,
		.conn = request->conn,
		.stream = request->stream,
		.arg = sizeof head,
		.value = UINT64_MAX,
	};

	return link_send(w->line, &f, parts, 2);
}
