/* What the files of the reactor share: the reactor, its worker slots as it sees them, and the requests they owe. */
#pragma once

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/slots.h"
#include "loop/post.h"
#include "net/conn.h"
#include "net/dgram.h"
#include "net/listen.h"
#include "reactor/reactor.h"

#include <pthread.h>

struct access_log;
struct filecache;

/* One worker process as this reactor knows it. */
struct uplink_gen {
	struct list link; /* reactor.gens */
	struct reactor *reactor;
	struct link *line;
	const struct board_worker *board;
	struct list streams; /* struct stream.on_worker: requests it has not answered */
	unsigned owed;       /* how many those are */
	unsigned slot;
	uint64_t generation;
	bool draining; /* a successor has taken over */
	bool bye_sent;
	bool keep_rest; /* uplink_gone(): the first piece of the frame at hand was kept */
	bool bad;       /* broke the rules: nothing it sends is looked at any more */
};

/* One worker slot. */
struct uplink {
	struct uplink_gen *current; /* NULL: no process now */
	struct list stalled;        /* struct conn.stalled: wait for room or for a process */
	struct list orphans;        /* struct orphan: frames the last process never took */
	unsigned homes;             /* connections whose home it is */
	bool failed;                /* there will be no process soon */
};

struct reactor {
	struct reactor_opts o;
	const struct settings *settings; /* for new connections */
	struct loop *loop;
	struct loop own_loop; /* PROCESS */
	bool threaded;
	pthread_t thread;
	struct mailbox mailbox;
	struct watch bell;
	struct loop_hook hook;
	struct conn_owner owner;
	struct slots conns;
	struct pool conn_pool;
	struct list gens;
	struct uplink *uplinks;  /* [o.slots] */
	struct list stalled_any; /* connections that any slot could serve */
	struct list planned;     /* struct stream.on_worker: answered from files before the loop sleeps */
	struct filecache *files[SETTINGS_PORTS_MAX]; /* by port index; NULL: none wanted so far */
	struct list doomed;                          /* struct stream.on_worker: answered 503 before the loop sleeps */
	unsigned turn;                               /* of dispatch round */
	struct listener *listeners[SETTINGS_PORTS_MAX];
	unsigned n_listeners;
	struct dgram *dgrams[SETTINGS_PORTS_MAX]; /* by port index; NULL: not a UDP port, or not here */
	uint64_t dgrams_dirty;                    /* bits: they have datagrams to send */
	struct access_log *access;
	bool draining;
	bool drain_now;
	bool parted; /* no connection is left, and none comes: it has said goodbye to all processes */
	void (*drained)(void *ctx);
	void *drained_ctx;
	struct map addresses[SETTINGS_PORTS_MAX]; /* struct address, see limits.c */
	struct list cooling;
	struct map groups; /* struct group, by the hash of the name, see groups.c */
	struct pool member_pool;
	struct log_every refusals;   /* about limits that clients pass */
	struct log_every complaints; /* about clients that were cut off for memory's sake */
};

/* ---- reactor.c ------------------------------------------------------------------------------------------------------ */

struct conn *reactor_conn(struct reactor *r, conn_id id);
static inline struct reactor *reactor_of(const struct conn *c)
{
	return LS_CONTAINER_OF(c->owner, struct reactor, owner);
}
/* True if the app wants to hear of this connection itself, not only of its requests. */
bool reactor_has_session(const struct conn *c);
/* Takes the descriptor. */
void reactor_accept(struct reactor *r, int fd, const struct port *port, const struct sock_peer *peer);
/* As reactor_drain(), reactor_reconfigure() and reactor_access_log(), in the reactor's thread. */
void reactor_begin_drain(struct reactor *r, bool now, void (*drained)(void *ctx), void *ctx);
void reactor_use_settings(struct reactor *r, const struct settings *settings);
void reactor_use_access_log(struct reactor *r, int fd);

/* ---- calls.c ---------------------------------------------------------------------------------------------------------- */

/* Ends the loop of a reactor with a thread. */
void calls_stop(struct reactor *r);

/* ---- dispatch.c ----------------------------------------------------------------------------------------------------- */

