/* A reactor: one loop's connections, framing, and links to workers.
 *
 * PROCESS mode: a thread of the master.  BASE mode: part of the worker, in the worker's thread and loop, with one local
 * link.  Functions marked (any thread) post to the reactor's loop; the others run in its thread.
 */
#pragma once

#include "conf/settings.h"
#include "ipc/chan.h"
#include "ipc/link.h"
#include "loop/loop.h"

struct reactor;

struct reactor_opts {
	const struct settings *settings;
	unsigned id;               /* owner part of connection ids */
	uint32_t first_generation; /* of connection ids */
	struct board_reactor *board;
	int bell;         /* PROCESS: eventfd of this reactor; -1 in BASE */
	int access_log;   /* descriptor or -1 */
	unsigned workers; /* slots that get connections and requests: the first ones */
	unsigned slots;   /* processes that may send here */
	unsigned share;   /* its own listeners take 1/share of max_connection; 0: all */
	/* A worker process broke the rules of the link; it must be killed. Runs in the reactor's thread; NULL in BASE. */
	void (*on_bad_worker)(void *ctx, unsigned slot, uint64_t generation, const char *why);
	void *ctx;
};

/* BASE: in the caller's loop. */
struct reactor *reactor_new(struct loop *loop, const struct reactor_opts *opts, struct err *err);
/* PROCESS: starts a thread with a loop of its own. */
struct reactor *reactor_start(const struct reactor_opts *opts, struct err *err);

/* Listens (BASE: its own listener; the descriptor is taken).  In its thread. */
int reactor_listen(struct reactor *r, int fd, const struct port *port, struct err *err);
/* The same from another thread, as soon as its loop comes to it; what fails is logged. (any thread) */
void reactor_listen_soon(struct reactor *r, int fd, const struct port *port);
/* BASE: a frame of another process's worker; `back` leads there (NULL: nowhere).  -EBADMSG: it is malformed. */
int reactor_foreign(struct reactor *r, struct link *back, const struct frame *f, struct str payload);
/* No further connections are accepted; the descriptors are closed here but live on in the keeper. */
void reactor_unlisten(struct reactor *r);

/* Takes an accepted connection. (any thread) */
void reactor_give(struct reactor *r, int fd, const struct port *port, const struct sock_peer *peer);

/* Worker process `generation` of `slot` is ready: from now on it gets what the slot gets.  The process before it gets
 * nothing new, and BYE once it owes nothing to this reactor.  `done(ctx)` runs in the reactor's thread when it is
 * attached. `chan` is borrowed and stays mapped until reactor_gone() has answered. (any thread) */
void reactor_attach(struct reactor *r, unsigned slot, uint64_t generation, struct chan *chan, void (*done)(void *ctx),
                    void *ctx);
/* BASE: the same over a local link. In its thread. */
void reactor_attach_link(struct reactor *r, unsigned slot, uint64_t generation, struct link *link);
/* That worker process has ended (died or left): drains what it published, fails or moves what it had not answered,
 * lets go of the channel, then done(ctx) in the reactor's thread. (any thread) */
void reactor_gone(struct reactor *r, unsigned slot, uint64_t generation, void (*done)(void *ctx), void *ctx);
/* The slot has no worker and will not get one soon (failed == true): answer 503 at once instead of waiting. (any thread) */
void reactor_slot_failed(struct reactor *r, unsigned slot, bool failed);

/* Finish what is under way, take nothing new: listeners closed, HTTP answered with Connection: close, idle keep-alive
 * connections closed after their next answer or at once when `now`. done(ctx) in the reactor's thread when no connection
 * is left. (any thread) */
void reactor_drain(struct reactor *r, bool now, void (*done)(void *ctx), void *ctx);

/* Settings of LISTEN class for new connections; borrowed until replaced and then acknowledged by done(ctx). (any thread) */
void reactor_reconfigure(struct reactor *r, const struct settings *settings, void (*done)(void *ctx), void *ctx);
/* Access log: the new descriptor; the old one is closed by the caller in done. (any thread) */
void reactor_access_log(struct reactor *r, int fd, void (*done)(void *ctx), void *ctx);

/* Closes everything and, for PROCESS, ends and joins the thread. (the master's main thread, or BASE: its thread) */
void reactor_stop(struct reactor *r);

uint64_t reactor_connections(const struct reactor *r);
