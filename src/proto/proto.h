/* A protocol: bytes in, frames out; frames in, bytes out.  Pure: it knows no socket, loop or process, so that
 * it can be tested and fuzzed alone.
 *
 * Lifetime: open() when the connection starts; state is made lazily and given back by idle() so that an idle
 * connection owns none.  Everything runs in the connection's thread.
 */
#pragma once

#include "base/buf.h"
#include "base/chain.h"
#include "conf/settings.h"
#include "ipc/frame.h"
#include "proto/stream.h"
#include "sys/sock.h"

struct sink;
struct proto_conn;
struct publication;

/* What the peer is expected to do next; the connection's timers follow it. */
enum proto_phase {
	PHASE_IDLE, /* nothing begun: keep-alive (HTTP) or idle (raw) timeout */
	PHASE_HEAD, /* a message has begun: header timeout */
	PHASE_BODY, /* a body arrives: body timeout between reads */
	PHASE_WAIT, /* the peer waits for us: no timeout but the writer's */
};

/* Where a protocol sends its frames.  `stream` is NULL for frames of the connection itself. 0: taken.
 * -EAGAIN: not taken, the worker cannot have more now: the protocol stops eating, and its input() is called
 * again when there is room.  Other negatives: the connection must end.  Neither call may come back into the
 * protocol. */
struct sink {
	/* Every REQUEST without END is followed by BODY … END or by ABORT; ABORT may also follow the END.  An
	 * ABORT is always taken: its return value is not looked at. */
	int (*emit)(struct proto_conn *pc, struct frame *f, const struct str *parts, int n, struct stream *stream);
	/* The stream ends; it is freed on return.  Called once for each stream whose REQUEST was taken, and
	 * for those that no worker had (number 0: the protocol itself refused something).  Not NULL for
	 * protocols with streams. */
	void (*stream_done)(struct proto_conn *pc, struct stream *stream);
};

/* The owner zeroes it, fills what it knows and calls list_init() on `streams`. */
struct proto_conn {
	const struct proto *proto;
	const struct settings *settings;
	const struct port *port;
	const struct sink *sink;
	conn_id id;
	void *state;          /* the protocol's, NULL when idle */
	struct chain out;     /* bytes to the peer */
	struct chain *behind; /* proto_out(), while `unfinished`; NULL: nothing */
	struct list streams;  /* struct stream.on_conn: requests under way, oldest first */
	struct sock_peer peer;
	uint8_t phase;        /* enum proto_phase */
	bool close_when_sent; /* close (lingering) once `out` has left */
	bool paused;          /* the protocol wants no input now; output() clears it when a stream ends */
	bool draining;        /* the server stops: answer Connection: close, take no further request after this one */
	bool lend;       /* output() may append its payload to `out` as lent: the caller writes or keeps it at once */
	bool aborted;    /* what the peer sends is thrown away: it broke the rules, or has been said goodbye */
	bool unfinished; /* output() has been given the beginning of a message, and its worker owes the rest */
	bool goodbye; /* the peer has said, by the protocol's own word, that it sends no more; its worker answers by CLOSE */
	bool overdue;          /* timeout(): the peer was silent for as long as the port's settings allow */
	uint16_t close_reason; /* enum close_reason, set with close_when_sent */
	uint32_t next_stream;
	uint32_t requests; /* on this connection so far */
	uint64_t now_ms;   /* monotonic, set by the caller before each call */
	uint64_t wall_us;  /* microseconds since 1970, set before each call of input() and as old as the loop's turn */
};

/* Why a connection or a stream ended; told to the app and the log by name. */
enum close_reason {
	CLOSE_NORMAL,
	CLOSE_BY_APP,     /* server:close */
	CLOSE_PEER_RESET, /* ECONNRESET and its like */
	CLOSE_TIMEOUT_HEAD,
	CLOSE_TIMEOUT_BODY,
	CLOSE_TIMEOUT_IDLE,
	CLOSE_TIMEOUT_SEND,
	CLOSE_TOO_LARGE,   /* message over package_max_length */
	CLOSE_MALFORMED,   /* the protocol's rules were broken */
	CLOSE_BUFFER_FULL, /* output over its hard limit */
	CLOSE_WORKER_LOST,
	CLOSE_SHUTDOWN,
	CLOSE_HEARTBEAT, /* heartbeat_idle_time */
	CLOSE_RATE,      /* message_rate */
	CLOSE_GOODBYE,   /* the peer ended it by the protocol's own word */
	CLOSE_BAD_TEXT,  /* what should be text is not UTF-8 */
	CLOSE_REASONS,
};