/* PLANNED: it is not for workers. */
enum dispatch_answer { DISPATCH_HERE, DISPATCH_WAIT, DISPATCH_FAILED, DISPATCH_PLANNED };

/* The slot for the next message or request of `c`, which is `parts`; n 0: it has not come yet.  WAIT: `*slot` is whom to wait for, or
 * -1: anybody. */
enum dispatch_answer dispatch_choose(struct reactor *r, const struct conn *c, const struct str *parts, int n,
                                     int *slot);
/* True: the events of a connection go to one worker. */
bool dispatch_keeps(const struct reactor *r);
/* A connection gets its home, and gives it up. */
void dispatch_settle(struct reactor *r, struct conn *c);
void dispatch_leave(struct reactor *r, struct conn *c);
/* The app has named it; true: that gave it another home. */
bool dispatch_bind(struct reactor *r, struct conn *c, uint64_t hash);
/* The connection's home is that slot from here on. */
void dispatch_move(struct reactor *r, struct conn *c, unsigned slot);
/* The slot for a datagram; -1: whoever has its turn. */
int dispatch_packet(struct reactor *r, const struct port *port, const struct sock_far *from, struct str bytes);

/* ---- keyed.c ---------------------------------------------------------------------------------------------------------- */

/* The hash of what the port's dispatch_key finds in a message; false: it is not there. */
bool keyed_hash(const struct port *port, const struct str *parts, int n, uint64_t *hash);

/* ---- proxied.c ---------------------------------------------------------------------------------------------------------- */

/* False: whoever connects is not trusted to speak for clients; told in the log. */
bool proxied_may_connect(struct reactor *r, const struct port *port, const struct sock_peer *peer);
/* conn_owner.on_proxied */
void proxied_on_header(struct conn *c, int code);

/* ---- census.c ----------------------------------------------------------------------------------------------------------- */

/* ASK of a worker, answered on its link. */
int census_answer(struct reactor *r, struct link *line, const struct frame *f);

/* ---- groups.c ----------------------------------------------------------------------------------------------------------- */

struct member;
void groups_join(struct conn *c, struct str name);
void groups_leave(struct conn *c, struct str name);
void groups_leave_all(struct conn *c);
/* PUBLISH of a worker. */
int groups_publish(struct reactor *r, const struct frame *f, struct str payload);
void groups_init(struct reactor *r);
void groups_fini(struct reactor *r);

/* ---- limits.c ----------------------------------------------------------------------------------------------------------- */

/* False: one connection more is too many; that is told in the log.  `*counted`: limits_leave() must follow at its end. */
bool limits_admit(struct reactor *r, const struct port *port, const struct sock_peer *peer, bool *counted);
/* The same of the address alone. */
bool limits_admit_address(struct reactor *r, const struct port *port, const struct sock_peer *peer, bool *counted);
void limits_leave(struct reactor *r, const struct port *port, const struct sock_peer *peer);
/* One more message or request, where the port has a message_rate; false: it is too many, which is told in the log. */
bool limits_message(struct conn *c);
void limits_fini(struct reactor *r);

/* ---- uplink.c: to the workers ----------------------------------------------------------------------------------------- */

extern const struct sink uplink_sink;

/* conn_owner.may_read */
bool uplink_may_read(struct conn *c);
/* The connection begins: OPEN, if the app wants to know. */
void uplink_open(struct conn *c);
/* The connection has ended, and the protocol has given up its requests: CLOSED. */
void uplink_end(struct conn *c, enum close_by by);
/* Bytes have left: ACK where a worker may be waiting for it. */
void uplink_ack(struct conn *c);
/* link_send(); when the backlog is used up, says so in the log and gives the connection its close_reason. */
int uplink_send(struct conn *c, struct uplink_gen *gen, const struct frame *f, const struct str *parts, int n);
/* True: workers are told of this connection, by OPEN and CLOSED. */
bool uplink_is_told(const struct conn *c);
/* And by OPEN before its first message. */
bool uplink_is_told_at_once(const struct conn *c);
void uplink_send_open(struct conn *c, struct uplink_gen *gen);
/* It has become a WebSocket, by an answer of this process to that request: OPEN. */
void uplink_upgraded(struct conn *c, struct uplink_gen *gen, uint32_t stream);
/* BIND: the app's name of the connection. */
void uplink_bind(struct conn *c, struct str uid);

