/* A connection: its socket, its place in the protocol, its timers and its end.
 *
 *   OPEN ── close_when_sent and everything has left ──► LINGER (our side shut, reading and dropping) ──► CLOSED
 *     └──── error, reset, timeout ─────────────────────────────────────────────────────────────────────►
 *
 * on_end() of the owner runs once, when the connection leaves OPEN; from then on its id is void.  Memory is freed when the loop has
 * forgotten its descriptor (watch_close()).  Everything in the reactor's thread.
 */
#pragma once

#include "base/buf.h"
#include "loop/watch.h"
#include "proto/proto.h"

struct conn;

/* Whoever owns connections: the reactor. */
struct conn_owner {
	struct loop *loop;
	struct list dirty;     /* struct conn.dirty: output to be written before the loop sleeps */
	struct list lingering; /* struct conn.stalled: those in CONN_LINGER, which have no id any more */
	char *read_buf;        /* of read_cap bytes, lent to one read at a time */
	size_t read_cap;
	struct board_reactor *board;
	/* False: the worker side has no room (or there is no worker); reading stops until conn_resume(). */
	bool (*may_read)(struct conn *c);
	/* proxy_protocol: the header has been read and pc.peer is the client (code 0), or it is malformed, or has not come in time (negative
	 * errno): the connection must be ended. */
	void (*on_proxied)(struct conn *c, int code);
	/* Bytes have left: output budgets may be given back. */
	void (*on_sent)(struct conn *c);
	/* The connection has ended for its peer: `by` and pc.close_reason say how. The protocol has been closed. */
	void (*on_end)(struct conn *c, enum close_by by);
	/* The memory may go. */
	void (*on_free)(struct conn *c);
};

enum conn_state { CONN_OPEN, CONN_LINGER, CONN_CLOSED };

struct conn {
	struct proto_conn pc;
	struct watch watch;
	struct timer timer;
	struct conn_owner *owner;
	struct buf *in; /* what the protocol has not eaten; NULL: nothing */
	struct list dirty;
	struct list stalled; /* on the owner's list while may_read() says no, or on its `lingering` */
	void *worker;        /* the owner's: whom the worker side of a stateful connection is with */
	void *groups;        /* the owner's: struct member, those it is in */
	char *uid;           /* the owner's: what the app bound it to; NULL: nothing */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t taken; /* bytes the worker gave us for stream 0, for ACK */
	uint64_t acked;
	uint64_t last_input;     /* loop time */
	uint64_t deadline;       /* monotonic; 0: none.  The timer may stand earlier and is then set again. */
	uint64_t message_due_us; /* the owner's: when the next message is due, by message_rate */
	uint32_t connected_s;    /* wall clock */
	uint32_t opened;         /* the owner's: how often OPEN has been sent */
	uint16_t home;           /* the owner's: worker slot */
	uint8_t state;           /* enum conn_state */
	uint8_t timed_phase;     /* phase the deadline belongs to */
	bool peer_done;          /* end of file was read */
	bool eof_told;           /* and a stateful protocol knows it */
	bool proxied;            /* proxy_protocol: its header has not been read */
	bool unconfirmed;        /* enable_delay_receive: not read before conn_confirm() */
	bool app_paused;         /* the worker asked not to read */
	bool write_blocked;      /* the socket takes no more for now */
	bool feeding;            /* conn_feed() is on the stack */
	bool spared;             /* by heartbeat_idle_time */
	bool counted;            /* the owner's: by the limits of its address */
	bool recalled;           /* the owner's: `worker` was asked for what it holds of the input */
};

/* The peer sends no more, and its worker knows, or will when it has handled what came. */
static inline bool conn_has_heard_all(const struct conn *c)
{
	return c->eof_told || c->pc.goodbye;
}

/* Takes the socket; on failure it stays the caller's.  `c` is zeroed memory of the owner, which calls conn_start() once
 * the connection has its id. */
int conn_open(struct conn *c, struct conn_owner *owner, int fd, const struct settings *settings,
              const struct port *port, const struct sock_peer *peer, const struct sink *sink);
/* Begins to read. */
void conn_start(struct conn *c);
/* The app lets it be read (enable_delay_receive). */
void conn_confirm(struct conn *c);
/* Exempts it from heartbeat_idle_time, or no longer. */
void conn_spare(struct conn *c, bool spare);
/* Output was added or close_when_sent set: it will be written before the loop sleeps. */
void conn_touch(struct conn *c);
/* Writes what waits; called for each dirty connection. */
void conn_flush(struct conn *c);
/* What stopped reading may be over (room in the link, a stream ended, the app resumed): goes on with what is buffered. */
void conn_resume(struct conn *c);
/* Puts input that was eaten back in front of what is buffered.  -ENOMEM. */
int conn_unread(struct conn *c, struct str bytes);
/* Ends it now, without waiting for output. */
void conn_kill(struct conn *c, enum close_by by, enum close_reason reason);
/* Ends it when its output has left. */
void conn_finish(struct conn *c, enum close_reason reason);
/* Frees protocol state and buffers and closes the descriptor; for the owner's end. */
void conn_drop(struct conn *c);