/* "timeout_head" */
const char *close_reason_name(unsigned reason);

enum close_by { CLOSE_BY_PEER, CLOSE_BY_SERVER, CLOSE_BY_HEARTBEAT, CLOSE_BY_LIMIT, CLOSE_BY_ERROR };

struct proto {
	const char *name;
	const char *doc;
	bool stateful; /* frames belong to the connection (raw TCP); false: each stream may go to another worker (HTTP) */

	/* Eats what it can from `in`; returns how many bytes, or -EMSGSIZE (message too large), -EBADMSG
	 * (malformed), -ENOMEM.  A negative return closes the connection once `out` has left: the protocol
	 * has already put an answer there if its standard has one, and set close_reason. What was not eaten
	 * is kept and shown again, with more behind it. Must not be called while pc->paused. */
	ssize_t (*input)(struct proto_conn *pc, struct str in);

	/* A frame from the worker that is for this protocol's peer.  `stream` is the request it answers
	 * (looked up by frame.stream; NULL for stream 0).  Writes to pc->out or, when it is not its turn, to
	 * stream->pending. -EBADMSG: the worker broke the rules. */
	int (*output)(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *stream);

	/* The worker that had this stream has gone, or the server cannot serve it: answer with `status` (502,
	 * 503, 500) if nothing has been sent of it, else close.  NULL for stateful protocols. */
	void (*fail)(struct proto_conn *pc, struct stream *stream, int status);

	/* The peer has shut its sending side.  Sets close_when_sent if there is nothing left to answer.
	 * Stateful protocols are told once and leave the closing to their worker. */
	void (*eof)(struct proto_conn *pc, struct str rest);

	/* The timer of pc->phase ran out: answer if there is one (408), set close_when_sent. */
	void (*timeout)(struct proto_conn *pc);

	/* Milliseconds of silence after which timeout() is wanted although no setting of the port ends the connection; 0: never.
	 * NULL: never. */
	uint64_t (*patience)(const struct proto_conn *pc);

	/* The server ends the connection: the protocol's last words, and close_when_sent.  NULL: there are none. */
	void (*farewell)(struct proto_conn *pc, enum close_reason why);

	/* What is published to a group, as this peer gets it: lent.  NULL: no memory.  Function NULL: the bytes as they are. */
	struct buf *(*publish)(struct proto_conn *pc, struct publication *p);

	/* Nothing is under way: give the state back. */
	void (*idle)(struct proto_conn *pc);

	/* The connection ends: tell the workers (ABORT), free the state and all streams.  `out` is the
	 * caller's. */
	void (*close)(struct proto_conn *pc);
};

/* A message published to a group, in the forms that its members' protocols have asked for. */
enum { PUBLICATION_FORMS = 3 };
struct publication {
	struct str bytes;
	unsigned opcode;                      /* of protocols that have any; 0: the app did not say */
	bool tried;                           /* the protocol's: a form that may be impossible */
	struct buf *forms[PUBLICATION_FORMS]; /* 0: the bytes as they are; NULL: not made */
};

/* ---- registry.c: THE LIST of protocols --------------------------------------------------------------------------- */

/* The protocol a port speaks. */
const struct proto *proto_of(const struct port *port);

extern const struct proto proto_raw, proto_eof, proto_length, proto_http1, proto_ws;

/* Frees what the protocols keep for this thread; when a thread ends. */
void proto_trim(void);

/* ---- for protocols -------------------------------------------------------------------------------------------------- */

/* Appends bytes of a frame to `out` or a stream's pending chain, lent where that is allowed and worth it. */
int proto_append(struct proto_conn *pc, struct chain *out, struct str bytes);
/* Where a whole message goes: `out`, or behind the unfinished one (RFC 6455 §5.4). */
struct chain *proto_out(struct proto_conn *pc);
/* The unfinished message has ended: what waited behind it follows. */
void proto_finish(struct proto_conn *pc);
/* Output that is the bytes themselves: SEND appends. */
int proto_output_plain(struct proto_conn *pc, const struct frame *f, struct str payload, struct stream *stream);
/* eof, timeout, close of protocols without state that needs care: state is freed with free(). */
void proto_eof_plain(struct proto_conn *pc, struct str rest);
void proto_timeout_plain(struct proto_conn *pc);
void proto_idle_plain(struct proto_conn *pc);
void proto_close_plain(struct proto_conn *pc);
/* Emits one whole message as DATA. */
int proto_emit_data(struct proto_conn *pc, struct str message);