/* ---- uplink_gen.c: worker processes come and go --------------------------------------------------------------------------- */

void uplink_init(struct reactor *r);
void uplink_fini(struct reactor *r);
/* The process has this request to answer. */
void uplink_owe(struct uplink_gen *gen, struct stream *s);
/* The worker has no further part in this request. */
void uplink_forget(struct stream *s);
/* Keeps a frame for the slot's next process; without memory it is lost. */
void uplink_keep(struct uplink *u, const struct frame *f, struct str payload);
void uplink_attach(struct reactor *r, unsigned slot, uint64_t generation, struct link *line,
                   const struct board_worker *board);
void uplink_gone(struct reactor *r, unsigned slot, uint64_t generation);
void uplink_set_failed(struct reactor *r, unsigned slot, bool failed);
/* The server ends and no connection is left: every process may leave. */
void uplink_say_goodbye(struct reactor *r);
/* Drains, publishes; true: there is more to do. */
bool uplink_turn(struct reactor *r);
/* Answers 503 to the requests nobody can take. */
void uplink_fail_doomed(struct reactor *r);
/* Publishes and rings. */
void uplink_flush(struct reactor *r);
/* True: no ring holds a frame. */
bool uplink_may_sleep(struct reactor *r);

/* ---- recall.c: connections whose worker holds a part of a message ---------------------------------------------------------- */

/* A successor has taken over from `old`: what it holds of its connections is asked for. */
void recall_begin(struct reactor *r, struct uplink_gen *old);
/* The same of one connection that gets another home; true: its beginning is on its way. */
bool recall_one(struct conn *c);
/* The process has gone: this connection of it has lost a part of a message, or may have. */
bool recall_is_lost(const struct conn *c, const struct uplink_gen *gone);
/* RETURN of a worker. */
void recall_on_return(struct conn *c, const struct uplink_gen *gen, struct str bytes);

/* ---- packets.c ---------------------------------------------------------------------------------------------------------- */

/* Takes the descriptor. */
int packets_listen(struct reactor *r, int fd, const struct port *port, struct err *err);
/* SENDTO of a worker. */
int packets_on_sendto(struct reactor *r, const struct frame *f, struct str payload);
/* Sends what SENDTOs have gathered. */
void packets_flush(struct reactor *r);
/* Reads no further datagrams; answers still leave. */
void packets_stop(struct reactor *r);
void packets_close(struct reactor *r);

/* ---- downlink.c: from the workers ---------------------------------------------------------------------------------------- */

/* link.on_frame; ctx is the struct uplink_gen. */
int downlink_on_frame(void *ctx, const struct frame *f, struct str payload);

/* ---- static.c ---------------------------------------------------------------------------------------------------------------- */

/* True: the request is for a file of the port's document_root, or for what should be one, and will be answered here.  `parts` are those of
 * its head. */
bool static_take(struct conn *c, const struct frame *f, const struct str *parts, struct stream *s);
/* Answers those that were taken. */
void static_answer_all(struct reactor *r);
/* The stream has ended. */
void static_drop(struct stream *s);
/* Closes all files that are kept: other settings hold, or the reactor ends. */
void static_forget(struct reactor *r);
/* Frees what this thread has built heads in. */
void static_trim(void);

/* ---- access.c ------------------------------------------------------------------------------------------------------------ */

/* Lines are gathered and written once a second or when 32 KiB are full. */
struct access_log *access_log_new(struct loop *loop, int fd, const struct settings *settings);
void access_log_free(struct access_log *a);
/* Writes what is gathered, then uses the new descriptor. */
void access_log_reopen(struct access_log *a, int fd);
/* Keeps what the line will need of the request's head image. */
void access_log_begin(struct stream *s, const struct str *image_parts, int n);
/* The answer is complete or has been given up. */
void access_log_end(struct access_log *a, struct stream *s, const struct sock_peer *peer);
/* Frees what access_log_begin() kept. */
void access_log_drop(struct stream *s);
